"""How vrrpd reaches its peer and the world: unicast, a virtual MAC, routes that follow the master, several instances on
one interface."""
import os
import time

from lib.process import Process
from lib.segment import Capture, Segments, Vrrpd
from lib.wait import require, wait_until
from lib.wire import ArpObserver

WAN = "wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24]"
UNICAST = WAN + ", unicast: { R1: 10.0.0.2, R2: 10.0.0.3 } }"


def start_pair(instances, group="", wait=True):
    net = Segments()
    routers = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in routers:
        router.write(instances, group=group)
        router.start()
    if wait:
        routers[0].wait("master")
        routers[1].wait("backup")
    return net, *routers


def test_unicast():
    """Adverts to the peer's address and to nobody else; they are right, and they are obeyed."""
    net, first, second = start_pair(UNICAST)
    capture = Capture(net)
    time.sleep(0.5)
    first.stop()
    second.wait("master")
    counted = second.instance("wan")["counters"]
    require(counted.get("received_leaving", 0) == 1, f"the priority 0 was not taken for one: {counted}")
    first.start()
    first.wait("master")
    second.wait("backup")
    time.sleep(0.3)
    capture.stop()
    for host, peer in ((net.r1, net.r2), (net.r2, net.r1)):
        capture.check_adverts(host.macs["eth0"])
        rows = capture.show(f"vrrp && eth.src == {host.macs['eth0']}", "ip.dst", "ip.ttl", "eth.dst")
        require({tuple(row) for row in rows} == {(peer.v4(), "255", peer.macs["eth0"])}, f"wrong adverts: {rows[:3]}")
    # Without its address there is nothing to send from.
    net.r1.namespace.ip("addr del 10.0.0.2/24 dev eth0")
    first.wait("fault")
    require("10.0.0.2" in " ".join(first.group()["reasons"]), f"reasons: {first.group()['reasons']}")
    second.wait("master")


def test_two_groups_on_one_interface():
    """Each router is master of one."""
    net = Segments()
    text = """version: 1
nodes: { R1: { priority: 200 }, R2: { priority: 100 } }
vrrp:
  groups:
    A:
      advertise_interval: 100ms
      instances: { a: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] } }
    B:
      advertise_interval: 100ms
      priority: { R1: 100, R2: 200 }
      instances: { b: { interface: eth0, vrid: 11, virtual_addresses: [10.0.0.253/24] } }
"""
    routers = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in routers:
        with open(router.config, "w", encoding="ascii") as file:
            file.write(text)
        router.start()
    wait_until(lambda: net.r1.holds("10.0.0.254") and not net.r1.holds("10.0.0.253"), 30, "R1 is master of A alone")
    wait_until(lambda: net.r2.holds("10.0.0.253") and not net.r2.holds("10.0.0.254"), 30, "R2 is master of B alone")
    routers[0].stop()
    wait_until(lambda: net.r2.holds("10.0.0.253", "10.0.0.254"), 30, "R2 takes A, too")


def test_excluded_addresses_and_routes():
    """They come and go with the master; a route is gone with its address also when nobody is left to remove it."""
    instance = (
        WAN + ", excluded_addresses: [10.0.7.1/32, '2001:db8:1::254/64'],\n"
        "  virtual_routes: [{ to: default, via: 10.0.0.1 }, { to: 10.9.0.0/16, via: 10.0.0.9, metric: 50 },\n"
        "    { to: '2001:db8:9::/48', via: 'fe80::9' }] }"
    )
    net, first, second = start_pair(instance)
    addresses = ("10.0.0.254", "10.0.7.1", "2001:db8:1::254")

    def routes(host):
        """Those of vrrpd, in both families."""
        ours = ["route", "show", "proto", "112"]
        lines = host.namespace.run(["ip", *ours]).stdout + host.namespace.run(["ip", "-6", *ours]).stdout
        return sorted(line.split()[0] for line in lines.splitlines() if "expires -" not in line)

    everything = ["10.9.0.0/16", "2001:db8:9::/48", "default"]
    require(net.r1.holds(*addresses) and not net.r2.holds_any(*addresses), "addresses")
    require(routes(net.r1) == everything and routes(net.r2) == [], f"routes: {routes(net.r1)}, {routes(net.r2)}")
    (default,) = net.r1.namespace.run(["ip", "route", "show", "default"]).stdout.splitlines()
    require("via 10.0.0.1" in default and "src 10.0.0.254" in default, f"the default route: {default}")
    first.stop()
    wait_until(lambda: routes(net.r2) == everything, 30, "routes follow the master")
    require(routes(net.r1) == [] and not net.r1.holds_any(*addresses), f"left behind: {routes(net.r1)}")
    second.process.kill()
    wait_until(lambda: not net.r2.holds_any(*addresses), 30, "the addresses of a killed master are gone")
    wait_until(lambda: routes(net.r2) == [], 30, "its routes are gone")
    # Somebody else's route of the same name is neither replaced nor removed.
    net.r1.namespace.ip("route add default via 10.0.0.77 dev eth0")
    first.start()
    first.wait("master")
    wait_until(lambda: "not ours" in first.said(), 30, "it is said")
    require(routes(net.r1) == everything[:2], f"routes: {routes(net.r1)}")
    first.stop()
    require("10.0.0.77" in net.r1.namespace.run(["ip", "route", "show", "default"]).stdout, "the other's route is gone")


