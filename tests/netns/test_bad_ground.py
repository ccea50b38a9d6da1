"""Bad ground to stand on: no room on the disk, damaged state, sockets and interfaces that are missing or come
late, daemons in any order, a table of connections that somebody else empties."""
import itertools
import json
import os
import re
import shutil
import time

from lib.network import ADDRESSES
from lib.netns import run
from lib.router import DAEMONS
from lib.siege import Siege
from lib.scenario import Lab
from lib.traffic import LoadPlan
from lib.wait import require, wait_until

TINY = "256k"


def term_of(router):
    return router.status()["groups"][0]["term"]


def give_tmpfs(router):
    """The run directory is a file system of its own, as /run is, but a tiny one."""
    os.makedirs(router.run_dir, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={TINY}", "tmpfs", router.run_dir])


def fill(router):
    """Not a byte is left."""
    with open(os.path.join(router.run_dir, "ballast"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return


def test_full_disk():
    """The run directory is full, on both routers: said, counted, and everything goes on; also a failover, and
    daemons that are killed and started anew."""
    siege = Siege()
    first, second = siege.first, siege.second
    for router in (second, first):
        router.stop()
        shutil.rmtree(router.run_dir)
        give_tmpfs(router)
        router.start()
        siege.lab.wait_ready("R1", timeout=40)
        fill(router)
    siege.lab.load.settle(0.5)
    siege.during("switchover on full disks", lambda: first.natctl("switchover"))
    siege.require(second.state() == "master", f"R2 is {second.state()} after the switchover")
    siege.during("release on full disks", lambda: first.natctl("release"))
    siege.lab.wait_ready("R1")
    for router in (first, second):
        siege.said(router, "vrrpd", "No space left on device")
        siege.counts(router, "io_state_file_errors", 0)
    for daemon in DAEMONS:

        def kill_and_start(name=daemon):
            at = second.kill(name)
            second.start(name)
            return at

        siege.during(f"{daemon} of R2 killed and started on a full disk", kill_and_start)
    siege.lab.wait_ready("R1")
    os.unlink(os.path.join(second.run_dir, "ballast"))
    siege.power_cut()
    siege.finish(verify=False)


def damages(path):
    """Texts of the state file that no program of ours wrote."""
    with open(path, "rb") as file:
        good = file.read()
    yield "cut short", good[: len(good) // 2]
    yield "empty", b""
    yield "noise", os.urandom(500)
    yield "another shape", b"[1, 2, 3]"
    yield "wrong fields", b'{"MAIN-GW": {"counter": "many", "node": 7}}'
    yield "a term that cannot be", b'{"MAIN-GW": {"counter": 18446744073709551615, "node": "R1"}}'
    yield "deep", b"[" * 200000


def test_damaged_state():
    """Files under the run directory are damaged while vrrpd is down: said, not believed, and learned anew."""
    siege = Siege()
    second = siege.second
    state = os.path.join(second.run_dir, "state")
    terms = os.path.join(state, "terms")
    term = term_of(second)
    log = ""
    for name, text in list(damages(terms)):
        second.stop("vrrpd")
        with open(terms, "wb") as file:
            file.write(text)
        with open(os.path.join(state, "addresses"), "wb") as file:
            file.write(os.urandom(300) + b"\neth0 10.10.0.103/24\neth0 10.10.0.101/999\n")
        second.start("vrrpd")
        siege.lab.wait_ready("R1")
        siege.require(term_of(second) == term, f"{name}: the term is {term_of(second)} instead of {term}")
        said = siege.log(second, "vrrpd")[len(log) :]
        siege.require("terms: is damaged and not used" in said, f"{name}: nothing was said: {said[:300]}")
        siege.require(second.host.has_address("10.10.0.103"), f"{name}: an address of the system was removed")
        log = siege.log(second, "vrrpd")
    siege.power_cut()
    siege.finish(verify=False)


def test_run_directory_removed():
    """Somebody deletes the run directories under running daemons: sockets are made anew within seconds, state
    as well, and what starts anew finds the others."""
    siege = Siege()
    first, second = siege.first, siege.second

    def remove():
        for router in (first, second):
            shutil.rmtree(router.run_dir)
        siege.lab.wait_ready("R1")

    siege.during("run directories removed", remove, least=2.0)
    for router in (first, second):
        for daemon in DAEMONS:
            siege.said(router, daemon, "the file of the socket was removed: making it anew")
        siege.require(
            siege.counters(router, "io_notify_socket_lost")[0] == 2, f"{router.name} does not count it"
        )

    def kill_and_start():
        for daemon in DAEMONS:
            second.kill(daemon)
            second.start(daemon)
            time.sleep(0.2)
        siege.lab.wait_ready("R1")

    siege.during("all daemons of R2 killed and started", kill_and_start)
    term = term_of(first)
    siege.during("switchover", lambda: first.natctl("switchover"))
    siege.require(second.state() == "master", f"R2 is {second.state()} after the switchover")
    with open(os.path.join(second.run_dir, "state", "terms"), encoding="ascii") as file:
        stored = json.load(file)["MAIN-GW"]["counter"]
    siege.require(stored == term["counter"] + 1, f"R2 stored term {stored} after {term}")
    siege.finish()


def test_held_outlives_vrrpd():
    """A router that was switched over by hand stays backup when its vrrpd is killed and started anew; not
    after a reboot."""
    siege = Siege()
    first, second = siege.first, siege.second
    first.natctl("switchover")
    wait_until(lambda: second.state() == "master", 5, "R2 is master")

    def kill_and_start():
        first.kill("vrrpd")
        first.start("vrrpd")
        wait_until(lambda: first.synced() and first.state() == "backup", 10, "R1 is backup again")

    siege.during("vrrpd of the held router killed and started", kill_and_start, least=4.0)
    siege.still("backup", "master")
    siege.require(first.status()["groups"][0]["held"], "R1 is not held any more")
    siege.require("held" in first.natctl("status", check=False).stdout, "natctl status does not say so")

    def reboot():
        first.host.power_cut()
        first.reboot()
        first.host.power_on()
        first.start()
        siege.lab.wait_ready("R1", timeout=40)

    siege.during("reboot of the held router", reboot)
    siege.finish()


def unplug_for_good(router, interface):
    router.namespace.ip(f"link del {interface}")


def plug_anew(router, interface):
    """A card of the same name, with the same address: another index, another MAC."""
    host = router.host
    switch = host._switch(interface)  # the cable as the network laid it
    switch.plug(router.namespace, interface, router.name.lower())
    router.namespace.ip(
        f"addr add {ADDRESSES[router.name][interface]} dev {interface}", f"link set {interface} up"
    )
    for key in ("send_redirects", "rp_filter"):
        router.namespace.sysctl(f"net.ipv4.conf.{interface}.{key}", 0)
    if interface == "eth0":
        router.namespace.ip("route replace default via 10.10.0.1")
    host.macs[interface] = router.namespace.mac(interface)


def test_interfaces_deleted_and_made_anew():
    """Each interface of the master is deleted and comes again later, with another index and MAC: a clear
    fault, a failover, and back. On the link: replication stops, says why, and goes on."""
    siege = Siege()
    first, second = siege.first, siege.second
    for interface in ("eth0", "eth2"):
        siege.during(
            f"{interface} of R1 deleted",
            lambda which=interface: unplug_for_good(first, which),
            silence_ms=400,
            abrupt=True,
        )
        siege.still("fault", "master")
        reasons = " ".join(first.status().get("reasons", []))
        siege.require(f"interface {interface} does not exist" in reasons, f"R1 says: {reasons}")

        def come_back(which=interface):
            plug_anew(first, which)
            siege.lab.wait_ready("R1", timeout=40)

        siege.during(f"{interface} of R1 made anew", come_back)
    siege.during("eth1 of R1 deleted", lambda: unplug_for_good(first, "eth1"), least=1.5)
    siege.still()
    siege.said(first, "syncd", "sync link eth1: there is no interface eth1")
    siege.require(not first.status()["failover_ready"], "R1 says that it is failover-ready without a link")

    def link_back():
        plug_anew(first, "eth1")
        siege.lab.wait_ready("R1", timeout=40)

    siege.during("eth1 of R1 made anew", link_back)
    siege.said(first, "syncd", "sync link eth1 can be used again")
    siege.power_cut()
    siege.finish(verify=False)


def test_interfaces_that_come_late():
    """Both routers boot without their interfaces, which come one by one: fault until all are there, and then
    a pair."""
    lab = Lab()
    for name, host in lab.network.routers.items():
        host.namespace.ip(*(f"link del {interface}" for interface in ADDRESSES[name]))
    routers = lab.start_pair(wait=False)
    for router in routers:
        router.wait_state("fault")
    for interface in ("eth1", "eth2", "eth0"):
        for router in routers:
            require(
                router.state() == "fault", f"{router.name} is {router.state()} before {interface} is there"
            )
            plug_anew(router, interface)
        time.sleep(0.5)
    lab.wait_ready("R1")
    lab.start_load(LoadPlan(connections=50, uploads=0, downloads=0, new_rate=10))
    event = lab.load.measure("power cut", lab.routers["R1"].host.power_cut)
    lab.finish(lab.check_event(event), verify=False)


def test_every_order():
    """All six orders of the three daemons on both routers, with time between them: a pair each time. Under
    load the same, rolling: first the standby, then the master, so that every order takes over and fails back
    once."""
    lab = Lab()
    orders = list(itertools.permutations(DAEMONS))
    lab.start_pair()
    for order in orders:
        for router in lab.routers.values():
            router.stop()
            router.daemons.clear()
            router.reboot()
        for daemon in order:
            for router in lab.routers.values():
                router.start(daemon)
            time.sleep(0.15)
        lab.wait_ready("R1", timeout=15)
    lab.start_load(LoadPlan(connections=100, uploads=0, downloads=0, new_rate=10))
    problems = []
    for order in orders:

        def roll(which=order):
            for name in ("R2", "R1"):
                router = lab.routers[name]
                router.stop(*reversed(which))
                for daemon in which:
                    router.start(daemon)
                    time.sleep(0.1)
                lab.wait_ready("R1", timeout=20)

        event = lab.load.measure(" ".join(order), roll, abrupt=False)
        problems += lab.check_event(event)
    lab.finish(problems)


def test_connections_deleted_behind_our_back():
    """An operator deletes one connection of the master's table, and later all: what he deleted ends, on both
    routers; every other goes on, and the two tables stay equal."""
    siege = Siege(plan=LoadPlan(connections=100, uploads=0, downloads=0, new_rate=10))
    first, second = siege.first, siege.second
    table = first.namespace.run(
        ["conntrack", "-L", "-p", "tcp", "-s", "192.168.100.11", "--state", "ESTABLISHED"]
    ).stdout
    port = re.search(r"sport=(\d+) dport=(?!22)", table).group(1)
    siege.lab.load.mark()
    first.namespace.run(["conntrack", "-D", "-p", "tcp", "-s", "192.168.100.11", "--sport", port])
    time.sleep(1.0)
    checks = siege.lab.load.ask_clients("check 5000", "check")
    broken = sum(check["echo"]["broken"] for check in checks)
    siege.require(broken <= 1, f"{broken} connections broke when one was deleted")
    siege.problems += siege.lab.verify()
    siege.lab.load.ask_clients("fresh-go", "fresh-go")
    standby = second.namespace.run(
        ["conntrack", "-L", "-s", "192.168.100.11", "--sport", port], check=False
    ).stdout
    siege.require(broken == 0 or "src=192.168.100.11" not in standby, f"R2 still has it: {standby}")
    first.namespace.run(["conntrack", "-F"])
    time.sleep(2.0)
    siege.still()
    siege.problems += siege.lab.verify()
    for router in (first, second):
        siege.problems += router.died()
    siege.lab.load.stop()
    siege.lab.load = None
    siege.lab.start_load(LoadPlan(connections=100, uploads=0, downloads=0, new_rate=10))
    siege.power_cut()
    siege.finish(verify=False)
