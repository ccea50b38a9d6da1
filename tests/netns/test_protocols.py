"""Live traffic of every kind through a power cut of the master: each flow goes on as the one that it was, seen by its
server under the same address and port (ports are chosen at random, so a flow that was forgotten would get another)."""
import os
import re
import socket
import struct
import threading
import time

from lib.ftp import FILE, FtpClient, FtpServer
from lib.netns import run
from lib.network import SERVER, WAN_VIRTUAL
from lib.raw_flows import EXPERIMENT, GRE, RawFlow, SctpFlow
from lib.router import Router
from lib.rules_bench import give_addresses, with_ipv6
from lib.scenario import Lab
from lib.wait import require, wait_until

CONFIG = """version: 1
nodes:
  R1: {{ priority: 200, sync_address: 10.10.10.2 }}
  R2: {{ priority: 100, sync_address: 10.10.10.3 }}
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: 100ms
      instances:
        wan: {{ interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }}
        lan: {{ interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }}
        wan6: {{ interface: eth0, vrid: 3, virtual_addresses: ["fe80::101/64", "2001:db8::101/64"] }}
        lan6: {{ interface: eth2, vrid: 4, virtual_addresses: ["fe80::1/64", "fd00:100::1/64"] }}
sync: {{ links: [ {{ interface: eth1 }} ], key_file: {key_file}, commit: {commit} }}
nat:
  source:
    10: {{ outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101,
          port_mapping: fully-random }}
    20: {{ outbound_interface: eth0, source_address: "fd00:100::/64", translate_to: "2001:db8::101",
          port_mapping: fully-random }}
  destination:
    10: {{ inbound_interface: eth0, destination_address: 10.10.0.101, protocol: tcp, destination_ports: 8080,
          translate_to: 192.168.100.12, ports: 80 }}
firewall:
  from-outside:
    interfaces: {{ eth0: in }}
    default_action: drop
    rules:
      10: {{ action: accept, state: [established, related] }}
      20: {{ action: accept, protocol: tcp, destination_address: 192.168.100.12, destination_ports: 80 }}
  from-inside:
    interfaces: {{ eth2: in }}
    default_action: accept
    rules: {{ 10: {{ action: drop, state: [invalid] }} }}
"""
# What an operator has beside ours: a helper, marks, labels, a zone, and a look at what conntrack calls invalid.
BESIDE = """table inet beside {
  counter invalid { }
  counter labelled { }
  ct helper tftp-request { type "tftp" protocol udp; }
  ct helper ftp-control { type "ftp" protocol tcp; }
  chain zones { type filter hook prerouting priority raw;
    udp dport 7005 ct zone set 5
    udp sport 7005 ct zone set 5
  }
  chain ties { type filter hook prerouting priority filter;
    tcp dport 21 ct helper set "ftp-control"
    udp dport 69 ct helper set "tftp-request"
    udp dport 7006 ct state new ct mark set 0x2a
    udp dport 7007 ct state new ct label set 5
  }
  chain look { type filter hook forward priority 10;
    meta l4proto { tcp, sctp } ct state invalid counter name invalid
    udp dport 7007 ct label 5 counter name labelled
  }
}
"""
SERVER6 = "2001:db8::1"
CLIENTS = ("192.168.100.11", "192.168.100.12")
TIMEOUT_S = 20
DOWNLOAD_AFTER = 100_000_000  # bytes that must come after the cut


class Pair(Lab):
    """The article's pair with IPv6 beside it."""

    def __init__(self, commit):
        super().__init__()
        key_file = os.path.join(self.directory, "sync.key")
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(run([os.path.join(self.binaries, "natctl"), "keygen"]).stdout)
        self.config = os.path.join(self.directory, "steadynat.yaml")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(key_file=key_file, commit=commit))
        network = self.network
        with_ipv6(network.server, *network.clients, *(host.namespace for host in network.routers.values()))
        give_addresses(network.server, SERVER6 + "/64")
        for number, host in enumerate(network.routers.values(), 2):
            give_addresses(host.namespace, f"2001:db8::{number}/64")
            give_addresses(host.namespace, f"fd00:100::{number}/64", interface="eth2")
            host.namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
            host.namespace.nft(BESIDE)
        for number, client in enumerate(network.clients, 11):
            give_addresses(client, f"fd00:100::{number}/64")
            client.ip("route add default via fd00:100::1")
        for name, host in network.routers.items():
            self.routers[name] = Router(host, self.binaries, self.directory, self.config)
            self.routers[name].start()
        self.wait_ready("R1")


