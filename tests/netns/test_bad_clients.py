"""Bad input from the sockets of a router: clients that keep silent, lie, send garbage, come by the thousand
or may not do what they ask for; participants that never answer."""
import socket
import time

from lib.attack import Client, ask_as_nobody
from lib.siege import Siege
from lib.wait import require, wait_until

DAEMONS = ("vrrpd", "syncd", "agent")
GROUP = "MAIN-GW"
MOST_PACKET = 65536
TERM = {"counter": 1, "node": "R1"}
# Told to nobody by us: each daemon must throw it away and say why.
GARBAGE = (
    b"\0",
    b"\xff" * 200,
    b"{",
    b'{"type":"hel',
    b'{"type":"hello"}',
    b"[]",
    b"null",
    b'{"type":7}',
    b'{"type":"sing"}',
    b'{"type":"hello","version":1,"role":"king"}',
    b'{"type":"request","id":-1,"verb":"status"}',
    b'{"type":"request","id":1e300,"verb":"status"}',
    b'{"type":"ready","group":"MAIN-GW","term":{"counter":99999999999999999999,"node":"R1"},"ok":true}',
    b'{"type":"drain","group":"MAIN-GW","term":{"counter":1,"node":"R1"},"timeout_ms":9223372036854775807}',
    b"[" * 60000,
    b'{"type":"' + b"x" * 60000 + b'"}',
    b" " * (MOST_PACKET + 1),
    b"x" * 150000,
)


def alive(siege, text):
    for router in siege.routers.values():
        siege.problems += [f"{text}: {line}" for line in router.died()]


def test_garbage_on_the_sockets():
    """Every daemon counts what it cannot read, says it once a connection, and goes on."""
    siege = Siege()
    for router in siege.routers.values():
        before = {
            part: (router.natctl_json("show", part) or {}).get("counters", {}) for part in ("vrrp", "sync")
        }

        def throw(which=router):
            for daemon in DAEMONS:
                client = Client(which.run_dir, daemon)
                for packet in GARBAGE:
                    client.throw(packet)
                client.hello("control")
                answer = client.ask("status")
                siege.require(answer["ok"], f"{which.name} {daemon}: no status after garbage: {answer}")
                client.close()

        siege.during(f"garbage on the sockets of {router.name}", throw)
        for part, daemon in (("vrrp", "vrrpd"), ("sync", "syncd")):
            now = router.natctl_json("show", part)["counters"]["io_notify_decode_errors"]
            rise = now - before[part]["io_notify_decode_errors"]
            siege.require(
                rise == len(GARBAGE), f"{router.name} {daemon}: {rise} of {len(GARBAGE)} mistakes counted"
            )
            lines = siege.log(router, daemon).count("ignored: ")
            siege.require(lines == 1, f"{router.name} {daemon} says it {lines} times")
    siege.still()
    alive(siege, "after garbage")
    siege.finish()


def test_liars():
    """Answers to what was never asked, messages of another role, a role that is taken or that the
    configuration does not have, terms that cannot be: refused in one place, and the group stays where it
    is."""
    siege = Siege()
    first = siege.first
    term = first.status()["groups"][0]["term"]

    def lie():
        observer = Client(first.run_dir).hello("observer")
        observer.expect("welcome")
        observer.say("ready", group=GROUP, term=TERM, ok=True)
        siege.require(observer.closed(), "an observer may answer for syncd")
        early = Client(first.run_dir)
        early.say("table_report", loaded=True)
        siege.require(early.closed(), "who has not said hello may speak for the agent")
        control = Client(first.run_dir).hello("control")
        answer = control.ask("dance")
        siege.require(
            not answer["ok"] and "does not know" in answer["error"], f"an unknown request: {answer}"
        )
        answer = control.ask("switchover", "NO-SUCH-GROUP")
        siege.require("there are: MAIN-GW" in answer["error"], f"an unknown group: {answer}")
        control.say(
            "peer_report", link="up", node="R2", heard=True, config_differs=False, groups=[], replicas=[]
        )
        siege.require(control.closed(), "a control client may speak for syncd")
        old = Client(first.run_dir)
        old.say("hello", version=99, role="syncd")
        siege.require(old.closed(), "another version of the protocol is served")

    siege.during("messages of other roles", lie)
    siege.counts(first, "protocol_errors", 0, least=3)
    siege.said(first, "vrrpd", "sent what its role does not send")
    siege.said(first, "vrrpd", "speaks version 99 of the notify protocol, this is version 1")

    def play_syncd():
        """In syncd's place, while the real one waits to come back: it takes 50 ms to try."""
        for _ in range(5):
            liar = Client(first.run_dir).hello(
                "syncd", terms=[{"group": GROUP, "term": {"counter": 1 << 60, "node": "R2"}}]
            )
            for counter, ok in ((1, True), (7, True), (1, False), (1 << 60, False)):
                liar.say("ready", group=GROUP, term={"counter": counter, "node": "R1"}, ok=ok, detail="a lie")
            liar.say("drained", group=GROUP, term={"counter": 2, "node": "R2"}, confirmed=True)
            liar.say("ready", group="NO-SUCH-GROUP", term=TERM, ok=True)
            siege.require(liar.closed(), "the real syncd did not take its place back")
            liar.close()

    before = siege.counters(first, "stale_answer", "term_refused")
    siege.during("a false syncd", play_syncd)
    siege.counts(first, "stale_answer", before[0], least=10)
    siege.counts(first, "term_refused", before[1], least=5)
    siege.said(first, "vrrpd", "replaced by a newer connection of syncd")
    siege.lab.wait_ready("R1")
    siege.require(first.status()["groups"][0]["term"] == term, "a lie has changed the term")
    siege.still()
    siege.power_cut()
    siege.finish(verify=False)


