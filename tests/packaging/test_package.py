"""The package's own life on one machine: nothing before it is configured, nothing left after it is purged."""
import json
import os
import re
import subprocess

from lib.netns import Namespace
from lib.wait import wait_until
from machines.checks import check_processes
from machines.container import CLEAN
from machines.pair import ROOT, UNITS, Pair, addresses

# What Debian keeps of every package, and what changes by itself.
CHANGES = "|".join(
    (
        r"^/(proc|sys|dev|run|tmp|srv|root)/",
        r"^/var/(log|lib/dpkg|cache|lib/apt|backups|lib/systemd|tmp)/",
        r"^/etc/(mtab|\.pwd\.lock|resolv\.conf|machine-id|ld\.so\.cache)",
        r"^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$",
    )
)
LIST = f"find / -xdev ! -type d 2>/dev/null | grep -vE '{CHANGES}' | sort"
DIRECTORIES = f"find / -xdev -type d 2>/dev/null | sed 's,$,/,' | grep -vE '{CHANGES}' | sort"
INSTALL = "apt-get install -y --no-install-recommends"
CONFIG = """
version: 1
nodes:
  R1: { priority: 200, sync_address: 10.10.10.2 }
  R2: { priority: 100, sync_address: 10.10.10.3 }
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: 100ms
      instances:
        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }
        lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }
sync:
  links: [ { interface: eth1 } ]
  key_file: /etc/steadynat/sync.key
nat:
  source:
    10: { outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101 }
"""
ADDRESSES = """
auto eth0 eth1 eth2
iface eth0 inet static
    address 10.10.0.102/24
iface eth1 inet static
    address 10.10.10.2/24
iface eth2 inet static
    address 192.168.100.2/24
"""


# How long the addresses outlive their last renewal, in seconds.
ADDRESS_LIFETIME = 2


class One(Pair):
    """A pair of which one router is there."""

    def __init__(self):
        super().__init__()
        del self.machines["R2"]


def configure(machine):
    machine.write("/etc/network/interfaces.d/pair", ADDRESSES)
    machine.run("systemctl restart networking")
    machine.write("/etc/steadynat/steadynat.yaml", CONFIG)
    machine.run("natctl keygen | install -m 600 -o _steadynat /dev/stdin /etc/steadynat/sync.key")


def wait_master(machine):
    wait_until(lambda: machine.state() == "master" and len(addresses(machine)) == 2, 20, "R1 is master")


def test_package_from_install_to_purge():
    """Quiet, configured, at work, upgraded, downgraded, removed, purged: and the machine is as it was."""
    one = One()
    machine = one["R1"]
    one.offer("new", "newer")
    machine.boot()
    machine.run("apt-get update")
    files, directories = machine.run(LIST), machine.run(DIRECTORIES)

    install = machine.run(f"{INSTALL} steadynat=$(dpkg-deb -f /srv/repo/new.deb Version)")
    check_quiet(one, machine, install)
    configure(machine)
    machine.run("natctl check && systemctl start steadynat.target")
    wait_master(machine)
    check_at_work(one, machine)
    check_json(one, machine)
    check_observer(one, machine)
    check_order(one, machine)
    check_dead(one, machine)
    check_refused(one, machine)
    check_upgrades(one, machine)

    # Removed: at once nothing of it is at work, and what a person wrote is still there.
    machine.run("apt-get remove -y steadynat", timeout=60)
    check_nothing_at_work(one, machine)
    one.check(machine.succeeds("test -s /etc/steadynat/steadynat.yaml"), "removal deletes the configuration")
    machine.run(f"{INSTALL} steadynat")
    wait_master(machine)

    machine.run("apt-get purge -y steadynat; rm -f /etc/network/interfaces.d/pair")
    check_nothing_at_work(one, machine)
    for what, before, command in (("file", files, LIST), ("directory", directories, DIRECTORIES)):
        after = machine.run(command)
        left = sorted(set(after.splitlines()) - set(before.splitlines()))
        gone = sorted(set(before.splitlines()) - set(after.splitlines()))
        one.check(not left, f"purge leaves this {what}: {left[:10]}")
        one.check(not gone, f"purge takes this {what} with it: {gone[:10]}")
    one.finish()


