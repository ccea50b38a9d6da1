"""vrrpd by itself, on real interfaces: election, leaving, crashes, links, addresses, hooks, a foreign neighbour."""
import os
import shutil
import signal
import socket
import subprocess
import time

from lib.network import LAN_VIRTUAL, UPSTREAM, WAN_VIRTUAL
from lib.process import Process
from lib.vrrp_pair import VIRTUAL, VrrpPair
from lib.wait import TestFailed, require, wait_until
from lib.wire import ArpObserver, Sniffer

# Of R2, priority 100, at adverts every 100 ms: RFC 9568 6.1. The grace is for a machine that runs other things too.
SKEW_MS, DOWN_MS, GRACE_MS = 61, 361, 50

HOOK = """#!/bin/sh
echo "$* $STEADYNAT_NODE" >> {file}
{more}
"""


def takeover_ms(pair, router, act):
    """Milliseconds from `act()` until `router` announces both addresses, as seen at the switches."""
    sniffers = {address: Sniffer(pair.network.switches[switch].namespace, router.name.lower())
                for switch, address in (("wan", WAN_VIRTUAL), ("lan", LAN_VIRTUAL))}
    at = time.monotonic_ns()
    act()

    def announced(address):
        frames = [frame for frame in sniffers[address].since(at) if frame[1:3] == (address, "arp")]
        return frames[0][0] if frames else None

    times = [wait_until(lambda a=address: announced(a), 10, f"{router.name} announces {address}")
             for address in sniffers]
    for sniffer in sniffers.values():
        sniffer.close()
    require(router.addresses() == 2, f"{router.name} announces addresses that it does not have")
    return (max(times) - at) / 1e6


def write_hook(pair, more=""):
    path, output = os.path.join(pair.directory, "hook"), os.path.join(pair.directory, "hooks")
    with open(path, "w", encoding="ascii") as file:
        file.write(HOOK.format(file=output, more=more))
    os.chmod(path, 0o755)
    return path, output


def read_lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return file.read().splitlines()


def test_frames():
    """What leaves the master: adverts that tshark finds right, and gratuitous ARP for each address."""
    pair = VrrpPair()
    capture = os.path.join(pair.directory, "wan.pcap")
    argv = ["tcpdump", "-U", "--immediate-mode", "-i", "br0", "-w", capture, "arp or proto 112"]
    dump = Process("tcpdump", argv, pair.network.switches["wan"].namespace, os.path.join(pair.directory, "tcpdump.log"))
    wait_until(lambda: os.path.exists(capture), 5, "tcpdump runs")
    first, second = pair.start()
    time.sleep(1.5)  # the fifth announcement comes 850 ms after the first, the next series after 5 s more
    dump.terminate()
    mac = first.host.macs["eth0"]

    def show(what, *fields):
        argv = ["tshark", "-r", capture, "-o", "vrrp.v3_checksum_as_in_v2:FALSE", "-Y", what, "-T", "fields"]
        for field in fields:
            argv += ["-e", field]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    adverts = show(f"vrrp && eth.src == {mac}", "ip.src", "ip.dst", "ip.ttl", "ip.dsfield", "vrrp.virt_rtr_id",
                   "vrrp.prio", "vrrp.checksum.status", "vrrp.ip_addr", "vrrp.short_adver_int", "eth.dst")
    require(len(adverts) > 3, "hardly any advert was sent")
    for advert in adverts:
        require(advert[:6] == ["10.10.0.102", "224.0.0.18", "255", "0xc0", "1", "200"], f"wrong advert: {advert}")
        require(advert[6] in ("1", "Good"), f"tshark says that the checksum is wrong: {advert}")
        require(advert[7] == WAN_VIRTUAL and advert[8] == "10", f"wrong advert: {advert}")
        require(advert[9] == "01:00:5e:00:00:12", f"wrong group address: {advert}")
    announced = show(f"arp.src.proto_ipv4 == {WAN_VIRTUAL}", "eth.src", "eth.dst", "arp.opcode", "arp.src.hw_mac",
                     "arp.dst.proto_ipv4")
    require(len(announced) == 5, f"{len(announced)} gratuitous ARP instead of 5")
    for frame in announced:
        require(frame == [mac, "ff:ff:ff:ff:ff:ff", "1", mac, WAN_VIRTUAL], f"wrong gratuitous ARP: {frame}")
    require(second.addresses() == 0, "the backup has virtual addresses")