class Echo:
    """UDP or TCP: a question, and an answer that says whom the server saw."""

    def __init__(self, name, client, server, address, port, kind=socket.SOCK_STREAM, at=None):
        self.name = name
        self.seen = set()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with server.inside():
            listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if kind == socket.SOCK_STREAM:
            listener.listen(4)
        target = self._stream if kind == socket.SOCK_STREAM else self._datagrams
        threading.Thread(target=target, args=(listener,), daemon=True).start()
        with client.inside():
            self._client = socket.socket(family, kind)
        self._client.settimeout(TIMEOUT_S)
        self._client.connect(at or (address, port))
        if kind == socket.SOCK_DGRAM:
            self._client.settimeout(0.5)

    def _stream(self, listener):
        connection, peer = listener.accept()
        self.seen.add(peer[:2])
        while data := connection.recv(1024):
            connection.sendall(data)

    def _datagrams(self, listener):
        while True:
            data, peer = listener.recvfrom(1024)
            self.seen.add(peer[:2])
            listener.sendto(data, peer)

    def exchange(self):
        for _ in range(int(TIMEOUT_S / 0.5)):
            try:
                self._client.send(b"and now")
                if self._client.recv(1024):
                    return True
            except TimeoutError:
                pass  # a datagram may be lost while nobody forwards; a stream has had its time
            except OSError:
                return False
        return False


class Push:
    """The client says one word; from then on only the server speaks."""

    name = "UDP server push"

    def __init__(self, client, server, address, port):
        self.seen = set()
        self.count = 0
        with server.inside():
            self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind((address, port))
        with client.inside():
            self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._client.settimeout(TIMEOUT_S)
        self._client.connect((address, port))
        self._client.send(b"speak")
        self._peer = self._server.recvfrom(100)[1]
        self.seen.add(self._peer)

    def exchange(self):
        """Several words: the kernel must not forget the flow when only one side speaks."""
        self._client.settimeout(1)
        for _ in range(TIMEOUT_S):
            self._server.sendto(b"news", self._peer)
            try:
                return self._client.recv(100) == b"news"
            except TimeoutError:
                pass
        return False


class Tftp:
    """A file is asked for; the answer comes from a port of the server's that nobody has spoken with."""

    def __init__(self, client, server, address):
        with server.inside():
            asked, self._server = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        asked.bind((address, 69))
        self._server.bind((address, 0))
        with client.inside():
            self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asked.settimeout(TIMEOUT_S)
        self._client.sendto(b"\0\1file\0octet\0", (address, 69))
        self._peer = asked.recvfrom(100)[1]

    def fetch(self):
        """The only block, and its acknowledgement; a datagram may be lost while nobody forwards."""
        for each in (self._client, self._server):
            each.settimeout(1)
        for _ in range(TIMEOUT_S):
            self._server.sendto(b"\0\3\0\1text", self._peer)
            try:
                _, source = self._client.recvfrom(100)
                self._client.sendto(b"\0\4\0\1", source)
                return self._server.recvfrom(100) == (b"\0\4\0\1", self._peer)
            except TimeoutError:
                pass
        return False


