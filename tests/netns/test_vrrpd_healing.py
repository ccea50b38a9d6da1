"""What vrrpd has put on interfaces, and another program takes away."""
import os
import time

from lib.process import Process
from lib.segment import Segments, Vrrpd
from lib.wait import require, wait_until

INSTANCE = (
    "wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24],\n"
    "  excluded_addresses: ['2001:db8:1::254/64'],\n"
    "  virtual_routes: [{ to: default, via: 10.0.0.1 }, { to: '2001:db8:9::/48', via: 'fe80::9' }] }"
)
# Of what somebody else does once: from the kernel's word that it is gone to its word that it is there.
MOST_MS = 100


class Monitor:
    """What the kernel says of addresses and routes, each with its moment, and ARP at the other router."""

    def __init__(self, net, host, other):
        def start(name, argv, namespace):
            path = os.path.join(net.directory, name)
            return path, Process(name, argv, namespace, path)

        self._objects, self._ip = start("monitor", ["ip", "-ts", "monitor", "address", "route"], host.namespace)
        self._frames, self._tcpdump = start(
            "frames", ["tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-i", "eth0", "arp or icmp6"], other.namespace)
        wait_until(lambda: "listening" in self._text(self._frames), 30, "tcpdump listens")

    @staticmethod
    def _text(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def mark(self):
        return len(self._text(self._objects)), len(self._text(self._frames))

    def absence(self, mark, what, instead=None):
        """Milliseconds from the first removal after the mark to the return; None: not (yet) both. `instead`: what has
        replaced it, as the kernel says no more of what is gone by that."""
        gone = back = None
        for block in self._text(self._objects)[mark[0]:].split("\n["):
            stamp = block.lstrip("[").split("]")[0]
            if "T" not in stamp or not any(each and each in block for each in (what, instead)):
                continue
            seconds, fraction = stamp.split(".")
            at = time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)
            deleted = "Deleted" in block if instead is None else instead in block
            if deleted and gone is None:
                gone = at
            if not deleted and gone is not None and back is None:
                back = at
        return None if back is None else (back - gone) * 1000

    def announced(self, mark, address):
        text = self._text(self._frames)[mark[1]:]
        return f"Request who-has {address} (ff:ff:ff:ff:ff:ff) tell {address}" in text or f"tgt is {address}" in text


def calm(router):
    """What must not change when something is repaired."""
    group = router.group()
    return group["state"], group["term"], len(router.status()["groups"][0].get("transitions", []))


def removed(monitor, router, command, what, address=None, instead=None):
    """Best of five: the machine may be busy."""
    before, times = calm(router), []
    for _ in range(5):
        mark = monitor.mark()
        router.host.namespace.ip(command)
        wait_until(lambda: monitor.absence(mark, what, instead) is not None, 30, f"{what} is back after {command}")
        times.append(monitor.absence(mark, what, instead))
        if address:
            wait_until(lambda: monitor.announced(mark, address), 30, f"{address} is announced")
        if times[-1] < MOST_MS:
            break
    require(min(times) < MOST_MS, f"{command}: back after {times} ms")
    require(calm(router) == before, f"{command}: a transition, {before} and then {calm(router)}")


