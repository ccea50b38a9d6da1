// The rules of NAT and firewall: what is read, and what is said about mistakes.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/config.hpp"

namespace {

using namespace common;

const std::string kHead =
    "version: 1\n"
    "nodes: { R1: { sync_address: 10.9.0.1, interfaces: { wan: enp1s0 } }, R2: { sync_address: 10.9.0.2 } }\n"
    "vrrp:\n"
    "  groups:\n"
    "    G: { instances: { w: { interface: wan, vrid: 1, virtual_addresses: [10.10.0.101/24, 10.10.0.102/24] },\n"
    "                      l: { interface: lan, vrid: 2, virtual_addresses: [192.168.0.1/24] } } }\n"
    "sync: { links: [ { interface: link } ], security: none }\n"
    "address_groups: { servers: [192.168.0.5, 192.168.0.8/30, 192.168.0.6-192.168.0.9] }\n"
    "port_groups: { web: [80, 443] }\n";  // 9 lines

std::vector<std::string> diagnose(const std::string& tail) {
  std::vector<std::string> lines;
  for (const Diagnostic& each : parse_config(kHead + tail + "\n", "f", "R1").diagnostics)
    lines.push_back(each.to_string());
  return lines;
}

Config config_of(const std::string& tail, std::string_view node = "R1") {
  const LoadedConfig loaded = parse_config(kHead + tail + "\n", "f", node);
  std::string said;
  for (const Diagnostic& each : loaded.diagnostics) said += each.to_string() + "\n";
  INFO(said);
  REQUIRE(loaded.config.has_value());
  return *loaded.config;
}

using Lines = std::vector<std::string>;

Lines source(const std::string& body) {
  return diagnose("nat: { source: { 1: { " + body + " } } }");
}
Lines destination(const std::string& body) {
  return diagnose("nat: { destination: { 1: { " + body + " } } }");
}
Lines one_to_one(const std::string& body) {
  return diagnose("nat: { static: { 1: { interface: wan, " + body + " } } }");
}
Lines rule(const std::string& body) {
  return diagnose("firewall: { f: { interfaces: { lan: in }, rules: { 1: { action: drop, " + body + " } } } }");
}

AddressRange range(std::string_view text) {
  return *AddressRange::parse(text);
}

}  // namespace

TEST_CASE("addresses, ports and interfaces: lists, groups, and what is not meant") {
  const Config config = config_of(
      "nat: { source: { 1: { outbound_interface: [wan, 'ppp*', not eth9], source_address: [servers],\n"
      "  destination_address: ['!10.0.0.0/8', not servers, 'not 10.1.0.0/16'], protocol: [tcp, 17],\n"
      "  source_ports: [1024-65535, not web], destination_ports: web, translate_to: 10.10.0.101 } } }");
  const TrafficMatch& match = config.nat->source.front().match;
  CHECK(match.outbound == InterfaceSet{{"enp1s0", "ppp*"}, {"eth9"}});
  CHECK(match.source.any == std::vector{range("192.168.0.5"), range("192.168.0.6-192.168.0.11")});
  CHECK(match.source.any_group == "servers");
  CHECK(match.destination.any.empty());
  CHECK(match.destination.none.front() == range("10.0.0.0/8"));
  CHECK(match.destination.none_group.empty());  // it is not that alone
  CHECK(match.protocol == ProtocolSet{{6, 17}, {}});
  CHECK(match.source_ports.any == std::vector{PortRange{1024, 65535}});
  CHECK(match.source_ports.none_group == "web");
  CHECK(match.destination_ports.any_group == "web");
  CHECK(match.family == Family::ipv4);
}

TEST_CASE("a match in words: what it holds for") {
  const AddressSet set{{range("10.0.0.0/8")}, {range("10.1.0.0/16")}, {}, {}};
  CHECK(set.matches(*IpAddress::parse("10.2.0.1")));
  CHECK_FALSE(set.matches(*IpAddress::parse("10.1.0.1")));
  CHECK_FALSE(set.matches(*IpAddress::parse("11.0.0.1")));
  const AddressSet others{{}, {range("10.1.0.0/16")}, {}, {}};
  CHECK(others.matches(*IpAddress::parse("11.0.0.1")));
  CHECK_FALSE(others.matches(*IpAddress::parse("2001:db8::1")));  // the rule is one of IPv4
  const InterfaceSet names{{"ppp*", "eth0"}, {"ppp9"}};
  CHECK(names.matches("ppp12"));
  CHECK(names.matches("eth0"));
  CHECK_FALSE(names.matches("ppp9"));
  CHECK_FALSE(names.matches("eth01"));
}

