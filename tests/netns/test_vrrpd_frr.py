"""FRR's vrrpd as the other router, IPv4 and IPv6: it yields to us, and we yield to it."""
import time

from lib.neighbours import Frr
from lib.segment import Capture, Segments, Vrrpd
from lib.wait import require, wait_until

ADDRESSES = {4: ["10.0.0.254/24"], 6: ["fe80::254/64", "2001:db8:1::254/64"]}
SKEW_OF_100, DOWN_OF_100, GRACE = 0.061, 0.361, 0.3  # asking FRR takes a tenth of a second


def elections(family):
    net = Segments()
    capture = Capture(net)
    ours, theirs = Vrrpd(net.r1, net.directory), Frr(net.r2, net.directory)
    listed = ", ".join(f"'{address}'" for address in ADDRESSES[family])
    bare = [address.split("/")[0] for address in ADDRESSES[family]]

    def start_ours(priority, group=""):
        ours.write(f"wan: {{ interface: eth0, vrid: 10, virtual_addresses: [{listed}] }}",
                   priorities=(priority, priority), group=group)
        ours.start()

    theirs.write(family, 150, ADDRESSES[family])
    theirs.start()
    wait_until(theirs.is_master, 10, "FRR is master while it is alone")
    start_ours(200)
    ours.wait("master")
    wait_until(theirs.is_backup, 3, "FRR yields to our priority")
    time.sleep(1)
    require(ours.state() == "master" and theirs.is_backup(), "two masters")

    net.r1.unplug()
    wait_until(theirs.is_master, 3, "FRR takes its half of a split")
    require(ours.state() == "master", "we gave up in a split")
    net.heal()
    wait_until(theirs.is_backup, 3, "after the split FRR yields")
    require(ours.state() == "master", "we gave up after the split")

    at = time.monotonic()
    ours.stop()
    wait_until(theirs.is_master, 3, "FRR takes over when we leave")
    require(time.monotonic() - at < 0.04 + GRACE, "FRR did not take our priority 0 for one")
    start_ours(120)
    ours.wait("backup")
    time.sleep(1)
    require(ours.state() == "backup" and not net.r1.holds_any(*bare), "we did not accept FRR's adverts")
    require(ours.instance("wan")["counters"].get("received", 0) > 5, "its adverts were not counted")

    net.r1.unplug()
    ours.wait("master")
    net.heal()
    ours.wait("backup")
    at = time.monotonic()
    theirs.kill()
    ours.wait("master")
    require(time.monotonic() - at < 0.361 + GRACE, "we took over late")
    capture.stop()
    require(capture.check_adverts(net.r1.macs["eth0"]) > 10, "hardly any advert")


def test_v4():
    elections(4)


def test_v6():
    elections(6)


def test_nopreempt():
    """Who is master stays, on either side."""
    net = Segments()
    ours, theirs = Vrrpd(net.r1, net.directory), Frr(net.r2, net.directory)
    theirs.write(4, 150, ADDRESSES[4], preempt=False)
    theirs.start()
    wait_until(theirs.is_master, 10, "FRR is master while it is alone")
    ours.write("wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }", group="preempt: false")
    ours.start()
    ours.wait("backup")
    time.sleep(1)
    require(ours.state() == "backup" and theirs.is_master(), "we preempted although told not to")
    theirs.stop()
    ours.wait("master")
    ours.stop()
    ours.write("wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }", priorities=(100, 100))
    ours.start()
    ours.wait("master")
    theirs.start()
    wait_until(lambda: theirs.state() in ("Backup", "Master"), 30, "FRR is in the election")
    time.sleep(1)
    states = f"ours {ours.state()}, FRR {theirs.state()}"
    require(ours.state() == "master" and theirs.is_backup(), f"FRR preempted although told not to: {states}")
