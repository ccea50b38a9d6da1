"""Two routers that run vrrpd alone: no replication, no translation. What vrrpd promises by itself is asked here."""
import json
import os
import socket
import tempfile

from .network import LAN_VIRTUAL, WAN_VIRTUAL, Network
from .process import Process
from .scenario import binaries
from .wait import require, wait_until

VIRTUAL = {"eth0": WAN_VIRTUAL, "eth2": LAN_VIRTUAL}

CONFIG = """version: 1
nodes:
  R1: {{ priority: 200 }}
  R2: {{ priority: 100 }}
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: {interval}
      instances:
        wan: {{ interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }}
        lan: {{ interface: {lan}, vrid: 2, virtual_addresses: [192.168.100.1/24] }}
{more}"""


def status_of(run_dir):
    """What vrrpd answers on its socket, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(5)
        try:
            client.connect(os.path.join(run_dir, "vrrpd.sock"))
            client.send(b'{"type":"hello","version":1,"role":"control"}\n')
            client.send(b'{"type":"request","id":1,"verb":"status"}\n')
            body = ""
            while True:
                packet = json.loads(client.recv(1 << 17))
                if packet["type"] != "reply":
                    continue
                body += packet["body"]
                if not packet.get("more"):
                    return json.loads(body)
        except OSError:
            return None


class VrrpRouter:
    def __init__(self, host, directory):
        self.host, self.namespace, self.name = host, host.namespace, host.name
        self.directory = os.path.join(directory, host.name)
        os.makedirs(self.directory, exist_ok=True)
        self.config = os.path.join(self.directory, "steadynat.yaml")
        self.run_dir = os.path.join(self.directory, "run")
        self.log = os.path.join(self.directory, "vrrpd.log")
        self.vrrpd = None
        self.configure()

    def configure(self, interval="100ms", more="", lan="eth2"):
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(interval=interval, more=more, lan=lan))

    def command(self, *more):
        return [os.path.join(binaries(), "vrrpd"), "--config", self.config, "--node", self.name, "--run-dir",
                self.run_dir, *more]

    def start(self):
        self.vrrpd = Process(f"{self.name} vrrpd", self.command(), self.namespace, self.log)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def addresses(self):
        """How many of the virtual addresses are here."""
        return sum(self.host.has_address(address) for address in VIRTUAL.values())

    def status(self):
        """What vrrpd answers on its socket, or None."""
        return status_of(self.run_dir)

    def group(self):
        status = self.status()
        return status["groups"][0] if status else {}

    def state(self):
        return self.group().get("state")

    def counters(self):
        return (self.status() or {}).get("counters", {})

    def wait_state(self, state, timeout=10):
        wait_until(lambda: self.state() == state, timeout, f"{self.name} is {state}", every=0.01)


class VrrpPair:
    def __init__(self):
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-test-")
        self.network = Network()
        self.first, self.second = (VrrpRouter(self.network.routers[name], self.directory) for name in ("R1", "R2"))

    def start(self):
        """R1 becomes master, R2 its backup."""
        for router in (self.first, self.second):
            router.start()
        self.wait_master(self.first)
        self.second.wait_state("backup")
        return self.first, self.second

    def wait_master(self, router, timeout=10):
        router.wait_state("master", timeout)
        require(router.addresses() == 2, f"{router.name} is master without its addresses")
