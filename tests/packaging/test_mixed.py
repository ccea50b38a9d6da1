"""Not every program has been upgraded: what is new and what is old understand each other, and lose nothing."""
import os
import time

from lib.router import Router, write_config
from lib.scenario import Lab, down_interval, state_of
from lib.traffic import LoadPlan
from lib.wait import TestFailed, require, wait_until
from test_failover import Round, power_cut_and_return, switchover

PLAN = LoadPlan(connections=1000, uploads=2, downloads=2, new_rate=40)
PROGRAMS = ("vrrpd", "syncd", "natctl")


class MixedRouter(Router):
    """Some of its programs are those of an older release."""

    def __init__(self, host, lab, older, release):
        super().__init__(host, lab.binaries, lab.directory, lab.config)
        self.older = older
        self._release = release

    def _command(self, program):
        return [os.path.join(self._release if program in self.older else self._binaries, program)]


def start(older, commit, release="STEADYNAT_PREVIOUS"):
    """`older`: which programs of which router have not been upgraded; `release`: which variable says where they are."""
    lab = Lab()
    lab.config = write_config(lab.directory, lab.binaries, "100ms", commit)
    for name, host in lab.network.routers.items():
        lab.routers[name] = MixedRouter(host, lab, older.get(name, ()), os.environ[release])
        lab.routers[name].start()
    return lab


def failovers_both_ways(older, commit):
    lab = start(older, commit)
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


# One router upgraded and the other not, either way round; and what an upgrade of the package leaves: the new syncd and
# agent under the old vrrpd, until that is restarted.
MIXTURES = {
    "previous_release_on_r1": {"R1": PROGRAMS},
    "previous_release_on_r2": {"R2": PROGRAMS},
    "vrrpd_not_restarted_yet": {"R1": ("vrrpd",), "R2": ("vrrpd",)},
    "vrrpd_restarted_on_r2_only": {"R1": ("vrrpd",)},
}


def unlike_links(older):
    """The router `older` speaks a protocol that nobody speaks any more, so nothing is replicated. Both say so; nobody
    takes over by surprise; when the master goes the other takes over all the same; and with the rest upgraded all is
    well.
    """
    lab = start({older: PROGRAMS}, "continuous", release="STEADYNAT_FIRST_PROTOCOL")
    first, second = lab.routers["R1"], lab.routers["R2"]

    def both_say_so():
        statuses = [router.status() for router in (first, second)]
        said = all("another version" in " ".join(status.get("reasons") or ()) for status in statuses)
        return said and [state_of(status) for status in statuses] == ["master", "backup"]

    wait_until(both_say_so, 30, "R1 is master, R2 backup, and both say that the protocols differ", every=0.5)
    term = first.status()["groups"][0]["term"]
    time.sleep(30 * down_interval(lab.interval))
    require(both_say_so() and first.status()["groups"][0]["term"] == term, "the roles have changed without a cause")

    first.host.power_cut()
    wait_until(lambda: second.state() == "master", 30, "R2 is master after the power cut")
    lab.start_load(PLAN)
    lab.load.settle(2.0)
    upgrade = lab.routers[older]
    rounds = Round(lab)

    def the_rest():
        at = time.monotonic_ns()
        restart(upgrade)
        if upgrade is not first:
            wait_until(lambda: second.state() == "master", 30, "R2 is master again")
        first.host.power_on()
        lab.wait_ready("R1", timeout=60)
        return at

    rounds.event("the other one upgraded", the_rest, abrupt=False)
    rounds.judge()
    lab.finish(rounds.problems)


def upgrade_under_load(commit):
    """From two older routers to two new ones, and nowhere on the way a moment without replication."""
    lab = start({"R1": PROGRAMS, "R2": PROGRAMS}, commit)
    first, second = lab.routers["R1"], lab.routers["R2"]
    lab.wait_ready("R1")
    lab.start_load(PLAN)
    lab.wait_ready("R1")
    lab.load.settle(2.0)
    rounds = Round(lab)

    def upgraded(router):
        def action():
            at = time.monotonic_ns()
            restart(router)
            lab.wait_ready("R1")
            return at

        return action

    rounds.event("R2 upgraded", upgraded(second), abrupt=False)
    with open(second.log("syncd"), encoding="utf-8") as log:
        rounds.require("older_protocol" in log.read(), "syncd of R2 does not say that R1 runs an older release")
    power_cut_and_return(lab, rounds)
    rounds.event("R1 upgraded", upgraded(first), abrupt=False)
    switchover(lab, rounds)
    rounds.judge()
    lab.finish(rounds.problems)


def restart(router):
    router.stop()
    router.older = ()
    router.start()


def cases(soak, quick):
    for name, older in MIXTURES.items():
        for commit in ("continuous",) if quick else ("continuous", "on-takeover"):
            yield f"{name}[{commit}]", lambda o=older, c=commit: failovers_both_ways(o, c), 180
    for commit in ("continuous", "on-takeover"):
        yield f"upgrade_under_load[{commit}]", lambda c=commit: upgrade_under_load(c), 180
    for name in ("R1", "R2"):
        yield f"unlike_links[{name}]", lambda n=name: unlike_links(n), 180
