"""What the guides say is done as it is written there, by two Debians in containers, and afterwards connections live
through a failover."""
import os

from lib.network import LAN_VIRTUAL, WAN_VIRTUAL
from lib.traffic import LoadPlan
from lib.wait import wait_until
from machines.guide import follow
from machines.pair import OTHER, ROOT, UNITS, Pair, addresses

IMPORTS = os.path.join(ROOT, "examples", "import")
PLAN = LoadPlan(connections=500, uploads=1, downloads=1, new_rate=20)
OLD_UNITS = ("keepalived", "conntrackd", "nftables")
ADDRESSES = """auto eth0 eth1 eth2
iface eth0 inet static
    address 10.10.0.10{}/24
    gateway 10.10.0.1
iface eth1 inet static
    address 10.10.10.{}/24
iface eth2 inet static
    address 192.168.100.{}/24
"""


def start_pair():
    """Two Debians, with the package where the guides want it: in the directory that one is in."""
    pair = Pair()
    pair.offer("new")
    pair.boot()
    for machine in pair:
        machine.run("cp /srv/repo/new.deb steadynat_new_amd64.deb && apt-get update")
    return pair


def power_cut(pair, master="R1"):
    """The plug, and power again; everything lives."""
    other = pair[OTHER[master]]
    pair.measure("power cut", pair[master].power_cut, least=6.0)
    pair.check(other.state() == "master", f"{other.name} is {other.state()} after the power cut")
    pair[master].boot()
    pair.wait_ready(master)
    pair.check_same()


def quick_start(variant):
    pair = start_pair()
    follow(pair, "quick-start.md", variant)
    pair.wait_ready("R1")
    pair.start_load(PLAN)
    power_cut(pair)
    pair.finish()


def test_quick_start_with_ifupdown():
    """From nothing to a pair, and it survives a power cut and boots by itself."""
    quick_start("ifupdown")


def test_quick_start_with_networkd():
    quick_start("networkd")


def test_failover_drill():
    """Each step of it, under load: nobody notices."""
    pair = start_pair()
    follow(pair, "quick-start.md", "ifupdown")
    pair.wait_ready("R1")
    pair.start_load(PLAN)

    def drill():
        follow(pair, "failover-drill.md")

    pair.calm(drill)
    pair.wait_ready("R1")
    pair.finish()


def test_from_vyos():
    pair = start_pair()
    for machine in pair:
        for name in ("R1.config.boot", "R2.config.boot"):
            with open(os.path.join(IMPORTS, name), encoding="utf-8") as file:
                machine.write(name, file.read())
    follow(pair, "from-vyos.md", "ifupdown")
    pair.wait_ready("R1")
    pair.start_load(PLAN)
    power_cut(pair)
    pair.finish()


# --- keepalived and conntrackd


def old_pair():
    """Debian's own programs, with the files that the guide starts from."""
    pair = start_pair()
    for number, machine in enumerate(pair, 2):
        machine.write("/etc/network/interfaces.d/pair", ADDRESSES.format(number, number, number))
        machine.write("/etc/sysctl.d/router.conf", "net.ipv4.ip_forward = 1\n")
        for path in ("keepalived/keepalived.conf", "conntrackd/conntrackd.conf", "nftables.conf"):
            source = os.path.join(IMPORTS, "keepalived", machine.name, os.path.basename(path))
            with open(source, encoding="utf-8") as file:
                machine.write(f"/etc/{path}", file.read())
        machine.run("cp /usr/share/doc/conntrackd/examples/sync/primary-backup.sh /etc/conntrackd/")
        machine.run("chmod 755 /etc/conntrackd/primary-backup.sh; sysctl -p /etc/sysctl.d/router.conf")
        # keepalived's script calls conntrackd, and one that is called while it starts does not start.
        machine.run("systemctl restart networking; systemctl enable --now conntrackd nftables")
    for machine in pair:
        machine.run("systemctl enable --now keepalived")
    wait_old(pair)
    return pair


def wait_old(pair):
    wait_until(lambda: len(addresses(pair["R1"])) == 2, 30, "keepalived of R1 has the addresses")
    for machine in pair:
        for unit in OLD_UNITS:
            pair.check(machine.succeeds(f"systemctl is-active {unit}"), f"{machine.name}: {unit} does not run")


def test_from_keepalived_and_back():
    """The old pair becomes the new one, which survives what the old one would not; then the rollback."""
    pair = old_pair()
    follow(pair, "from-keepalived.md")
    pair.wait_ready("R1")
    pair.start_load(PLAN)
    power_cut(pair)
    pair.load.stop()

    follow(pair, "from-keepalived.md", walk="rollback")
    wait_old(pair)
    pair.start_load(PLAN)
    held = {name: addresses(pair[name]) for name in ("R1", "R2")}
    pair.check(held == {"R1": {WAN_VIRTUAL, LAN_VIRTUAL}, "R2": set()}, f"after the rollback: {held}")
    for machine in pair:
        for unit in UNITS:
            pair.check(not machine.succeeds(f"systemctl is-active {unit}"), f"{machine.name}: {unit} still runs")
        pair.check("steadynat" not in machine.run("nft list tables"), f"{machine.name}: the table is left")
    pair.finish()
