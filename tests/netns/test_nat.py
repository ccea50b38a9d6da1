"""Every kind of translation, shown by what arrives at the other end."""
import json
import signal

from lib.network import LAN_VIRTUAL, SERVER, WAN_VIRTUAL
from lib.rules_bench import HEAD, RulesBench, Who, ask, give_addresses, silent, with_ipv6
from lib.wait import require, wait_until

ROUTER = "10.10.0.102"

SOURCE_RULES = """
address_groups: { printers: [192.168.100.30, 192.168.100.32/31] }
port_groups: { web: [7000, 8000-8010] }
nat:
  source:
    5: { exclude: true, outbound_interface: eth0, source_address: 192.168.100.20, translate_to_nothing }
    10: { outbound_interface: "eth*", source_address: 192.168.100.21, translate_to: 10.10.0.110-10.10.0.113,
          address_mapping: persistent }
    20: { outbound_interface: eth0, source_address: 192.168.100.22, translate_to: 10.10.0.101, ports: 20000-20009 }
    21: { outbound_interface: eth0, source_address: 192.168.100.23, translate_to: 10.10.0.101, ports: per-node,
          port_mapping: fully-random }
    25: { outbound_interface: eth0, source_address: 192.168.100.60, translate_to: 10.10.0.126, port_mapping: preserve }
    26: { outbound_interface: eth0, source_address: 192.168.100.61, translate_to: 10.10.0.127, port_mapping: random }
    30: { outbound_interface: eth0, protocol: tcp, destination_ports: web, source_address: 192.168.100.24,
          translate_to: 10.10.0.120 }
    31: { outbound_interface: eth0, source_ports: not 1-1023, protocol: udp, source_address: 192.168.100.24,
          destination_address: not 203.0.113.11, translate_to: 10.10.0.121 }
    40: { outbound_interface: [eth0, eth9], source_address: 192.168.101.0/24, translate_to: 10.11.0.0/24,
          address_mapping: prefix }
    50: { outbound_interface: eth0, source_address: printers, translate_to: 10.10.0.122 }
    51: { outbound_interface: not eth2, source_address: [192.168.100.40/29, not 192.168.100.41],
          translate_to: 10.10.0.123 }
    60: { outbound_interface: eth0, source_address: 192.168.100.50, translate_to: masquerade }
    70: { enabled: false, outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.124 }
    80: { outbound_interface: eth0, source_address: 192.168.100.24, translate_to: 10.10.0.125 }
    90: { description: the rest, outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101,
          log: true }
""".replace(", translate_to_nothing", "")


def inside_addresses(bench, *lasts):
    give_addresses(bench.inside, *[f"192.168.100.{last}/24" for last in lasts])


