"""What may go wrong between two syncds, on real kernels: afterwards both kernels hold the same connections, and verify
says so. And verify itself is checked: what somebody alters behind syncd's back is what it names."""
import itertools
import os
import socket
import time

from lib.bad_cable import BadCable
from lib.process import Process
from lib.scenario import binaries
from lib.sync_pair import SyncPair, tcp_entries, udp_entries
from lib.wait import TestVoid, require, wait_until

YEAR_S = 365 * 24 * 3600


def differ(router, timeout=60):
    """The answer of verify. With a bad cable the link may be down in the instant it is asked."""

    def answer():
        body, error = router.ask("sync.verify", timeout=60) or (None, "syncd does not answer")
        return None if error else body

    return wait_until(answer, timeout, f"verify on {router.name} has an answer", every=0.2)


def require_same(pair, what, timeout=60):
    """Both kernels are alike, and verify of either router finds nothing that differs."""
    pair.wait_same(timeout)
    for router in (pair.first, pair.second):
        body = differ(router)
        require(body["differ"] == 0, f"{what}: verify on {router.name} says {body}")
        entries = len(router.table())
        require(body["compared"] == entries, f"{what}: {body['compared']} of {entries} entries compared")


def alter(router, ports, mark):
    """Entries of tcp_entries() get a mark. The tool cannot change a translated one, so each is made again."""
    entries = {number + 1024: line for number, line in enumerate(tcp_entries(2000))}
    for port in ports:
        router.conntrack("-D", "-p", "tcp", "-d", "203.0.113.1", "--sport", str(port))
    router.insert([f"{entries[port]} --mark {mark}" for port in ports])


class Changes:
    """Each time other entries are made, altered and deleted."""

    def __init__(self, router):
        self._router = router
        self._turns = itertools.count()

    def make(self, count=300):
        turn = next(self._turns)
        self._router.insert(list(tcp_entries(count, first=10000 + turn * count)))
        alter(self._router, range(2000 + turn * 10, 2010 + turn * 10), turn + 1)
        for port in range(1100 + turn * 10, 1110 + turn * 10):
            self._router.conntrack("-D", "-p", "tcp", "--sport", str(port))


def on_a_bad_cable(entries):
    """Both routers have the same entries; the cable is still good."""
    pair = SyncPair()
    cable = BadCable(pair)
    first, _ = pair.start()
    first.insert(list(entries))
    pair.wait_same()
    return pair, cable, Changes(first)


CABLES = (
    ("1 % loss", {"loss": 0.01}),
    ("5 % loss", {"loss": 0.05}),
    ("20 % loss", {"loss": 0.2}),
    ("reordering", {"reorder": 0.3}),
    ("duplication", {"duplicate": 0.3}),
    ("all of it", {"loss": 0.1, "reorder": 0.2, "duplicate": 0.2, "delay": 0.002}),
)


def test_bad_cable():
    """Loss, reordering and duplication, while entries come, change and go, and while everything is fetched again."""
    pair, cable, changes = on_a_bad_cable(tcp_entries(3000))
    first, second = pair.first, pair.second
    for name, faults in CABLES:
        before = dict(cable.counts)
        cable.set(**faults)
        changes.make()
        pair.wait_same(60)
        second.ask("sync.resync")
        changes.make()
        pair.wait_same(60)
        cable.set()
        require_same(pair, name)
        done = {what: count - before[what] for what, count in cable.counts.items()}
        print(f"{name}: {done}")
    require(all(cable.counts.values()), f"the cable was not bad: {cable.counts}")
    require(first.counter("datagrams_lost") > 0, "no datagram with connections was lost, so nothing was tested")
    require(second.counter("duplicates") + second.counter("datagram_replayed") > 0, "no datagram came twice")


def partition(seconds):
    """Neither hears the other; what the master's kernel does meanwhile is there afterwards."""
    pair, cable, changes = on_a_bad_cable([*tcp_entries(2000), *udp_entries(50)])
    second = pair.second
    cable.cut = True
    wait_until(lambda: second.status().get("state") == "disconnected", 10, "R2 notices the cut")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        changes.make()
        time.sleep(min(2.0, seconds / 4))
    require(len(second.table()) == 2050, "replicas went away while the master could not be heard")
    cable.cut = False
    pair.wait_synced()
    require_same(pair, f"a partition of {seconds} s")


def test_partition():
    partition(4)


def soak_partition():
    partition(30)


def test_restarts():
    """Both syncds killed in the same instant and started again, and the standby rebooted in the middle of a bulk."""
    pair, cable, changes = on_a_bad_cable(tcp_entries(2000))
    first, second = pair.first, pair.second
    for router in (first, second):
        router.syncd.kill()
    changes.make()
    pair.start()
    pair.wait_synced()
    require_same(pair, "both killed")

    first.insert(list(tcp_entries(30000, first=20000)))
    pair.wait_same(60)
    cable.set(delay=0.05)  # a bulk takes seconds then
    for _ in range(2):
        second.syncd.kill()
        second.conntrack("-F")
        second.start()
        caught = wait_until(lambda: 500 < (second.status().get("peer_flows") or 0), 30, "a bulk has begun", every=0.01)
        require(caught, "no bulk")
        if second.status().get("peer_flows") >= 30000:
            raise TestVoid("the bulk had ended before it could be interrupted")
    second.syncd.kill()
    second.conntrack("-F")
    changes.make()
    second.start()
    cable.set()
    pair.wait_synced(60)
    require_same(pair, "rebooted within a bulk")