TEST_CASE("ranges of addresses") {
  CHECK(range("10.0.0.7/24").to_string() == "10.0.0.0/24");
  CHECK(range("10.0.0.0-10.0.0.255").to_string() == "10.0.0.0/24");
  CHECK(range("10.0.0.1-10.0.0.255").to_string() == "10.0.0.1-10.0.0.255");
  CHECK(range("10.0.0.1-10.0.0.1").to_string() == "10.0.0.1");
  CHECK(range("0.0.0.0/0").last.to_string() == "255.255.255.255");
  CHECK(range("2001:db8::/64").last.to_string() == "2001:db8::ffff:ffff:ffff:ffff");
  for (const char* wrong : {"", "-", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "10.0.0.1-", "10.0.0.0/8-10.0.0.1", "x"})
    CHECK_FALSE(AddressRange::parse(wrong).has_value());
  CHECK(merged(std::vector{range("10.0.0.9"), range("10.0.0.0/29"), range("10.0.0.4-10.0.0.9")}) ==
        std::vector{range("10.0.0.0-10.0.0.9")});
  for (const char* wrong : {"", "0", "65536", "2-1", "-5", "5-", "80,81", "x"})
    CHECK_FALSE(PortRange::parse(wrong).has_value());
}

TEST_CASE("protocols by name, pair and number") {
  using Numbers = std::vector<std::uint8_t>;
  CHECK(protocol_numbers("") == Numbers{});
  CHECK(protocol_numbers("tcp") == Numbers{6});
  CHECK(protocol_numbers("tcp_udp") == Numbers{6, 17});
  CHECK(protocol_numbers("89") == Numbers{89});
  CHECK_FALSE(protocol_numbers("256").has_value());
  CHECK_FALSE(protocol_numbers("6x").has_value());
  CHECK_FALSE(protocol_numbers("-1").has_value());
  CHECK(protocol_name(112) == "vrrp");
  CHECK(protocol_name(200) == "200");
}

TEST_CASE("the ports of a source rule may differ by node") {
  const std::string halves = "nat: { source: { 7: { translate_to: 10.10.0.101, ports: per-node } } }";
  const PortRange one = *config_of(halves).nat->source[0].ports, other = *config_of(halves, "R2").nat->source[0].ports;
  CHECK(one == PortRange{1024, 33279});
  CHECK(other == PortRange{33280, 65535});
  CHECK(one.size() == other.size());
  const std::string given = "nat: { source: { 7: { translate_to: 10.10.0.101, ports: { R2: 2000-2999, R1: 1500 } } } }";
  CHECK(config_of(given).nat->source[0].ports == PortRange{1500, 1500});
  CHECK(config_of(given, "R2").nat->source[0].ports == PortRange{2000, 2999});
  CHECK(source("translate_to: 10.10.0.101, ports: { R1: 1-5, R2: 5-6 }") ==
        Lines{"f:10:57: warning: nat.source.1.ports: the two routers share ports: connections made while they do not "
              "hear each other can clash"});
  CHECK(source("translate_to: 10.10.0.101, ports: { R1: 1-5, R3: 6-7 }") ==
        Lines{"f:10:57: error: nat.source.1.ports: the ports of node R2 are missing",
              "f:10:68: error: nat.source.1.ports: no node is called 'R3'"});
}

TEST_CASE("rules that are switched off are checked all the same") {
  const Config config = config_of(
      "nat: { source: { 1: { enabled: false, translate_to: 10.10.0.101 } } }\n"
      "firewall: { f: { interfaces: { lan: in }, rules: { 1: { enabled: false, action: drop } } } }");
  CHECK(config.nat->source.empty());
  CHECK(config.firewall.front().rules.empty());
  CHECK(source("enabled: false, translate_to: x") ==
        Lines{"f:10:53: error: nat.source.1.translate_to: 'x' is neither an IP address, a network nor a range "
              "(first-last)"});
}