def test_source():
    """Address, range, network, ports, one to one, exclude, masquerade, negation, groups, order."""
    bench = RulesBench(SOURCE_RULES, check="masquerade takes the router's own address")
    give_addresses(bench.router, *[f"10.10.0.{last}/32" for last in (*range(110, 114), *range(120, 128))])
    inside_addresses(bench, 20, 21, 22, 23, 24, 30, 33, 34, 40, 41, 50, 60, 61)
    give_addresses(bench.inside, "192.168.101.7/32")
    bench.router.ip("route add 192.168.101.0/24 dev eth2")
    give_addresses(bench.outside, "203.0.113.11/32", interface="lo")
    bench.outside.ip(f"route add 10.11.0.0/24 via {ROUTER}", f"route add 192.168.100.0/24 via {ROUTER}")
    Who(bench.outside, SERVER, 7000, 7001, 8005)
    Who(bench.outside, "203.0.113.11", 7001)

    def seen(last, port=7001, **arguments):
        answer = ask(bench.inside, arguments.pop("at", SERVER), port, source=f"192.168.100.{last}", **arguments)
        require(answer is not None, f"no answer to 192.168.100.{last} from port {port}")
        return answer[0], answer[1]

    def require_seen(last, address, port=7001, **arguments):
        found = seen(last, port, **arguments)[0]
        require(found == address, f"192.168.100.{last} to port {port} {arguments}: seen as {found}, not as {address}")

    require_seen(20, "192.168.100.20")
    pool = {seen(21, port, protocol=protocol)[0] for port in (7000, 7001, 8005) for protocol in ("tcp", "udp")}
    require(len(pool) == 1 and pool <= {f"10.10.0.{n}" for n in range(110, 114)}, f"persistent, of a range: {pool}")
    # The one that is to keep its port comes first: each of the others is given any of the ten.
    ports = [seen(22, source_port=source) for source in (20003, 40000, 40001)]
    require(all(a == WAN_VIRTUAL and 20000 <= p <= 20009 for a, p in ports), f"ports out of their range: {ports}")
    require(ports[0][1] == 20003, f"a port within the range was changed: {ports[0]}")
    bench.inside.run(["ping", "-c1", "-W1", "-I", "192.168.100.22", SERVER])
    flows = [line for line in bench.flows("192.168.100.22") if line.startswith("icmp")]
    ids = [int(line.split("id=")[-1].split()[0]) for line in flows]
    require(ids and all(20000 <= each <= 20009 for each in ids), f"ids of echoes out of the range: {flows}")
    ports = [seen(23)[1] for _ in range(40)]
    require(all(1024 <= port <= 33279 for port in ports), f"not in this node's half: {ports}")
    require(len(set(ports)) > 20, f"not random: {ports}")

    mapped = [seen(60, source_port=port) for port in (1024, 40123, 65535)]
    require(mapped == [("10.10.0.126", port) for port in (1024, 40123, 65535)], f"ports are not preserved: {mapped}")
    mapped = [seen(61, source_port=50000 + n) for n in range(4)]
    require({address for address, _ in mapped} == {"10.10.0.127"}, f"random ports: {mapped}")
    require([port for _, port in mapped] != [50000, 50001, 50002, 50003], f"ports are not random: {mapped}")

    require_seen(24, "10.10.0.120", 7000, protocol="tcp")
    require_seen(24, "10.10.0.120", 8005, protocol="tcp")
    require_seen(24, "10.10.0.125", 7001, protocol="tcp")
    require_seen(24, "10.10.0.121", 7000)
    require_seen(24, "10.10.0.125", 7001, at="203.0.113.11")
    require_seen(24, "10.10.0.125", 7001, source_port=1000)
    one_to_one = ask(bench.inside, SERVER, 7001, source="192.168.101.7")
    require(one_to_one and one_to_one[0] == "10.11.0.7", f"one to one by prefix: {one_to_one}")
    require_seen(30, "10.10.0.122")
    require_seen(33, "10.10.0.122")
    require_seen(34, WAN_VIRTUAL)
    require_seen(40, "10.10.0.123")
    require_seen(41, WAN_VIRTUAL)
    require_seen(50, ROUTER)
    require_seen(11, WAN_VIRTUAL)
    counts = bench.rule_counts()
    for label in (5, 10, 20, 21, 25, 26, 30, 31, 40, 50, 51, 60, 80, 90):
        require(counts.get(f"source {label}", 0) > 0, f"rule {label} has counted nothing: {counts}")
    require("source 70" not in counts, "a rule that is switched off is in the table")


DESTINATION_RULES = """
nat:
  source:
    90: { outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101 }
  destination:
    5: { exclude: true, inbound_interface: eth0, source_address: 203.0.113.66, destination_address: 10.10.0.101,
         protocol: tcp, destination_ports: 80 }
    10: { inbound_interface: eth0, destination_address: 10.10.0.101, protocol: tcp, destination_ports: 80,
          translate_to: 192.168.100.11, ports: 8080, hairpin: eth2 }
    20: { inbound_interface: eth0, destination_address: 10.10.0.101, protocol: tcp_udp, destination_ports: 5000-5002,
          translate_to: 192.168.100.11, ports: 6000-6002 }
    30: { inbound_interface: eth0, destination_address: 10.10.0.101, protocol: udp,
          destination_ports: [ 53, 7000-7001 ], translate_to: 192.168.100.12 }
    40: { inbound_interface: eth0, destination_address: 10.10.0.101, protocol: udp, destination_ports: 9000,
          translate_to: 192.168.100.11-192.168.100.12, address_mapping: persistent }
    50: { inbound_interface: eth0, destination_address: 10.12.0.0/24, translate_to: 192.168.100.0/24,
          address_mapping: prefix }
    60: { inbound_interface: "eth*", source_address: not 10.10.0.1, protocol: udp, destination_ports: 9999,
          translate_to: 192.168.100.11, ports: 9001, log: true }
"""