def test_removed_by_others():
    """Addresses and routes are back at once, with an announcement and without a transition."""
    net = Segments()
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(INSTANCE, interval="1s")
        router.start()
    first.wait("master")
    second.wait("backup")
    monitor = Monitor(net, net.r1, net.r2)
    removed(monitor, first, "addr del 10.0.0.254/24 dev eth0", "10.0.0.254/24", "10.0.0.254")
    removed(monitor, first, "addr del 2001:db8:1::254/64 dev eth0", "2001:db8:1::254/64", "2001:db8:1::254")
    removed(monitor, first, "route del default via 10.0.0.1", "default via 10.0.0.1")
    removed(monitor, first, "route del 2001:db8:9::/48 via fe80::9 dev eth0", "2001:db8:9::/48")
    # Replaced: in IPv4 the other one stays behind ours, and is what there is when ours goes.
    removed(monitor, first, "route replace default via 10.0.0.9", "default via 10.0.0.1",
            instead="default via 10.0.0.9")
    removed(monitor, first, "route replace 2001:db8:9::/48 via fe80::8 dev eth0", "2001:db8:9::/48 via fe80::9",
            instead="2001:db8:9::/48 via fe80::8")
    shown = net.r1.namespace.run(["ip", "route", "show", "default"]).stdout.splitlines()
    require([line.split()[2] for line in shown] == ["10.0.0.1", "10.0.0.9"], f"{shown}")
    net.r1.namespace.ip("route del default via 10.0.0.9")
    # All at once, as a manager does that takes the interface for its own. It puts its own address back.
    net.r1.namespace.run(["ip", "-4", "addr", "flush", "dev", "eth0"])
    net.r1.namespace.ip("addr add 10.0.0.2/24 dev eth0")
    wait_until(lambda: first.state() == "master" and net.r1.holds("10.0.0.254"), 30, "master again after a flush")
    routes = lambda: net.r1.namespace.run(["ip", "route", "show", "proto", "112"]).stdout
    wait_until(lambda: "default via 10.0.0.1" in routes(), 30, "the route is back after a flush")
    require("another program has taken" in first.said(), "nothing was said")
    require(first.instance("wan")["counters"].get("repaired", 0) >= 4, "it was not counted")
    # Another MAC: everybody is told.
    mark = monitor.mark()
    net.r1.namespace.ip("link set eth0 address 02:00:00:00:00:99")
    wait_until(lambda: monitor.announced(mark, "10.0.0.254"), 30, "the new MAC is announced")
    require(first.state() == "master" and second.state() == "backup", "a transition by a change of the MAC")
    before = calm(first)
    net.r1.namespace.ip("link set eth0 mtu 1400")
    time.sleep(0.3)
    require(calm(first) == before, "a transition by a change of the MTU")


def test_quarrel():
    """Somebody removes the address again and again. It is not put back without end, and there is no transition."""
    net = Segments()
    first = Vrrpd(net.r1, net.directory)
    first.write(INSTANCE, interval="1s")
    first.start()
    first.wait("master")
    before = calm(first)
    monitor = Monitor(net, net.r1, net.r2)
    mark = monitor.mark()
    script = "while ip addr del 10.0.0.254/24 dev eth0 2>/dev/null || true; do sleep 0.005; done"
    manager = Process("manager", ["timeout", "4", "sh", "-c", script], net.r1.namespace,
                      os.path.join(net.directory, "manager"))
    wait_until(lambda: not manager.alive(), 30, "the manager has ended")
    repaired = first.instance("wan")["counters"].get("repaired", 0)
    require(3 <= repaired <= 30, f"repaired {repaired} times in 4 s")
    require("again and again" in first.said(), "nothing was said")
    wait_until(lambda: net.r1.holds("10.0.0.254"), 30, "back after the quarrel")
    wait_until(lambda: monitor.announced(mark, "10.0.0.254"), 30, "announced after the quarrel")
    require(calm(first) == before, f"a transition, {before} and then {calm(first)}")


def test_interface_of_the_virtual_mac():
    """Removed or set down by somebody else: it is there again, with the address, and answers."""
    net = Segments()
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write("wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24], virtual_mac: vm0 }",
                     interval="1s")
        router.start()
    first.wait("master")
    second.wait("backup")
    before = calm(first)

    def answers():
        return net.r2.namespace.run(["ping", "-c", "1", "-W", "1", "10.0.0.254"], check=False).returncode == 0

    for command in ("link del vm0", "link set vm0 down"):
        net.r1.namespace.ip(command)
        wait_until(lambda: net.r1.holds("10.0.0.254") and answers(), 30, f"it answers again after {command}")
        require(calm(first) == before, f"{command}: a transition, {before} and then {calm(first)}")
    time.sleep(1)
    require(second.state() == "backup", "the adverts stayed away")
    first.stop()
    require("vm0" not in net.r1.namespace.show("link", "show"), "the interface stayed")