TEST_CASE("mistakes in groups") {
  CHECK(diagnose("address_groups: {}") ==
        Lines{"f:10:1: error: duplicate key 'address_groups', first given in line 8"});
  const auto say = [](const std::string& text) {
    Lines lines;
    for (const auto& each : parse_config("version: 1\nnodes: { R1: }\nnat: {}\n" + text, "f", "R1").diagnostics)
      lines.push_back(each.to_string());
    return lines;
  };
  CHECK(say("address_groups: { 10.0.0.1: [10.0.0.1] }") ==
        Lines{"f:4:19: error: '10.0.0.1' cannot be the name of a group; begin with a letter, then at most 62 letters, "
              "digits, '-', '_' and '.'"});
  CHECK(say("address_groups: { a: [] }") == Lines{"f:4:22: error: address_groups.a: must not be empty"});
  CHECK(say("address_groups: { a: not 10.0.0.1 }") ==
        Lines{"f:4:22: error: address_groups.a: a group says what belongs to it; put the 'not' into the rule"});
  CHECK(
      say("address_groups: { a: [10.0.0.1, '::1'] }") ==
      Lines{"f:4:22: error: address_groups.a: the addresses are not of one family, IPv4 or IPv6; write two of these"});
  CHECK(say("port_groups: { a: [http] }") ==
        Lines{"f:4:20: error: port_groups.a: 'http' is neither a port (1 to 65535), a range (first-last) nor one of "
              "the port_groups"});
  // A group may hold another that stands above it.
  CHECK(say("port_groups: { a: [80], b: [a, 443] }").empty());
}

TEST_CASE("mistakes in source rules") {
  const std::string to = "translate_to: 10.10.0.101";
  CHECK(source(to + ", source_address: serwers") ==
        Lines{"f:10:66: error: nat.source.1.source_address: 'serwers' is neither an IP address, a network, a range "
              "(first-last) nor one of the address_groups; did you mean 'servers'?"});
  CHECK(source(to + ", source_address: not 0.0.0.0/0") ==
        Lines{"f:10:66: error: nat.source.1.source_address: 'not' everything is nothing"});
  CHECK(source(to + ", source_address: []") == Lines{"f:10:66: error: nat.source.1.source_address: must not be empty"});
  CHECK(
      source(to + ", source_ports: 80") ==
      Lines{"f:10:21: error: nat.source.1: ports need a protocol that has them; add `protocol: tcp`, udp or tcp_udp"});
  CHECK(source(to + ", protocol: [tcp, not udp]") ==
        Lines{"f:10:60: error: nat.source.1.protocol: give the protocols that are meant, or those that are not"});
  CHECK(source(to + ", ports: 70000") ==
        Lines{"f:10:57: error: nat.source.1.ports: '70000' is neither a port (1 to 65535) nor a range (first-last)"});
  CHECK(source(to + ", exclude: true") ==
        Lines{"f:10:21: error: nat.source.1: what is excluded is not translated; remove 'translate_to'"});
  CHECK(source("exclude: true").empty());
  CHECK(
      source("source_address: 10.0.0.0/24, translate_to: 198.51.100.0/25, address_mapping: prefix") ==
      Lines{"f:10:100: error: nat.source.1.address_mapping: prefix needs one network as source_address and one of the "
            "same length as translate_to"});
  CHECK(source("source_address: 10.0.0.0/24, translate_to: 198.51.100.0/24, address_mapping: prefix").empty());
  CHECK(source("source_address: 10.0.0.0/24, translate_to: 10.10.0.96/28") ==
        Lines{"f:10:66: warning: nat.source.1.translate_to: of 10.10.0.96/28 only what is a virtual address moves in a "
              "failover, and the rest is in the network of 10.10.0.101/24: connections will break"});
  CHECK(source("outbound_interface: 'e*h', " + to) ==
        Lines{"f:10:43: error: nat.source.1.outbound_interface: 'e*h' cannot be the name of an interface (at most 15 "
              "printable characters, without spaces or any of /:\"\\*)"});
}