class Ping:
    """Echo requests of one id; `seen` is what the server's network card saw."""

    def __init__(self, name, client, server, address):
        self.name = name
        self.seen = set()
        self._v6 = ":" in address
        self._turn = 0
        with client.inside():
            self._client = (socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if self._v6
                            else socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        with server.inside():
            ethertype = socket.htons(0x86DD if self._v6 else 0x0800)
            self._card = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ethertype)
        self._client.settimeout(0.5)
        self._address = address
        self._id = 77
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            packet, peer = self._card.recvfrom(2048)
            at = 40 if self._v6 else (packet[0] & 15) * 4
            protocol, kind = packet[6 if self._v6 else 9], packet[at]
            if peer[2] == socket.PACKET_HOST and (protocol, kind) == ((58, 128) if self._v6 else (1, 8)):
                source = packet[8:24] if self._v6 else packet[12:16]
                self.seen.add((source.hex(), struct.unpack_from("!H", packet, at + 4)[0]))

    def exchange(self):
        for _ in range(int(TIMEOUT_S / 0.5)):
            self._turn += 1
            head = struct.pack("!BBHHH", 128 if self._v6 else 8, 0, 0, self._id, self._turn)
            self._client.sendto(head if self._v6 else with_sum(head), (self._address, 0))
            try:
                while True:
                    answer = self._client.recv(2048)
                    at = 0 if self._v6 else (answer[0] & 15) * 4
                    kind, _, _, number, turn = struct.unpack_from("!BBHHH", answer, at)
                    if kind == (129 if self._v6 else 0) and (number, turn) == (self._id, self._turn):
                        return True
            except TimeoutError:
                pass
        return False