def test_destination():
    """Address, port, ranges of both, one to one by prefix, exclude, hairpin, and the way back."""
    bench = RulesBench(DESTINATION_RULES)
    second = bench.network.clients[1]
    give_addresses(bench.outside, "203.0.113.66/32", interface="lo")
    bench.outside.ip(f"route add 10.12.0.0/24 via {ROUTER}")
    Who(bench.inside, "192.168.100.11", 8080, 6000, 6001, 6002, 9000, 9001, 80)
    Who(second, "192.168.100.12", 53, 7000, 7001, 9000)
    Who(bench.router, WAN_VIRTUAL, 80)

    def require_served(port, name, host=bench.outside, at=WAN_VIRTUAL, seen_as=None, **arguments):
        answer = ask(host, at, port, **arguments)
        require(answer is not None, f"nobody answers at {at} port {port} {arguments}")
        require(answer[2] == name, f"{at} port {port}: {answer[2]} answers, not {name}")
        require(seen_as is None or answer[0] == seen_as, f"{at} port {port}: the server saw {answer[0]}, not {seen_as}")

    # The server sees who it is that asks.
    require_served(80, "192.168.100.11", protocol="tcp", seen_as="10.10.0.1")
    require_served(80, WAN_VIRTUAL, protocol="tcp", source="203.0.113.66")
    for protocol in ("tcp", "udp"):
        for port in (5000, 5001, 5002):
            require_served(port, "192.168.100.11", protocol=protocol)
    flows = bench.router.run(["conntrack", "-L", "-p", "udp", "--dport", "5002"]).stdout
    require("sport=6002" in flows, f"port 5002 is not translated to its own: {flows}")
    for port in (53, 7000, 7001):
        require_served(port, "192.168.100.12")
    require(silent(bench.outside, WAN_VIRTUAL, 7000, protocol="tcp"), "another protocol is translated as well")
    names = {ask(bench.outside, WAN_VIRTUAL, 9000)[2] for _ in range(6)}
    require(len(names) == 1, f"one host is sent to several servers: {names}")
    require_served(8080, "192.168.100.11", at="10.12.0.11", protocol="tcp")
    require_served(53, "192.168.100.12", at="10.12.0.12")
    require(silent(bench.outside, WAN_VIRTUAL, 9999), "an address that is not meant is translated")
    require_served(9999, "192.168.100.11", source="203.0.113.66")

    # Hairpin: neighbours of the server, and the server itself, by the outer address.
    require_served(80, "192.168.100.11", host=second, protocol="tcp", seen_as=LAN_VIRTUAL)
    require_served(80, "192.168.100.11", host=bench.inside, protocol="tcp", seen_as=LAN_VIRTUAL)
    require(silent(second, WAN_VIRTUAL, 5000), "a rule without hairpin takes what comes from inside")
    counts = bench.rule_counts()
    for label in (5, 10, 20, 30, 40, 50, 60):
        require(counts.get(f"destination {label}", 0) > 0, f"rule {label} has counted nothing: {counts}")

    # Shut, neither side gets through, and no entry is left behind.
    bench.vrrpd.shut(1)
    bench.wait_gate("shut")
    bench.forget_flows()
    require(silent(bench.outside, WAN_VIRTUAL, 80, protocol="tcp"), "the shut gate lets through to a server")
    require(silent(bench.outside, "10.12.0.11", 9000), "the shut gate lets through to a translated network")
    require(silent(second, WAN_VIRTUAL, 80, protocol="tcp"), "the shut gate lets a neighbour through")
    left = bench.router.run(["conntrack", "-L"]).stdout
    require("192.168.100.11" not in left, f"a shut gate left entries: {left}")


