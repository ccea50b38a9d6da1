#pragma once
// What shall stand in the nftables table, as a value: which traffic each group's gate covers, the
// translations, and the firewall's rule sets. Made from the configuration once; nft.hpp writes it down.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/result.hpp"

namespace natctl {

/// What a rule looks at: all that is given must hold, and what is empty holds for every packet.
using Match = common::TrafficMatch;

/// One translation, in one direction. The first that matches decides.
struct Translation {
  std::string label;  ///< "source 10", "destination 10", "static 10"
  std::string description;
  std::string group;  ///< empty: no group, and so no gate
  Match match;        ///< always of one family
  bool exclude = false;
  std::optional<common::AddressRange> to;    ///< none: the router's own address (masquerade)
  std::optional<common::AddressRange> from;  ///< one to one: the network whose host parts are kept
  std::optional<common::PortRange> ports;
  common::PortMapping port_mapping = common::PortMapping::preserve;
  bool persistent = false;
  bool log = false;
  bool operator==(const Translation&) const = default;
};

/// A server's own neighbours reach it by its outer address: they get this address towards it, so that it
/// answers by way of the router.
struct Hairpin {
  std::string label;
  std::string interface;
  Match match;  ///< after the translation of the destination
  common::IpAddress to;
  bool operator==(const Hairpin&) const = default;
};

/// The traffic of one group: what its gate stops and its guards watch.
struct Coverage {
  std::string group;
  std::vector<common::AddressRange> addresses;  ///< virtual ones, and those that its rules translate to
  std::vector<common::Prefix> protects;         ///< inner networks that are forwarded without translation, too
  std::vector<Match> translated;                ///< what its rules translate the source of, before that
  std::vector<Match> arriving;                  ///< what its rules translate the destination of, before that
  std::vector<Match> served;                    ///< the same, after it
  std::vector<Match> replies;                   ///< from there
  bool operator==(const Coverage&) const = default;
};

struct FilterRule {
  int number = 0;
  std::string description;
  common::FirewallAction action = common::FirewallAction::accept;
  Match match;
  bool log = false;
  bool operator==(const FilterRule&) const = default;
};
struct FilterSet {
  std::string name;
  common::FirewallAction default_action = common::FirewallAction::drop;
  std::vector<FilterRule> rules;
  bool log_default = false;
  bool operator==(const FilterSet&) const = default;
};
struct FilterHook {
  std::string interface;
  common::FirewallDirection direction = common::FirewallDirection::in;
  std::string set;
  std::optional<common::Family> family;
  bool sees_pair_traffic = false;
  bool operator==(const FilterHook&) const = default;
};

/// The pair's own packets, which no rule set keeps out unless it asks for them: without them both routers
/// would be masters.
struct OwnTraffic {
  std::vector<std::string> vrrp_interfaces;
  std::vector<std::string> sync_interfaces;
  std::uint16_t sync_port = 0;
  /// Where multicast comes in whose group a switch forgets when nobody answers its queries (RFC 4541 2.1.2 and 3):
  /// any group of ours but 224.0.0.18.
  std::vector<std::string> igmp_interfaces, mld_interfaces;
  bool operator==(const OwnTraffic&) const = default;
};

struct Ruleset {
  std::vector<Coverage> groups;
  std::vector<Translation> source_nat;       ///< in the order in which they are tried
  std::vector<Translation> destination_nat;  ///< the same
  std::vector<Hairpin> hairpins;
  std::vector<FilterSet> filter_sets;
  std::vector<FilterHook> filter_hooks;
  /// Virtual addresses that the router answers for but takes nothing at (RFC 9568 6.1 Accept_Mode false).
  std::vector<common::AddressRange> not_accepted;
  OwnTraffic own;
  std::map<std::string, std::vector<common::AddressRange>> address_groups;
  std::map<std::string, std::vector<common::PortRange>> port_groups;
  std::uint64_t nat_rules = 0;  ///< as the file counts them
  bool operator==(const Ruleset&) const = default;
};

/// Refuses what nftables would refuse or understand differently, with one line that names the rule.
common::Result<Ruleset> make_ruleset(const common::Config& config);

}  // namespace natctl
