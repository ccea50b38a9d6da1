"""The agent alone, with a vrrpd that the test plays: what its table does to packets on a real kernel."""
import glob
import os
import signal
import socket
import struct
import threading
import time

from lib.agent_bench import ECHO_PORT, SINK_PORT, Bench, EchoServer, Stream, echoes, tcp
from lib.network import LAN_VIRTUAL, SERVER, WAN_VIRTUAL, Network
from lib.wait import require, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def test_golden_tables_are_accepted():
    """Every table that the unit tests expect loads into a kernel, and so do the switches on top of it."""
    host = Network().server
    tables = glob.glob(os.path.join(HERE, "..", "natctl", "golden", "*.nft"))
    require(len(tables) >= 3, "no golden tables")
    for path in sorted(tables):
        host.run(["nft", "-c", "-f", path])
        host.run(["nft", "-f", path])
        # Loading it over itself, too.
        host.run(["nft", "-f", path])


def test_shut_gate():
    """Shut, it drops what it covers and leaves no entry; the router's own addresses stay reachable."""
    bench = Bench()
    hello = bench.start()
    require(hello["role"] == "agent", f"unexpected hello: {hello}")
    report = bench.vrrpd.expect("table_report")
    require(report["loaded"] and not report.get("error"), f"not loaded: {report}")
    require(bench.gate() == "shut", "a new table has an open gate")
    require(os.path.exists(os.path.join(bench.run_dir, "state", "table-loaded")), "state/table-loaded is missing")
    require(bench.router.read_sysctl("net.netfilter.nf_conntrack_events") == "1", "conntrack events are not on")

    require(bench.pings(bench.client, "192.168.100.2"), "the router's LAN address does not answer")
    require(bench.pings(bench.server, "10.10.0.102"), "the router's WAN address does not answer")
    require(bench.pings(bench.router, "10.10.0.1"), "the router itself cannot send")
    require(bench.pings(bench.router, "192.168.100.11"), "the router itself cannot reach the LAN")
    require(not bench.pings(bench.client, LAN_VIRTUAL), "the shut gate lets through to the LAN's virtual address")
    require(not bench.pings(bench.server, WAN_VIRTUAL), "the shut gate lets through to the WAN's virtual address")

    bench.forget_flows()
    require(not bench.pings(bench.client, SERVER), "the shut gate forwards")
    connection = tcp(bench.client)
    connection.setblocking(False)
    connection.connect_ex((SERVER, ECHO_PORT))
    with bench.client.inside():
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(10):
        udp.sendto(b"x", (SERVER, SINK_PORT))
    with bench.server.inside():
        back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in range(2000, 2010):
        back.sendto(b"x", (WAN_VIRTUAL, port))
    time.sleep(0.2)
    require(not bench.flows(), f"a shut gate left entries: {bench.flows()}")
    require(not bench.flows("10.10.0.1"), "a shut gate left entries of packets from outside")
    require(bench.counter("shut") > 20, "the gate has counted too little")
    # The backup's own packets from its LAN address must not be translated either.
    bench.router.run(["ping", "-c", "1", "-W", "1", "-I", "192.168.100.2", "10.10.0.1"], check=False)
    bench.require_no_leak()
    require("10.10.0.101" not in bench.router.run(["conntrack", "-L"]).stdout, "a backup translated its own packet")


def open_gate(mapping):
    bench = Bench(mapping)
    bench.start()
    ready, seconds = bench.vrrpd.prepare(1)
    require(ready["ok"] and ready["term"] == {"counter": 1, "node": "R1"}, f"bad answer: {ready}")
    require(bench.gate() == "shut", "ready, but the gate is not shut")
    bench.vrrpd.open(1)
    bench.wait_gate("open")
    server = EchoServer(bench.server)
    first = tcp(bench.client, ("0.0.0.0", 40000))
    second = tcp(bench.network.clients[1], ("0.0.0.0", 40000))
    for connection in (first, second):
        connection.connect((SERVER, ECHO_PORT))
        require(echoes(connection), "no echo through the open gate")
    peers = [peer for _, peer in server.connections]
    require(all(address == WAN_VIRTUAL for address, _ in peers), f"not translated: {peers}")
    require(len({port for _, port in peers}) == 2, "two connections share a port")
    kept = [port for _, port in peers].count(40000)
    if mapping == "preserve":
        require(kept == 1, f"the source port was not preserved: {peers}")
    else:
        require(kept == 0, f"the source port was not made random: {peers}")
    require(bench.pings(bench.client, SERVER), "no ping through the open gate")
    require(bench.pings(bench.client, LAN_VIRTUAL), "the virtual address does not answer")
    require(not bench.pings(bench.server, "192.168.100.11", 1), "the firewall lets the internet in")
    # The router's own packets keep its own address.
    require(bench.pings(bench.router, "10.10.0.1"), "the router itself cannot send")
    require("dst=10.10.0.102" in bench.router.run(["conntrack", "-L", "-s", "10.10.0.102"]).stdout,
            "the router's own packets are translated")
    bench.vrrpd.shut(1)
    bench.wait_gate("shut")
    first.sendall(b"x")
    time.sleep(0.3)
    bench.vrrpd.open(1, "aborted")
    bench.wait_gate("open")
    require(first.recv(1) == b"x" and echoes(second), "the connections did not outlive a shut gate")
    bench.require_no_leak()
    print(f"    prepare answered after {seconds * 1000:.2f} ms; switches: {bench.switch_times()} ms")


