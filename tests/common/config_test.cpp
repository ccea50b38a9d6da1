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
  CHECK(rule.outbound_interface == "eth0");
  CHECK(rule.source_address == Prefix::parse("192.168.100.0/24"));
  CHECK(rule.translate_to == IpAddress::parse("10.10.0.101"));
  CHECK(rule.port_mapping == PortMapping::preserve);
  REQUIRE(r1.firewall.size() == 2);
  CHECK(r1.firewall[0].name == "internet_to_protected");
  CHECK(r1.firewall[0].default_action == FirewallAction::drop);
  REQUIRE(r1.firewall[0].rules.size() == 1);
  CHECK(r1.firewall[0].rules[0].states == std::vector{ConnectionState::established});
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
