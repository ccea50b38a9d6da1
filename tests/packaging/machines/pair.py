"""Two machines, the article's network around them, and traffic through them."""
import concurrent.futures
import json
import os
import re
import tempfile

from lib.network import LAN_VIRTUAL, WAN_VIRTUAL, Network
from lib.scenario import Lab
from lib.traffic import Load
from lib.wait import TestFailed, require, wait_until

from . import image
from .container import Container

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
UNITS = ("steadynat-syncd", "steadynat-nat", "steadynat-vrrpd")
OTHER = {"R1": "R2", "R2": "R1"}


def packages():
    """{"new": path, "newer": path}: the .debs under test, made by tests/packaging/run."""
    with open(os.environ["STEADYNAT_PACKAGES"], encoding="utf-8") as file:
        return json.load(file)


class Pair:
    """`speed`: how much longer everything may take than on real machines."""

    current = None

    def __init__(self, make=Container, speed=1.0):
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-package-")
        self.speed = speed
        self.network = Network(make_router=None)
        self.machines = {name: make(name, self.network, self.directory) for name in ("R1", "R2")}
        self.load = None
        self.problems = []
        Lab.current = self  # whose dump() the runner asks for after a failure

    def __iter__(self):
        return iter(self.machines.values())

    def __getitem__(self, name):
        return self.machines[name]

    def offer(self, *versions):
        """A repository in both machines with these packages."""
        known = packages()
        chosen = {version: known[version] for version in versions}
        directory = image.repository(os.path.join(self.directory, "repo"), chosen)
        for machine in self:
            machine.put_files(directory, "/srv/repo")

    def boot(self):
        """Both at once."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine: machine.boot(), self))

    def on_both(self, command, **arguments):
        return [machine.run(command, **arguments) for machine in self]

    # --- the pair

    def wait_ready(self, master, timeout=60):
        """`master` is master, the other one its backup, and both say that a failover is safe."""
        seen = {}

        def ready():
            seen.update({machine.name: machine.status() for machine in self})
            states = {name: status["groups"][0]["state"] for name, status in seen.items() if status.get("groups")}
            well = all(status.get("failover_ready") for status in seen.values())
            return well and states == {master: "master", OTHER[master]: "backup"}

        try:
            wait_until(ready, timeout * self.speed, f"{master} is master and the pair is failover-ready", every=0.5)
        except TestFailed as failure:
            reasons = {name: status.get("reasons", "no answer") for name, status in seen.items()}
            raise TestFailed(f"{failure}: {reasons}") from None

    def master(self):
        masters = [machine.name for machine in self if machine.powered and machine.state() == "master"]
        return masters[0] if len(masters) == 1 else None

    def start_load(self, plan):
        self.load = Load(self.network, plan, os.path.join(os.environ["STEADYNAT_BIN"], "traffic"), self.directory)
        self.load.start(timeout=60 * self.speed)

    def measure(self, name, action, **arguments):
        """Does it under load; what broke is a problem of this test."""
        event = self.load.measure(name, action, **arguments)
        if self.speed > 1:
            # An emulated processor pauses by itself: a silence is not held against the routers, a broken connection is.
            event.unseen_ms = 0.0
        print(
            f"    {name}: silence {event.silence_ms:.0f} ms, {event.connections} connections, {event.broken} broken, "
            f"{event.stalled} stalled, {event.fresh_started} new ({len(event.fresh_failed)} failed)",
            flush=True,
        )
        self.problems += event.problems()
        return event

    def calm(self, action):
        """What is no event for the traffic: no packet of the probe is late by more than a restart of syncd may cost."""
        return self.measure(action.__name__, action, abrupt=False)

    # --- questions

    def check(self, condition, text):
        if not condition:
            self.problems.append(text)

    def check_same(self, timeout=30):
        """Both kernels hold the same connections."""
        self.load.ask_clients("fresh-pause", "fresh-pause")
        last = []

        def same():
            last.append(self[self.master() or "R1"].differing())
            return last[-1] == 0

        try:
            wait_until(same, timeout * self.speed, "sync verify says 0 differ", every=1)
        except TestFailed as failure:
            self.problems.append(f"{failure}: {last[-3:]}")

    def check_leaks(self):
        self.problems += [f"{count} packets {name}" for name, count in self.network.leaks().items() if count]

    def finish(self):
        self.check_leaks()
        if self.load is not None:
            self.load.stop()
        require(not self.problems, "; ".join(self.problems))

    def dump(self):
        for machine in self:
            if machine.powered:
                machine.collect()


def addresses(machine):
    """Which of the two virtual addresses the machine holds."""
    text = machine.run("ip -4 -o addr show")
    return {address for address in (WAN_VIRTUAL, LAN_VIRTUAL) if re.search(rf"inet {re.escape(address)}/", text)}
