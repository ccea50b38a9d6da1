#include "common/config.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

namespace {

using namespace common;

std::string example() {
  std::ifstream file(STEADYNAT_SOURCE_DIR "/examples/pair/steadynat.yaml");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string errors_of(const LoadedConfig& loaded) {
  std::string all;
  for (const Diagnostic& each : loaded.diagnostics) all += each.to_string() + "\n";
  return all;
}

Config config_of(std::string_view text, std::string_view node = "R1") {
  LoadedConfig loaded = parse_config(text, "f", node);
  INFO(errors_of(loaded));
  REQUIRE(loaded.config.has_value());
  return std::move(*loaded.config);
}

}  // namespace

TEST_CASE("the example of the pair is read for both routers") {
  const std::string text = example();
  REQUIRE(!text.empty());
  const Config r1 = config_of(text, "R1"), r2 = config_of(text, "R2");
  CHECK(r1.node == "R1");
  CHECK(r1.peer == "R2");
  CHECK(r2.peer == "R1");
  REQUIRE(r1.vrrp->groups.size() == 1);
  const GroupConfig& group = r1.vrrp->groups.front();
  CHECK(group.name == "MAIN-GW");
  CHECK(group.priority == 200);
  CHECK(group.peer_priority == 100);
  CHECK(r2.vrrp->groups.front().priority == 100);
  CHECK(r2.vrrp->groups.front().peer_priority == 200);
  CHECK(group.advertise_interval == 1s);
  CHECK(group.preempt);
  REQUIRE(group.instances.size() == 2);
  CHECK(group.instances[0].name == "wan");
  CHECK(group.instances[0].interface == "eth0");
  CHECK(group.instances[0].vrid == 1);
  CHECK(group.instances[0].virtual_addresses == std::vector{*Prefix::parse("10.10.0.101/24")});
  CHECK(group.instances[1].interface == "eth2");
  CHECK(group.instances[1].vrid == 2);
  REQUIRE(r1.sync);
  CHECK(r1.sync->groups == std::vector<std::string>{"MAIN-GW"});
  REQUIRE(r1.sync->links.size() == 1);
  CHECK(r1.sync->links[0].interface == "eth1");
  CHECK(r1.sync->links[0].local.to_string() == "10.10.10.2");
  CHECK(r1.sync->links[0].peer.to_string() == "10.10.10.3");
  CHECK(r2.sync->links[0].local.to_string() == "10.10.10.3");
  CHECK(r2.sync->links[0].peer.to_string() == "10.10.10.2");
  CHECK(r1.sync->port == 3781);
  CHECK(r1.sync->key_file == "/etc/steadynat/sync.key");
  CHECK(r1.sync->commit == CommitPolicy::continuous);
  REQUIRE(r1.nat->source.size() == 1);
  const NatRule& rule = r1.nat->source.front();
  CHECK(rule.number == 10);
  CHECK(rule.description == "SNAT");
  CHECK(rule.group == "MAIN-GW");
  CHECK(rule.match.outbound == InterfaceSet{{"eth0"}, {}});
  CHECK(rule.match.source == AddressSet::of(*Prefix::parse("192.168.100.0/24")));
  CHECK(rule.translate_to == AddressRange::parse("10.10.0.101"));
  CHECK(rule.port_mapping == PortMapping::preserve);
  REQUIRE(r1.firewall.size() == 2);
  CHECK(r1.firewall[0].name == "internet_to_protected");
  CHECK(r1.firewall[0].default_action == FirewallAction::drop);
  REQUIRE(r1.firewall[0].rules.size() == 1);
  CHECK(r1.firewall[0].rules[0].match.states == std::vector{ConnectionState::established});
  CHECK(r1.firewall[1].interfaces[0].interface == "eth2");
  CHECK(r1.firewall[1].interfaces[0].direction == FirewallDirection::in);
  CHECK(r1.digest == r2.digest);
  CHECK(r1.digest.size() == 32);
}

TEST_CASE("the only thing to be said of the example is the article's firewall rule") {
  const LoadedConfig loaded = parse_config(example(), "steadynat.yaml", "R2");
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].severity == Diagnostic::Severity::warning);
  CHECK(loaded.diagnostics[0].text.find("established without related") != std::string::npos);
}

TEST_CASE("an unknown node gets the list of those that there are") {
  const LoadedConfig loaded = parse_config(example(), "f", "R3");
  CHECK(!loaded.config);
  CHECK(loaded.unknown_node_choices == std::vector<std::string>{"R1", "R2"});
}