def test_package_in_a_chroot():
    """No systemd runs there, and the kernel is somebody else's: a router's, say, on which an image is made."""
    one = One()
    machine = one["R1"]
    one.offer("new", "newer")
    namespace = Namespace("outside")
    namespace.nft("add table inet steadynat")

    def run(command):
        argv = ["chroot", machine.root, *CLEAN, "/bin/sh", "-ec", command]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            preexec_fn=namespace.enter,
        )
        one.check(done.returncode == 0, f"{command}: exit {done.returncode}: {done.stdout[-500:]}")
        return done.stdout

    run("apt-get update")
    before = {command: run(command) for command in (LIST, DIRECTORIES)}
    for version in ("new", "newer", "new"):
        run(f"{INSTALL} --allow-downgrades steadynat=$(dpkg-deb -f /srv/repo/{version}.deb Version)")
    run("vrrpd --help; syncd --help; natctl --help; id _steadynat")
    run("apt-get remove -y steadynat")
    run("apt-get purge -y steadynat")
    for command, files in before.items():
        changed = sorted(set(run(command).splitlines()) ^ set(files.splitlines()))
        one.check(not changed, f"a purge in a chroot leaves, or takes: {changed[:10]}")
    one.check(not os.path.exists(os.path.join(machine.root, "run/steadynat")), "/run/steadynat is left in the chroot")
    outside = namespace.run(["nft", "list", "tables"]).stdout
    one.check("steadynat" in outside, "removal in a chroot deletes the table of the router outside")
    one.finish()


def check_quiet(one, machine, installation):
    """Installed, and not configured."""
    one.check("rror" not in installation.replace("Errors", ""), f"apt says: {installation[-500:]}")
    for unit in (*UNITS, "steadynat.target"):
        enabled = machine.run(f"systemctl is-enabled {unit}", check=False).strip()
        one.check(enabled == "enabled", f"{unit} is {enabled}")
    for unit in UNITS:
        state = machine.run(f"systemctl is-active {unit}", check=False).strip()
        one.check(state == "inactive", f"{unit} is {state} without a configuration")
    one.check(not machine.run("systemctl --failed --no-legend --plain").strip(), "units failed")
    forwarding = machine.run("cat /proc/sys/net/ipv4/ip_forward").strip()
    one.check(forwarding == "0", "forwarding is on without a configuration")
    one.check("steadynat" not in machine.run("nft list tables"), "there is a table without a configuration")
    one.check(machine.succeeds("id _steadynat"), "there is no user _steadynat")
    machine.run("MANPAGER=cat man vrrpd syncd natctl steadynat.yaml steadynat-notify steadynat-json >/dev/null")
    words = machine.run(
        "source /usr/share/bash-completion/completions/natctl; COMP_WORDS=(natctl sync ''); COMP_CWORD=2; _natctl; "
        "echo ${COMPREPLY[@]}"
    )
    one.check("verify" in words.split(), f"bash completes natctl sync with: {words}")


def check_at_work(one, machine):
    check_processes(one, machine)
    # Reloaded as systemd does it.
    before = [machine.process(unit) for unit in UNITS]
    machine.run("systemctl reload steadynat-syncd steadynat-nat steadynat-vrrpd")
    one.check([machine.process(unit) for unit in UNITS] == before, "a reload restarts")


def manual(name):
    with open(os.path.join(ROOT, "packaging", "man", name + ".scd"), encoding="utf-8") as file:
        return file.read()


# Whose names are counters' or groups', not fields'.
NAMED_OTHERWISE = ("counters", "gates_open", "causes")


