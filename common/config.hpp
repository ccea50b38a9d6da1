#pragma once
// The configuration as a value: one file for both routers, read for one of them. Names of interfaces are
// already those of this router; durations are nanoseconds; every default stands here as a member initialiser.
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.hpp"
#include "common/time.hpp"
#include "common/traffic.hpp"

namespace common {

/// Where in the file a message belongs; both count from 1.
struct Position {
  int line = 0;
  int column = 0;
  bool operator==(const Position&) const = default;
};

struct Diagnostic {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  std::string file;
  Position at;
  std::string text;
  /// "file:line:column: error: text"
  std::string to_string() const;
  bool operator==(const Diagnostic&) const = default;
};

enum class Checksum { automatic, rfc5798, rfc9568 };
enum class VrrpVersion { v2, v3, both };  ///< both: for the time of an upgrade, RFC 9568 8.4
enum class PreemptWithoutSync { never, after };
enum class CommitPolicy { continuous, on_takeover };
enum class PortMapping { preserve, random, fully_random };
/// Which of several addresses a connection gets: any, by where it comes from and goes to; always the same for one
/// host; or the one with the same host part.
enum class AddressMapping { spread, persistent, prefix };
/// What is translated of a connection.
enum class Translation { any, snat, dnat, none };
enum class FirewallAction { accept, drop, reject };
enum class FirewallDirection { in, out, local };

struct NodeConfig {
  std::string name;
  int priority = 100;                               ///< 1..255; a group may override it
  std::map<std::string, IpAddress> sync_addresses;  ///< by the interface name used in `sync.links`
  std::map<std::string, std::string> interfaces;    ///< name in the file -> name on this node
};

struct HooksConfig {
  std::string notify, master, backup, fault, stop;  ///< paths; empty: none
  std::string user;                                 ///< empty: the daemon's own
  Duration timeout = 30s;
};

/// Something outside VRRP that says how fit this router is for a group.
struct TrackConfig {
  enum class Kind {
    interface,  ///< has a carrier
    script,     ///< ends with 0
    file,       ///< holds a number that is added to the priority, or `fault`
    process,    ///< runs
  };
  std::string name;
  Kind kind = Kind::interface;
  std::string target;         ///< interface on this node; absolute path; name of a process
  std::optional<int> weight;  ///< taken off the priority while it fails; none: the group is in fault then
  Duration interval = 1s;     ///< between two looks; an interface tells by itself
  Duration timeout = 1s;      ///< of a script
  int rise = 1, fall = 1;     ///< so many looks in a row that it is well again, or fails
  std::optional<std::vector<std::string>> arguments;  ///< of a script; none: the names of the group and of this
  std::string user;                                   ///< of a script; empty: the daemon's own
  bool operator==(const TrackConfig&) const = default;
};

/// Announcements of addresses: gratuitous ARP, unsolicited neighbour advertisements.
struct GarpConfig {
  int count = 5;               ///< per address, at once
  Duration repeat_after = 5s;  ///< once more as many; 0: not
  Duration refresh = 0s;       ///< one per address again and again; 0: not
};

/// Adverts to known routers instead of the group address.
struct UnicastConfig {
  IpAddress own;                   ///< of this node
  std::vector<IpAddress> peers;    ///< the only ones that are listened to
  std::uint8_t minimum_ttl = 255;  ///< less where there are routers in between
};

/// A route that only the master has. It leaves by the interface of its instance.
struct RouteConfig {
  Prefix to;
  std::optional<IpAddress> via;     ///< none: on link
  std::optional<IpAddress> source;  ///< that the kernel prefers; with it the route goes when that address goes
  std::uint32_t metric = 0;         ///< 0: the kernel's default
  std::uint32_t table = 254;        ///< main
  bool operator==(const RouteConfig&) const = default;
};

struct InstanceConfig {
  std::string name;
  std::string interface;                  ///< on this node
  std::uint8_t vrid = 0;                  ///< 1..255
  std::vector<Prefix> virtual_addresses;  ///< of one family; the first of IPv6 is link-local
  Checksum checksum = Checksum::automatic;
  VrrpVersion version = VrrpVersion::v3;
  std::string password_file;  ///< VRRPv2 only; empty: none
  std::string password;       ///< its content, which the parser does not read
  /// RFC 9568 6.1 Accept_Mode: false: packets to the virtual addresses are dropped, which needs the nftables table.
  bool accept = true;
  std::optional<int> priority;                 ///< of this node; the group's unless given
  std::optional<Duration> advertise_interval;  ///< likewise
  std::optional<GarpConfig> garp;              ///< likewise
  std::vector<Prefix> excluded_addresses;      ///< live and die with the others, but adverts do not list them
  std::vector<RouteConfig> virtual_routes;
  std::optional<UnicastConfig> unicast;
  std::string virtual_mac;  ///< name of the interface that has the virtual router's MAC; empty: the interface's own MAC
  HooksConfig hooks;        ///< of the instance, run before those of the group

