"""Two routers that run syncd alone. The part of vrrpd is played here, so that each step of a takeover can be looked at,
and connections are entries put into the kernel by hand: no traffic, no election."""
import json
import os
import re
import socket
import tempfile
import threading
import time

from .netns import Namespace, run
from .process import Process
from .scenario import binaries
from .wait import TestFailed, require, wait_until

CONFIG = """version: 1
nodes:
  R1: {{ priority: 200, sync_addresses: {{ {R1} }} }}
  R2: {{ priority: 100, sync_addresses: {{ {R2} }} }}
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: 100ms
      instances:
        wan: {{ interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }}
        lan: {{ interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }}
sync:
  links: [ {links} ]
  {security}
  commit: {commit}{more}
nat:
  source:
    10: {{ outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101 }}
"""
# A ct rule switches connection tracking on, nat chains translation. Nothing here forwards anything.
TABLE = """table inet test {
  chain track { type filter hook prerouting priority -150; ct state invalid counter; }
  chain pre { type nat hook prerouting priority -100; }
  chain post { type nat hook postrouting priority 100; }
}
"""
ADDRESS = {"R1": "10.10.10.2/24", "R2": "10.10.10.3/24"}


class Cable:
    """A link of the file, and what it stands for: a cable from R1 to R2 and an address at each end."""

    def __init__(self, interface="eth1", first=ADDRESS["R1"], second=ADDRESS["R2"], settings=""):
        self.interface, self.addresses, self.settings = interface, {"R1": first, "R2": second}, settings

    def line(self):
        return f"{{ interface: {self.interface}{self.settings} }}"

    def address(self, router):
        return f'{self.interface}: "{self.addresses[router].split("/")[0]}"'