TEST_CASE("names of interfaces are those of the node, everywhere") {
  const std::string text =
      "version: 1\n"
      "nodes:\n"
      "  R1: { interfaces: { wan: enp1s0, lan: bond0.100, s1: enp3s0 }, sync_addresses: { s1: 10.1.0.1, s2: "
      "10.2.0.1 } }\n"
      "  R2: { sync_addresses: { s1: 10.1.0.2, s2: 10.2.0.2 } }\n"
      "vrrp:\n"
      "  groups:\n"
      "    G:\n"
      "      priority: { R1: 10 }\n"
      "      instances:\n"
      "        w: { interface: wan, vrid: 1, virtual_addresses: [10.0.0.1] }\n"
      "        l: { interface: lan, vrid: 1, virtual_addresses: [192.168.0.1/24] }\n"
      "sync: { links: [ { interface: s1 }, { interface: s2 } ], security: none, port: 4000, commit: "
      "on-takeover }\n"
      "nat: { source: { 20: { outbound_interface: wan, translate_to: 10.0.0.1, port_mapping: fully-random "
      "},\n"
      "                 3: { outbound_interface: lan, protocol: udp, translate_to: 10.0.0.1 } } }\n"
      "firewall: { f: { interfaces: { wan: [in, local] } } }\n";
  const Config r1 = config_of(text, "R1"), r2 = config_of(text, "R2");
  const GroupConfig& group = r1.vrrp->groups[0];
  CHECK(group.instances[0].interface == "enp1s0");
  CHECK(group.instances[1].interface == "bond0.100");
  CHECK(r2.vrrp->groups[0].instances[0].interface == "wan");
  CHECK(group.priority == 10);
  CHECK(group.peer_priority == 100);  // the node's, by default
  CHECK(r2.vrrp->groups[0].priority == 100);
  CHECK(r2.vrrp->groups[0].peer_priority == 10);
  CHECK(group.instances[0].virtual_addresses[0].to_string() == "10.0.0.1/32");
  REQUIRE(r1.sync->links.size() == 2);
  CHECK(r1.sync->links[0].interface == "enp3s0");
  CHECK(r1.sync->links[1].interface == "s2");
  CHECK(r1.sync->links[1].local.to_string() == "10.2.0.1");
  CHECK(r1.sync->links[1].peer.to_string() == "10.2.0.2");
  CHECK(r1.sync->key_file.empty());
  CHECK(r1.sync->port == 4000);
  CHECK(r1.sync->commit == CommitPolicy::on_takeover);
  CHECK(r1.sync->groups == std::vector<std::string>{"G"});
  REQUIRE(r1.nat->source.size() == 2);
  CHECK(r1.nat->source[0].number == 3);
  CHECK(r1.nat->source[0].match.outbound == InterfaceSet{{"bond0.100"}, {}});
  CHECK(r1.nat->source[0].match.protocol == ProtocolSet{{17}, {}});
  CHECK(r1.nat->source[1].port_mapping == PortMapping::fully_random);
  REQUIRE(r1.firewall[0].interfaces.size() == 2);
  CHECK(r1.firewall[0].interfaces[1].interface == "enp1s0");
  CHECK(r1.firewall[0].interfaces[1].direction == FirewallDirection::local);
  CHECK(r1.digest == r2.digest);
}

TEST_CASE("a sync link is unicast unless it has a multicast group, and both routers must know") {
  const std::string head =
      "version: 1\n"
      "nodes: { R1: { sync_addresses: { a: 10.1.0.1, b: 'fe80::1', c: 10.2.0.1 } },\n"
      "         R2: { sync_addresses: { a: 10.1.0.2, b: 'fe80::2', c: 10.2.0.2 } } }\n"
      "vrrp: { groups: { G: { instances: { w: { interface: e, vrid: 1, virtual_addresses: [10.0.0.1] } } } } }\n"
      "sync: { security: none, links: [ { interface: a, multicast: 225.0.0.50 }, { interface: b, multicast: ";
  const std::string tail = " }, { interface: c } ] }\n";
  const Config r1 = config_of(head + "'ff02::50'" + tail, "R1"), r2 = config_of(head + "'ff02::50'" + tail, "R2");
  REQUIRE(r1.sync->links.size() == 3);
  CHECK(r1.sync->links[0].multicast == IpAddress::parse("225.0.0.50"));
  CHECK(r1.sync->links[0].peer.to_string() == "10.1.0.2");
  CHECK(r1.sync->links[1].multicast == IpAddress::parse("ff02::50"));
  CHECK_FALSE(r1.sync->links[2].multicast);
  CHECK(r2.sync->links[1].multicast == r1.sync->links[1].multicast);
  CHECK(r1.digest == r2.digest);
  CHECK(r1.digest != config_of(head + "'ff02::51'" + tail, "R1").digest);
}

