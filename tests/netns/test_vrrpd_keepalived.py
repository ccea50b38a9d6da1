"""Debian's keepalived as the other router: every kind of election, both ways, in every dialect that both speak."""
import os
import time

from lib.neighbours import Keepalived
from lib.segment import Capture, Segments, Vrrpd
from lib.wait import require, wait_until

VIRTUAL4, VIRTUAL6, LINK_LOCAL = "10.0.0.254", "2001:db8:1::254", "fe80::254"


class Dialect:
    """How both are told to speak it, and how long a second of it is."""

    def __init__(self, ours, theirs, addresses, interval=0.1):
        self.ours, self.theirs, self.addresses, self.interval = ours, theirs, addresses, interval

    def skew(self, priority):
        return (256 - priority) / 256 * (self.interval if self.interval < 1 else 1)

    def down(self, priority):
        return 3 * self.interval + self.skew(priority)


V3 = Dialect("", "", [f"{VIRTUAL4}/24"])
V6 = Dialect("", "", [f"{LINK_LOCAL}/64", f"{VIRTUAL6}/64"])
GRACE = 0.15


class Neighbours:
    """Ours on R1 and keepalived on R2, or the other way round."""

    def __init__(self, dialect, ours_on="R1"):
        self.net = Segments()
        hosts = (self.net.r1, self.net.r2) if ours_on == "R1" else (self.net.r2, self.net.r1)
        self.dialect = dialect
        self.ours, self.theirs = Vrrpd(hosts[0], self.net.directory), Keepalived(hosts[1], self.net.directory)
        self.addresses = [address.split("/")[0] for address in dialect.addresses]
        self.capture = Capture(self.net)

    def start_ours(self, priority, preempt=True):
        listed = ", ".join(f"'{address}'" for address in self.dialect.addresses)
        more = f", {self.dialect.ours}" if self.dialect.ours else ""
        self.ours.write(f"wan: {{ interface: eth0, vrid: 10, virtual_addresses: [{listed}]{more} }}",
                        priorities=(priority, priority), group=f"preempt: {str(preempt).lower()}",
                        interval=f"{int(self.dialect.interval * 1000)}ms")
        self.ours.start()

    def start_theirs(self, priority, more=""):
        self.theirs.write(Keepalived.instance(priority=priority, interval=str(self.dialect.interval),
                                              addresses=self.dialect.addresses, more=f"{self.dialect.theirs}\n{more}"))
        self.theirs.start()

    def ours_has(self):
        return self.ours.host.holds(*self.addresses) and not self.theirs.host.holds_any(*self.addresses)

    def theirs_has(self):
        return self.theirs.host.holds(*self.addresses) and not self.ours.host.holds_any(*self.addresses)

    def wait_for(self, who, what, most=None):
        """Seconds until it alone has the addresses."""
        at = time.monotonic()
        wait_until(who, most or 3 * self.dialect.down(1) + 3, what, every=0.01)
        return time.monotonic() - at

    def stays(self, who, what):
        end = time.monotonic() + self.dialect.down(1) + self.dialect.interval
        while time.monotonic() < end:
            require(who(), what)
            time.sleep(0.05)

    def finish(self, least=1):
        self.capture.stop()
        self.capture.check_adverts(self.ours.host.macs["eth0"], least)


