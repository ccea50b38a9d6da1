#pragma once
// The article's pair, as R1 sees it, built by hand: these tests do not depend on the reader of files.
#include "common/config.hpp"

namespace natctl::test {

inline common::Prefix prefix(std::string_view text) {
  return *common::Prefix::parse(text);
}
inline common::IpAddress address(std::string_view text) {
  return *common::IpAddress::parse(text);
}

inline common::GroupConfig group(std::string name) {
  common::GroupConfig result;
  result.name = std::move(name);
  result.priority = 200;
  result.instances = {{"wan", "eth0", 1, {prefix("10.10.0.101/24")}, common::Checksum::automatic},
                      {"lan", "eth2", 2, {prefix("192.168.100.1/24")}, common::Checksum::automatic}};
  return result;
}

inline common::Config article() {
  common::Config config;
  config.node = "R1";
  config.peer = "R2";
  config.vrrp = common::VrrpConfig{{group("MAIN-GW")}};
  common::SyncConfig sync;
  sync.groups = {"MAIN-GW"};
  sync.links = {{"eth1", address("10.10.10.2"), address("10.10.10.3")}};
  config.sync = sync;
  common::NatRule rule;
  rule.number = 10;
  rule.description = "SNAT";
  rule.group = "MAIN-GW";
  rule.outbound_interface = "eth0";
  rule.source_address = prefix("192.168.100.0/24");
  rule.translate_to = address("10.10.0.101");
  config.nat = common::NatConfig{{rule}};
  common::FirewallRuleSet inbound{
      "internet_to_protected", {{"eth0", common::FirewallDirection::in}}, common::FirewallAction::drop, {}};
  inbound.rules.push_back(
      {10, "", common::FirewallAction::accept, {common::ConnectionState::established}, "", {}, {}, {}, {}});
  common::FirewallRuleSet outbound{
      "protected_to_internet", {{"eth2", common::FirewallDirection::in}}, common::FirewallAction::accept, {}};
  outbound.rules.push_back(
      {10, "", common::FirewallAction::drop, {common::ConnectionState::invalid}, "", {}, {}, {}, {}});
  config.firewall = {inbound, outbound};
  return config;
}

/// Two groups, both families, and each thing that a rule can say at least once.
inline common::Config wide() {
  common::Config config = article();
  common::GroupConfig other = group("second group");
  other.instances = {
      {"wan6", "eth0", 3, {prefix("2001:db8::101/64"), prefix("fe80::101/64")}, common::Checksum::automatic}};
  other.protects = {prefix("172.16.0.0/12"), prefix("2001:db8:1::/48")};
  config.vrrp->groups.push_back(other);
  auto& rules = config.nat->source;
  rules.front().port_mapping = common::PortMapping::fully_random;
  common::NatRule rule;
  rule.number = 40;
  rule.group = "second group";
  rule.outbound_interface = "eth0";
  rule.source_address = prefix("2001:db8:1::/48");
  rule.translate_to = address("2001:db8::101");
  rules.push_back(rule);
  rule = {};
  rule.number = 5;
  rule.group = "second group";
  rule.description =
      "one \"port\" only, and a description that goes on and on, far beyond what the kernel keeps of a "
      "comment in a rule";
  rule.source_address = prefix("172.16.5.7/12");
  rule.destination_address = prefix("198.51.100.0/24");
  rule.protocol = "tcp_udp";
  rule.translate_to = address("172.31.0.1");
  rules.push_back(rule);
  rule = {};
  rule.number = 50;
  rule.group = "second group";
  rule.outbound_interface = "wwan0";
  rule.port_mapping = common::PortMapping::fully_random;
  rules.push_back(rule);
  rule.number = 60;
  rule.outbound_interface = "";
  rule.translate_to = address("10.10.0.101");
  rules.push_back(rule);
  common::FirewallRuleSet set{"to-router",
                              {{"eth0", common::FirewallDirection::local}, {"eth2", common::FirewallDirection::out}},
                              common::FirewallAction::reject,
                              {}};
  set.rules.push_back({10,
                       "services",
                       common::FirewallAction::accept,
                       {common::ConnectionState::fresh, common::ConnectionState::related},
                       "tcp",
                       prefix("10.0.0.0/8"),
                       prefix("0.0.0.0/0"),
                       {1024},
                       {22, 443}});
  set.rules.push_back({20, "", common::FirewallAction::reject, {}, "", {}, {}, {}, {53}});
  set.rules.push_back({30, "", common::FirewallAction::drop, {}, "icmpv6", {}, prefix("2001:db8::/32"), {}, {}});
  config.firewall.push_back(set);
  return config;
}

}  // namespace natctl::test