def test_open_gate_preserve():
    open_gate("preserve")


def test_open_gate_fully_random():
    open_gate("fully-random")


def test_midstream_without_entry():
    """TCP that conntrack does not know: dropped while entries may still come, reset once they have."""
    bench = Bench("fully-random")
    bench.start()
    bench.master()
    server = EchoServer(bench.server)
    connection = tcp(bench.client)
    connection.connect((SERVER, ECHO_PORT))
    require(echoes(connection), "no echo")
    their_end, _ = server.connections[0]

    bench.vrrpd.prepare(2)
    bench.forget_flows()
    bench.vrrpd.open(2, "deadline")
    bench.wait_gate("open")
    connection.sendall(b"lost")
    their_end.sendall(b"lost too")
    time.sleep(0.5)
    require(bench.counter("midstream") >= 2, "the guard saw nothing")
    require(not bench.flows(), f"a packet in mid-stream made an entry: {bench.flows()}")
    require(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "the client was reset before its time")
    require(server.resets == 0, "the server was reset before its time")

    bench.vrrpd.open(2, "late_ready")
    wait_until(lambda: "reject with tcp reset" in bench.table(), 5, "strict mode is reset")
    wait_until(lambda: is_reset(connection), 5, "the client is reset")
    wait_until(lambda: server.resets == 1, 10, "the server is reset")
    bench.require_no_leak()


def is_reset(connection):
    try:
        connection.settimeout(0.2)
        connection.recv(64)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def raw_tcp(sport, dport, flags, seq):
    """A TCP header as some stray or forged packet has it; the checksum is left to conntrack to dislike."""
    return struct.pack("!HHIIBBHHH", sport, dport, seq, 1, 5 << 4, flags, 1000, 0, 0)


def test_nothing_leaves_untranslated():
    """Stray TCP of every combination of flags, other protocols, errors of ICMP, while the gate flips and the rules
    are swapped: nothing of the LAN leaves with its own address, nothing from another one than the virtual."""
    bench = Bench("fully-random")
    bench.start()
    bench.master()
    # Also what conntrack is told not to look at.
    bench.router.nft("table ip other { chain c { type filter hook prerouting priority -299; "
                     "udp dport 9 notrack; }; }")
    stop = threading.Event()

    def noise(host):
        with host.inside():
            raw = [socket.socket(socket.AF_INET, socket.SOCK_RAW, number) for number in (6, 47, 50, 132, 1)]
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        n = 0
        while not stop.is_set():
            n += 1
            raw[0].sendto(raw_tcp(1000 + n % 60000, 80, n % 64, n * 7919 & 0xFFFFFFFF), (SERVER, 0))
            raw[n % 3 + 1].sendto(os.urandom(40), (SERVER, 0))
            unreachable = struct.pack("!BBHI", 3, 1, 0, 0) + os.urandom(28)
            raw[4].sendto(unreachable, (SERVER, 0))
            udp.sendto(os.urandom(3000 if n % 10 == 0 else 30), (SERVER, 9 if n % 2 else 1000 + n % 1000))
            time.sleep(0.0005)

    threads = [threading.Thread(target=noise, args=(host,), daemon=True) for host in bench.network.clients]
    for thread in threads:
        thread.start()
    for n in range(2, 40):
        if n % 3 == 0:
            bench.write_config("preserve" if n % 2 else "fully-random")
            bench.agent.signal(signal.SIGHUP)
        bench.vrrpd.prepare(n)
        time.sleep(0.01)
        bench.vrrpd.open(n, "deadline" if n % 2 else "ready")
        time.sleep(0.05)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    # Behind the translation a packet shows the address that it would leave with: this guard stops what was not tracked.
    for guard in ("untranslated", "invalid"):
        require(bench.counter(guard) > 0, f"the guard '{guard}' had nothing to do")
    bench.require_no_leak()


def test_other_tables_are_not_touched():
    bench = Bench()
    bench.router.nft("add table inet theirs\nadd set inet theirs s { type ipv4_addr; }\n"
                     "add element inet theirs s { 192.0.2.1 }\n"
                     "add chain inet theirs c { type filter hook input priority 10; }\n"
                     "add rule inet theirs c ip saddr @s drop\n"
                     "add table ip steadynat\nadd chain ip steadynat c\n")
    theirs = [["nft", "list", "table", "inet", "theirs"], ["nft", "list", "table", "ip", "steadynat"]]
    before = [bench.router.run(command).stdout for command in theirs]
    bench.start()
    bench.master()
    bench.natctl("nat", "clear")
    require(bench.table() == "", "nat clear left the table")
    require(not bench.vrrpd.expect("table_report")["loaded"], "the report after nat clear")
    require(not os.path.exists(os.path.join(bench.run_dir, "state", "table-loaded")), "state/table-loaded is left")
    bench.natctl("nat", "apply")
    require(bench.gate() == "open", "nat apply did not bring the table back as it was")
    require(bench.agent.terminate() == 0, "the agent does not end well")
    require(bench.gate() == "open", "SIGTERM changed the table")
    require([bench.router.run(command).stdout for command in theirs] == before, "another table was changed")