class FrameWatch:
    """Every frame that a host sends from a virtual MAC, with its moment."""

    def __init__(self, net, host):
        self._path = os.path.join(net.directory, f"frames-{host.name}")
        argv = ["tcpdump", "-l", "-n", "-e", "-tt", "-Q", "in", "--immediate-mode", "-i", host.name.lower(),
                "ether src 00:00:5e:00:01:0a or ether src 00:00:5e:00:02:0a"]
        self._process = Process("tcpdump", argv, net.switches["wan"].namespace, self._path)
        wait_until(lambda: "listening" in self._text(), 5, "tcpdump listens")

    def _text(self):
        with open(self._path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def since(self, at):
        """`at`: of time.time()."""
        lines = [line for line in self._text().splitlines() if line[:1].isdigit()]
        return [line for line in lines if float(line.split()[0]) > at]


def test_virtual_mac():
    """The master answers from the virtual MAC and for its own address from its own; a backup sends no frame from it."""
    both = (
        WAN + ", virtual_mac: true }\n"
        "wan6: { interface: eth0, vrid: 10, virtual_addresses: ['fe80::254/64', '2001:db8:1::254/64'], "
        "virtual_mac: vmac6 }"
    )
    net = Segments()
    watches = {host.name: FrameWatch(net, host) for host in (net.r1, net.r2)}
    for host in (net.r1, net.r2):
        host.namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(both)
    second.start()
    second.wait("master")
    first.start()
    first.wait("master")
    second.wait("backup")
    time.sleep(0.2)
    at = time.time()
    for group in ("224.0.0.18", "ff02::12"):
        wait_until(lambda: len([line for line in watches["R1"].since(at) if group in line]) >= 4, 30,
                   f"adverts to {group} come from the virtual MAC")
    time.sleep(0.3)
    require(not watches["R2"].since(at), f"the backup sent from the virtual MAC: {watches['R2'].since(at)}")

    observer = ArpObserver(net.switches["wan"])
    require(observer.who_has("10.0.0.254") == {"00:00:5e:00:01:0a"}, "not the virtual MAC alone answers")
    require(observer.who_has("10.0.0.2") == {net.r1.macs["eth0"]}, "not its own MAC alone answers for its own address")
    other = net.r2.namespace
    other.run(["ping", "-c", "1", "-W", "1", "10.0.0.254"])
    other.run(["ping", "-6", "-c", "1", "-W", "1", "2001:db8:1::254"])
    neighbours = other.show("neigh", "show", "to", "2001:db8:1::254")
    require("00:00:5e:00:02:0a" in neighbours, f"its neighbours know another MAC: {neighbours}")
    require("00:00:5e:00:01:0a" not in net.r1.namespace.show("addr", "show", "dev", "eth0"), "the interface changed")

    # Leaving, a crash, and a split: the one that is not master is silent.
    first.stop()
    at = time.time()
    second.wait("master")
    time.sleep(0.3)
    require(not watches["R1"].since(at), f"sent after it left: {watches['R1'].since(at)}")
    require("vmac6" not in net.r1.namespace.show("link", "show"), "its interface stayed")
    require(net.r1.namespace.read_sysctl("net.ipv4.conf.eth0.arp_ignore") == "0", "a setting was not put back")
    first.start()
    first.wait("master")
    first.process.kill()
    wait_until(lambda: not net.r1.holds_any("10.0.0.254"), 30, "the addresses of a killed master are gone")
    second.wait("master")
    first.start()
    first.wait("master")
    net.r1.unplug()
    second.wait("master")
    net.heal()
    second.wait("backup")
    at = time.time()
    time.sleep(0.5)
    require(not watches["R2"].since(at), f"the backup sent from the virtual MAC: {watches['R2'].since(at)}")
    require(observer.who_has("10.0.0.254") == {"00:00:5e:00:01:0a"}, "after the split")


def test_name_of_the_virtual_mac_is_taken():
    """Somebody else's interface of that name is left alone: the group is in fault, which says why."""
    net = Segments()
    net.r1.namespace.ip("link add vm0 type veth peer name vm1")
    first = Vrrpd(net.r1, net.directory)
    first.write(WAN + ", virtual_mac: vm0 }")
    first.start()
    first.wait("fault")
    require("vm0" in " ".join(first.group()["reasons"]), f"reasons: {first.group()['reasons']}")
    require("10.0.0.254" not in net.r1.namespace.show("addr", "show"), "an address was put on it")
    first.stop()
    require("vm0" in net.r1.namespace.show("link", "show"), "it was removed")
