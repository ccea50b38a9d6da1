#include "natctl/ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace natctl {

using common::Config;
using common::fail;
using common::Result;

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 20> kProtocols{{
    {"icmp", 1},  {"igmp", 2},  {"ipip", 4},   {"tcp", kTcp}, {"egp", 8},    {"igp", 9},       {"udp", kUdp},
    {"dccp", 33}, {"ipv6", 41}, {"rsvp", 46},  {"gre", 47},   {"esp", 50},   {"ah", 51},       {"eigrp", 88},
    {"ospf", 89}, {"pim", 103}, {"vrrp", 112}, {"l2tp", 115}, {"sctp", 132}, {"udplite", 136},
}};

/// nftables reads a trailing asterisk as a wildcard and knows no way to write a quotation mark inside quotes.
bool plain_interface(const std::string& name) {
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c > ' ' && c < 0x7f && c != '"' && c != '*' && c != '\\'; });
}

common::Status check_interface(const std::string& name, const std::string& where) {
  if (plain_interface(name)) return {};
  return fail(where + ": interface \"" + name + "\" has a character that nftables cannot take; rename the interface");
}

/// The addresses of a match must be of one family, or nftables calls the rule contradictory.
common::Status settle_family(Match& match, const std::string& where) {
  for (const auto& prefix : {match.source, match.destination}) {
    if (!prefix) continue;
    if (match.family && *match.family != prefix->address.family())
      return fail(where + ": mixes IPv4 and IPv6 addresses");
    match.family = prefix->address.family();
  }
  return {};
}

Result<SourceNat> source_nat(const common::NatRule& rule, const Config& config) {
  const std::string where = fmt::format("nat source rule {}", rule.number);
  const auto protocols = protocol_numbers(rule.protocol);
  if (!protocols) return fail(where + ": protocol \"" + rule.protocol + "\" is not known; give its number");
  SourceNat result;
  result.number = rule.number;
  result.description = rule.description;
  result.group = rule.group;
  result.match.outbound = rule.outbound_interface;
  result.match.source = rule.source_address;
  result.match.destination = rule.destination_address;
  result.match.protocols = *protocols;
  result.translate_to = rule.translate_to;
  result.fully_random = rule.port_mapping == common::PortMapping::fully_random;
  if (result.group.empty() && config.vrrp && config.vrrp->groups.size() == 1)
    result.group = config.vrrp->groups.front().name;
  if (!result.group.empty() && config.group(result.group) == nullptr)
    return fail(where + ": group \"" + result.group + "\" does not exist");
  if (auto ok = check_interface(rule.outbound_interface, where); !ok) return std::unexpected(ok.error());
  if (rule.translate_to) result.match.family = rule.translate_to->family();
  if (auto ok = settle_family(result.match, where); !ok) return std::unexpected(ok.error());
  // IPv6 is translated only where an address says so: a masquerade of everything means what it always meant.
  if (!result.match.family) result.match.family = common::Family::ipv4;
  return result;
}

void add_once(std::vector<common::IpAddress>& list, const common::IpAddress& address) {
  if (std::find(list.begin(), list.end(), address) == list.end()) list.push_back(address);
}

bool is_virtual(const Config& config, const common::IpAddress& address) {
  for (const auto& group : config.vrrp->groups)
    for (const auto& instance : group.instances)
      for (const auto& mine : instance.virtual_addresses)
        if (mine.address == address) return true;
  return false;
}

Coverage coverage(const Config& config, const common::GroupConfig& group, const std::vector<SourceNat>& rules) {
  Coverage result{.group = group.name, .addresses = {}, .protects = group.protects, .translated = {}};
  for (const auto& instance : group.instances)
    for (const auto& address : instance.virtual_addresses) add_once(result.addresses, address.address);
  for (const SourceNat& rule : rules) {
    if (rule.group != group.name) continue;
    // A virtual address of another group is stopped by that group's gate alone.
    if (rule.translate_to && !is_virtual(config, *rule.translate_to)) add_once(result.addresses, *rule.translate_to);
    result.translated.push_back(rule.match);
  }
  return result;
}

Result<FilterRule> filter_rule(const common::FirewallRule& rule, const std::string& set) {
  const std::string where = fmt::format("firewall {} rule {}", set, rule.number);
  auto protocols = protocol_numbers(rule.protocol);
  if (!protocols) return fail(where + ": protocol \"" + rule.protocol + "\" is not known; give its number");
  // Ports alone mean both protocols that people think of when they write a port.
  const bool ports = !rule.source_ports.empty() || !rule.destination_ports.empty();
  if (ports && protocols->empty()) protocols = std::vector<std::uint8_t>{kTcp, kUdp};
  FilterRule result;
  result.number = rule.number;
  result.description = rule.description;
  result.action = rule.action;
  result.match.source = rule.source_address;
  result.match.destination = rule.destination_address;
  result.match.protocols = *protocols;
  result.match.source_ports = rule.source_ports;
  result.match.destination_ports = rule.destination_ports;
  result.match.states = rule.states;
  if (auto ok = settle_family(result.match, where); !ok) return std::unexpected(ok.error());
  return result;
}

common::Status add_firewall(const Config& config, Ruleset& out) {
  for (const auto& set : config.firewall) {
    FilterSet result{.name = set.name, .default_action = set.default_action, .rules = {}};
    for (const auto& rule : set.rules) {
      auto made = filter_rule(rule, set.name);
      if (!made) return std::unexpected(made.error());
      result.rules.push_back(std::move(*made));
    }
    for (const auto& at : set.interfaces) {
      if (auto ok = check_interface(at.interface, "firewall " + set.name); !ok) return ok;
      out.filter_hooks.push_back({.interface = at.interface, .direction = at.direction, .set = set.name});
    }
    out.filter_sets.push_back(std::move(result));
  }
  return {};
}

OwnTraffic own_traffic(const Config& config) {
  OwnTraffic own;
  const auto add = [](std::vector<std::string>& list, const std::string& name) {
    if (plain_interface(name) && std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  };
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const auto& instance : group.instances) add(own.vrrp_interfaces, instance.interface);
  if (config.sync) {
    for (const auto& link : config.sync->links) add(own.sync_interfaces, link.interface);
    own.sync_port = config.sync->port;
  }
  return own;
}

}  // namespace

std::optional<std::vector<std::uint8_t>> protocol_numbers(const std::string& name) {
  if (name.empty() || name == "all" || name == "any") return std::vector<std::uint8_t>{};
  if (name == "tcp_udp") return std::vector<std::uint8_t>{kTcp, kUdp};
  if (name == "icmpv6" || name == "ipv6-icmp") return std::vector<std::uint8_t>{58};
  for (const auto& [known, number] : kProtocols)
    if (name == known) return std::vector<std::uint8_t>{number};
  std::uint8_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return std::vector<std::uint8_t>{number};
}

Result<Ruleset> make_ruleset(const Config& config) {
  Ruleset result;
  if (config.nat) {
    for (const auto& rule : config.nat->source) {
      auto made = source_nat(rule, config);
      if (!made) return std::unexpected(made.error());
      result.source_nat.push_back(std::move(*made));
    }
    std::stable_sort(result.source_nat.begin(), result.source_nat.end(),
                     [](const SourceNat& a, const SourceNat& b) { return a.number < b.number; });
  }
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups) result.groups.push_back(coverage(config, group, result.source_nat));
  if (auto ok = add_firewall(config, result); !ok) return std::unexpected(ok.error());
  result.own = own_traffic(config);
  return result;
}

}  // namespace natctl