TEST_CASE("one section besides the nodes is enough") {
  const std::string head = "version: 1\nnodes: { R1: }\n";
  const Config vrrp_only = config_of(head +
                                     "vrrp: { groups: { G: { instances: { a: { interface: e, vrid: 255, "
                                     "virtual_addresses: [10.0.0.1] } } } } }\n");
  CHECK(vrrp_only.peer.empty());
  CHECK(!vrrp_only.sync);
  CHECK(!vrrp_only.has_table());
  CHECK(vrrp_only.vrrp->groups[0].instances[0].virtual_addresses[0].to_string() == "10.0.0.1/32");
  CHECK(config_of(head + "nat:\n").has_table());
  CHECK(config_of(head + "firewall: { f: { interfaces: { e: in } } }\n").has_table());
}

TEST_CASE("every key of a group arrives") {
  const std::string text =
      "version: 1\nnodes: { R1: }\n"
      "vrrp:\n  groups:\n    G:\n"
      "      advertise_interval: 40.95s\n"
      "      preempt: false\n"
      "      preempt_delay: 2min\n"
      "      startup_delay: 30s\n"
      "      preempt_without_sync: 1.5s\n"
      "      prepare_timeout: 250ms\n"
      "      gate_timeout: 3s\n"
      "      heal_hold: 0s\n"
      "      witness_hold: 4s\n"
      "      address_lifetime: 3s\n"
      "      garp: { count: 3, repeat_after: 0s, refresh: 60s }\n"
      "      hooks: { notify: /n, master: /m, backup: /b, fault: /f, stop: /s, user: nobody, timeout: 5s }\n"
      "      protects: [192.168.0.0/24]\n"
      "      instances: { a: { interface: e, vrid: 7, virtual_addresses: [10.0.0.1], checksum: rfc9568 } }\n";
  const Config config = config_of(text);
  const GroupConfig& group = config.vrrp->groups[0];
  CHECK(group.advertise_interval == 40950ms);
  CHECK(!group.preempt);
  CHECK(group.preempt_delay == 120s);
  CHECK(group.startup_delay == 30s);
  CHECK(group.preempt_without_sync == PreemptWithoutSync::after);
  CHECK(group.preempt_without_sync_after == 1500ms);
  CHECK(group.prepare_timeout == 250ms);
  CHECK(group.gate_timeout == 3s);
  CHECK(group.heal_hold == 0s);
  CHECK(group.witness_hold == 4s);
  CHECK(group.address_lifetime == 3s);
  CHECK(group.garp.count == 3);
  CHECK(group.garp.repeat_after == 0s);
  CHECK(group.garp.refresh == 60s);
  CHECK(group.hooks.notify == "/n");
  CHECK(group.hooks.master == "/m");
  CHECK(group.hooks.backup == "/b");
  CHECK(group.hooks.fault == "/f");
  CHECK(group.hooks.stop == "/s");
  CHECK(group.hooks.user == "nobody");
  CHECK(group.hooks.timeout == 5s);
  CHECK(group.protects == std::vector{*Prefix::parse("192.168.0.0/24")});
  CHECK(group.instances[0].checksum == Checksum::rfc9568);
}

TEST_CASE("every key of an instance arrives") {
  const std::string text =
      "version: 1\nnodes: { R1: { priority: 200 }, R2: }\n"
      "vrrp:\n  groups:\n    G:\n"
      "      instances:\n"
      "        a: { interface: e, vrid: 7, virtual_addresses: [10.0.0.1/24], version: 2+3, password_file: /p,\n"
      "             priority: { R1: 150 }, advertise_interval: 500ms, accept: false }\n"
      "        b: { interface: e, vrid: 7, virtual_addresses: ['fe80::1/64', '2001:db8::1/64'] }\n";
  const Config r1 = config_of(text), r2 = config_of(text, "R2");
  const GroupConfig& group = r1.vrrp->groups[0];
  const InstanceConfig &a = group.instances[0], &b = group.instances[1];
  CHECK(a.version == VrrpVersion::both);
  CHECK(a.password_file == "/p");
  CHECK(a.password.empty());
  CHECK(!a.accept);
  CHECK(group.priority_of(a) == 150);
  CHECK(group.priority_of(b) == 200);
  CHECK(r2.vrrp->groups[0].priority_of(r2.vrrp->groups[0].instances[0]) == 100);
  CHECK(group.interval_of(a) == 500ms);
  CHECK(group.interval_of(b) == 1s);
  CHECK(b.family() == Family::ipv6);
  CHECK(b.accept);
  CHECK(r1.has_table());  // what is not accepted is dropped by the table
}