def at_the_door(run_dir, daemon):
    """A connection, tried again for as long as the daemon has had no time to take those before it."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return Client(run_dir, daemon)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def test_crowds():
    """Thousands of connections, and as many that stay and say nothing as a daemon takes: the daemons of the
    router, and who asks them, still find their place, and a switchover works."""
    siege = Siege()
    first, second = siege.first, siege.second
    kept = []

    def crowd():
        for daemon in DAEMONS:
            for number in range(1000):
                client = at_the_door(first.run_dir, daemon)
                if number % 3 == 0:
                    client.hello("observer")
                kept.append(client)

    siege.during("3,000 connections", crowd, silence_ms=300)
    for part in ("vrrp", "sync"):
        counters = first.natctl_json("show", part)["counters"]
        siege.require(
            counters["io_notify_crowded_out"] > 500,
            f"{part}: {counters['io_notify_crowded_out']} crowded out",
        )
    siege.said(first, "vrrpd", "each new one takes the place of an idle one")
    siege.require(first.natctl("status", check=False).returncode == 0, "not failover-ready among the crowd")

    def again():
        for daemon in ("syncd", "agent"):
            first.stop(daemon)
            first.start(daemon)
        siege.lab.wait_ready("R1")

    siege.during("syncd and the agent started anew among the crowd", again)
    siege.during("switchover", lambda: first.natctl("switchover"))
    siege.require(second.state() == "master", f"R2 is {second.state()} after the switchover")
    siege.during("release", lambda: first.natctl("release"))
    siege.lab.wait_ready("R1")
    for client in kept:
        client.close()
    # One that only listens, as `socat -u` does, says nothing and still hears.
    listener = Client(first.run_dir)
    siege.require(listener.expect("welcome")["node"] == "R1", "a silent observer is not welcome")
    first.natctl("switchover")
    siege.require(listener.expect("entered")["state"] in ("backup", "master"), "it does not hear of changes")
    first.natctl("release")
    siege.lab.wait_ready("R1")
    siege.finish()


def test_who_may_ask():
    """Whoever may open a socket may look on; to command takes root or the daemon's own user."""
    siege = Siege()
    for daemon, verbs in (
        ("vrrpd", ("switchover", "release")),
        ("syncd", ("sync.resync", "sync.flush", "sync.commit", "sync.verify", "connections")),
        ("agent", ("nat.clear", "nat.apply")),
    ):
        reply = ask_as_nobody(siege.first.run_dir, daemon, "status")
        siege.require(reply["ok"], f"{daemon}: a stranger may not even look: {reply}")
        for verb in verbs:
            reply = ask_as_nobody(siege.first.run_dir, daemon, verb)
            siege.require(
                not reply["ok"] and "not permitted: run it as root" in reply["error"],
                f"{daemon}: a stranger may {verb}: {reply}",
            )
    siege.still()
    siege.during("sync flush by root", lambda: siege.second.natctl("sync", "flush"))
    siege.lab.wait_ready("R1")
    done = siege.first.natctl("sync", "flush", check=False)
    siege.require(
        done.returncode == 1 and "keeps no connections of the other" in done.stderr, f"flush: {done.stderr}"
    )
    for router, owner in ((siege.first, "own"), (siege.second, "peer")):
        lines = router.natctl("show", "connections", "tcp", "192.168.100.11").stdout.splitlines()
        siege.require(
            len(lines) >= 75 and all(f"{GROUP}  {owner}" in line for line in lines),
            f"{router.name} lists {len(lines)} connections of a client: {lines[:2]}",
        )
    siege.finish()


