"""Adverts that somebody else sends in the master's name, to a pair that has nothing but VRRP to tell what is true."""
import time

from lib.attack import VRRP_GROUP, Stranger, advert_message, ip_packet
from lib.segment import SEGMENTS, Segments, Vrrpd
from lib.wait import require, wait_until

INSTANCES = (
    "wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }\n"
    "lan: { interface: eth1, vrid: 11, virtual_addresses: [10.0.1.254/24] }\n"
)
# Long: what the backup waits for, the master's next advert on the other member, must not be late on a busy machine.
INTERVAL = 2


def test_priority_zero_on_one_member():
    """It says that the master leaves. The other member still hears it, so nobody moves; on both members it would."""
    net = Segments(2)
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (first, second):
        router.write(INSTANCES, interval=f"{INTERVAL}s")
        router.start()
    first.wait("master")
    second.wait("backup")
    strangers = [Stranger(net.switches[segment]) for segment in SEGMENTS]

    def forge(segment):
        source = net.r1.v4(segment)
        message = advert_message(source, 10 + segment, 0, [f"10.0.{segment}.254"], interval_cs=INTERVAL * 100)
        strangers[segment].send(ip_packet(source, VRRP_GROUP, 112, message))

    def heard():
        return [second.instance(name)["counters"].get("received_leaving", 0) for name in ("wan", "lan")]

    before = second.group()["term"]
    forge(0)  # a single stray one
    time.sleep(1.5 * INTERVAL)
    for segment in (0, 1):
        end = time.monotonic() + 1.5 * INTERVAL
        while time.monotonic() < end:
            forge(segment)
            time.sleep(0.05)
    require(min(heard()) >= 10, f"the backup has heard {heard()} of them")
    require((first.state(), second.state()) == ("master", "backup"), f"{first.state()} and {second.state()}")
    require(second.group()["term"] == before, f"the term was {before} and is {second.group()['term']}")
    require("claiming" not in second.said(), f"the backup has claimed; see {second.log}")
    # They were believable: on both members nothing speaks against them. (The master answers, and takes it back.)
    def claims():
        forge(0)
        forge(1)
        return "claiming" in second.said()

    wait_until(claims, 30, "the backup claims when both members say that the master leaves")
    first.wait("master")