TEST_CASE("how an instance reaches its peer arrives, each node with its own address") {
  const std::string text =
      "version: 1\nnodes: { R1: { interfaces: { wan: enp1s0 } }, R2: }\n"
      "vrrp:\n  groups:\n    G:\n"
      "      garp: { count: 2 }\n"
      "      instances:\n"
      "        a: { interface: wan, vrid: 7, virtual_addresses: [10.0.0.1/24], excluded_addresses: [10.0.1.1],\n"
      "             unicast: { R1: 10.0.0.2, R2: 10.0.0.3 }, unicast_peers: [10.0.0.4], unicast_minimum_ttl: 250,\n"
      "             virtual_mac: true, garp: { refresh: 60s }, hooks: { notify: /h },\n"
      "             virtual_routes: [{ to: default, via: 10.0.0.9 },\n"
      "                              { to: 10.8.0.0/16, metric: 5, table: 100, source: 10.0.1.1 }] }\n"
      "        b: { interface: lan, vrid: 8, virtual_addresses: ['fe80::1/64', '2001:db8::1/64'], virtual_mac: vm,\n"
      "             virtual_routes: [{ to: default, via: 'fe80::9' }] }\n"
      "firewall: { f: { interfaces: { wan: in } } }\n"
      "nat: { source: { 10: { outbound_interface: wan, translate_to: 10.0.1.1 } } }\n";
  const Config r1 = config_of(text), r2 = config_of(text, "R2");
  const InstanceConfig &a = r1.vrrp->groups[0].instances[0], &b = r1.vrrp->groups[0].instances[1];
  const InstanceConfig& other = r2.vrrp->groups[0].instances[0];
  REQUIRE(a.unicast.has_value());
  CHECK(a.unicast->own == *IpAddress::parse("10.0.0.2"));
  CHECK(a.unicast->peers == std::vector{*IpAddress::parse("10.0.0.4"), *IpAddress::parse("10.0.0.3")});
  CHECK(a.unicast->minimum_ttl == 250);
  CHECK(other.unicast->own == *IpAddress::parse("10.0.0.3"));
  CHECK(!b.unicast);
  CHECK(a.excluded_addresses == std::vector{*Prefix::parse("10.0.1.1/32")});
  CHECK(a.all_addresses().size() == 2);
  CHECK(r1.vrrp->groups[0].garp_of(a).count == 2);
  CHECK(r1.vrrp->groups[0].garp_of(a).refresh == 60s);
  CHECK(r1.vrrp->groups[0].garp_of(b).refresh == 0s);
  CHECK(a.hooks.notify == "/h");
  CHECK(a.virtual_mac == "v4-7-wan");
  CHECK(b.virtual_mac == "vm");
  REQUIRE(a.virtual_routes.size() == 2);
  CHECK(a.virtual_routes[0] ==
        RouteConfig{*Prefix::parse("0.0.0.0/0"), IpAddress::parse("10.0.0.9"), IpAddress::parse("10.0.0.1"), 0, 254});
  CHECK(a.virtual_routes[1] ==
        RouteConfig{*Prefix::parse("10.8.0.0/16"), std::nullopt, IpAddress::parse("10.0.1.1"), 5, 100});
  CHECK(b.virtual_routes[0].source == IpAddress::parse("2001:db8::1"));  // not the link-local one
  // Packets to the virtual router come in by the interface that has its MAC: rules are about both.
  CHECK(r1.devices_of("enp1s0") == std::vector<std::string>{"enp1s0", "v4-7-wan"});
  CHECK(r1.nat->source[0].match.outbound.any == std::vector<std::string>{"enp1s0", "v4-7-wan"});
  REQUIRE(r1.firewall[0].interfaces.size() == 2);
  CHECK(r1.firewall[0].interfaces[1].interface == "v4-7-wan");
}

TEST_CASE("the digest tells files apart by what they say, not by how they look") {
  const auto digest = [](std::string_view text) { return config_of(text).digest; };
  const std::string plain = digest("version: 1\nnodes: { R1: { priority: 7 }, R2: }\nnat: { source: {} }\n");
  CHECK(plain == digest("# note\nnat:\n    source: {}\nnodes:\n  R2:\n  R1: {\"priority\": '7'}\n\nversion: 1"));
  CHECK(plain != digest("version: 1\nnodes: { R1: { priority: 8 }, R2: }\nnat: { source: {} }\n"));
  CHECK(plain != digest("version: 1\nnodes: { R1: { priority: 7 } }\nnat: { source: {} }\n"));
  CHECK(plain != digest("version: 1\nnodes: { R1: { priority: 7 }, R2: }\nnat:\n"));
}

TEST_CASE("the down interval is that of the RFC, to the nanosecond") {
  CHECK(skew_time(1s, 100) == 609375us);
  CHECK(down_interval(1s, 100) == 3609375us);
  CHECK(down_interval(1s, 200) == 3218750us);
  CHECK(skew_time(10ms, 254) == 78125ns);
  CHECK(down_interval(40950ms, 1) == 122850ms + 40790039062ns);
}
