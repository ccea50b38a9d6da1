"""The firewall, by what gets through and what does not."""
import socket
import time

from lib.network import LAN_VIRTUAL, SERVER, WAN_VIRTUAL
from lib.rules_bench import RulesBench, Who, ask, give_addresses, silent
from lib.wait import require

NAT = """
nat:
  source: { 90: { outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101 } }
"""

RULES = NAT + """
address_groups: { friends: [192.168.100.21, 192.168.100.24/30] }
port_groups: { services: [7000, 7100-7109] }
firewall:
  out-of-the-lan:
    interfaces: { "eth2*": in }
    default_action: reject
    rules:
      5: { action: accept, state: [established, related] }
      6: { action: drop, state: invalid }
      10: { action: accept, source_address: friends, protocol: tcp_udp, destination_ports: services }
      20: { action: drop, source_address: 192.168.100.22, protocol: udp, destination_ports: [7000, not 7100] }
      30: { action: accept, source_address: [192.168.100.22, 192.168.100.23], protocol: udp,
            destination_ports: 7000-7100 }
      40: { action: accept, protocol: icmp, icmp_types: echo-request, source_address: 192.168.100.21 }
      41: { action: accept, protocol: icmp, icmp_types: echo-request, source_address: 192.168.100.22,
            limit: { rate: 1/minute, burst: 3 } }
      50: { enabled: false, action: accept }
  into-the-lan:
    interfaces: { eth2: out }
    default_action: accept
    rules:
      10: { description: a server that must not, action: drop, source_address: 203.0.113.11 }
  to-the-router:
    interfaces: { eth2: local }
    default_action: drop
    log_default: true
    rules:
      10: { action: accept, source_address: not 192.168.100.22, protocol: udp, source_ports: 1024-65535,
            destination_ports: 7200, log: true }
      20: { action: reject, protocol: tcp, tcp_flags: [syn, not ack], destination_ports: 7201 }
"""


def test_directions_and_matches():
    """in, out and local; states, protocols, addresses, ports, types, groups, negation, limits, default actions."""
    bench = RulesBench(RULES)
    give_addresses(bench.inside, *[f"192.168.100.{last}/24" for last in (21, 22, 23, 25)])
    give_addresses(bench.outside, "203.0.113.11/32", interface="lo")
    Who(bench.outside, SERVER, 7000, 7050, 7100, 7105)
    Who(bench.outside, "203.0.113.11", 7000)
    Who(bench.router, "192.168.100.2", 7200, 7201, 7202)

    def passes(last, port, protocol="udp", at=SERVER):
        return ask(bench.inside, at, port, source=f"192.168.100.{last}", protocol=protocol, timeout=0.5) is not None

    for last, port, protocol, expected in [
            (21, 7000, "udp", True), (21, 7000, "tcp", True), (25, 7105, "tcp", True), (21, 7050, "udp", False),
            (22, 7000, "udp", False), (22, 7100, "udp", True), (22, 7050, "udp", True), (22, 7100, "tcp", False),
            (23, 7000, "udp", True), (23, 7105, "udp", False), (11, 7000, "udp", False)]:
        require(passes(last, port, protocol) == expected,
                f"192.168.100.{last} {protocol} port {port}: {'stopped' if expected else 'let through'}")
    # `out` sees what leaves towards the LAN: the answers of this server.
    require(not passes(21, 7000, at="203.0.113.11"), "the rule set for leaving does not stop")

    # A reject tells at once, a drop lets wait.
    begun = time.monotonic()
    require(silent(bench.inside, SERVER, 7050, source="192.168.100.11"), "the default action lets through")
    require(time.monotonic() - begun < 0.2, "the default action does not reject")

    def ping(last, count=1):
        command = ["ping", "-c", str(count), "-i", "0.05", "-W", "0.3", "-I", f"192.168.100.{last}", SERVER]
        done = bench.inside.run(command, check=False)
        return int(done.stdout.split(" received")[0].split()[-1])

    require(ping(21) == 1, "the type that is accepted is stopped")
    require(ping(23) == 0, "a type is accepted from everybody")
    # A ping that got its first answer goes on as an established connection: several pings, several connections.
    answers = sum(ping(22) for _ in range(6))
    require(answers == 3, f"a limit with a burst of 3 let {answers} of 6 through")

    router = "192.168.100.2"
    require(ask(bench.inside, router, 7200), "what is accepted to the router is stopped")
    require(silent(bench.inside, router, 7200, source="192.168.100.22"), "'not' does not hold")
    require(silent(bench.inside, router, 7202), "the default action to the router does not hold")
    begun = time.monotonic()
    require(silent(bench.inside, router, 7201, protocol="tcp"), "a plain SYN passes")
    require(time.monotonic() - begun < 0.2, "a plain SYN is not rejected")
    # Set up for another direction, a rule set does not look at what is forwarded or comes from elsewhere.
    require(bench.pings(bench.outside, "10.10.0.102", 1), "a rule set of eth2 stops what comes in by eth0")
    counts = bench.rule_counts()
    for label in ("5", "10", "20", "30", "40", "41", "default"):
        require(counts.get(label, 0) > 0, f"rule {label} has counted nothing: {counts}")
    require("50" not in counts, "a rule that is switched off is in the table")


