#pragma once
// The parts of parse_config: one reader per section of the file, then the checks that need several sections,
// then the choice of what belongs to this node. Only config*.cpp include this.
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "common/config.hpp"
#include "common/config_reader.hpp"

namespace common {

/// What has been read so far. Interfaces still have the names of the file, and nothing depends on the node
/// yet: both routers must find the same mistakes.
struct Draft {
  Config config;
  std::map<std::string, Position> node_at, group_at, set_at;
  using Priorities = std::map<std::string, int>;  ///< by node
  std::map<std::string, Priorities> group_priorities;
  using InstanceName = std::pair<std::string, std::string>;  ///< of the group, and its own
  std::map<InstanceName, Priorities> instance_priorities;
  std::map<InstanceName, std::map<std::string, IpAddress>> unicast;  ///< by node
  std::map<std::string, IpAddress> sync_address;                     ///< by node; for the only link
  std::set<std::string> sync_address_given;                          ///< nodes that have the key, right or wrong
  struct InterfaceUse {
    std::string name;
    Position at;
  };
  std::vector<InterfaceUse> interfaces;  ///< wherever a section names one
  struct LinkUse {
    std::string interface;
    Position at;
    std::optional<IpAddress> multicast;
  };
  std::vector<LinkUse> links;
  Position sync_at;
  struct Protected {
    std::string group;
    Prefix network;
    Position at;
  };
  std::vector<Protected> protects;
  /// Ports of a source rule that differ by node: rule number -> node -> ports.
  std::map<int, std::map<std::string, PortRange>> node_ports;

  /// `instance`: none for the group as a whole.
  int priority_of(const GroupConfig& group, const InstanceConfig* instance, const NodeConfig& node) const;
  std::vector<std::string_view> node_names() const;
  std::vector<std::string_view> group_names() const;
};

inline constexpr int kLowestPriority = 1, kHighestPriority = kOwnerPriority;
inline constexpr int kLowestRule = 1, kHighestRule = 999999;

void read_nodes(Section& root, Draft& draft);
void read_vrrp(Section& root, Draft& draft);
void read_sync(Section& root, Draft& draft);
void read_sync_masks(Section& section, SyncMasks& masks);
void read_sync_filter(const Reader& reader, const Draft& draft, const SyncMasks& masks, SyncFilter& filter);
void read_traffic_groups(Section& root, Draft& draft);
void read_nat(Section& root, Draft& draft);
void read_firewall(Section& root, Draft& draft);
void check_across(Draft& draft, Diagnostics& out);
/// Warns where a rule set that asks to see the pair's own packets would keep them out.
void check_pair_traffic(const Draft& draft, Diagnostics& out);
/// The configuration of one node, out of a draft without errors.
Config resolve(const Draft& draft, std::string_view node);

/// What must differ between all instances of the file.
struct SeenInstances {
  std::map<std::string, Position> devices;                                      ///< interfaces with a virtual MAC
  std::map<std::tuple<std::uint32_t, Prefix, std::uint32_t>, Position> routes;  ///< table, destination, metric
  std::map<std::tuple<std::string, int, Family>, Position> vrids;               ///< interface, VRID, family
  std::map<std::pair<std::string, IpAddress>, Position> addresses;  ///< interface (only of link-local ones), address
};
void read_instances(const Reader& reader, Draft& draft, GroupConfig& group, SeenInstances& seen);
void read_interval(const Reader& reader, Duration& into);
void read_hooks(const Reader& reader, HooksConfig& hooks);
void read_tracks(const Reader& reader, Draft& draft, GroupConfig& group);
void read_garp(const Reader& reader, GarpConfig& garp);
/// Unicast, virtual MAC and routes, once the addresses are read.
void read_delivery(Section& section, Draft& draft, const std::string& group, InstanceConfig& instance,
                   SeenInstances& seen);
/// A priority for each node, or for some.
void read_priorities(const Reader& reader, const Draft& draft, Draft::Priorities& into);

void read_priority(const Reader& reader, int& into);
/// An interface name, noted for the check of the nodes' mappings.
void read_interface(const Reader& reader, Draft& draft, std::string& into);
/// The name of a group of the file.
void read_group_name(const Reader& reader, const Draft& draft, std::string& into);
/// A rule number as a key; none, and a mistake, when it is something else.
std::optional<int> read_rule_number(const SettingEntry& entry, const Reader& reader);

/// The parts of a match, as NAT and firewall write them: one value or a list; "not" before what is not meant.
void read_addresses(const Reader& reader, const Draft& draft, AddressSet& into);
void read_ports(const Reader& reader, const Draft& draft, PortSet& into);
void read_interfaces(const Reader& reader, Draft& draft, InterfaceSet& into);
void read_protocol(const Reader& reader, ProtocolSet& into);
/// The name of an interface, or the beginning of one and an asterisk.
void read_interface_pattern(const Reader& reader, Draft& draft, std::string& into);
/// source_address, destination_address, protocol, source_ports and destination_ports, and that they fit together.
void read_match(Section& section, const Draft& draft, TrafficMatch& into);
void read_description(const Reader& reader, std::string& into);

}  // namespace common
