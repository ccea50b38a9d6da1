"""SIGHUP: only what differs is applied, and nobody else notices."""
import os
import signal
import time

from lib.segment import Capture, Segments, Vrrpd
from lib.wait import require, wait_until

WAN = "wan: { interface: eth0, vrid: 10, virtual_addresses: [%s]%s }\n"
LAN = "lan: { interface: eth1, vrid: 11, virtual_addresses: [10.0.1.254/24] }\n"


class Reloaded:
    """A pair whose configurations change, and what must stay as it is through all of it."""

    def __init__(self):
        self.net = Segments(2)
        self.calls = os.path.join(self.net.directory, "calls")
        hook = os.path.join(self.net.directory, "hook")
        with open(hook, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\necho "$@" >> {self.calls}\n')
        os.chmod(hook, 0o755)
        self.group = f"hooks: {{ notify: {hook} }}"
        self.routers = Vrrpd(self.net.r1, self.net.directory), Vrrpd(self.net.r2, self.net.directory)
        for router in self.routers:
            router.write(WAN % ("10.0.0.254/24", ""), group=self.group, interval="1s")
            router.start()
        self.routers[0].wait("master")
        self.routers[1].wait("backup")
        wait_until(lambda: os.path.exists(self.calls) and self._hooks().count("\n") >= 3, 30, "hooks have run")
        self._settle()
        self.before = self._now()

    def _hooks(self):
        with open(self.calls, encoding="ascii") as file:
            return file.read()

    def _settle(self):
        """Until the hooks of the start have come to an end."""
        said, since = self._hooks(), time.monotonic()
        while time.monotonic() < since + 1:
            time.sleep(0.1)
            if self._hooks() != said:
                said, since = self._hooks(), time.monotonic()

    def _now(self):
        groups = [router.group() for router in self.routers]
        return [(group["state"], group["term"], len(group["transitions"])) for group in groups], self._hooks()

    def reload(self, instances, then, what, routers=(0, 1)):
        for number in routers:
            router = self.routers[number]
            router.write(instances, group=self.group, interval="1s")
            told = router.said().count("has been read anew")
            router.process.signal(signal.SIGHUP)
            wait_until(lambda r=router, t=told: r.said().count("has been read anew") > t, 30, "the file is read")
        wait_until(then, 30, what)
        time.sleep(0.3)
        require(self._now() == self.before, f"{what}: {self.before} and then {self._now()}")


def test_reload():
    pair = Reloaded()
    net, (first, second) = pair.net, pair.routers
    capture = Capture(net)
    pair.reload(WAN % ("10.0.0.254/24", ""), lambda: True, "the same file")
    pair.reload(WAN % ("10.0.0.254/24, 10.0.0.253/24", ""), lambda: net.r1.holds("10.0.0.253"), "one more address")
    pair.reload(WAN % ("10.0.0.253/24", ""), lambda: not net.r1.holds_any("10.0.0.254"), "one address less")
    pair.reload(WAN % ("10.0.0.253/24", ", virtual_mac: vm0"),
                lambda: "10.0.0.253" in net.r1.namespace.show("addr", "show", "dev", "vm0"), "a virtual MAC")
    pair.reload(WAN % ("10.0.0.253/24", ""), lambda: "vm0" not in net.r1.namespace.show("link", "show"),
                "no virtual MAC, and its interface is gone")
    both = WAN % ("10.0.0.253/24", "") + LAN
    pair.reload(both, lambda: net.r1.holds("10.0.1.254"), "a new member on the master alone", routers=(0,))
    pair.reload(both, lambda: len(second.group()["instances"]) == 2, "and on the backup", routers=(1,))
    require(not second.group()["reasons"] and not net.r2.holds_any("10.0.1.254"), f"{second.group()['reasons']}")
    pair.reload(WAN % ("10.0.0.253/24", "") + LAN.replace("eth1", "eth9"), lambda: not net.r1.holds_any("10.0.1.254"),
                "a member on an interface that does not exist")
    require("eth9" in " ".join(first.group()["reasons"]), f"{first.group()['reasons']}")
    with open(first.config, "a", encoding="ascii") as file:
        file.write("nonsense: 1\n")
    first.process.signal(signal.SIGHUP)
    wait_until(lambda: "stays as it was" in first.said(), 30, "the refusal is said")
    require(net.r1.holds("10.0.0.253") and first.state() == "master", "a broken file changed something")
    pair.reload(both, lambda: net.r1.holds("10.0.1.254"), "the member again")
    # They are members in earnest: both move together.
    first.stop()
    wait_until(lambda: net.r2.holds("10.0.0.253", "10.0.1.254"), 30, "the other takes both")
    capture.stop()
    capture.check_adverts(net.r1.macs["eth0"])
