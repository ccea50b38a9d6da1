"""A working pair with connections on it, and things done to it that must not matter."""
import os

from .scenario import Lab
from .traffic import LoadPlan
from .wait import TestFailed, wait_until

LOAD = LoadPlan(connections=150, uploads=1, downloads=1, new_rate=10)
# A machine that runs other things too delays a packet by this much without anybody being at fault.
NOTHING_HAPPENED_MS = 150


class Siege:
    """R1 is master, R2 its complete standby, and traffic flows."""

    def __init__(self, commit="continuous", plan=LOAD):
        self.lab = Lab()
        self.first, self.second = self.lab.start_pair(commit=commit)
        self.routers = self.lab.routers
        self.network = self.lab.network
        self.lab.start_load(plan)
        # The last connection began a moment ago, and what is done next may be the end of who was to hear of it.
        wait_until(lambda: self.first.natctl("sync", "verify", check=False).returncode == 0, 30, "R2 knows all of R1")
        self.problems = []

    def require(self, condition, text):
        if not condition:
            self.problems.append(text)

    def during(self, name, action, least=1.0, silence_ms=NOTHING_HAPPENED_MS, longest=None, abrupt=False):
        """Does it under load: no connection may break, and none may wait for longer than this."""
        event = self.lab.load.measure(name, action, least=least, longest=longest, abrupt=abrupt)
        self.problems += self.lab.check_event(event, silence_limit_ms=silence_ms)
        return event

    def counters(self, router, *names):
        """Their sum over all parts of the router; 0 where there is none."""
        return [router.counter(name) or 0 for name in names]

    def counts(self, router, name, before, least=1):
        """The counter has risen by that much."""
        now = self.counters(router, name)[0]
        self.require(
            now - before >= least, f"{router.name}: {name} rose from {before} to {now}, expected {least} more"
        )

    def said(self, router, daemon, text, timeout=5):
        """The log has the text."""
        try:
            wait_until(
                lambda: text in self.log(router, daemon), timeout, f"{router.name} {daemon} says '{text}'"
            )
        except TestFailed as failure:
            self.problems.append(str(failure))

    def log(self, router, daemon):
        if not os.path.exists(router.log(daemon)):
            return ""
        with open(router.log(daemon), encoding="utf-8", errors="replace") as file:
            return file.read()

    def still(self, first="master", second="backup"):
        states = (self.first.state(), self.second.state())
        self.require(states == (first, second), f"R1, R2 are {states} instead of {(first, second)}")

    def alike(self):
        """Both kernels hold the same connections."""
        self.problems += self.lab.verify(30)
        self.lab.load.ask_clients("fresh-go", "fresh-go")

    def power_cut(self):
        """The last question: is everything still there when it is needed?"""
        self.lab.wait_ready("R1")
        self.during(
            "power cut afterwards", self.first.host.power_cut, least=2.0, silence_ms=1000, abrupt=True
        )
        self.require(self.second.state() == "master", f"R2 is {self.second.state()} after the power cut")

    def finish(self, verify=True):
        self.lab.finish(self.problems, verify=verify)