def test_leaves_on_sigterm():
    """SIGTERM: the backup takes over within its skew; nothing of the old master stays."""
    pair = VrrpPair()
    path, output = write_hook(pair)
    pair.first.configure(more=f"      hooks: {{ notify: {path} }}\n")
    first, second = pair.start()
    took = takeover_ms(pair, second, lambda: first.vrrpd.signal(signal.SIGTERM))
    require(first.vrrpd.process.wait(5) == 0, "exit code of the old master")
    require(took < SKEW_MS + GRACE_MS, f"{took:.0f} ms until the backup had the addresses")
    require(first.addresses() == 0, "the old master kept addresses")
    said = [line.split() for line in read_lines(output)]
    require([line[2] for line in said if line[0] == "GROUP"][-1] == "STOP", f"hooks: {said}")
    require(all(line[-1] == "R1" for line in said), f"the environment of the hooks: {said}")
    first.start()
    pair.wait_master(first)
    second.wait_state("backup")
    require(second.addresses() == 0, "two routers have the addresses")


def test_killed_and_restarted():
    """SIGKILL: the addresses go by themselves. Killed and restarted alone: it knows the addresses as its own."""
    pair = VrrpPair()
    first, second = pair.start()
    took = takeover_ms(pair, second, first.vrrpd.kill)
    require(took < DOWN_MS + GRACE_MS, f"{took:.0f} ms until the backup had the addresses")
    wait_until(lambda: first.addresses() == 0, 2.6, "the addresses of the killed master are gone")
    second.vrrpd.kill()
    second.start()
    pair.wait_master(second)
    term = second.group()["term"]["counter"]
    require(term >= 2, f"terms started anew: {term}")
    require("exists already" not in second.said(), "it did not know its own addresses")
    first.start()
    pair.wait_master(first)
    second.wait_state("backup")
    require(second.addresses() == 0, "two routers have the addresses")


def test_renews_under_load():
    """Addresses are renewed in time on a machine that is busy with something else."""
    pair = VrrpPair()
    first, _ = pair.start()
    burners = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            require(first.addresses() == 2, "an address ran out")
            time.sleep(0.02)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    require(first.state() == "master", "it gave up")


def test_carrier():
    """A lost carrier puts the group in fault at once; when it is back, so is the master."""
    pair = VrrpPair()
    first, second = pair.start()
    for interface in VIRTUAL:
        took = takeover_ms(pair, second, lambda name=interface: first.host.carrier_down(name))
        require(took < SKEW_MS + GRACE_MS, f"{interface}: {took:.0f} ms until the backup had the addresses")
        first.wait_state("fault")
        require(first.addresses() == 0, "addresses stayed on a router in fault")
        first.host.carrier_up(interface)
        pair.wait_master(first)
        second.wait_state("backup")


def test_neighbours_asked_in_vain():
    """Whoever was asked for without a carrier is asked for anew when it is back; the kernel alone waits a second."""
    pair = VrrpPair()
    first, second = pair.start()
    with first.namespace.inside():
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pair.network.server.inside():
        upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind((UPSTREAM, 9999))
    upstream.settimeout(GRACE_MS / 1000)
    first.host.carrier_down("eth0")
    first.wait_state("fault")
    for _ in range(4):  # each time at another moment between two of the kernel's attempts
        out.sendto(b"in vain", (UPSTREAM, 9999))
        wait_until(lambda: "INCOMPLETE" in first.namespace.show("neigh", "show", "dev", "eth0"), 1, "R1 asks in vain")
        first.host.carrier_up("eth0")
        pair.wait_master(first)
        out.sendto(b"at last", (UPSTREAM, 9999))
        try:
            upstream.recv(100)
        except TimeoutError:
            raise TestFailed(f"{GRACE_MS} ms after R1 is master again it still waits for its upstream") from None
        first.host.carrier_down("eth0")
        first.wait_state("fault")
        time.sleep(0.3)


