"""Not every program has been upgraded: what is new and what is old understand each other, and lose nothing."""
import os

from lib.router import Router, write_config
from lib.scenario import Lab
from lib.traffic import LoadPlan
from lib.wait import TestFailed
from test_failover import Round, power_cut_and_return, switchover

PLAN = LoadPlan(connections=1000, uploads=2, downloads=2, new_rate=40)


class MixedRouter(Router):
    """Some of its programs are those of the previous release."""

    def __init__(self, host, lab, older):
        super().__init__(host, lab.binaries, lab.directory, lab.config)
        self._older = older

    def _command(self, program):
        directory = os.environ["STEADYNAT_PREVIOUS"] if program in self._older else self._binaries
        return [os.path.join(directory, program)]


def failovers_both_ways(older, commit):
    """`older`: which programs of which router have not been upgraded."""
    lab = Lab()
    lab.config = write_config(lab.directory, lab.binaries, "100ms", commit)
    for name, host in lab.network.routers.items():
        lab.routers[name] = MixedRouter(host, lab, older.get(name, ()))
        lab.routers[name].start()
    lab.wait_ready("R1")
    lab.start_load(PLAN)
    lab.wait_ready("R1")
    lab.load.settle(2.0)
    rounds = Round(lab)
    for row in (power_cut_and_return, switchover):
        try:
            row(lab, rounds)
        except TestFailed as failure:
            rounds.problems.append(str(failure))
            break
    rounds.judge()
    lab.finish(rounds.problems)


# What an upgrade of the package leaves: the new syncd and agent under the old vrrpd, until that is restarted.
MIXTURES = {
    "vrrpd_not_restarted_yet": {"R1": ("vrrpd",), "R2": ("vrrpd",)},
    "vrrpd_restarted_on_r2_only": {"R1": ("vrrpd",)},
}


def cases(soak, quick):
    for name, older in MIXTURES.items():
        for commit in ("continuous",) if quick else ("continuous", "on-takeover"):
            yield f"{name}[{commit}]", lambda o=older, c=commit: failovers_both_ways(o, c), 180
