"""One router with rules of the test's own, and hosts that say whom they were asked by."""
import json
import socket
import threading

from .agent_bench import Bench
from .wait import require, wait_until

HEAD = """version: 1
nodes:
  R1: { priority: 200, sync_address: 10.10.10.2 }
  R2: { priority: 100, sync_address: 10.10.10.3 }
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: 100ms
      instances:
        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }
        lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }
sync: { links: [ { interface: eth1 } ], security: none }
"""


class RulesBench(Bench):
    """The router is master and its gate open; the rules are those of `body`, as they are for `node`."""

    def __init__(self, body, check="", node="R1"):
        super().__init__(config=HEAD + body, node=node)
        said = self.natctl("check")
        require(said.returncode == 0, f"check refuses the file: {said.stderr}{said.stdout}")
        require(check in said.stderr + said.stdout, f"check does not say '{check}': {said.stderr}{said.stdout}")
        self.start()
        self.master()
        self.inside = self.network.clients[0]
        self.outside = self.network.server

    def reload(self, body, text):
        """Other rules by SIGHUP; `text` is what the table must show then."""
        import signal

        self.write_config(config=HEAD + body)
        self.agent.signal(signal.SIGHUP)
        wait_until(lambda: text in self.table(), 5, f"the table has '{text}'", every=0.02)

    def rule_counts(self):
        """Packets by the first word or words of the comment: "source 10", "10", "default"."""
        output = self.router.run(["nft", "-j", "list", "table", "inet", "steadynat"]).stdout
        counts = {}
        for item in json.loads(output)["nftables"]:
            rule = item.get("rule", {})
            label = rule.get("comment", "").split("#")[0].split(":")[0].strip()
            for expression in rule.get("expr", []):
                if label and isinstance(expression.get("counter"), dict):
                    counts[label] = counts.get(label, 0) + expression["counter"]["packets"]
        return counts


def give_addresses(host, *addresses, interface="eth0"):
    for address in addresses:
        host.ip(f"addr add {address} dev {interface}" + (" nodad" if ":" in address else ""))


def with_ipv6(*hosts):
    """Namespaces are made without IPv6; addresses are usable at once."""
    for host in hosts:
        names = [line.split(":")[1].split("@")[0].strip() for line in host.show("link", "show").splitlines()]
        for key in ("all", "default", *names):
            host.sysctl(f"net.ipv6.conf.{key}.accept_dad", 0)
        for key in ("all", "default"):
            host.sysctl(f"net.ipv6.conf.{key}.disable_ipv6", 0)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Who:
    """Answers on TCP and UDP with the address and port that the question came from, and its own name."""

    def __init__(self, host, address, *ports):
        self.name = address
        for port in ports:
            with host.inside():
                udp = socket.socket(family_of(address), socket.SOCK_DGRAM)
                udp.bind((address, port))
                tcp = socket.create_server((address, port), family=family_of(address), backlog=64)
            for target, argument in ((self._datagrams, udp), (self._connections, tcp)):
                threading.Thread(target=target, args=(argument,), daemon=True).start()

    def _answer(self, peer):
        return f"{peer[0]} {peer[1]} {self.name}".encode()

    def _datagrams(self, udp):
        while True:
            try:
                _, peer = udp.recvfrom(64)
                udp.sendto(self._answer(peer), peer)
            except OSError:
                pass

    def _connections(self, tcp):
        while True:
            connection, peer = tcp.accept()
            try:
                connection.sendall(self._answer(peer))
                connection.close()
            except OSError:
                pass


def ask(host, address, port, source=None, source_port=0, protocol="udp", timeout=1.0):
    """(address, port, name) as the one who answers saw it and is called; None when nobody does."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with host.inside():
        client = socket.socket(family_of(address), kind)
    with client:
        client.settimeout(timeout)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source or source_port:
            client.bind((source or ("::" if ":" in address else "0.0.0.0"), source_port))
        try:
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"who")
            answer = client.recv(128).decode()
        except (TimeoutError, OSError):
            return None
    seen, seen_port, name = answer.split()
    return seen, int(seen_port), name


def silent(host, address, port, **arguments):
    """Nobody answers."""
    return ask(host, address, port, timeout=0.25, **arguments) is None