def test_carriers_lost_together():
    """Two carriers go within a moment, as when a switch dies. The kernel tells of the second up to a second later,
    except for a veth pair whose indexes differ, which it takes for urgent; so here they are equal."""
    pair = VrrpPair()
    first, switch = pair.first, pair.network.switches["lan"].namespace
    for name, index in (("late0", 1000), ("other0", 1001)):
        peer = f"peer name {name} index {index} netns {switch.name}"
        first.namespace.ip(f"link add {name} index {index} type veth {peer}", f"link set {name} up")
        switch.ip(f"link set {name} up")
    first.namespace.ip("addr add 192.168.7.2/24 dev late0")
    first.configure(lan="late0")
    first.start()
    first.wait_state("master", 5)
    time.sleep(1.2)
    at = time.monotonic()
    switch.ip("link set other0 down", "link set late0 down")
    wait_until(lambda: first.addresses() == 0, 5, "the addresses are gone", every=0.001)
    took = (time.monotonic() - at) * 1000
    require(took < 2 * GRACE_MS, f"{took:.0f} ms until the lost carrier was noticed")


def test_interfaces_come_and_go():
    """An interface that is missing at the start, then deleted, then renamed."""
    pair = VrrpPair()
    first = pair.first
    first.configure(lan="late0")
    first.start()
    first.wait_state("fault")
    first.namespace.ip("link add late0 type veth peer name peer0", "link set peer0 up")
    time.sleep(0.2)
    require(first.state() == "fault", "in service without an address of its own")
    first.namespace.ip("addr add 192.168.7.2/24 dev late0", "link set late0 up")
    first.wait_state("master")
    first.namespace.ip("link del late0")
    first.wait_state("fault")
    first.namespace.ip("link add late0 type veth peer name peer0", "link set peer0 up",
                       "addr add 192.168.7.2/24 dev late0", "link set late0 up")
    first.wait_state("master")
    require("192.168.100.1" in first.namespace.show("-4", "addr", "show", "dev", "late0"), "no address on the new one")
    first.namespace.ip("link set late0 down", "link set late0 name other0", "link set other0 up")
    first.wait_state("fault")
    first.namespace.ip("link set other0 down", "link set other0 name late0", "link set late0 up")
    first.wait_state("master")
    require(first.vrrpd.alive(), "vrrpd ended")


def test_foreign_address_is_left_alone():
    """A virtual address that was there before is neither renewed nor removed."""
    pair = VrrpPair()
    first = pair.first
    first.namespace.ip(f"addr add {WAN_VIRTUAL}/24 dev eth0")
    first.start()
    pair.wait_master(first)
    require("exists already" in first.said(), "nothing was said")
    require(first.counters()["io_foreign_addresses"] == 1, f"counters: {first.counters()}")
    first.vrrpd.terminate()
    require(first.host.has_address(WAN_VIRTUAL), "an address of somebody else was removed")
    require(not first.host.has_address(LAN_VIRTUAL), "our own address was not removed")
    require("forever" in first.namespace.show("addr", "show", "to", f"{WAN_VIRTUAL}/32"), "it was given a lifetime")


def test_lost_record():
    """Killed while it cannot write: still no address stays for good."""
    pair = VrrpPair()
    first = pair.first
    os.makedirs(os.path.join(first.run_dir, "state", "addresses.new"))
    first.start()
    pair.wait_master(first)
    require(first.counters()["io_state_file_errors"] > 0, f"counters: {first.counters()}")
    first.vrrpd.kill()
    wait_until(lambda: first.addresses() == 0, 2.6, "the addresses ran out")


def test_hooks():
    """In order, one at a time; one that hangs is ended, and holds nobody up."""
    pair = VrrpPair()
    path, output = write_hook(pair, 'case "$3" in BACKUP) sleep 60 & wait;; esac')
    pair.first.configure(more=f"      hooks: {{ notify: {path}, timeout: 1s }}\n")
    first = pair.first
    first.start()
    pair.wait_master(first)
    wait_until(lambda: any(" MASTER " in line for line in read_lines(output)), 5, "the hook of the master state")
    group = [line.split()[2] for line in read_lines(output) if line.startswith("GROUP MAIN-GW")]
    require(group[-2:] == ["BACKUP", "MASTER"], f"hooks ran as {group}")
    require(first.counters()["io_hooks_timed_out"] >= 1, f"counters: {first.counters()}")
    left = subprocess.run(["pgrep", "-r", "S,R", "-x", "sleep"], capture_output=True, text=True, check=False).stdout
    require(left == "", f"what the hook had started still runs: {left}")