def fields(tree):
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield name
            if name not in NAMED_OTHERWISE:
                yield from fields(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from fields(value)


def check_json(one, machine):
    """Every field that is printed stands in the manual."""
    known = set(re.findall(r"\w+", manual("steadynat-json.7")))
    shown = ("vrrp", "events", "sync", "nat", "connections")
    for command in ("status", "doctor", "check", *(f"show {what}" for what in shown)):
        printed = json.loads(machine.run(f"natctl {command} --json", check=False))
        missing = sorted(set(fields(printed)) - known)
        one.check(not missing, f"steadynat-json.7 lacks of natctl {command}: {missing}")


def check_observer(one, machine):
    """The manual's example of one does what it says."""
    script = re.search(r"^```\n(#!/bin/sh\n.*?)^```$", manual("steadynat-notify.7"), re.S | re.M).group(1)
    machine.write("/run/observer", script, mode="755")
    machine.run("systemd-run --quiet --unit=observer -p StandardOutput=file:/run/observed /bin/sh /run/observer")
    wait_until(lambda: machine.succeeds("pgrep -x socat"), 20, "the observer is connected")
    machine.run("sleep 1; ip link set eth2 down")
    wait_until(lambda: machine.state() == "fault", 20, "R1 is in fault without its LAN")
    machine.run("ip link set eth2 up")
    wait_master(machine)
    counter = machine.status()["groups"][0]["term"]["counter"]
    for said in ("MAIN-GW is fault in term ", f"MAIN-GW is master in term {counter}\n"):
        wait_until(lambda text=said: text in machine.run("cat /run/observed"), 20, f"the observer says: {said}")
    machine.run("systemctl stop observer; rm /run/observer /run/observed")


def moment(machine, unit, name):
    """Of systemd, in microseconds."""
    return int(machine.run(f"systemctl show -p {name}TimestampMonotonic --value {unit}"))


def check_order(one, machine):
    """vrrpd is the last that starts and the first that ends: it gives the addresses away while they still work."""
    machine.run("systemctl restart steadynat.target")
    wait_master(machine)
    started = moment(machine, "steadynat-vrrpd", "InactiveExit")
    for unit in UNITS[:2]:
        one.check(moment(machine, unit, "ActiveEnter") <= started, f"vrrpd starts before {unit} is ready")
    machine.run("systemctl stop steadynat.target")
    ended = moment(machine, "steadynat-vrrpd", "InactiveEnter")
    for unit in UNITS[:2]:
        one.check(moment(machine, unit, "ActiveExit") >= ended, f"{unit} ends before vrrpd has ended")
    one.check(not addresses(machine), f"stopped, and the addresses are still there: {addresses(machine)}")
    machine.run("systemctl start steadynat.target")
    wait_master(machine)


def priorities_of(group):
    return {instance["priority"] for instance in group["instances"]}


def check_dead(one, machine):
    """Without syncd or the agent, whether killed or stopped for good, the addresses stay where they are."""
    for unit in UNITS[:2]:
        term, pid = machine.status()["groups"][0]["term"], machine.process(unit)
        machine.run(f"kill -KILL {pid}")
        wait_until(lambda which=unit, old=pid: machine.process(which) not in (0, old), 20, f"{unit} is started again")
        machine.run(f"systemctl stop {unit}; sleep {ADDRESS_LIFETIME + 1}")
        group = machine.status()["groups"][0]
        one.check(group["state"] == "master" and group["term"] == term, f"without {unit} R1 is {group}")
        priorities = priorities_of(group)
        one.check(max(priorities) < 200, f"without {unit} the priority is still {priorities}")
        one.check(len(addresses(machine)) == 2, f"without {unit} the addresses are {addresses(machine)}")
        machine.run(f"systemctl start {unit}")
        wait_until(lambda: priorities_of(machine.status()["groups"][0]) == {200}, 20, "the priority is whole again")


def check_refused(one, machine):
    """A configuration that is none: each unit says so once, and is not started again and again."""
    machine.run("systemctl stop steadynat.target")
    machine.write("/etc/steadynat/steadynat.yaml", CONFIG.replace("vrid: 2", "vrid: 256"))
    for unit in UNITS:
        one.check(not machine.succeeds(f"systemctl start {unit}"), f"{unit} starts with a broken configuration")
    machine.run("sleep 1")  # ten times as long as until a restart
    for unit in UNITS:
        names = ("ActiveState", "ExecMainStatus", "NRestarts")
        shown = machine.run("systemctl show " + " ".join(f"-p {name}" for name in names) + f" {unit}").split()
        wanted = {"ActiveState=failed", "ExecMainStatus=2", "NRestarts=0"}
        one.check(set(shown) == wanted, f"{unit} with a broken configuration: {sorted(shown)}")
    machine.write("/etc/steadynat/steadynat.yaml", CONFIG)
    machine.run("systemctl reset-failed 'steadynat-*'; systemctl start steadynat.target")
    wait_master(machine)


def check_upgrades(one, machine):
    """vrrpd goes on and says so; the others are new. The same way down."""
    for version in ("newer", "new"):
        number = machine.run(f"dpkg-deb -f /srv/repo/{version}.deb Version").strip()
        before = {unit: machine.process(unit) for unit in UNITS}
        said = machine.run(f"{INSTALL} --allow-downgrades steadynat={number}")
        after = {unit: machine.process(unit) for unit in UNITS}
        one.check(after["steadynat-vrrpd"] == before["steadynat-vrrpd"], f"{version}: vrrpd was restarted")
        due = "systemctl restart steadynat-vrrpd" in said
        one.check(due, f"{version}: apt does not say that a restart is due: {said[-600:]}")
        for unit in UNITS[:2]:
            one.check(after[unit] not in (0, before[unit]), f"{version}: {unit} was not restarted")
        one.check(machine.status().get("restart_due") is True, f"{version}: status does not say that a restart is due")
        stays = machine.state() == "master" and len(addresses(machine)) == 2
        one.check(stays, f"{version}: the upgrade moved the addresses")
        machine.run("systemctl restart steadynat-vrrpd")
        wait_master(machine)
        one.check(machine.status().get("restart_due") is False, f"{version}: a restart is still due after the restart")


def check_nothing_at_work(one, machine):
    ours = [line for line in machine.run("ps -eo user:20,args").splitlines() if line.startswith("_steadynat")]
    one.check(not ours, f"processes are left: {ours}")
    one.check("steadynat" not in machine.run("nft list tables"), "the nftables table is left")
    one.check(not addresses(machine), f"addresses are left: {addresses(machine)}")
    one.check(not machine.succeeds("test -e /run/steadynat"), "/run/steadynat is left")
    failed = machine.run("systemctl --failed --no-legend --plain").strip()
    one.check(not failed, f"units failed: {failed}")