TEST_CASE("mistakes in destination rules and static ones") {
  const std::string base = "inbound_interface: wan, destination_address: 10.10.0.101, protocol: tcp, ";
  CHECK(destination(base + "destination_ports: 80, translate_to: 192.168.0.5, ports: 8080, hairpin: lan").empty());
  CHECK(destination(base + "destination_ports: 80") ==
        Lines{"f:10:26: error: nat.destination.1: 'translate_to' is missing"});
  CHECK(destination("destination_address: 10.10.0.101, translate_to: 192.168.0.5, ports: 80") ==
        Lines{"f:10:96: error: nat.destination.1.ports: ports need a protocol that has them; add `protocol: tcp`, udp "
              "or tcp_udp"});
  CHECK(destination(base + "destination_ports: 80-82, translate_to: 192.168.0.5, ports: 90-91") ==
        Lines{"f:10:161: error: nat.destination.1.ports: several ports need as many, in one range, as "
              "destination_ports: each is translated to its own"});
  CHECK(
      destination(base + "translate_to: 192.168.0.5, hairpin: link") ==
      Lines{"f:10:137: error: nat.destination.1.hairpin: no instance has an IPv4 virtual address on 'link', which the "
            "server would answer to"});
  CHECK(destination("translate_to: 192.168.0.5") ==
        Lines{"f:10:26: warning: nat.destination.1: without destination_address and inbound_interface it takes all "
              "that this router forwards"});
  CHECK(destination("destination_address: 10.10.0.9, translate_to: 192.168.0.5") ==
        Lines{"f:10:49: warning: nat.destination.1.destination_address: 10.10.0.9 is no virtual address, so it does "
              "not move in a failover: connections will break"});
  CHECK(destination("inbound_interface: wan, translate_to: '::5', destination_address: 10.10.0.101") ==
        Lines{"f:10:66: error: nat.destination.1.translate_to: destination_address and translate_to are not of one "
              "family, IPv4 or IPv6"});
  CHECK(one_to_one("outside_address: 10.10.0.102, inside_address: 192.168.0.5").empty());
  CHECK(one_to_one("outside_address: 198.51.100.0/24, inside_address: 192.168.0.0/25") ==
        Lines{"f:10:21: error: nat.static.1: outside_address and inside_address must be two addresses, or two networks "
              "of the same length"});
  CHECK(one_to_one("inside_address: 192.168.0.5") ==
        Lines{"f:10:21: error: nat.static.1: 'outside_address' is missing"});
}

TEST_CASE("what a firewall rule can say") {
  const Config config = config_of(
      "firewall: { f: { interfaces: { 'ppp*': in, wan: local }, family: ipv4, log_default: true, rules: {\n"
      "  1: { action: accept, protocol: icmp, icmp_types: destination-unreachable, icmp_code: 4, log: true },\n"
      "  2: { action: accept, protocol: icmp, icmp_types: [echo-request, 13], limit: 10/second },\n"
      "  3: { action: drop, protocol: tcp, tcp_flags: [syn, not ack], limit: { rate: 5/minute, burst: 9 } },\n"
      "  4: { action: drop, source_mac: '00:53:00:12:34:56', inbound_interface: not ppp0 } } } }");
  const FirewallRuleSet& set = config.firewall.front();
  CHECK(set.interfaces[0].interface == "ppp*");
  CHECK(set.interfaces[1].interface == "enp1s0");
  CHECK(set.family == Family::ipv4);
  CHECK(set.log_default);
  REQUIRE(set.rules.size() == 4);
  CHECK(set.rules[0].match.icmp_types == std::vector<std::uint8_t>{3});
  CHECK(set.rules[0].match.icmp_code == 4);
  CHECK(set.rules[0].log);
  CHECK(set.rules[1].match.icmp_types == std::vector<std::uint8_t>{8, 13});
  CHECK(set.rules[1].match.limit == RateLimit{10, "second", 5});
  CHECK(set.rules[2].match.tcp_flags == TcpFlags{0x12, 0x02});
  CHECK(set.rules[2].match.limit == RateLimit{5, "minute", 9});
  CHECK(set.rules[3].match.source_mac == MacAddress::parse("00:53:00:12:34:56"));
  CHECK(set.rules[3].match.inbound == InterfaceSet{{}, {"ppp0"}});
}

