"""vrrpd and IPv6: what it sends, what it puts on interfaces, and what it leaves alone."""
import time

from lib.segment import Capture, Segments, Vrrpd
from lib.wait import require, wait_until

LINK_LOCAL, GLOBAL, OUTSIDE = "fe80::254", "2001:db8:1::254", "2001:db8:77::254"
ALL = (LINK_LOCAL, GLOBAL, OUTSIDE)
LISTED = ", ".join(f"'{address}/64'" for address in ALL)
INSTANCE = f"wan: {{ interface: eth0, vrid: 10, virtual_addresses: [{LISTED}] }}"


def start_pair():
    net = Segments()
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(INSTANCE)
        router.start()
    first.wait("master")
    second.wait("backup")
    return net, first, second


def check_advertisements(capture, mac):
    """Unsolicited: router, not solicited, override; to all nodes; for each address five."""
    rows = capture.show(f"icmpv6.type == 136 && eth.src == {mac} && ipv6.dst == ff02::1", "icmpv6.nd.na.target_address",
                        "icmpv6.nd.na.flag.r", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.opt.linkaddr",
                        "icmpv6.checksum.status", "ipv6.hlim", "eth.dst", "ipv6.src", "_ws.malformed")
    for target in ALL:
        mine = [row for row in rows if row[0] == target]
        require(len(mine) == 5, f"{len(mine)} neighbour advertisements for {target} instead of 5")
        for row in mine:
            require(row[1:4] == ["1", "0", "1"], f"flags R, S, O of {target}: {row}")
            require(row[4] == mac and row[5] in ("1", "Good") and row[6] == "255", f"wrong advertisement: {row}")
            require(row[7] == "33:33:00:00:00:01" and row[8] == target and not row[9], f"wrong advertisement: {row}")


def test_frames():
    """Adverts from the link-local address to ff02::12; neighbour advertisements; no duplicate address detection."""
    net = Segments()
    capture = Capture(net)
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(INSTANCE)
        router.start()
    first.wait("master")
    second.wait("backup")
    time.sleep(1.5)  # the fifth announcement comes 850 ms after the first, the next series after 5 s more
    require(not net.r2.holds_any(*ALL), "the backup has virtual addresses")
    capture.stop()
    mac = net.r1.macs["eth0"]
    require(capture.check_adverts(mac) > 3, "hardly any advert was sent")
    rows = capture.show(f"vrrp && eth.src == {mac}", "ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.tclass",
                        "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.ipv6_addr", "vrrp.short_adver_int", "eth.dst")
    for row in rows:
        require(row[:6] == ["fe80::2", "ff02::12", "255", "0x000000c0", "10", "200"], f"wrong advert: {row}")
        require(row[6] == ",".join(ALL) and row[7] == "10" and row[8] == "33:33:00:00:00:12", f"wrong advert: {row}")
    check_advertisements(capture, mac)
    probes = capture.show(f"icmpv6.type == 135 && ipv6.src == :: && eth.src == {mac}", "icmpv6.nd.ns.target_address")
    require(not [row for row in probes if row[0] in ALL], f"a virtual address was probed for: {probes}")
    require(not capture.show(f"vrrp && eth.src == {net.r2.macs['eth0']}", "ipv6.src"), "the backup sent an advert")


def test_addresses():
    """Usable at once, not preferred, without a lifetime on the interface's own route, and gone when the master is."""
    net, first, second = start_pair()
    ns = net.r1.namespace
    own_route = ns.run(["ip", "-6", "route", "show", "2001:db8:1::/64"]).stdout
    require(own_route and "expires" not in own_route, f"the interface's own route: {own_route}")
    for address in ALL:
        (line,) = ns.show("-6", "addr", "show", "to", f"{address}/128").splitlines()
        require("tentative" not in line and "nodad" in line, f"{address} is not usable at once: {line}")
        require("deprecated" in line and "forever" not in line, f"{address} lasts too long: {line}")
    for own in (net.r1.v6(), net.r1.link_local()):
        (line,) = ns.show("-6", "addr", "show", "to", f"{own}/128").splitlines()
        require("deprecated" not in line, f"the interface's own address is not preferred any more: {line}")
    chosen = ns.run(["ip", "-6", "route", "get", net.r2.v6()]).stdout
    require(f"src {net.r1.v6()} " in chosen, f"the kernel would send from a virtual address: {chosen}")
    time.sleep(2.5)
    require(net.r1.holds(*ALL), "an address was not renewed")
    require(net.r1.holds(net.r1.v6()), "the interface's own address is gone")
    ns.run(["ping", "-6", "-c", "1", "-W", "1", net.r2.v6()])
    net.r2.namespace.run(["ping", "-6", "-c", "1", "-W", "1", "2001:db8:1::254"])

    at = time.monotonic()
    first.stop()
    wait_until(lambda: net.r2.holds(*ALL), 2, "the other has the addresses", every=0.005)
    took = (time.monotonic() - at) * 1000
    require(took < 61 + 100, f"{took:.0f} ms until the backup had the addresses")
    require(not net.r1.holds_any(*ALL), "addresses stayed")
    require(ns.run(["ip", "-6", "route", "show", "2001:db8:1::/64"]).stdout == own_route, "the own route has changed")
    # The kernel lists a route for a while after its end, but does not take it any more.
    route = ["ip", "-6", "route", "get", "2001:db8:77::9"]
    wait_until(lambda: ns.run(route, check=False).returncode != 0, 2.6,
               "the route to a network that only a virtual address was in ends with its lifetime")
    # The host that knew the old router's MAC believes the new one.
    ns.run(["ping", "-6", "-c", "1", "-W", "1", "2001:db8:1::254"])
    second.process.kill()
    wait_until(lambda: not net.r2.holds_any(*ALL), 2.6, "the addresses of a killed master are gone")


def test_link_local_comes_late():
    """Without a usable link-local address nothing can be sent; with one, also a new one, the group runs."""
    net = Segments()
    ns = net.r1.namespace
    ns.ip("addr del fe80::2/64 dev eth0")
    first = Vrrpd(net.r1, net.directory)
    first.write(INSTANCE)
    first.start()
    first.wait("fault")
    require("link-local" in " ".join(first.group()["reasons"]), f"reasons: {first.group()['reasons']}")
    ns.ip("addr add fe80::2/64 dev eth0 nodad")
    first.wait("master")
    require(first.instance("wan")["primary"] == "fe80::2", "another source address")
    ns.ip("addr add fe80::77/64 dev eth0 nodad")
    time.sleep(0.1)  # the kernel tells of a new IPv6 address a moment later
    ns.ip("addr del fe80::2/64 dev eth0")
    wait_until(lambda: first.instance("wan")["primary"] == "fe80::77", 2, "the other link-local address is used")
    require(first.state() == "master" and net.r1.holds(*ALL), "it gave up")


def test_both_families():
    """An instance for each family in one group, the same VRID: they move together."""
    net = Segments()
    both = INSTANCE + "\nwan4: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }"
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(both)
        router.start()
    first.wait("master")
    second.wait("backup")
    require(net.r1.holds("10.0.0.254", *ALL), "not all addresses")
    first.stop()
    wait_until(lambda: net.r2.holds("10.0.0.254", *ALL), 2, "the other has all addresses", every=0.01)
    first.start()
    first.wait("master")
    second.wait("backup")
    require(not net.r2.holds_any("10.0.0.254", *ALL), "two routers have the addresses")