def test_start_and_reload_refusals():
    """One vrrpd a run directory; a broken file changes nothing; the exit codes."""
    pair = VrrpPair()
    first = pair.first
    first.start()
    pair.wait_master(first)
    done = first.namespace.run(first.command(), check=False)
    require(done.returncode == 1 and "in use" in done.stderr, f"a second one: {done.returncode} {done.stderr}")
    require(first.state() == "master" and first.addresses() == 2, "the first one was disturbed")
    require(first.namespace.run(first.command("--check")).returncode == 0, "--check of a good file")
    with open(first.config, encoding="ascii") as file:
        good = file.read()
    with open(first.config, "w", encoding="ascii") as file:
        file.write(good.replace("vrid: 1", "vird: 1"))
    done = first.namespace.run(first.command("--check"), check=False)
    require(done.returncode == 2 and "vrid" in done.stderr, f"--check of a bad file: {done.returncode} {done.stderr}")
    term = first.group()["term"]
    first.vrrpd.signal(signal.SIGHUP)
    wait_until(lambda: "stays as it was" in first.said(), 5, "the refusal is said")
    require(first.state() == "master" and first.group()["term"] == term, "a broken file changed something")
    with open(first.config, "w", encoding="ascii") as file:
        file.write(good.replace("192.168.100.1/24", "192.168.100.1/24, 192.168.100.9/24"))
    first.vrrpd.signal(signal.SIGHUP)
    wait_until(lambda: first.host.has_address("192.168.100.9"), 5, "the new address is added")
    pair.wait_master(first)


def test_neighbour_keepalived():
    """keepalived takes our adverts for good ones, and we take its."""
    require(shutil.which("keepalived"), "keepalived is not installed")
    pair = VrrpPair()
    first, other = pair.first, pair.second
    config = os.path.join(other.directory, "keepalived.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write("global_defs { vrrp_version 3 }\n")
        for name, interface, vrid, address in (("wan", "eth0", 1, WAN_VIRTUAL), ("lan", "eth2", 2, LAN_VIRTUAL)):
            file.write(f"vrrp_instance {name} {{ state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n"
                       f" priority 150\n advert_int 0.1\n virtual_ipaddress {{ {address}/24 }} }}\n")
    log = os.path.join(other.directory, "keepalived.log")
    keepalived = Process("keepalived", ["keepalived", "-n", "-l", "-D", "-P", "-f", config, "-p", log + ".pid", "-r",
                                        log + ".vpid"], other.namespace, log)
    wait_until(lambda: other.addresses() == 2, 10, "keepalived is master while it is alone")
    first.start()
    pair.wait_master(first)
    wait_until(lambda: other.addresses() == 0, 5, "keepalived yields to our priority")
    time.sleep(1)
    require(other.addresses() == 0 and first.addresses() == 2, "two masters")
    first.vrrpd.terminate()
    wait_until(lambda: other.addresses() == 2, 5, "keepalived takes over when we leave")
    with open(first.config, encoding="ascii") as file:
        text = file.read()
    with open(first.config, "w", encoding="ascii") as file:
        file.write(text.replace("priority: 200", "priority: 120"))
    first.start()
    first.wait_state("backup")
    time.sleep(1)
    require(first.state() == "backup" and first.addresses() == 0, "we did not accept keepalived's adverts")
    keepalived.kill()
    pair.wait_master(first)


def test_frozen():
    """SIGSTOP: the addresses run out and the other takes over; after SIGCONT it listens first."""
    pair = VrrpPair()
    first, second = pair.start()
    sniffer = Sniffer(pair.network.switches["wan"].namespace, "r1")
    observer = ArpObserver(pair.network.switches["wan"])
    first.vrrpd.pause()
    pair.wait_master(second)
    wait_until(lambda: first.addresses() == 0, 3, "the addresses of the frozen master are gone")
    require(observer.who_has(WAN_VIRTUAL) == {second.host.macs["eth0"]}, "not exactly one router answers")
    at = time.monotonic_ns()
    first.vrrpd.resume()
    time.sleep(0.2)
    early = [frame for frame in sniffer.since(at) if frame[2] == "advert" or frame[1] == WAN_VIRTUAL]
    require(not early, f"it sent before it had listened: {early}")
    sniffer.close()
    pair.wait_master(first)
    second.wait_state("backup")