STATIC_RULES = """
nat:
  static:
    10: { interface: eth0, outside_address: 10.10.0.105, inside_address: 192.168.100.11, hairpin: eth2 }
    20: { interface: eth0, outside_address: 10.13.0.0/24, inside_address: 192.168.103.0/24, log: true }
  source:
    90: { outbound_interface: eth0, source_address: 192.168.0.0/16, translate_to: 10.10.0.101 }
"""


def test_static():
    """One to one in both directions, for a host and for a network; a rule for all comes after it."""
    bench = RulesBench(STATIC_RULES, check="10.10.0.105 is no virtual address")
    second = bench.network.clients[1]
    give_addresses(bench.router, "10.10.0.105/32")
    give_addresses(bench.inside, "192.168.103.9/32")
    bench.router.ip("route add 192.168.103.0/24 dev eth2")
    bench.outside.ip(f"route add 10.13.0.0/24 via {ROUTER}")
    Who(bench.outside, SERVER, 7000)
    Who(bench.inside, "192.168.100.11", 8000)
    Who(bench.inside, "192.168.103.9", 8000)
    cases = [
        (bench.inside, SERVER, 7000, "192.168.100.11", ("10.10.0.105", SERVER)),
        (bench.inside, SERVER, 7000, "192.168.103.9", ("10.13.0.9", SERVER)),
        (second, SERVER, 7000, None, (WAN_VIRTUAL, SERVER)),
        (bench.outside, "10.10.0.105", 8000, None, ("10.10.0.1", "192.168.100.11")),
        (bench.outside, "10.13.0.9", 8000, None, ("10.10.0.1", "192.168.103.9")),
        (second, "10.10.0.105", 8000, None, (LAN_VIRTUAL, "192.168.100.11")),
    ]
    for protocol in ("udp", "tcp"):
        for host, address, port, source, expected in cases:
            answer = ask(host, address, port, source=source, protocol=protocol)
            require(answer is not None, f"no answer from {address} to {source or host.name}")
            require((answer[0], answer[2]) == expected,
                    f"{source or host.name} to {address}: {answer}, not {expected}")
    require(bench.pings(bench.outside, "10.13.0.9", 1), "no ping to a translated network")


IPV6_RULES = """
nat:
  source:
    10: { outbound_interface: eth0, source_address: "fd00:1::/64", translate_to: "2001:db8:1::/64",
          address_mapping: prefix }
    20: { outbound_interface: eth0, source_address: "fd00:100::/64", translate_to: "2001:db8::101", ports: 30000-30999 }
  destination:
    10: { inbound_interface: eth0, destination_address: "2001:db8::101", protocol: tcp, destination_ports: 80,
          translate_to: "fd00:100::11", ports: 8080 }
  static:
    10: { interface: eth0, outside_address: "2001:db8::105", inside_address: "fd00:100::12" }
firewall:
  from-wan:
    interfaces: { eth0: [in, local] }
    default_action: drop
    rules:
      10: { action: accept, state: [established, related] }
      20: { action: accept, protocol: tcp, destination_address: "fd00:100::11", destination_ports: 8080 }
      30: { action: accept, protocol: icmpv6, icmp_types: echo-request, destination_address: "2001:db8::2" }
      40: { action: accept, destination_address: "fd00:100::12" }
"""