def with_sum(packet):
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return packet[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + packet[4:]


class Download:
    """As fast as the hosts can, with windows of megabytes."""

    def __init__(self, client, server, address, port):
        for host in (client, server):
            for key in ("tcp_rmem", "tcp_wmem"):
                host.sysctl(f"net.ipv4.{key}", "4096 1048576 33554432")
        with server.inside():
            listener = socket.create_server((address, port))
        self.count = 0
        self.broken = None
        self._stopping = False
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        with client.inside():
            self._client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._client.connect((address, port))
        self._thread = threading.Thread(target=self._fetch, daemon=True)
        self._thread.start()

    def _serve(self, listener):
        connection, _ = listener.accept()
        piece = b"x" * (1 << 20)
        try:
            while not self._stopping:
                connection.sendall(piece)
        except OSError as error:
            self.broken = self.broken or error
        connection.close()

    def _fetch(self):
        buffer = bytearray(1 << 20)
        try:
            while not self._stopping and (count := self._client.recv_into(buffer)):
                self.count += count
        except OSError as error:
            self.broken = error

    def stop(self):
        self._stopping = True
        self._thread.join(10)


def entry_of(router, *words):
    """The kernel's entry, one line."""
    lines = router.namespace.run(["conntrack", "-L", *words], check=False).stdout.splitlines()
    return lines[0] if lines else ""


def counted(router, name):
    text = router.namespace.run(["nft", "list", "counter", "inet", "beside", name]).stdout
    return int(re.search(r"packets (\d+)", text).group(1))


def make_flows(pair):
    inside, second = pair.network.clients
    server = pair.network.server
    udp = socket.SOCK_DGRAM
    flows = [
        Echo("TCP", inside, server, SERVER, 7000),
        Echo("TCP over IPv6", inside, server, SERVER6, 7000),
        Echo("UDP over IPv6", inside, server, SERVER6, 7001, udp),
        Echo("a server behind the pair", server, second, CLIENTS[1], 80, at=(WAN_VIRTUAL, 8080)),
        Echo("UDP", inside, server, SERVER, 7001, udp),
        Echo("a zone", inside, server, SERVER, 7005, udp),
        Echo("a mark", inside, server, SERVER, 7006, udp),
        Echo("a label", inside, server, SERVER, 7007, udp),
        Push(inside, server, SERVER, 7002),
        Ping("ping", inside, server, SERVER),
        Ping("ping over IPv6", inside, server, SERVER6),
        RawFlow(GRE, inside, CLIENTS[0], server, SERVER),
        RawFlow(EXPERIMENT, inside, CLIENTS[0], server, SERVER),
        SctpFlow(inside, CLIENTS[0], server, SERVER),
    ]
    require(flows[-1].open(), "no SCTP association")
    return flows


def exchange(flows, when):
    failed = [flow.name for flow in flows if not flow.exchange()]
    require(not failed, f"{when}: no answer for {failed}")


def check_extras(router, when):
    """What is carried beside addresses and states."""
    for words, text in ((("-p", "udp", "--dport", "7006"), "mark=42"), (("-p", "udp", "--dport", "7005"), "zone=5"),
                        (("-p", "sctp"), "ESTABLISHED"), (("-p", "tcp", "--dport", "21"), "helper=ftp")):
        entry = entry_of(router, *words)
        require(text in entry, f"{when}: no {text} on {router.name}: '{entry}'")
    require(counted(router, "labelled") > 0, f"{when}: no label on {router.name}")


def expected(router):
    """What the helpers of the router's kernel expect."""
    return router.host.namespace.run(["conntrack", "-L", "expect"]).stdout.splitlines()


def through_a_power_cut(commit):
    pair = Pair(commit)
    first, second = pair.routers["R1"], pair.routers["R2"]
    inside, server = pair.network.clients[0], pair.network.server
    flows = make_flows(pair)
    FtpServer(server, SERVER)
    ftp, waiting_one, announced = (FtpClient(inside, CLIENTS[0], SERVER) for _ in range(3))
    require(ftp.fetch_active() == len(FILE) and ftp.fetch_passive() == len(FILE), "FTP before the cut")
    require("10.10.0.101" in waiting_one.prepare_active()[1], "the helper rewrites nothing")
    waiting, _ = announced.prepare_active()
    require(expected(first), "R1 expects no data connection")
    download = Download(inside, server, SERVER, 7010)
    exchange(flows, "before the cut")
    exchange(flows, "before the cut, again")
    wait_until(lambda: download.count > DOWNLOAD_AFTER, 60, "the download runs")
    check_extras(first, "before the cut")
    pair.wait_ready("R1")
    problems = pair.verify(30)
    require(not problems, f"{problems}")
    tftp = Tftp(inside, server, SERVER)
    for port, count in (("21", 2), ("69", 1)):
        wait_until(lambda: second.natctl("show", "sync", "cache", "external", port).stdout.count("expects 1") == count,
                   30, f"R2 knows of {count} announcements on port {port}")

    first.host.power_cut()
    second.wait_state("master", 30)
    wait_until(lambda: second.gate() == "open", 30, "R2 opens its gate")
    # From outside nothing comes in that was not announced, and only R1 has seen the announcements. Of TFTP it is not
    # known for long: a question without an answer ends after 30 s, and what it announced with it.
    require(tftp.fetch(), "TFTP after the cut, asked for before it")
    had = download.count
    wait_until(lambda: download.count > had + DOWNLOAD_AFTER or download.broken, 60, "the download goes on")
    require(not download.broken, f"the download broke: {download.broken}")
    download.stop()
    require(counted(second, "invalid") == 0, f"R2 called {counted(second, 'invalid')} packets invalid")
    exchange(flows, "after the cut")
    again = [f"{flow.name}: {flow.seen}" for flow in flows if len(flow.seen) != 1]
    require(not again, f"seen as others than before: {again}")
    check_extras(second, "after the cut")
    require(announced.fetch_announced(waiting) == len(FILE), "FTP active after the cut, announced before it")
    require(second.counter("expectations_refused") == 0, "R2's kernel refused what was announced")
    require("200" in ftp.say("NOOP"), "FTP control connection")
    require(ftp.fetch_passive() == len(FILE), "FTP passive after the cut")
    require(ftp.fetch_active() == len(FILE), "FTP active after the cut")
    require("200" in waiting_one.say("NOOP"), "the sequence numbers that the helper has shifted are lost")
    require(waiting_one.fetch_active() == len(FILE), "FTP active after the cut, in a connection that had announced one")


def test_continuous():
    through_a_power_cut("continuous")


def test_on_takeover():
    through_a_power_cut("on-takeover")
