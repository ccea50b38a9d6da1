"""What rules do beyond what they match: very many in one transaction, what they log, and the other router's share."""
import json
import os
import re
import signal

from lib.network import SERVER, WAN_VIRTUAL
from lib.process import Process
from lib.rules_bench import HEAD, RulesBench, Who, ask, give_addresses
from lib.wait import TestFailed, require, wait_until

ROUTER = "10.10.0.102"
RULES = 10_000
HOOKS = 1024  # that a kernel takes at one place


def rules_to(address):
    """Many rules that match nothing here, and behind them the one that does."""
    lines = [f"    {1 + n}: {{ outbound_interface: eth0, source_address: 10.{n // 250}.{n % 250}.0/24, "
             f"translate_to: {WAN_VIRTUAL} }}\n" for n in range(RULES - 1)]
    last = f"    {RULES}: {{ outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: {address} }}\n"
    return "nat:\n  source:\n" + "".join(lines) + last


def test_ten_thousand():
    """In force as a whole, and what the kernel refuses leaves all of the old ones in force."""
    bench = RulesBench("nat: { source: { 10: { outbound_interface: eth0, source_address: 192.168.100.0/24, "
                       "translate_to: 10.10.0.120 } } }\n")
    give_addresses(bench.router, "10.10.0.120/32", "10.10.0.121/32")
    Who(bench.outside, SERVER, 7000)
    require(ask(bench.inside, SERVER, 7000)[0] == "10.10.0.120", "the first rule does not translate")

    def seen():
        bench.forget_flows()
        answer = ask(bench.inside, SERVER, 7000)
        return answer and answer[0]

    def told():
        text = bench.natctl("show", "nat", "--json").stdout
        return json.loads(text) if text else {}  # it loads the table at this moment

    def reload(address):
        bench.write_config(config=HEAD + rules_to(address))
        bench.agent.signal(signal.SIGHUP)

    def numbers():
        """Of the rules in the kernel, in the order in which they are tried."""
        return [int(text) for text in re.findall(r'comment "source (\d+)', bench.table())]

    reload("10.10.0.121")
    wait_until(lambda: told().get("rules") == RULES and seen() == "10.10.0.121", 60, "all the rules are in force")
    require(numbers() == list(range(1, RULES + 1)), "not all of them, or in another order")
    require(bench.gate() == "open", "the gate was not kept")

    chains = "".join(f"chain c{n} {{ type filter hook prerouting priority {n}; }}\n" for n in range(HOOKS - 4))
    bench.router.nft(f"table inet full {{\n{chains}}}\n")
    reload("10.10.0.120")
    wait_until(lambda: "nftables" in told().get("error", ""), 60, "the refusal shows")
    wait_until(lambda: seen() == "10.10.0.121", 30, "what stands translates on")
    require(numbers() == list(range(1, RULES + 1)), "some of the old rules are gone")


LOGGING = """
nat:
  source:
    10: { outbound_interface: eth0, protocol: tcp, translate_to: 10.10.0.101, log: true }
    20: { outbound_interface: eth0, source_address: 192.168.100.12, translate_to: 10.10.0.101, log: true }
  destination:
    5: { inbound_interface: eth0, destination_address: 10.10.0.101, protocol: udp, destination_ports: 5000,
         translate_to: 192.168.100.11, log: true }
  static:
    7: { interface: eth0, outside_address: 10.13.0.7, inside_address: 192.168.100.11, log: true }
firewall:
  from-lan:
    interfaces: { eth2: in }
    default_action: accept
    rules: { 30: { action: accept, protocol: udp, destination_ports: 7001, log: true },
             40: { action: drop, protocol: udp, destination_ports: 7002, log: true } }
  from-wan:
    interfaces: { eth0: in }
    default_action: accept
    log_default: true
"""

TRACE = """table inet witness {
  chain seen { type filter hook prerouting priority -400; meta l4proto %s th dport %d meta nftrace set 1; }
}
"""