def elections(dialect):
    """Higher, lower, priority 0, death, split and heal."""
    pair = Neighbours(dialect)
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived is master while it is alone")
    pair.start_ours(200)
    pair.wait_for(pair.ours_has, "we preempt, and keepalived yields")
    pair.stays(pair.ours_has, "two masters, or keepalived again")

    pair.net.r1.unplug()
    wait_until(lambda: pair.theirs.host.holds(*pair.addresses), dialect.down(150) + 2, "keepalived takes its half")
    require(pair.ours.host.holds(*pair.addresses), "we gave up in a split")
    pair.net.heal()
    pair.wait_for(pair.ours_has, "after the split keepalived yields")

    pair.ours.stop()
    took = pair.wait_for(pair.theirs_has, "keepalived takes over after our priority 0")
    require(took < dialect.skew(150) + GRACE, f"{took:.3f} s, so it did not take our priority 0 for one")
    pair.start_ours(120)
    pair.ours.wait("backup")
    pair.stays(pair.theirs_has, "we did not accept keepalived's adverts")

    pair.net.r1.unplug()
    wait_until(lambda: pair.ours.host.holds(*pair.addresses), dialect.down(120) + 2, "we take over in a split")
    pair.net.heal()
    pair.wait_for(pair.theirs_has, "after the split we yield")

    pair.theirs.stop()
    took = pair.wait_for(pair.ours_has, "we take over after keepalived's priority 0")
    require(took < dialect.skew(120) + GRACE, f"{took:.3f} s, so we did not take its priority 0 for one")
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived preempts, and we yield")
    pair.theirs.kill()
    # A killed keepalived leaves its addresses behind.
    at = time.monotonic()
    wait_until(lambda: pair.ours.host.holds(*pair.addresses), 3 * dialect.down(1), "we take over from a dead one", 0.01)
    require(time.monotonic() - at > dialect.down(120) - dialect.interval - GRACE, "too early")
    pair.finish()


def ties(dialect):
    """Equal priorities: the higher address stays. Without preemption: who is master stays."""
    for ours_on, winner in (("R1", "theirs_has"), ("R2", "ours_has")):
        pair = Neighbours(dialect, ours_on)
        pair.net.r1.unplug()
        pair.start_theirs(150)
        pair.start_ours(150)
        for host in (pair.net.r1, pair.net.r2):
            wait_until(lambda h=host: h.holds(*pair.addresses), 10, f"{host.name} is master of its half")
        pair.net.heal()
        pair.wait_for(getattr(pair, winner), "the router with the higher address stays")
        pair.stays(getattr(pair, winner), "the other came back")
        pair.finish(least=0)  # who loses may have been heard in its half of the split only
        pair.ours.stop()
        pair.theirs.stop()
        for switch in pair.net.switches.values():
            switch.namespace.remove()
        for host in (pair.net.r1, pair.net.r2):
            host.namespace.remove()


def test_v3():
    elections(V3)


def test_v3_ties():
    ties(V3)


def test_v6():
    elections(V6)


def test_v6_ties():
    ties(V6)


def test_nopreempt():
    pair = Neighbours(V3)
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived is master while it is alone")
    pair.start_ours(200, preempt=False)
    pair.ours.wait("backup")
    pair.stays(pair.theirs_has, "we preempted although told not to")
    pair.theirs.stop()
    pair.wait_for(pair.ours_has, "we take over when it leaves")
    pair.start_theirs(250, "nopreempt")
    pair.stays(pair.ours_has, "keepalived preempted although told not to")
    pair.finish()


def short(dialect, before=lambda pair: None):
    """Both are heard, and both yield."""
    pair = Neighbours(dialect)
    before(pair)
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived is master while it is alone")
    pair.start_ours(200)
    pair.wait_for(pair.ours_has, "we preempt, and keepalived yields")
    pair.stays(pair.ours_has, "two masters, or keepalived again")
    pair.ours.stop()
    took = pair.wait_for(pair.theirs_has, "keepalived takes over after our priority 0")
    require(took < dialect.skew(150) + GRACE, f"{took:.3f} s, so it did not take our priority 0 for one")
    pair.start_ours(120)
    pair.ours.wait("backup")
    pair.stays(pair.theirs_has, "we did not accept keepalived's adverts")
    pair.theirs.stop()
    took = pair.wait_for(pair.ours_has, "we take over after keepalived's priority 0")
    require(took < dialect.skew(120) + GRACE, f"{took:.3f} s, so we did not take its priority 0 for one")
    pair.finish()
    return pair