  Family family() const {
    return virtual_addresses.empty() ? Family::ipv4 : virtual_addresses.front().address.family();
  }
  /// What its master has, advertised or not.
  std::vector<Prefix> all_addresses() const;
  /// Where the addresses are put.
  const std::string& device() const { return virtual_mac.empty() ? interface : virtual_mac; }
};

/// RFC 9568 6.1: the router whose own addresses are the virtual ones. It is active from the start.
inline constexpr int kOwnerPriority = 255;

struct GroupConfig {
  std::string name;
  int priority = 100;                ///< of this node
  int peer_priority = 100;           ///< of the other node: who is preferred
  Duration advertise_interval = 1s;  ///< 10ms .. 40.95s (RFC 9568 5.2.7: 12 bits of centiseconds)
  bool preempt = true;
  Duration preempt_delay = 0s;
  Duration startup_delay = 0s;  ///< a start is no reason to claim before: ports may not forward yet
  PreemptWithoutSync preempt_without_sync = PreemptWithoutSync::never;
  Duration preempt_without_sync_after = 0s;
  Duration prepare_timeout = 1s;
  Duration gate_timeout = 5s;
  Duration heal_hold = 1s;
  Duration witness_hold = 3s;
  Duration address_lifetime = 2s;  ///< whole seconds, as the kernel counts; renewed eight times as often
  GarpConfig garp;
  std::vector<InstanceConfig> instances;  ///< in the order of the file
  std::vector<TrackConfig> tracks;
  Duration link_down_delay = 0s, link_up_delay = 0s;  ///< so long must a carrier be lost, or back, to count
  std::vector<Prefix> protects;                       ///< several groups only: the inner networks of this group
  HooksConfig hooks;