def start_in_another_time(router, seconds):
    """The clock of its syncd goes wrong by so much: a boot a year ago, and then a boot just now."""
    options = ["--config", router.config, "--node", router.name, "--run-dir", router.run_dir]
    argv = ["unshare", "--time", "--boottime", str(seconds), "--monotonic", str(seconds), "--fork", "--kill-child",
            os.path.join(binaries(), "syncd"), *options]
    router.syncd = Process(f"{router.name} syncd", argv, router.namespace, os.path.join(router.directory, "syncd.log"))


def test_clocks():
    """A clock that is a year ahead, and then rolled back, on either router: nothing on the wire depends on it."""
    pair = SyncPair()
    pair.plug()
    first, second = pair.start()
    first.insert(list(tcp_entries(2000)))
    pair.wait_same()
    changes = Changes(first)
    for router in (first, second):
        for seconds in (YEAR_S, 0):
            router.syncd.kill()
            changes.make()
            if seconds:
                start_in_another_time(router, seconds)
            else:
                router.start()
            pair.wait_synced()
            require_same(pair, f"the clock of {router.name} is {seconds} s off")
            require(min(second.timeouts()) > 300, "an entry of the standby has no lease")


def test_verify_is_checked():
    """Ten entries that are deleted or altered behind syncd's back are the ten that verify names; then they are
    repaired."""
    pair = SyncPair()
    pair.plug()
    # Entries made while the kernel reports nothing are silent for life, whatever happens to them.
    pair.second.namespace.sysctl("net.netfilter.nf_conntrack_events", 0)
    first, second = pair.start()
    first.insert(list(tcp_entries(1000)))
    pair.wait_same()
    second.namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
    pair.wait_synced()
    require_same(pair, "before")
    deleted, altered = range(1100, 1105), range(1200, 1205)
    for port in deleted:
        second.conntrack("-D", "-p", "tcp", "--sport", str(port))
    alter(second, altered, 77)
    body = differ(first)
    named = sorted(int(text.split(" -> ")[0].rsplit(":", 1)[1]) for text in body["flows"])
    require(named == [*deleted, *altered], f"verify names {named}: {body}")
    require(body["differ"] == 10, f"verify says {body['differ']}")
    require(sum("only on R1" in text for text in body["flows"]) == 5, f"what is missing is not called so: {body}")
    require(sum("mark 77" in text for text in body["flows"]) == 5, f"what differs is not shown: {body}")
    pair.wait_same(20)
    require_same(pair, "after the repair")
    require(second.counter("reconciled_altered") >= 5, "the altered ones are not counted")


def without_flows(frame):
    """A datagram of syncd, without a key, that is taken in and acknowledged, but has no connections any more: their
    blocks have become blocks of a kind that nobody knows. Any other frame stays as it is."""
    udp, payload = 14 + 20, 14 + 20 + 8 + 13
    if len(frame) <= payload or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return frame
    out, at = bytearray(frame), payload + 1
    varints = 0
    if frame[payload] & 0x10:  # an acknowledgement: a number and a bitmap
        while frame[at] & 0x80:
            at += 1
        at += 2 + frame[at + 1]
    if frame[payload] & 0x20:  # sequence and low mark
        while varints < 2:
            varints += not frame[at] & 0x80
            at += 1
    while at + 3 <= len(frame):
        if out[at] == 2:
            out[at] = 0x7f
        at += 3 + int.from_bytes(frame[at + 1:at + 3], "big")
    out[udp + 6:udp + 8] = b"\0\0"  # no checksum
    return bytes(out)


def test_damage_that_nobody_sees():
    """Connections that begin, change and end get lost on the link although they are acknowledged. No event, no loss and
    no verify shows it; the digests that the routers compare do."""
    pair = SyncPair(secured=False)
    cable = BadCable(pair)
    first, second = pair.start()
    first.insert(list(tcp_entries(2000)))
    pair.wait_same()
    wait_until(lambda: second.counter("audit_compared") >= 2048, 60, "R2 has compared all parts once")
    require(second.counter("audit_differing") == 0, "parts differed before anything was damaged")
    cable.damage = without_flows
    Changes(first).make(100)
    wait_until(lambda: first.status().get("backlog") == 0, 30, "everything is acknowledged")
    missing = set(first.table()) ^ set(second.table())
    cable.damage = None
    require(len(missing) >= 100, f"nothing was damaged: {len(missing)} entries differ")
    pair.wait_same(60)
    require_same(pair, "after the repair")
    require(second.counter("audit_repaired") > 0, "it was something else that repaired it")
    require(second.counter("audit_removed") >= 10, "ended connections were not removed")
    require("replica_differs" in second.said(), "R2 does not say that it differed")


def cases(soak, quick):
    tests = [(name, function, 180) for name, function in globals().items() if name.startswith("test_")]
    return tests + ([("partition_of_30_s", soak_partition, 240)] if soak else [])
