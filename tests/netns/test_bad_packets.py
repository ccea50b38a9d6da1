"""Bad input from the wire: adverts and sync datagrams that are malformed, forged, recorded, or not for us.
Each is counted or said, and the connections of a working pair do not notice."""
import os
import random
import shutil
import signal
import time

from lib.attack import AdvertForger, LinkForger, LinkRecorder
from lib.netns import run
from lib.scenario import binaries, down_interval
from lib.siege import Siege
from lib.wait import require, wait_until

# The first byte of a datagram of the link: version of the protocol, and type.
LINK_VERSION = 3
HELLO = bytes([LINK_VERSION << 4 | 1])

SEED = 7
SEGMENTS = ("wan", "lan")
# What is wrong with the advert, and the counter that tells. The check of the TTL comes first, that of the count last.
MALFORMED = (
    ("drop_ttl", {"ttl": 254}),
    ("drop_ttl", {"ttl": 1, "priority": 0}),
    ("drop_version", {"version": 2}),
    ("drop_version", {"version": 15}),
    ("drop_type", {"kind": 2}),
    ("drop_length", {"cut": 9}),
    ("drop_length", {"more": b"\0\0\0\0"}),
    ("drop_length", {"count": 2}),
    ("drop_length", {"count": 255}),
    ("drop_checksum", {"right": False}),
    ("drop_checksum", {"right": False, "priority": 0}),
    ("drop_vrid", {"vrid": 77, "priority": 255}),
    ("drop_vrid", {"vrid": 0, "priority": 0}),
    ("drop_interval", {"interval_cs": 0, "priority": 255}),
    ("drop_count", {"addresses": []}),
)