def test_ipv6():
    """nat66: one address, prefix to prefix, destination, static; neighbour discovery passes the firewall."""
    bench = RulesBench(IPV6_RULES)
    second = bench.network.clients[1]
    with_ipv6(bench.router, bench.inside, second, bench.outside)
    bench.router.sysctl("net.ipv6.conf.all.forwarding", 1)
    give_addresses(bench.router, "2001:db8::2/64", "2001:db8::101/64", "2001:db8::105/64")
    give_addresses(bench.router, "fd00:100::1/64", "fd00:1::1/64", interface="eth2")
    give_addresses(bench.inside, "fd00:100::11/64", "fd00:1::7/64")
    give_addresses(second, "fd00:100::12/64")
    give_addresses(bench.outside, "2001:db8::1/64")
    bench.outside.ip("route add 2001:db8:1::/64 via 2001:db8::2")
    for host in (bench.inside, second):
        host.ip("route add default via fd00:100::1")
    Who(bench.outside, "2001:db8::1", 7000)
    Who(bench.inside, "fd00:100::11", 8080, 8081)
    Who(second, "fd00:100::12", 8000)

    # The first neighbours are found as soon as all have joined their groups.
    for host, address in ((bench.router, "2001:db8::1"), (bench.router, "fd00:100::11"), (bench.router, "fd00:1::7"),
                          (bench.router, "fd00:100::12"), (second, "fd00:100::1")):
        wait_until(lambda: bench.pings(host, address, 1), 10, f"{host.name} finds {address}")

    def seen(host, source):
        answer = ask(host, "2001:db8::1", 7000, source=source)
        require(answer is not None, f"no answer to {source}")
        return answer[0], answer[1]

    require(seen(bench.inside, "fd00:1::7")[0] == "2001:db8:1::7", "prefix to prefix")
    address, port = seen(bench.inside, "fd00:100::11")
    require(address == "2001:db8::101" and 30000 <= port <= 30999, f"one address and ports: {address} {port}")
    require(seen(second, "fd00:100::12")[0] == "2001:db8::105", "static, from inside")
    answer = ask(bench.outside, "2001:db8::101", 80, protocol="tcp")
    require(answer and answer[2] == "fd00:100::11", f"destination: {answer}")
    answer = ask(bench.outside, "2001:db8::105", 8000)
    require(answer and answer[2] == "fd00:100::12", f"static, from outside: {answer}")
    bench.outside.ip("neigh flush dev eth0")
    require(bench.pings(bench.outside, "2001:db8::2", 1), "neighbour discovery or the accepted echo does not pass")
    require(not bench.pings(bench.outside, "2001:db8::101", 1), "the default action lets an echo pass")
    bench.outside.ip("route add fd00:100::/64 via 2001:db8::2")
    require(silent(bench.outside, "fd00:100::11", 8081, protocol="tcp"), "the default action does not hold for IPv6")


DOCKER_LIKE = """
table ip nat {
  chain DOCKER { }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept;
    ip saddr 172.17.0.0/16 oifname != "docker0" counter masquerade; }
}
table ip filter {
  chain DOCKER-USER { counter return; }
  chain FORWARD { type filter hook forward priority filter; policy accept; counter jump DOCKER-USER; }
}
"""
FIREWALLD_LIKE = """
table inet firewalld {
  chain raw_PREROUTING { type filter hook prerouting priority raw + 10; policy accept;
    icmpv6 type { nd-neighbor-advert, nd-router-advert } accept; }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept; iifname "lo" accept; ct state invalid drop; }
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept; ct status dnat accept; counter accept; }
  chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; policy accept; counter; }
}
"""


def test_beside_other_tables():
    """With tables such as Docker and firewalld make: ours works, theirs stay as they are."""
    bench = RulesBench(DESTINATION_RULES)
    for text in (DOCKER_LIKE, FIREWALLD_LIKE):
        bench.router.nft(text)
    theirs = [["nft", "-s", "list", "table", *table.split()] for table in ("ip nat", "ip filter", "inet firewalld")]
    before = [bench.router.run(command).stdout for command in theirs]
    Who(bench.inside, "192.168.100.11", 8080)
    Who(bench.outside, SERVER, 7000)
    for _ in range(3):
        answer = ask(bench.outside, WAN_VIRTUAL, 80, protocol="tcp")
        require(answer and answer[2] == "192.168.100.11", f"a server beside other tables: {answer}")
        answer = ask(bench.inside, SERVER, 7000)
        require(answer and answer[0] == WAN_VIRTUAL, f"translation beside other tables: {answer}")
        require(bench.natctl("nat", "apply").returncode == 0, "nat apply fails beside other tables")
    bench.natctl("nat", "clear")
    require([bench.router.run(command).stdout for command in theirs] == before, "another table was changed")


