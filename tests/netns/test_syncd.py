"""syncd by itself, on real kernels and a real link: what the standby's kernel holds, and when."""
import time

from lib.sync_pair import SyncPair, tcp_entries, udp_entries
from lib.wait import require, wait_until

TERM_1, TERM_2 = {"counter": 1, "node": "R1"}, {"counter": 2, "node": "R2"}


def take_over(router, timeout_ms=5000):
    """As vrrpd would: returns the milliseconds until syncd said that nothing is missing."""
    started = time.monotonic()
    router.vrrpd.send(type="prepare", group="MAIN-GW", term=TERM_2, timeout_ms=timeout_ms)
    answer = router.vrrpd.wait_for("ready", term=TERM_2)
    require(answer["ok"], f"{router.name} is not ready: {answer.get('detail')}")
    return (time.monotonic() - started) * 1000


def test_continuous():
    """The standby's kernel has each entry as the master's, soon, with time enough; and forgets what ended."""
    pair = SyncPair()
    first, second = pair.start()
    first.insert(list(tcp_entries(1000)) + list(udp_entries(50)))  # before there is any link
    pair.plug()
    pair.wait_synced()
    pair.wait_same()
    require(len(second.table()) == 1050, f"{len(second.table())} entries instead of 1050")
    require(min(second.timeouts()) > 300, "an entry of the standby has no lease")
    first.insert(list(tcp_entries(500, first=1000)))
    first.conntrack("-D", "-p", "udp", "--sport", "2007")
    pair.wait_same(5)
    require(len(second.table()) == 1549, f"{len(second.table())} entries instead of 1549")
    body, error = first.ask("sync.verify")
    require(not error and body["differ"] == 0, f"verify says {body} {error}")
    written = second.counter("io_kernel_written")
    elapsed = take_over(second)
    require(second.counter("io_kernel_written") - written <= 10, "a takeover wrote what the kernel had already")
    require(elapsed < 250, f"ready after {elapsed:.0f} ms with nothing left to do")
    for router in (first, second):
        require(router.counter("io_kernel_refused") == 0, f"{router.name}: the kernel refused entries")
        require(router.syncd.terminate() == 0, f"syncd of {router.name} did not end well")


def test_on_takeover():
    """The standby's kernel is empty until vrrpd says prepare, and complete when syncd says ready."""
    pair = SyncPair(commit="on-takeover")
    pair.plug()
    first, second = pair.start()
    first.insert(list(tcp_entries(20000)))
    wait_until(lambda: second.status().get("peer_flows") == 20000, 30, "R2 knows all connections")
    pair.wait_synced()
    require(second.table() == [], "an entry was committed before its time")
    elapsed = take_over(second)
    same = first.table() == second.table()
    require(same, "R2 said ready before its kernel was like that of R1")
    print(f"20,000 entries committed in {elapsed:.0f} ms")
    require(second.counter("io_kernel_refused") == 0, "the kernel refused entries")


def test_what_stands_in_the_way():
    """An entry of another translation, and one that holds the reply tuple, give way to what the master has."""
    pair = SyncPair(commit="on-takeover")
    pair.plug()
    first, second = pair.start()
    first.insert(list(tcp_entries(100)))
    pair.wait_synced()
    state = "--state ESTABLISHED --timeout 300 -u SEEN_REPLY,ASSURED --src-nat"
    second.insert([f"-A -p tcp -s 192.168.100.10 -d 203.0.113.1 --sport 1030 --dport 80 {state} 10.10.0.101:50000",
                   f"-A -p tcp -s 192.168.100.77 -d 203.0.113.1 --sport 9999 --dport 80 {state} "
                   f"10.10.0.101:{1024 + 20 * 7 + 13}"])
    take_over(second)
    require(first.table() == second.table(), "the kernels differ after the takeover")


def test_killed_and_unplugged():
    """Either syncd killed and started again, and the cable pulled: nothing is missing, nothing is left over."""
    pair = SyncPair()
    pair.plug()
    first, second = pair.start()
    first.insert(list(tcp_entries(1000)))
    pair.wait_same()
    for router in (second, first):
        router.syncd.kill()
        first.insert(list(tcp_entries(100, first=2000 if router is second else 3000)))
        first.conntrack("-D", "-p", "tcp", "--sport", "1100" if router is second else "1200")
        router.start()
        pair.wait_synced()
        pair.wait_same()
    pair.unplug()
    wait_until(lambda: second.status().get("state") == "disconnected", 5, "R2 notices the missing cable")
    first.insert(list(udp_entries(20)))
    first.conntrack("-D", "-p", "tcp", "--sport", "1300")
    pair.plug()
    pair.wait_synced()
    pair.wait_same()
    require(len(second.table()) == 1000 + 200 - 3 + 20, f"{len(second.table())} entries on R2")


def test_flood_of_events():
    """More reports than the socket holds: noticed, and made good by a dump."""
    pair = SyncPair(commit="on-takeover")
    pair.plug()
    first, second = pair.start()
    pair.wait_synced()
    first.syncd.pause()
    for turn in range(4):
        first.insert(list(tcp_entries(20000, first=20000 * turn)))
    first.conntrack("-D", "-p", "tcp", "--sport", "1500")
    first.syncd.resume()
    count = len(first.table())
    wait_until(lambda: second.status().get("peer_flows") == count, 60, f"R2 knows all {count} connections")
    require(first.counter("io_event_overruns") > 0, "the socket was not overrun, so nothing was tested")
    pair.wait_synced(60)
    body, error = first.ask("sync.verify", timeout=60)
    require(not error and body["differ"] == 0 and body["compared"] == count, f"verify says {body} {error}")