def test_killed_agent():
    """Killed and started again: the gate as it was, no packet lost, and vrrpd learns that the term is known."""
    bench = Bench("fully-random")
    bench.start()
    bench.master(7)
    server = EchoServer(bench.server)
    connection = tcp(bench.client)
    connection.connect((SERVER, ECHO_PORT))
    stream = Stream(bench)
    time.sleep(0.2)
    for _ in range(3):
        bench.agent.kill()
        bench.vrrpd.close()
        require(bench.gate() == "open", "the gate went with the agent")
        hello = bench.start(state="master", term=7, node="R1")
        seen = hello["terms"]
        require(seen == [{"group": "MAIN-GW", "term": {"counter": 7, "node": "R1"}}], f"terms in the hello: {seen}")
        bench.vrrpd.open(7)
        time.sleep(0.1)
    require(echoes(connection), "the connection broke")
    lost = stream.stop()
    require(lost == 0, f"{lost} of {stream.sent} datagrams lost")
    require(len(stream.sources) == 1, f"the flow changed its port: {stream.sources}")

    bench.vrrpd.shut(7)
    bench.wait_gate("shut")
    bench.agent.kill()
    bench.vrrpd.close()
    bench.start(state="backup", term=7, node="R1")
    require(bench.gate() == "shut", "the shut gate opened with a restart")
    require(len(server.connections) == 1, "a stray connection")
    bench.require_no_leak()


def test_swap_keeps_connections():
    """The whole table replaced a hundred times under traffic: no packet lost, no entry lost, none untranslated."""
    bench = Bench("fully-random")
    bench.start()
    bench.master()
    EchoServer(bench.server)
    connections = [tcp(bench.client) for _ in range(50)]
    for connection in connections:
        connection.connect((SERVER, ECHO_PORT))
    stream = Stream(bench)
    time.sleep(0.2)
    before = len(bench.flows())
    for n in range(100):
        bench.write_config("preserve" if n % 2 == 0 else "fully-random")
        bench.agent.signal(signal.SIGHUP)
        time.sleep(0.01)
    wait_until(lambda: "fully-random" in bench.table(), 5, "the last configuration is in force")
    require(all(echoes(connection) for connection in connections), "a connection broke")
    require(len(bench.flows()) >= before, "entries were lost")
    lost = stream.stop()
    require(lost == 0, f"{lost} of {stream.sent} datagrams lost")
    require(len(stream.sources) == 1, f"the flow changed its port: {stream.sources}")
    bench.require_no_leak()


# From the end of the command that has taken the table away; what nft takes to list it is in it.
RESTORED_MS = 100


def test_deleted_table_comes_back():
    """`nft flush ruleset`, as a restart of nftables.service does."""
    bench = Bench("fully-random")
    bench.start()
    bench.master()
    EchoServer(bench.server)
    connection = tcp(bench.client)
    connection.connect((SERVER, ECHO_PORT))
    times = []
    while not times or (min(times) >= RESTORED_MS and len(times) < 5):  # the machine may be busy
        bench.router.run(["nft", "flush", "ruleset"])
        begun = time.monotonic()
        wait_until(lambda: "chain " in bench.table(), 30, "the table is back", every=0.001)
        times.append((time.monotonic() - begun) * 1000)
    print(f"back after {times} ms, as nft lists it")
    require(min(times) < RESTORED_MS, f"back after {times} ms")
    bench.wait_gate("open")
    require(echoes(connection), "the connection broke")
    bench.router.run(["nft", "flush", "chain", "inet", "steadynat", "nat_postrouting"])
    wait_until(lambda: "snat ip to" in bench.table(), 5, "the emptied chain is filled again")
    table = bench.table()
    time.sleep(1.5)
    require(bench.log().count("table_changed") == len(times) + 1, "the agent took its own changes for those of others")
    require(bench.gate() == "open" and table, "the gate did not stay open")
    bench.require_no_leak()


def test_dead_vrrpd():
    """vrrpd ends and none comes back: open without a peer; shut half a down interval after it with one."""
    bench = Bench()
    bench.start()
    bench.master(3)
    bench.vrrpd.close()
    time.sleep(0.5)
    require(bench.gate() == "open", "the gate shut although no peer lives")
    bench.vrrpd.accept(state="master", term=3, node="R1")
    bench.vrrpd.send("local_report", groups=[], peer_alive=True, probe=False)
    time.sleep(0.2)
    begun = time.monotonic()
    bench.vrrpd.close()
    bench.wait_gate("shut")
    took = time.monotonic() - begun
    # 0.1 s adverts, priority 200: a down interval of 0.322 s.
    require(0.14 < took < 1.0, f"shut after {took:.3f} s")
    bench.vrrpd.accept(state="master", term=3, node="R1")
    bench.wait_gate("open")