class Vrrpd:
    """Listens where syncd looks for vrrpd, and says what it is told to."""

    def __init__(self, run_dir, node, state, term):
        self.node, self.state, self.term = node, state, term
        self._path = os.path.join(run_dir, "vrrpd.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self._path)
        self._listener.listen(4)
        self._client = None
        self._changed = threading.Condition()
        self._said = []
        self.reader = threading.Thread(target=self._serve, daemon=True)
        self.reader.start()

    def _serve(self):
        while True:
            client, _ = self._listener.accept()
            self._client = client
            group = {"group": "MAIN-GW", "state": self.state, "phase": "idle", "term": self.term}
            self.send(type="welcome", version=1, node=self.node, groups=[group])
            self.report()
            while packet := client.recv(1 << 17):
                with self._changed:
                    self._said.append(json.loads(packet))
                    self._changed.notify_all()

    def send(self, **message):
        if self._client is not None:
            try:
                self._client.send(json.dumps(message).encode() + b"\n")
            except OSError:
                pass  # syncd was killed; it is welcomed anew when it comes back

    def report(self):
        group = {"group": "MAIN-GW", "state": self.state, "phase": "idle", "term": self.term, "complete": True,
                 "held": False, "priority": 100}
        self.send(type="local_report", groups=[group], peer_alive=True)

    def enter(self, state, term):
        self.state, self.term = state, term
        self.send(type="entered", group="MAIN-GW", state=state, phase="idle", term=term, priority=100)
        self.report()

    def wait_for(self, kind, timeout=10, **fields):
        def found():
            return next((m for m in self._said if m["type"] == kind
                         and all(m.get(name) == value for name, value in fields.items())), None)

        with self._changed:
            require(self._changed.wait_for(found, timeout), f"syncd of {self.node} did not say {kind} {fields}")
            return found()


class SyncRouter:
    def __init__(self, name, directory, state):
        self.name = name
        self.namespace = Namespace(name.lower())
        self.namespace.nft(TABLE)
        self.namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
        self.directory = os.path.join(directory, name)
        self.run_dir = os.path.join(self.directory, "run")
        os.makedirs(self.run_dir, exist_ok=True)
        self.config = os.path.join(directory, "steadynat.yaml")
        self.vrrpd = Vrrpd(self.run_dir, name, state, {"counter": 1, "node": "R1"})
        self.syncd = None

    def start(self):
        options = ["--config", self.config, "--node", self.name, "--run-dir", self.run_dir]
        argv = [os.path.join(binaries(), "syncd"), *options]
        self.syncd = Process(f"{self.name} syncd", argv, self.namespace, os.path.join(self.directory, "syncd.log"))

    def said(self):
        with open(self.syncd.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(self, verb, timeout=30):
        """(reply's body as JSON, error); None while syncd does not answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(timeout)
            try:
                client.connect(os.path.join(self.run_dir, "syncd.sock"))
                client.send(b'{"type":"hello","version":1,"role":"control"}\n')
                client.send(json.dumps({"type": "request", "id": 1, "verb": verb}).encode() + b"\n")
                body = ""
                while True:
                    packet = json.loads(client.recv(1 << 17))
                    if packet["type"] != "reply":
                        continue
                    body += packet.get("body", "")
                    if not packet.get("more"):
                        return (json.loads(body) if body else None), packet.get("error", "")
            except OSError:
                return None

    def status(self):
        answer = self.ask("status")
        return answer[0] if answer else {}

    def counter(self, name):
        return self.status().get("counters", {}).get(name)

    # --- the kernel's table

    def insert(self, lines):
        path = os.path.join(self.directory, "entries")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.namespace.run(["conntrack", "-R", path])

    def conntrack(self, *words, check=True):
        return self.namespace.run(["conntrack", *words], check=check).stdout

    def table(self):
        """Of the inner network: what each entry is, without what time does to it."""
        entries = self.conntrack("-L", "-s", "192.168.100.0/24", check=False).splitlines()
        return sorted(re.sub(r"^(\w+ +\d+) \d+ ", r"\1 ", entry).replace("use=2", "use=1") for entry in entries)

    def timeouts(self):
        entries = self.conntrack("-L", "-s", "192.168.100.0/24", check=False).splitlines()
        return [int(entry.split()[2]) for entry in entries]


def tcp_entries(count, first=0):
    """Ports that are not preserved: what does not know the translation cannot guess it."""
    for number in range(first, first + count):
        port, translated = 1024 + number % 60000, 1024 + (number * 7 + 13) % 60000
        yield (f"-A -p tcp -s 192.168.100.{10 + number // 60000} -d 203.0.113.{1 + number // 60000} --sport {port} "
               f"--dport 80 --state ESTABLISHED --timeout 400000 -u SEEN_REPLY,ASSURED "
               f"--src-nat 10.10.0.101:{translated}")


def udp_entries(count):
    for number in range(count):
        yield (f"-A -p udp -s 192.168.100.9 -d 203.0.113.9 --sport {2000 + number} --dport 53 --timeout 120 "
               f"-u SEEN_REPLY,ASSURED --src-nat 10.10.0.101:{7000 + number}")


class SyncPair:
    """R1 is master, R2 its backup."""

    def __init__(self, commit="continuous", secured=True, more="", cables=None):
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-test-")
        key_file = os.path.join(self.directory, "sync.key")
        key = run([os.path.join(binaries(), "natctl"), "keygen"]).stdout
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(key)
        self.cables = cables or [Cable()]
        self._settings = {"security": f"key_file: {key_file}" if secured else "security: none", "commit": commit}
        self.configure(more)
        self.first = SyncRouter("R1", self.directory, "master")
        self.second = SyncRouter("R2", self.directory, "backup")

    def configure(self, more):
        """Writes the file; `more` are lines of the section sync."""
        links = ", ".join(cable.line() for cable in self.cables)
        addresses = {name: ", ".join(cable.address(name) for cable in self.cables) for name in ("R1", "R2")}
        more = "".join(f"\n  {line}" for line in more.splitlines())
        with open(os.path.join(self.directory, "steadynat.yaml"), "w", encoding="ascii") as file:
            file.write(CONFIG.format(more=more, links=links, **addresses, **self._settings))

    def plug(self):
        """The cables of the links, and the addresses on them."""
        for cable in self.cables:
            name = cable.interface
            self.first.namespace.ip(f"link add {name} type veth peer name {name} netns {self.second.namespace.name}")
            for router in (self.first, self.second):
                address = cable.addresses[router.name]
                if ":" in address:
                    router.namespace.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 0)
                    address += " nodad"
                router.namespace.ip(f"addr add {address} dev {name}", f"link set {name} up")

    def unplug(self):
        self.first.namespace.ip("link del eth1")

    def start(self):
        for router in (self.first, self.second):
            router.start()
        return self.first, self.second

    def wait_synced(self, timeout=20):
        for router in (self.first, self.second):
            wait_until(lambda r=router: r.status().get("state") == "synced", timeout,
                       f"{router.name} is synced: {router.status().get('reasons')}")

    def wait_same(self, timeout=20):
        """Both kernels hold the same connections, or the failure names some that only one has."""
        end = time.monotonic() + timeout
        while (tables := [set(router.table()) for router in (self.first, self.second)])[0] != tables[1]:
            if time.monotonic() > end:
                only = [sorted(tables[0] - tables[1]), sorted(tables[1] - tables[0])]
                raise TestFailed(f"after {timeout} s the kernels differ: {len(only[0])} entries only on R1, such as "
                                 f"{only[0][:2]}, {len(only[1])} only on R2, such as {only[1][:2]}")
            time.sleep(0.05)