def test_counters_outlive_a_reload():
    """What is the same goes on counting, also under another description and in another place; a new one starts at 0."""
    rules = "nat: { source: { 10: { description: %s, outbound_interface: eth0, source_address: 192.168.100.0/24, " \
            "translate_to: 10.10.0.101%s } } }\n"
    wall = "firewall: { lan: { interfaces: { eth2: in }, default_action: accept, rules: { 10: { action: accept, " \
           "protocol: udp } %s} } }\n"
    bench = RulesBench(rules % ("one", "") + wall % "")
    Who(bench.outside, SERVER, 7000)
    for _ in range(5):
        require(ask(bench.inside, SERVER, 7000), "no answer")
    before = bench.rule_counts()
    require(before["source 10"] == 5 and before["10"] == 5, f"counted: {before}")
    more = ", 5: { action: drop, protocol: tcp, destination_ports: 9 } "
    bench.reload(rules % ("two", "") + wall % more, "source 10: two")
    after = bench.rule_counts()
    require(after["source 10"] == 5 and after["10"] == 5 and after["5"] == 0, f"after the reload: {after}")
    require(ask(bench.inside, SERVER, 7000), "no answer after the reload")
    require(bench.rule_counts()["source 10"] == 6, "the counter does not go on")
    bench.reload(rules % ("two", ", port_mapping: fully-random") + wall % "", "fully-random")
    after = bench.rule_counts()
    require(after["source 10"] == 0 and after["10"] == 6, f"after the second reload: {after}")


HOOKS = 1024  # that a kernel takes at one place


def test_refused_rules_leave_the_old_ones():
    """A whole table that the kernel refuses changes nothing: the old one translates on, and its gate still moves."""
    rules = "nat: {{ source: {{ 10: {{ outbound_interface: eth0, source_address: 192.168.100.0/24, " \
            "translate_to: {} }} }} }}\n"
    bench = RulesBench(rules.format("10.10.0.101"))
    give_addresses(bench.router, "10.10.0.120/32")
    Who(bench.outside, SERVER, 7000)
    require(ask(bench.inside, SERVER, 7000)[0] == WAN_VIRTUAL, "the old rule does not translate")

    def listing():
        return bench.router.run(["nft", "-s", "list", "table", "inet", "steadynat"]).stdout

    # The new table's hooks come before the old one's go: where there is no room for them, the kernel takes none of it.
    chains = "".join(f"chain c{n} {{ type filter hook prerouting priority {n}; }}\n" for n in range(HOOKS - 4))
    bench.router.nft(f"table inet full {{\n{chains}}}\n")
    before = listing()
    refused = bench.natctl("nat", "apply")
    require(refused.returncode == 1 and "nftables:" in refused.stderr, f"the kernel takes it: {refused}")
    require(listing() == before, "a refused table changed the one that stands")
    bench.write_config(config=HEAD + rules.format("10.10.0.120"))
    bench.agent.signal(signal.SIGHUP)
    wait_until(lambda: '"error": "nftables' in bench.natctl("show", "nat", "--json").stdout, 30, "the refusal shows")
    require(listing() == before, "refused rules changed those that stand")
    require(ask(bench.inside, SERVER, 7000)[0] == WAN_VIRTUAL, "the old rule translates no more")
    bench.vrrpd.shut(1)
    bench.wait_gate("shut")
    bench.forget_flows()
    require(silent(bench.inside, SERVER, 7000), "the shut gate lets through")
    told = json.loads(bench.natctl("show", "nat", "--json").stdout)
    counted = bench.counter("shut")
    require(told["counters"]["shut_packets"] == counted > 0, f"{counted} packets stopped, but told of are {told}")
    bench.master(2)
    require(ask(bench.inside, SERVER, 7000)[0] == WAN_VIRTUAL, "the old rule translates no more, once open again")
    bench.router.run(["nft", "delete", "table", "inet", "full"])
    wait_until(lambda: "10.10.0.120" in bench.table(), 30, "the new rules come as soon as there is room")
    bench.forget_flows()
    require(ask(bench.inside, SERVER, 7000)[0] == "10.10.0.120", "the new rule does not translate")
    require(bench.gate() == "open", "the gate was not kept")
