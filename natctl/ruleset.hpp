#pragma once
// What shall stand in the nftables table, as a value: which traffic each group's gate covers, the
// translations, and the firewall's rule sets. Made from the configuration once; nft.hpp writes it down.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/result.hpp"

namespace natctl {

/// What a rule looks at: all that is given must hold, and what is empty holds for every packet.
struct Match {
  std::string outbound;  ///< interface that the packet leaves by
  std::optional<common::Prefix> source, destination;
  std::vector<std::uint8_t> protocols;  ///< IP protocol numbers
  std::vector<std::uint16_t> source_ports, destination_ports;
  std::vector<common::ConnectionState> states;
  /// Of its addresses, or of the address that it translates to; none: both. A translation always has one.
  std::optional<common::Family> family;
  bool operator==(const Match&) const = default;
};

struct SourceNat {
  int number = 0;
  std::string description;
  std::string group;  ///< empty: no group, and so no gate
  Match match;
  std::optional<common::IpAddress> translate_to;
  bool fully_random = false;
  bool operator==(const SourceNat&) const = default;
};

/// The traffic of one group: what its gate stops and its guards watch.
struct Coverage {
  std::string group;
  std::vector<common::IpAddress> addresses;  ///< virtual ones, and those that its rules translate to
  std::vector<common::Prefix> protects;      ///< inner networks that are forwarded without translation, too
  std::vector<Match> translated;             ///< what its rules translate
  bool operator==(const Coverage&) const = default;
};

struct FilterRule {
  int number = 0;
  std::string description;
  common::FirewallAction action = common::FirewallAction::accept;
  Match match;
  bool operator==(const FilterRule&) const = default;
};
struct FilterSet {
  std::string name;
  common::FirewallAction default_action = common::FirewallAction::drop;
  std::vector<FilterRule> rules;
  bool operator==(const FilterSet&) const = default;
};
struct FilterHook {
  std::string interface;
  common::FirewallDirection direction = common::FirewallDirection::in;
  std::string set;
  bool operator==(const FilterHook&) const = default;
};

/// The pair's own packets, which no rule set may keep out: without them both routers would be masters.
struct OwnTraffic {
  std::vector<std::string> vrrp_interfaces;
  std::vector<std::string> sync_interfaces;
  std::uint16_t sync_port = 0;
  bool operator==(const OwnTraffic&) const = default;
};

struct Ruleset {
  std::vector<Coverage> groups;
  std::vector<SourceNat> source_nat;  ///< by number: the first that matches translates
  std::vector<FilterSet> filter_sets;
  std::vector<FilterHook> filter_hooks;
  OwnTraffic own;
  bool operator==(const Ruleset&) const = default;
};

/// Refuses what nftables would refuse or understand differently, with one line that names the rule.
common::Result<Ruleset> make_ruleset(const common::Config& config);

/// Numbers of a protocol's name ("tcp", "tcp_udp", "89"); none when it is unknown. A table of our own: that
/// of the operating system is missing on a minimal installation, where a rule with "tcp" would then not load.
std::optional<std::vector<std::uint8_t>> protocol_numbers(const std::string& name);

}  // namespace natctl