def test_v2_password():
    """Version 2 with the simple password; an advert without it counts for nothing."""
    dialect = Dialect("", "authentication {\n auth_type PASS\n auth_pass s3cret\n }\n version 2", [f"{VIRTUAL4}/24"], 1)

    def before(pair):
        path = os.path.join(pair.net.directory, "password")
        with open(path, "w", encoding="ascii") as file:
            file.write("s3cret\n")
        os.chmod(path, 0o600)
        dialect.ours = f"version: 2, password_file: {path}"

    pair = short(dialect, before)
    dialect.ours = "version: 2"
    pair.ours.stop()
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived is master while it is alone")
    pair.start_ours(100)
    wait_until(lambda: pair.ours.host.holds(*pair.addresses), 6, "we are master as well: its adverts count for nothing")
    require(pair.ours.instance("wan")["counters"].get("drop_authentication", 0) > 0, "nothing was counted")


def test_unicast():
    """Each speaks to the other's address only. Its checksum is over that address, too."""
    dialect = Dialect("unicast: { R1: 10.0.0.2, R2: 10.0.0.3 }",
                      "unicast_src_ip 10.0.0.3\n unicast_peer {\n 10.0.0.2\n }\n check_unicast_src",
                      [f"{VIRTUAL4}/24"])
    pair = short(dialect)
    multicast = pair.capture.show("vrrp && ip.dst == 224.0.0.18", "ip.src")
    require(not multicast, f"somebody sent to the group address: {multicast[:3]}")


def test_unicast_v6():
    """keepalived 2.2.7 sends these, and only these, with the system's ordinary hop limit."""
    dialect = Dialect("unicast: { R1: '2001:db8:1::2', R2: '2001:db8:1::3' }, unicast_minimum_ttl: 64",
                      "unicast_src_ip 2001:db8:1::3\n unicast_peer {\n 2001:db8:1::2\n }\n check_unicast_src",
                      [f"{LINK_LOCAL}/64", f"{VIRTUAL6}/64"])
    short(dialect)


def test_upgrade():
    """Both versions at once: keepalived in version 2 and then in version 3 is heard, and hears us."""
    dialect = Dialect("version: 2+3", "version 2", [f"{VIRTUAL4}/24"], 1)
    pair = Neighbours(dialect)
    pair.start_theirs(150)
    pair.wait_for(pair.theirs_has, "keepalived is master while it is alone")
    pair.start_ours(200)
    pair.wait_for(pair.ours_has, "we preempt, and keepalived in version 2 yields")
    pair.stays(pair.ours_has, "two masters")
    pair.theirs.stop()
    dialect.theirs = "version 3"
    pair.start_theirs(250)
    pair.wait_for(pair.theirs_has, "keepalived in version 3 preempts, and we yield")
    pair.finish()


def test_group():
    """A sync group on either side: two segments that move together."""
    net = Segments(2)
    ours, theirs = Vrrpd(net.r1, net.directory), Keepalived(net.r2, net.directory)
    virtual = ("10.0.0.254", "10.0.1.254")
    ours.write("wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }\n"
               "lan: { interface: eth1, vrid: 11, virtual_addresses: [10.0.1.254/24] }", priorities=(200, 200))
    theirs.write(Keepalived.instance("wan", "eth0", 10, 150, "0.1", ["10.0.0.254/24"]),
                 Keepalived.instance("lan", "eth1", 11, 150, "0.1", ["10.0.1.254/24"]),
                 tail="vrrp_sync_group G {\n group {\n wan\n lan\n }\n}\n")
    theirs.start()
    wait_until(lambda: net.r2.holds(*virtual), 10, "keepalived is master of both while it is alone")
    ours.start()
    wait_until(lambda: net.r1.holds(*virtual) and not net.r2.holds_any(*virtual), 5, "keepalived yields both")
    net.switches["lan"].port_down("r1")
    wait_until(lambda: net.r2.holds(*virtual) and not net.r1.holds_any(*virtual), 5, "both move when one link is lost")
    ours.wait("fault")
    net.switches["lan"].port_up("r1")
    wait_until(lambda: net.r1.holds(*virtual) and not net.r2.holds_any(*virtual), 5, "both come back")
    net.switches["wan"].port_down("r2")
    wait_until(lambda: "FAULT" in theirs.said(), 5, "keepalived is in fault")
    net.switches["wan"].port_up("r2")
    time.sleep(1)
    require(net.r1.holds(*virtual) and not net.r2.holds_any(*virtual), "its fault and return moved the group")
