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

inline common::AddressRange range(std::string_view text) {
  return *common::AddressRange::parse(text);
}
inline common::AddressSet addresses(std::string_view text) {
  return common::AddressSet::of(range(text));
}
inline common::PortSet ports(std::initializer_list<std::string_view> texts) {
  common::PortSet set;
  for (const std::string_view text : texts) set.any.push_back(*common::PortRange::parse(text));
  return set;
}
inline common::FirewallRule firewall_rule(int number, common::FirewallAction action,
                                          std::vector<common::ConnectionState> states = {}) {
  common::FirewallRule rule;
  rule.number = number;
  rule.action = action;
  rule.match.states = std::move(states);
  return rule;
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
  sync.links = {{"eth1", address("10.10.10.2"), address("10.10.10.3"), {}}};
  config.sync = sync;
  common::NatRule rule;
  rule.number = 10;
  rule.description = "SNAT";
  rule.group = "MAIN-GW";
  rule.match.outbound = {{"eth0"}, {}};
  rule.match.source = addresses("192.168.100.0/24");
  rule.translate_to = range("10.10.0.101");
  config.nat = common::NatConfig{{rule}};
  common::FirewallRuleSet inbound{
      "internet_to_protected", {{"eth0", common::FirewallDirection::in}}, common::FirewallAction::drop, {}};
  inbound.rules.push_back(firewall_rule(10, common::FirewallAction::accept, {common::ConnectionState::established}));
  common::FirewallRuleSet outbound{
      "protected_to_internet", {{"eth2", common::FirewallDirection::in}}, common::FirewallAction::accept, {}};
  outbound.rules.push_back(firewall_rule(10, common::FirewallAction::drop, {common::ConnectionState::invalid}));
  config.firewall = {inbound, outbound};
  return config;
}

inline common::FirewallRuleSet to_router() {
  common::FirewallRuleSet set{"to-router",
                              {{"eth0", common::FirewallDirection::local}, {"eth2", common::FirewallDirection::out}},
                              common::FirewallAction::reject,
                              {}};
  common::FirewallRule first = firewall_rule(10, common::FirewallAction::accept,
                                             {common::ConnectionState::fresh, common::ConnectionState::related});
  first.description = "services";
  first.match.protocol = {{6}, {}};
  first.match.source = addresses("10.0.0.0/8");
  first.match.destination = addresses("0.0.0.0/0");
  first.match.source_ports = ports({"1024"});
  first.match.destination_ports = ports({"22", "443"});
  common::FirewallRule second = firewall_rule(20, common::FirewallAction::reject);
  second.match.protocol = {{6, 17}, {}};
  second.match.destination_ports = ports({"53"});
  common::FirewallRule third = firewall_rule(30, common::FirewallAction::drop);
  third.match.protocol = {{58}, {}};
  third.match.destination = addresses("2001:db8::/32");
  set.rules = {first, second, third};
  return set;
}

/// Two groups, both families, and each thing that a rule can say at least once.
inline common::Config wide() {
  common::Config config = article();
  config.sync->links.front().multicast = address("225.0.0.50");
  common::GroupConfig other = group("second group");
  other.instances = {
      {"wan6", "eth0", 3, {prefix("2001:db8::101/64"), prefix("fe80::101/64")}, common::Checksum::automatic}};
  other.instances.front().accept = false;
  other.protects = {prefix("172.16.0.0/12"), prefix("2001:db8:1::/48")};
  config.vrrp->groups.push_back(other);
  auto& rules = config.nat->source;
  rules.front().port_mapping = common::PortMapping::fully_random;
  common::NatRule rule;
  rule.number = 40;
  rule.group = "second group";
  rule.match.outbound = {{"eth0"}, {}};
  rule.match.source = addresses("2001:db8:1::/48");
  rule.translate_to = range("2001:db8::101");
  rules.push_back(rule);
  rule = {};
  rule.number = 5;
  rule.group = "second group";
  rule.description =
      "one \"port\" only, and a description that goes on and on, far beyond what the kernel keeps of a "
      "comment in a rule";
  rule.match.source = addresses("172.16.5.7/12");
  rule.match.destination = addresses("198.51.100.0/24");
  rule.match.protocol = {{6, 17}, {}};
  rule.translate_to = range("172.31.0.1");
  rules.push_back(rule);
  rule = {};
  rule.number = 50;
  rule.group = "second group";
  rule.match.outbound = {{"wwan0"}, {}};
  rule.port_mapping = common::PortMapping::fully_random;
  rules.push_back(rule);
  rule.number = 60;
  rule.match.outbound = {};
  rule.translate_to = range("10.10.0.101");
  rules.push_back(rule);
  config.firewall.push_back(to_router());
  return config;
}

}  // namespace natctl::test