MAC = "02:53:00:00:00:0c"
FINER_RULES = NAT + """
firewall:
  into-the-router:
    interfaces: { eth0: in }
    default_action: drop
    rules:
      5: { action: drop, protocol: icmp, icmp_types: destination-unreachable, icmp_code: 3,
           source_address: 203.0.113.11 }
      10: { action: accept, state: established }
      20: { action: accept, state: related }
  out-of-the-lan:
    interfaces: { eth2: in }
    default_action: accept
    rules:
      10: { action: drop, source_mac: "02:53:00:00:00:0c" }
      20: { action: drop, source_address: 192.168.100.21, protocol: not udp }
      30: { action: drop, source_address: 192.168.100.22, state: new, destination_ports: 7050, protocol: udp }
"""


def outcome(host, address, port):
    """What a datagram to a closed port meets."""
    with host.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(0.5)
        client.connect((address, port))
        client.send(b"x")
        try:
            return client.recv(64)
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silence"


def test_finer_matches():
    """The MAC address, a code of ICMP, new and related, a protocol that is not meant."""
    bench = RulesBench(FINER_RULES)
    second = bench.network.clients[1]
    second.ip(f"link set eth0 address {MAC}")
    give_addresses(bench.inside, "192.168.100.21/24", "192.168.100.22/24")
    give_addresses(bench.outside, "203.0.113.11/32", interface="lo")
    Who(bench.outside, SERVER, 7000, 7050)
    for source, port, protocol, expected in [(None, 7000, "udp", True), ("192.168.100.21", 7000, "udp", True),
                                             ("192.168.100.21", 7000, "tcp", False),
                                             ("192.168.100.22", 7050, "udp", False),
                                             ("192.168.100.22", 7050, "tcp", True)]:
        answer = ask(bench.inside, SERVER, port, source=source, protocol=protocol, timeout=0.5)
        require((answer is not None) == expected, f"{source} {protocol} port {port}: {answer}")
    require(silent(second, SERVER, 7000), f"what comes from {MAC} passes")
    # The error of a closed port belongs to the datagram that it answers.
    require(outcome(bench.inside, SERVER, 9) == "refused", "an error that is related does not come in")
    require(outcome(bench.inside, "203.0.113.11", 9) == "silence", "the code of ICMP that is dropped comes in")
    counts = bench.rule_counts()
    for label in ("5", "10", "20", "30"):
        require(counts.get(label, 0) > 0, f"rule {label} has counted nothing: {counts}")


def test_article():
    """The article's two rule sets: answers come in, strangers do not, and invalid packets do not get out."""
    bench = RulesBench(NAT + """
firewall:
  internet_to_protected:
    interfaces: { eth0: in }
    default_action: drop
    rules: { 10: { action: accept, state: [established] } }
  protected_to_internet:
    interfaces: { eth2: in }
    default_action: accept
    rules: { 10: { action: drop, state: [invalid] } }
""", check="established without related")
    bench.outside.ip("route add 192.168.100.0/24 via 10.10.0.102")
    Who(bench.outside, SERVER, 7000)
    Who(bench.inside, "192.168.100.11", 8000)
    require(ask(bench.inside, SERVER, 7000), "an answer does not come in")
    require(silent(bench.outside, "192.168.100.11", 8000), "a stranger comes in")
    require(ask(bench.network.clients[1], "192.168.100.11", 8000), "the LAN itself is disturbed")
    require(bench.pings(bench.outside, WAN_VIRTUAL, 1), "`in` stops what is for the router")


PAIR = """
firewall:
  wan:
    interfaces: { eth0: local }
    default_action: drop
  link:
    interfaces: { eth1: local }
    default_action: drop
"""


class Arrivals:
    """How many packets of a socket's kind arrive at the router."""

    def __init__(self, host, kind, protocol, address=None):
        with host.inside():
            self._socket = socket.socket(socket.AF_INET, kind, protocol)
            if address:
                self._socket.bind(address)
        self._socket.settimeout(0.3)

    def count(self):
        seen = 0
        try:
            while True:
                self._socket.recv(100)
                seen += 1
        except TimeoutError:
            return seen


def pair_traffic(bench):
    """Of three each: adverts, datagrams of the link, and others that arrive."""
    peer = bench.network.routers["R2"].namespace
    adverts = Arrivals(bench.router, socket.SOCK_RAW, 112)
    link = Arrivals(bench.router, socket.SOCK_DGRAM, 0, ("10.10.10.2", 3781))
    other = Arrivals(bench.router, socket.SOCK_DGRAM, 0, ("10.10.0.102", 3781))
    with peer.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(3):
        raw.sendto(b"\x31" + bytes(19), ("10.10.0.102", 0))
        udp.sendto(b"x", ("10.10.10.2", 3781))
        udp.sendto(b"x", ("10.10.0.102", 3781))
    return adverts.count(), link.count(), other.count()


def test_pair_traffic():
    """Adverts and the sync link pass a rule set that drops all, unless it asks to see them; `check` then warns."""
    bench = RulesBench(PAIR)
    found = pair_traffic(bench)
    require(found == (3, 3, 0), f"adverts, link, others that pass: {found}")
    require(silent(bench.outside, LAN_VIRTUAL, 7000), "the rest passes")
    bench.reload(PAIR.replace("default_action", "pair_traffic: filter\n    default_action") +
                 "  lan: { interfaces: { eth2: local } }\n", "rules_lan")
    said = bench.natctl("check").stderr
    for text in ("the adverts of VRRP on eth0 would be dropped by the default action",
                 "the sync link on eth1 would be dropped by the default action"):
        require(text in said, f"check does not warn: {text}: {said}")
    found = pair_traffic(bench)
    require(found == (0, 0, 0), f"adverts, link, others that pass although they are filtered: {found}")