class Witness:
    """What the kernel logs for packets to a port: the logging rules that they run into, in order. The text itself goes
    to the log of the machine and to none of a namespace's, but its words are those of the rule."""

    def __init__(self, bench, protocol, port):
        self._bench = bench
        self._path = os.path.join(bench.directory, f"trace-{protocol}-{port}")
        bench.router.nft(TRACE % (protocol, port))
        self._monitor = Process("trace", ["nft", "monitor", "trace"], bench.router, self._path)

    def prefixes(self):
        with open(self._path, encoding="utf-8") as file:
            return re.findall(r'inet steadynat \S+ rule .*log prefix "([^"]*)"', file.read())

    def heard(self):
        """Anything at all: the monitor has begun to listen."""
        with open(self._path, encoding="utf-8") as file:
            return "trace id" in file.read()

    def end(self):
        self._monitor.terminate()
        self._bench.router.run(["nft", "delete", "table", "inet", "witness"])


def test_log_lines():
    """Each line in the log says which rule it is of, and what that did: the prefix of the very rule that was met."""
    bench = RulesBench(LOGGING, check="")
    give_addresses(bench.router, "10.13.0.7/32")
    bench.outside.ip(f"route add 10.13.0.7/32 via {ROUTER}")
    Who(bench.outside, SERVER, 7000, 7001, 7002, 7003)
    Who(bench.inside, "192.168.100.11", 5000, 5003)

    def expect(prefixes, host, address, port, protocol="udp", source=None):
        witness = Witness(bench, protocol, port)
        try:
            def met():
                bench.forget_flows()
                ask(host, address, port, protocol=protocol, source=source, timeout=0.25)
                return witness.heard()

            wait_until(met, 30, f"packets to port {port} are traced")
            wait_until(lambda: set(witness.prefixes()) == set(prefixes), 30, f"{prefixes} in the log")
        except TestFailed as failed:
            raise TestFailed(f"{failed}; there is {witness.prefixes()}") from failed
        finally:
            witness.end()

    lan = "192.168.100.12"
    give_addresses(bench.inside, lan + "/24")
    expect(["steadynat source 10: "], bench.inside, SERVER, 7000, "tcp", lan)
    expect(["steadynat source 20: "], bench.inside, SERVER, 7000, source=lan)
    expect(["steadynat from-lan 30 accept: ", "steadynat source 20: "], bench.inside, SERVER, 7001, source=lan)
    expect(["steadynat from-lan 40 drop: "], bench.inside, SERVER, 7002, source=lan)
    expect(["steadynat static 7: "], bench.inside, SERVER, 7003, source="192.168.100.11")
    expect(["steadynat destination 5: ", "steadynat from-wan default accept: "], bench.outside, WAN_VIRTUAL, 5000)
    expect(["steadynat static 7: ", "steadynat from-wan default accept: "], bench.outside, "10.13.0.7", 5003)


def test_ports_of_the_second_router():
    """`ports: per-node`: the second router takes its ports from the other half, so that two masters never clash."""
    rule = "nat: { source: { 10: { outbound_interface: eth0, source_address: 192.168.100.0/24, " \
           "translate_to: 10.10.0.101, ports: per-node, port_mapping: %s } } }\n"
    bench = RulesBench(rule % "fully-random", node="R2")
    Who(bench.outside, SERVER, 7000, 7001)
    for mapping in ("fully-random", "preserve"):
        if mapping == "preserve":
            bench.forget_flows()
            bench.write_config(config=HEAD + rule % mapping)
            bench.agent.signal(signal.SIGHUP)
            wait_until(lambda: "fully-random" not in bench.table(), 30, "the other mapping")
        for protocol in ("udp", "tcp"):
            answers = [ask(bench.inside, SERVER, 7000, source_port=20000 + n, protocol=protocol) for n in range(25)]
            require(all(answers), f"no answer: {answers}")
            require({answer[0] for answer in answers} == {WAN_VIRTUAL}, f"seen as others: {answers}")
            ports = [answer[1] for answer in answers]
            require(all(33280 <= port <= 65535 for port in ports), f"{mapping} {protocol}: not in its half: {ports}")
            require(len(set(ports)) == len(ports), f"two connections with one port: {ports}")
