"""R1 with the agent alone, and a vrrpd that the test plays."""
import json
import os
import re
import socket
import struct
import tempfile
import threading
import time

from .fake_vrrpd import FakeVrrpd
from .network import LAN_VIRTUAL, SERVER, WAN_VIRTUAL, Network
from .process import Process
from .scenario import binaries
from .wait import require, wait_until

ECHO_PORT, SINK_PORT = 7000, 7001

CONFIG = """version: 1
nodes:
  R1: {{ priority: 200 }}
  R2: {{ priority: 100 }}
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: 100ms
      instances:
        wan: {{ interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }}
        lan: {{ interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }}
nat:
  source:
    10:
      description: SNAT
      outbound_interface: eth0
      source_address: 192.168.100.0/24
      translate_to: 10.10.0.101
      port_mapping: {mapping}
firewall:
  internet_to_protected:
    interfaces: {{ eth0: in }}
    default_action: drop
    rules: {{ 10: {{ action: accept, state: [established] }} }}
  protected_to_internet:
    interfaces: {{ eth2: in }}
    default_action: accept
    rules: {{ 10: {{ action: drop, state: [invalid] }} }}
"""


class Bench:
    """A router with an agent and the virtual addresses; the two clients and the server of the article."""

    def __init__(self, mapping="preserve", addresses=True, config=None, node="R1"):
        self.node = node
        self.network = Network()
        self.router = self.network.routers["R1"].namespace
        self.client = self.network.clients[0]
        self.server = self.network.server
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-agent-")
        self.run_dir = os.path.join(self.directory, "run")
        self.config = os.path.join(self.directory, "steadynat.yaml")
        self.natctl_program = os.path.join(binaries(), "natctl")
        self.write_config(mapping, config)
        self.vrrpd = FakeVrrpd(self.run_dir, node)
        self.agent = None
        if addresses:
            self.router.ip(f"addr add {WAN_VIRTUAL}/24 dev eth0", f"addr add {LAN_VIRTUAL}/24 dev eth2")

    def write_config(self, mapping="preserve", config=None):
        """The article's rules, or a text of one's own."""
        with open(self.config, "w", encoding="ascii") as file:
            file.write(config or CONFIG.format(mapping=mapping))

    def options(self):
        return ["--config", self.config, "--node", self.node, "--run-dir", self.run_dir]

    def start(self, **welcome):
        """The agent runs and has been welcomed. Returns its Hello."""
        self.agent = Process("agent", [self.natctl_program, "agent"] + self.options(), self.router,
                             os.path.join(self.directory, "agent.log"))
        return self.vrrpd.accept(**welcome)

    def log(self):
        with open(os.path.join(self.directory, "agent.log"), encoding="utf-8") as file:
            return file.read()

    def master(self, counter=1):
        ready, _ = self.vrrpd.prepare(counter)
        require(ready["ok"], f"the agent is not ready: {ready}")
        self.vrrpd.open(counter)
        self.wait_gate("open")

    def table(self):
        """The text of the table, empty when there is none."""
        return self.router.run(["nft", "list", "table", "inet", "steadynat"], check=False).stdout

    def gate(self):
        text = self.table()
        if not text:
            return None
        return "shut" if "jump cover_MAIN-GW" in text else "open"

    def wait_gate(self, state):
        wait_until(lambda: self.gate() == state, 5, f"the gate is {state}", every=0.01)

    def counter(self, name):
        output = self.router.run(["nft", "-j", "list", "counters", "table", "inet", "steadynat"]).stdout
        counters = [item["counter"] for item in json.loads(output)["nftables"] if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in counters}[f"{name}_MAIN-GW"]

    def switch_times(self):
        """Milliseconds that each switch of the gate took, by the agent's log."""
        return [float(text) for text in re.findall(r"gate \S+ (?:open|shut) .* after ([\d.]+) ms", self.log())]

    def flows(self, address="192.168.100.11"):
        text = self.router.run(["conntrack", "-L", "-s", address]).stdout
        return [line for line in text.splitlines() if "src=" in line]

    def forget_flows(self):
        self.router.run(["conntrack", "-F"])

    def pings(self, host, address, count=2):
        return host.run(["ping", "-c", str(count), "-i", "0.05", "-W", "1", address], check=False).returncode == 0

    def natctl(self, *words):
        return self.router.run([self.natctl_program] + list(words) + self.options(), check=False)

    def require_no_leak(self):
        leaks = self.network.leaks()
        require(not any(leaks.values()), f"packets left the WAN interface that must not: {leaks}")


def tcp(host, address=None):
    with host.inside():
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(2)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address is not None:
        s.bind(address)
    return s


class EchoServer:
    """TCP; keeps the connections and what their other ends are called here."""

    def __init__(self, host):
        with host.inside():
            self._listener = socket.create_server((SERVER, ECHO_PORT))
        self.connections = []
        self.resets = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, peer = self._listener.accept()
            self.connections.append((connection, peer))
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection):
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except ConnectionResetError:
            self.resets += 1
        except OSError:
            pass


class Stream:
    """Numbered datagrams from a client to the server, one each millisecond."""

    def __init__(self, bench, interval=0.001):
        with bench.server.inside():
            self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._sink.bind((SERVER, SINK_PORT))
        with bench.client.inside():
            self._source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._source.connect((SERVER, SINK_PORT))
        self._interval = interval
        self._stopping = False
        self.sent, self.seen, self.sources = 0, set(), set()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        while not self._stopping:
            try:
                self._source.send(struct.pack("!Q", self.sent))
                self.sent += 1
            except OSError:
                pass
            time.sleep(self._interval)

    def _receive(self):
        self._sink.settimeout(0.5)
        while True:
            try:
                data, source = self._sink.recvfrom(64)
            except TimeoutError:
                if self._stopping:
                    return
                continue
            self.seen.add(struct.unpack("!Q", data)[0])
            self.sources.add(source)

    def stop(self):
        """How many were lost."""
        self._stopping = True
        for thread in self._threads:
            thread.join()
        return self.sent - len(self.seen)


def echoes(connection, text=b"hello"):
    connection.sendall(text)
    got = b""
    while len(got) < len(text):
        data = connection.recv(4096)
        if not data:
            return False
        got += data
    return got == text