def vrrpd_counters(router):
    """Of vrrpd alone: a syncd that hangs would be waited for."""
    status = router.natctl_json("show", "vrrp")
    return {**status["counters"], **status["groups"][0]["counters"]}


def test_prepare_is_never_answered():
    """The standby's syncd hangs when it is needed: the addresses go live after prepare_timeout, the gate
    opens at its deadline, loudly; what was in the kernel before (continuous) is all there."""
    siege = Siege()
    first, second = siege.first, siege.second

    def cut():
        second.pause("syncd")
        return first.host.power_cut()

    # Its last word is that the peer is master, which holds R2 for witness_hold, 3 s; then gate_timeout, 5 s.
    siege.during("power cut while R2's syncd hangs", cut, least=8.0, silence_ms=9000, longest=30, abrupt=True)
    siege.require(second.state() == "master", f"R2 is {second.state()}")
    counters = vrrpd_counters(second)
    for name in ("prepare_timeout", "deadline_opened"):
        siege.require(counters.get(name) == 1, f"{name} is {counters.get(name)}")
    siege.said(second, "vrrpd", "syncd did not prepare in time: addresses go live, the gate stays shut")
    siege.said(second, "vrrpd", "the gate opens although not everything is known to be in place")
    second.resume("syncd")
    time.sleep(1.0)
    siege.problems += siege.lab.check_leaks() + siege.lab.died()
    siege.lab.load.stop()
    require(not siege.problems, "; ".join(siege.problems))


def test_prepare_is_answered_with_no():
    """In syncd's place somebody who says that it cannot: the same, loudly; and an agent that hangs: nothing
    passes until it goes on, and then everything does."""
    siege = Siege()
    first, second = siege.first, siege.second
    second.kill("syncd")
    second.daemons.pop("syncd")
    liar = Client(second.run_dir).hello("syncd")
    liar.expect("welcome")
    # In the moments before the link counts as down, what the dead syncd had acknowledged must not be believed.
    done = first.natctl("switchover", check=False)
    siege.require(done.returncode == 1, f"a switchover to a router without replica: {done.stdout}")
    siege.still()

    def cut():
        at = first.host.power_cut()
        prepare = liar.expect("prepare")
        liar.say("ready", group=GROUP, term=prepare["term"], ok=False, detail="the disk is on fire")
        return at

    siege.during("power cut, and syncd says no", cut, least=8.0, silence_ms=6500, longest=30, abrupt=True)
    siege.said(second, "vrrpd", "syncd could not prepare: the disk is on fire")
    siege.require(vrrpd_counters(second).get("deadline_opened") == 1, "the gate did not open at its deadline")
    liar.close()
    second.start("syncd")
    first.host.power_on()
    siege.lab.wait_ready("R1", timeout=40)

    def hang():
        second.pause("agent")
        at = first.host.power_cut()
        wait_until(lambda: second.state() == "master", 5, "R2 is master although its agent hangs")
        siege.resumed = second.resume("agent")
        return at

    event = siege.during("power cut while R2's agent hangs", hang, least=4.0, silence_ms=6000, abrupt=True)
    after = event.silence_ms - (siege.resumed - event.at) / 1e6
    siege.require(after < 150, f"nothing passed for {after:.0f} ms after the agent went on")
    siege.problems += siege.lab.check_leaks() + siege.lab.died()
    siege.lab.load.stop()
    require(not siege.problems, "; ".join(siege.problems))


def test_silent_observer_that_never_reads():
    """An observer that reads nothing is disconnected when its queue is full; it holds nobody up."""
    siege = Siege()
    lazy = [Client(siege.first.run_dir).hello("observer") for _ in range(3)]
    asker = Client(siege.first.run_dir).hello("control")
    before = siege.counters(siege.first, "io_notify_slow_clients")[0]

    def ask_without_reading():
        for number in range(20000):
            try:
                asker.say("request", id=number, verb="status", arguments=[])
            except (TimeoutError, ConnectionError, socket.timeout):
                return

    siege.during("20,000 questions whose answers nobody reads", ask_without_reading, silence_ms=300)
    siege.counts(siege.first, "io_notify_slow_clients", before)
    siege.said(siege.first, "vrrpd", "disconnected: it does not read")
    for client in lazy:
        client.close()
    siege.still()
    siege.finish()