TEST_CASE("mistakes in firewall rules") {
  CHECK(rule("icmp_types: echo-request") ==
        Lines{"f:10:83: error: firewall.f.rules.1.icmp_types: types differ between IPv4 and IPv6; add `protocol: icmp` "
              "or icmpv6"});
  CHECK(rule("protocol: icmp, icmp_types: ekho-request") ==
        Lines{"f:10:99: error: firewall.f.rules.1.icmp_types: unknown type 'ekho-request'; did you mean "
              "'echo-request'?"});
  CHECK(rule("protocol: icmp, icmp_types: [3, 4], icmp_code: 1") ==
        Lines{"f:10:118: error: firewall.f.rules.1.icmp_code: a code needs the one type in icmp_types that it belongs "
              "to"});
  CHECK(rule("tcp_flags: syn") == Lines{"f:10:82: error: firewall.f.rules.1.tcp_flags: flags need `protocol: tcp`"});
  CHECK(rule("protocol: tcp, tcp_flags: sin") ==
        Lines{"f:10:97: error: firewall.f.rules.1.tcp_flags: unknown flag 'sin'; there are fin, syn, rst, psh, ack, "
              "urg, ecn and cwr"});
  CHECK(
      rule("limit: 10") ==
      Lines{"f:10:78: error: firewall.f.rules.1.limit: expected a rate such as 10/second, per second, minute, hour or "
            "day, found '10'"});
  CHECK(rule("limit: 0/second") ==
        Lines{"f:10:78: error: firewall.f.rules.1.limit: expected a number from 1 to 1000000, found '0'"});
  CHECK(rule("source_mac: 00:11") ==
        Lines{"f:10:83: error: firewall.f.rules.1.source_mac: '00:11' is not a hardware address such as "
              "00:53:00:12:34:56"});
  CHECK(diagnose("firewall: { a: { family: ipv4, interfaces: { lan: in } }, b: { family: ipv6, interfaces: { lan: in } "
                 "} }")
            .empty());
  CHECK(diagnose("firewall: { a: { family: ipv4, interfaces: { lan: in } }, b: { interfaces: { lan: in } } }") ==
        Lines{"f:10:83: error: firewall.b.interfaces.lan: rule set 'a' is used there already; an interface has one per "
              "direction"});
}

TEST_CASE("established and related may stand in two rules") {
  const std::string head =
      "firewall: { f: { interfaces: { lan: in }, rules: { 1: { action: accept, state: established }";
  CHECK(diagnose(head + ", 2: { action: accept, state: related } } } }").empty());
  CHECK(diagnose(head + ", 2: { action: drop, state: related } } } }").size() == 1);
}

TEST_CASE("a rule set that asks for the pair's own packets is told what it would keep out") {
  const auto say = [](const std::string& interface, const std::string& rules) {
    return diagnose("firewall: { f: { pair_traffic: filter, interfaces: { " + interface + ": local }, rules: { " +
                    rules + " } } }");
  };
  CHECK(say("wan", "") ==
        Lines{"f:10:13: warning: firewall.f: the adverts of VRRP on wan would be dropped by the default "
              "action"});
  CHECK(say("wan", "1: { action: accept, protocol: vrrp }").empty());
  CHECK(say("wan", "1: { action: drop, destination_address: 224.0.0.0/4 }, 2: { action: accept, protocol: vrrp }") ==
        Lines{"f:10:13: warning: firewall.f: the adverts of VRRP on wan would be dropped by rule 1"});
  CHECK(say("wan", "1: { action: accept, source_address: 10.10.0.2, protocol: vrrp }").empty());
  CHECK(say("link", "1: { action: accept, protocol: udp, destination_ports: 3780 }") ==
        Lines{"f:10:13: warning: firewall.f: the sync link on link would be dropped by the default action"});
  CHECK(say("link", "1: { action: accept, protocol: udp, destination_ports: 3781, source_address: 10.9.0.0/24 }")
            .empty());
  CHECK(say("link", "1: { action: accept, protocol: udp, destination_ports: 3781, source_address: 10.9.0.1 }").size() ==
        1);
  CHECK(say("'li*'", "").size() == 1);
  // With multicast it is the group that its datagrams go to.
  const auto to = [](const std::string& destination) {
    std::string head = kHead;
    head.replace(head.find("{ interface: link }"), 19, "{ interface: link, multicast: 225.0.0.50 }");
    const std::string rule = "{ action: accept, protocol: udp, destination_address: " + destination + " }";
    return parse_config(head + "firewall: { f: { pair_traffic: filter, interfaces: { link: local }, rules: { 1: " +
                            rule + " } } }\n",
                        "f", "R1")
        .diagnostics.size();
  };
  CHECK(to("225.0.0.50") == 0);
  CHECK(to("10.9.0.0/24") == 1);
  // Without the key it is let through anyhow, and a rule set that does not look at the router's own packets is
  // harmless.
  CHECK(diagnose("firewall: { f: { interfaces: { wan: local } } }").empty());
  CHECK(diagnose("firewall: { f: { pair_traffic: filter, interfaces: { wan: in } } }").empty());
}

TEST_CASE("the example of rules is without a fault") {
  std::stringstream text;
  text << std::ifstream(STEADYNAT_SOURCE_DIR "/examples/rules/steadynat.yaml").rdbuf();
  for (const char* node : {"R1", "R2"}) {
    const LoadedConfig loaded = parse_config(text.str(), "example", node);
    CHECK(loaded.diagnostics.empty());
    REQUIRE(loaded.config.has_value());
    CHECK(loaded.config->nat->source.size() == 2);
  }
}