def test_malformed_adverts():
    """Each mistake has its counter on both routers, and moves nothing; nor does a flood of them."""
    siege = Siege()
    forgers = [AdvertForger(siege.network, segment) for segment in SEGMENTS]
    names = sorted({name for name, _ in MALFORMED})
    before = {router.name: siege.counters(router, *names) for router in siege.routers.values()}

    def send_all():
        for _, fields in MALFORMED:
            for forger in forgers:
                forger.send(**{"priority": 150, **fields})
        for forger in forgers:  # shorter than any header
            for size in range(4):
                forger.send(cut=size)

    def flood():
        fields = [fields for _, fields in MALFORMED]
        for turn in range(5000):
            forgers[turn % 2].send(**{"priority": 150, **fields[turn % len(fields)]})

    siege.during("malformed adverts", send_all)
    siege.during("a flood of malformed adverts", flood)
    for router in siege.routers.values():
        for name, count in zip(names, before[router.name]):
            kinds = sum(1 for counter, _ in MALFORMED if counter == name)
            siege.counts(router, name, count, least=kinds * (2 + 5000 // len(MALFORMED)))
    siege.still()
    siege.require(siege.first.status()["groups"][0]["term"]["counter"] == 1, "the term has changed")
    siege.finish()


def test_forged_priority_zero():
    """Anybody can say "I leave" in the master's name: on one segment, on both, once or all the time. The link
    says that it is there, and no address moves."""
    siege = Siege()
    forgers = {segment: AdvertForger(siege.network, segment) for segment in SEGMENTS}
    masters = {"wan": "10.10.0.102", "lan": "192.168.100.2"}
    before = siege.counters(siege.second, "stray_priority_zero")[0]

    def forge(segments, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for segment in segments:
                forgers[segment].send(priority=0, source=masters[segment])
            time.sleep(0.01)

    for segments in (["wan"], ["lan"], SEGMENTS):
        siege.during(f"priority 0 on {' and '.join(segments)}", lambda which=segments: forge(which, 1.5))
    siege.counts(siege.second, "stray_priority_zero", before)
    siege.said(siege.second, "vrrpd", "it is stray or forged")
    siege.still()
    siege.require(siege.first.status()["groups"][0]["term"]["counter"] == 1, "the term has changed")
    siege.finish()


def test_forged_priority_255():
    """A stranger's higher priority is obeyed, as RFC 9568 says, whoever sends it; but when it goes silent the
    pair is back within a down interval of its own, whatever interval the stranger spoke of, and with all
    connections."""
    siege = Siege()
    # The stranger's last advert, the down interval of the standby, and what the takeover itself takes.
    limit = (down_interval(0.1) + 0.3) * 1000
    forgers = {segment: AdvertForger(siege.network, segment) for segment in SEGMENTS}
    for name, segments, interval_cs, seconds in (
        ("one on the WAN", ["wan"], 10, 0),
        ("one on the LAN", ["lan"], 10, 0),
        ("both, and they speak of 40.95 s", SEGMENTS, 4095, 0),
        ("for two seconds", ["wan"], 10, 2),
    ):
        term = siege.first.status()["groups"][0]["term"]["counter"]

        def forge(which=segments, interval=interval_cs, end=time.monotonic() + seconds):
            while True:
                for segment in which:
                    forgers[segment].send(priority=255, interval_cs=interval)
                if time.monotonic() >= end:
                    return
                time.sleep(0.1)

        event = siege.during(f"priority 255: {name}", forge, least=2.0, silence_ms=limit + seconds * 1000)
        siege.require(event.silence_ms > seconds * 1000 + 250, "the stranger was not obeyed")
        siege.lab.wait_ready("R1")
        now = siege.first.status()["groups"][0]["term"]["counter"]
        siege.require(now == term + 1, f"{name}: {now - term} takeovers instead of one")
    siege.said(siege.first, "vrrpd", "10.10.0.66 advertises priority 255, ours is 200")
    siege.finish()


def bent(datagrams, rng):
    """Datagrams with one bit turned, cut short, with more behind, or of another type."""
    for name, payload in datagrams:
        at, kind = rng.randrange(len(payload)), rng.randrange(4)
        if kind == 0:
            yield name, payload[:at] + bytes([payload[at] ^ 1 << rng.randrange(8)]) + payload[at + 1 :]
        elif kind == 1:
            yield name, payload[:at]
        elif kind == 2:
            yield name, payload + rng.randbytes(rng.randrange(1, 60))
        else:
            yield name, bytes([rng.randrange(256)]) + payload[1:]


def test_sync_datagrams():
    """Garbage, true datagrams that were bent, sent back, sent again or sent to the wrong router, answers to a
    handshake that make no sense: each in its counter, the link stays up, and after it all a power cut breaks
    nothing."""
    siege = Siege(commit="on-takeover")
    link, rng = LinkForger(siege.network), random.Random(SEED)
    recorder = LinkRecorder(siege.network)
    time.sleep(1.5)
    recorded = [(name, payload) for name, payload in recorder.take() if payload]
    recorder.close()
    require(len(recorded) > 40, f"only {len(recorded)} datagrams were recorded")
    other = {"R1": "R2", "R2": "R1"}
    names = (
        "datagram_too_short",
        "datagram_version",
        "datagram_type",
        "datagram_forged",
        "datagram_replayed",
        "datagram_unknown_session",
        "hello_wrong_key",
        "hello_security_differs",
        "io_link_receive_too_long",
    )
    before = {router.name: siege.counters(router, *names) for router in siege.routers.values()}
    sessions = [siege.counters(router, "sessions")[0] for router in siege.routers.values()]

    def garbage():
        for size in [0, 1, 2, 12, 13, 28, 29, 100, 1400, 1401, 1472]:
            for to in other:
                link.send(to, rng.randbytes(size))
        for kind in range(16):  # the head of each type, and nonsense behind it
            for size in (0, 1, 33, 200, 1300):
                for to in other:
                    link.send(to, bytes([LINK_VERSION << 4 | kind, 1]) + rng.randbytes(size))
                    link.send(to, bytes([LINK_VERSION << 4 | kind, 0]) + rng.randbytes(size))

    def send_bent():
        for name, payload in bent(recorded * 5, rng):
            link.send(other[name], payload)

    def again():
        for name, payload in recorded:
            link.send(other[name], payload)  # once more
            link.send(name, payload)  # back to who said it

    def flood():
        junk = [rng.randbytes(600) for _ in range(20)] + [HELLO + b"\x01" + rng.randbytes(150) for _ in range(20)]
        for turn in range(20000):
            link.send("R1" if turn % 2 else "R2", junk[turn % len(junk)])

    siege.during("garbage on the link", garbage)
    siege.during("bent datagrams", send_bent)
    siege.during("datagrams sent again and sent back", again)
    siege.during("a flood on the link", flood)
    for router, count in zip(siege.routers.values(), sessions):
        for name, value in zip(names, before[router.name]):
            if name != "io_link_receive_too_long":
                siege.counts(router, name, value)
        siege.require(router.synced(), f"{router.name} is not synced any more")
        siege.require(
            siege.counters(router, "sessions")[0] == count, f"{router.name}: the session was disturbed"
        )
    siege.still()
    siege.alike()
    siege.power_cut()
    siege.finish(verify=False)


def test_replay_after_reboot():
    """What both routers said before a reboot, greetings and all, is said once more after it, by somebody
    else."""
    siege = Siege(commit="on-takeover")
    second, link = siege.second, LinkForger(siege.network)
    other = {"R1": "R2", "R2": "R1"}
    recorder = LinkRecorder(siege.network)
    # A restart puts a whole handshake and the transfer of all connections into the record.
    second.kill("syncd")
    second.start("syncd")
    siege.lab.wait_ready("R1")
    time.sleep(0.5)
    recorded = recorder.take()
    recorder.close()
    hellos = [payload for _, payload in recorded if payload[:1] == HELLO]
    require(
        len(recorded) > 50 and hellos, f"{len(recorded)} datagrams recorded, {len(hellos)} of them hellos"
    )
    second.host.power_cut()
    second.reboot()
    second.host.power_on()
    second.start()
    siege.lab.wait_ready("R1")
    names = ("datagram_unknown_session", "sessions", "peer_restarts")
    before = {router.name: siege.counters(router, *names) for router in siege.routers.values()}

    def replay():
        for _ in range(3):
            for name, payload in recorded:
                link.send(other[name], payload)

    siege.during("what was recorded before the reboot, three times", replay)
    for router in siege.routers.values():
        unknown, sessions, restarts = before[router.name]
        siege.counts(router, "datagram_unknown_session", unknown, least=50)
        now = siege.counters(router, *names)
        siege.require(
            now[1:] == [sessions, restarts], f"{router.name}: a session or an incarnation was believed: {now}"
        )
        siege.require(router.synced(), f"{router.name} is not synced any more")
    siege.alike()
    siege.power_cut()
    siege.finish(verify=False)


def new_key(siege, name):
    path = os.path.join(siege.lab.directory, name)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(run([os.path.join(binaries(), "natctl"), "keygen"]).stdout)
    return path


def configure(siege, router, old, new):
    """A file of its own for this router."""
    with open(siege.lab.config, encoding="utf-8") as file:
        text = file.read()
    require(text.count(old) == 1, f"'{old}' is not in the file once")
    router.config = os.path.join(siege.lab.directory, f"{router.name}.yaml")
    with open(router.config, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


def test_wrong_key():
    """R2 comes back with another key: both say so, nobody preempts or breaks, and with the right key all is
    well again. Then the key is changed on both without a restart, one after the other."""
    siege = Siege()
    first, second = siege.first, siege.second
    shared = os.path.join(siege.lab.directory, "sync.key")
    wrong = new_key(siege, "wrong.key")
    configure(siege, second, shared, wrong)

    def restart():
        second.stop("syncd")
        second.start("syncd")

    siege.during("R2 has another key", restart, least=2.0)
    for router in (first, second):
        siege.said(
            router, "syncd", "the peer's key is another one: copy the key file of one router to the other"
        )
        siege.require((router.counter("hello_wrong_key") or 0) > 0, f"{router.name} does not count it")
        reasons = " ".join(router.status().get("reasons", []))
        siege.require("key" in reasons, f"status of {router.name} does not name the key: {reasons}")
        code = router.natctl("status", check=False).returncode
        siege.require(code == 1, f"natctl status of {router.name}: exit {code}, expected 1 (degraded)")
    done = first.natctl("switchover", check=False)
    siege.require(done.returncode == 1 and "sync link is down" in done.stderr, f"switchover: {done.stderr}")
    siege.still()
    second.config = siege.lab.config
    siege.during("R2 has the right key again", restart)
    siege.lab.wait_ready("R1")
    siege.during("the key is changed on both, without a restart", lambda: rotate(siege, shared), least=2.0)
    siege.still()
    siege.alike()
    siege.power_cut()
    siege.finish(verify=False)


def rotate(siege, shared):
    """The file of the key is replaced, and R1 is told first."""
    sessions = [siege.counters(router, "sessions")[0] for router in siege.routers.values()]
    shutil.move(new_key(siege, "next.key"), shared)
    siege.first.daemons["syncd"].signal(signal.SIGHUP)
    siege.said(siege.first, "syncd", "the sync key is another one now")
    time.sleep(1.2)
    siege.require(siege.first.synced() and siege.second.synced(), "not in sync with two keys")
    siege.require(
        any("key" in reason for reason in siege.first.status()["reasons"]),
        "R1 does not say what is left to do",
    )
    siege.second.daemons["syncd"].signal(signal.SIGHUP)
    for router, count in zip(siege.routers.values(), sessions):
        siege.said(router, "syncd", "has the new sync key; the old one is forgotten")
        siege.counts(router, "sessions", count)
    siege.lab.wait_ready("R1")


def test_both_are_the_same_node():
    """Started by mistake as the other node: it says what it lacks, and the router that works goes on."""
    siege = Siege()
    first, second = siege.first, siege.second
    second.stop()
    second.name = "R1"
    siege.during("R2 runs as R1", lambda: second.start(), least=2.0, silence_ms=1000)
    siege.said(second, "syncd", "eth1 has no address 10.10.10.2: give it one, or check --node and `nodes`")
    siege.require(first.state() == "master", f"R1 is {first.state()} beside another R1")
    second.stop()
    second.name = "R2"
    siege.during("R2 is itself again", lambda: second.start(), silence_ms=1000)
    siege.lab.wait_ready("R1")
    wait_until(lambda: first.synced() and second.synced(), 10, "both are in sync")
    siege.power_cut()
    siege.finish(verify=False)