  int priority_of(const InstanceConfig& instance) const { return instance.priority.value_or(priority); }
  Duration interval_of(const InstanceConfig& instance) const {
    return instance.advertise_interval.value_or(advertise_interval);
  }
  const GarpConfig& garp_of(const InstanceConfig& instance) const { return instance.garp ? *instance.garp : garp; }
  /// Its addresses are this router's own.
  bool owns(const InstanceConfig& instance) const { return priority_of(instance) == kOwnerPriority; }
};

struct VrrpConfig {
  std::vector<GroupConfig> groups;  ///< in the order of the file
};

struct SyncLink {
  std::string interface;  ///< on this node
  IpAddress local, peer;
  std::optional<IpAddress> multicast;  ///< the group that both send to; none: to the peer's address
  bool operator==(const SyncLink&) const = default;
};

/// Connections that a filter means: every part that is given must fit.
struct SyncMatch {
  TrafficMatch packet;                   ///< the first one: addresses, ports and protocol, nothing else
  AddressSet address;                    ///< of anybody who takes part: before and after translation
  std::vector<std::uint8_t> tcp_states;  ///< as the kernel numbers them; with them only TCP fits
  std::vector<std::uint16_t> zones;
  struct Mark {
    std::uint32_t value = 0, mask = 0;
    bool operator==(const Mark&) const = default;
  };
  std::optional<Mark> mark;
  std::optional<Translation> translated;
  bool operator==(const SyncMatch&) const = default;
};

/// Which connections are replicated: those that one of `include` means, or all without it, less those of `exclude`.
struct SyncFilter {
  std::vector<SyncMatch> include, exclude;
  Duration replicate_after = 0s;  ///< a connection that ends earlier is not replicated at all
  bool operator==(const SyncFilter&) const = default;
};

/// Which bits of a connection's mark, and which of its labels, are replicated; the others are this router's own.
struct SyncMasks {
  std::uint32_t mark = UINT32_MAX;
  std::bitset<128> labels = std::bitset<128>().set();
  bool operator==(const SyncMasks&) const = default;
};

struct SyncConfig {
  std::vector<std::string> groups;  ///< names; all groups by default
  std::vector<SyncLink> links;
  std::uint16_t port = 3781;
  std::string key_file;  ///< empty: security none
  CommitPolicy commit = CommitPolicy::continuous;
  SyncFilter filter = {};
  SyncMasks masks = {};
};

/// A translation of the source (in `nat.source`) or of the destination (in `nat.destination`).
struct NatRule {
  int number = 0;
  std::string description;
  std::string group;  ///< the group whose gate covers it; the only one by default
  TrafficMatch match;
  bool exclude = false;                      ///< what matches is not translated
  std::optional<AddressRange> translate_to;  ///< none: masquerade, unless excluded
  std::optional<PortRange> ports;            ///< to these ports, on this node
  PortMapping port_mapping = PortMapping::preserve;
  AddressMapping address_mapping = AddressMapping::spread;
  /// Destination only: the interface (on this node) whose own hosts reach the server by its outer address, too.
  std::string hairpin;
  bool log = false;
};

/// One to one, in both directions; both ranges are networks of one size.
struct StaticNatRule {
  int number = 0;
  std::string description;
  std::string group;
  std::string interface;  ///< on this node: the outer side
  AddressRange outside, inside;
  std::string hairpin;
  bool log = false;
};

struct NatConfig {
  std::vector<NatRule> source;  ///< all by number, without those that are switched off
  std::vector<NatRule> destination = {};
  std::vector<StaticNatRule> one_to_one = {};
};

struct FirewallRule {
  int number = 0;
  std::string description;
  FirewallAction action = FirewallAction::accept;
  TrafficMatch match;
  bool log = false;
};

struct FirewallInterface {
  std::string interface;  ///< on this node; a trailing asterisk stands for any ending
  FirewallDirection direction = FirewallDirection::in;
};

struct FirewallRuleSet {
  std::string name;
  std::vector<FirewallInterface> interfaces;
  FirewallAction default_action = FirewallAction::drop;
  std::vector<FirewallRule> rules;    ///< by number, without those that are switched off
  std::optional<Family> family = {};  ///< none: both
  bool log_default = false;
  /// The rules apply to adverts, to the sync link and to neighbour discovery, too, which pass by default.
  bool filter_pair_traffic = false;
};

struct Config {
  std::string node;  ///< the name of this router
  std::string peer;  ///< of the other one; empty with one node only
  std::vector<NodeConfig> nodes;
  std::optional<VrrpConfig> vrrp;
  std::optional<SyncConfig> sync;
  std::optional<NatConfig> nat;
  std::vector<FirewallRuleSet> firewall;
  std::map<std::string, std::vector<AddressRange>> address_groups;
  std::map<std::string, std::vector<PortRange>> port_groups;
  /// Of the parsed file, the same on both routers, whatever the comments, order of keys or white space.
  std::string digest;

  const GroupConfig* group(std::string_view name) const;
  /// `sync` covers the group.
  bool replicates(std::string_view name) const;
  bool has_table() const;  ///< natctl agent has something to load
  /// The interface and those with a virtual MAC on top of it: packets that arrive there arrive by any of them.
  std::vector<std::string> devices_of(const std::string& interface) const;
};

struct LoadedConfig {
  /// Absent exactly when there is an error among the diagnostics, or the node is unknown.
  std::optional<Config> config;
  std::vector<Diagnostic> diagnostics;  ///< in the order of the file
  /// The node is not in the file: exit code 2 with the list of names.
  std::vector<std::string> unknown_node_choices;
};

/// Parses the text of a configuration file for one node. `file` stands in the messages only. Finds all
/// mistakes at once.
LoadedConfig parse_config(std::string_view text, std::string_view file, std::string_view node);

/// Three down intervals of RFC 9568 are counted from this: (256 - priority) * interval / 256.
Duration skew_time(Duration interval, int priority);
/// 3 * interval + skew.
Duration down_interval(Duration interval, int priority);

}  // namespace common
