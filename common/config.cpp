#include "common/config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

void read_all(const Setting& tree, Draft& draft, Diagnostics& out) {
  Section root(tree, "", out);
  root.with_required("version", [](const Reader& r) {
    std::string word;
    if (r.text(word) && word != "1")
      r.error(fmt::format("expected 1, the only version so far, found {}", quoted(word)));
  });
  read_nodes(root, draft);
  read_vrrp(root, draft);
  read_traffic_groups(root, draft);
  read_sync(root, draft);
  read_nat(root, draft);
  read_firewall(root, draft);
  if (!root.has("vrrp") && !root.has("sync") && !root.has("nat") && !root.has("firewall"))
    out.error(tree.at, "nothing to do: at least one of vrrp, nat or firewall must be given");
  root.finish();
  check_across(draft, out);
}

const NodeConfig* find_node(const Config& config, std::string_view name) {
  const auto found = std::ranges::find(config.nodes, name, &NodeConfig::name);
  return found == config.nodes.end() ? nullptr : &*found;
}

std::string on_node(const NodeConfig& node, const std::string& interface) {
  const auto mapped = node.interfaces.find(interface);
  return mapped == node.interfaces.end() ? interface : mapped->second;
}

void resolve_unicast(const Draft& draft, const GroupConfig& group, const NodeConfig& own, InstanceConfig& instance) {
  const auto given = draft.unicast.find({group.name, instance.name});
  if (given == draft.unicast.end()) return;
  for (const auto& [node, address] : given->second)
    if (node == own.name)
      instance.unicast->own = address;
    else
      instance.unicast->peers.push_back(address);
}

void resolve_vrrp(const Draft& draft, const NodeConfig& own, Config& config) {
  if (!config.vrrp) return;
  const NodeConfig* peer = find_node(config, config.peer);
  for (GroupConfig& group : config.vrrp->groups) {
    group.priority = draft.priority_of(group, nullptr, own);
    if (peer) group.peer_priority = draft.priority_of(group, nullptr, *peer);
    for (TrackConfig& track : group.tracks)
      if (track.kind == TrackConfig::Kind::interface) track.target = on_node(own, track.target);
    for (InstanceConfig& instance : group.instances) {
      instance.interface = on_node(own, instance.interface);
      const int priority = draft.priority_of(group, &instance, own);
      if (priority != group.priority) instance.priority = priority;
      resolve_unicast(draft, group, own, instance);
    }
  }
}

void resolve_match(const NodeConfig& own, const Config& config, TrafficMatch& match) {
  for (auto* list : {&match.inbound.any, &match.inbound.none, &match.outbound.any, &match.outbound.none}) {
    std::vector<std::string> names;
    for (const std::string& name : *list)
      for (std::string& device : config.devices_of(on_node(own, name))) names.push_back(std::move(device));
    *list = std::move(names);
  }
}

/// A rule set for an interface is for those with a virtual MAC on top of it as well: that is where packets to the
/// virtual router come in.
std::vector<FirewallInterface> resolve_uses(const NodeConfig& own, const Config& config, const FirewallRuleSet& set) {
  std::vector<FirewallInterface> uses;
  for (const FirewallInterface& use : set.interfaces)
    for (const std::string& device : config.devices_of(on_node(own, use.interface)))
      uses.push_back({device, use.direction});
  return uses;
}

void resolve_rules(const Draft& draft, const NodeConfig& own, Config& config) {
  for (FirewallRuleSet& set : config.firewall) {
    set.interfaces = resolve_uses(own, config, set);
    for (FirewallRule& rule : set.rules) resolve_match(own, config, rule.match);
  }
  if (!config.nat) return;
  for (auto* list : {&config.nat->source, &config.nat->destination})
    for (NatRule& rule : *list) {
      resolve_match(own, config, rule.match);
      rule.hairpin = on_node(own, rule.hairpin);
    }
  for (NatRule& rule : config.nat->source)
    if (const auto ports = draft.node_ports.find(rule.number); ports != draft.node_ports.end())
      rule.ports = ports->second.at(own.name);
  for (StaticNatRule& rule : config.nat->one_to_one) {
    rule.interface = on_node(own, rule.interface);
    rule.hairpin = on_node(own, rule.hairpin);
  }
}

}  // namespace

Config resolve(const Draft& draft, std::string_view node) {
  Config config = draft.config;
  config.node = node;
  for (const NodeConfig& other : config.nodes)
    if (other.name != node) config.peer = other.name;
  const NodeConfig& own = *find_node(config, node);
  resolve_vrrp(draft, own, config);
  if (config.sync) {
    for (NodeConfig& each : config.nodes) {
      const auto only = draft.sync_address.find(each.name);
      if (only != draft.sync_address.end())
        each.sync_addresses = {{config.sync->links.front().interface, only->second}};
    }
    const NodeConfig& peer = *find_node(config, config.peer);
    for (SyncLink& link : config.sync->links) {
      link.local = own.sync_addresses.at(link.interface);
      link.peer = peer.sync_addresses.at(link.interface);
      link.interface = on_node(own, link.interface);
    }
  }
  resolve_rules(draft, own, config);
  return config;
}

LoadedConfig parse_config(std::string_view text, std::string_view file, std::string_view node) {
  LoadedConfig loaded;
  Diagnostics out(file);
  const Setting tree = parse_settings(text, out);
  if (tree.is(Setting::Kind::null) && !out.failed()) out.error({1, 1}, "the file is empty");
  if (tree.is(Setting::Kind::list) || tree.is(Setting::Kind::scalar))
    out.error(tree.at, "expected keys with values, such as `version: 1`");
  if (tree.is(Setting::Kind::map)) {  // after a mistake of syntax there is no tree: only that is reported
    Draft draft;
    read_all(tree, draft, out);
    const std::vector<std::string_view> names = draft.node_names();
    if (std::ranges::find(names, node) == names.end()) loaded.unknown_node_choices.assign(names.begin(), names.end());
    if (!out.failed() && loaded.unknown_node_choices.empty()) {
      loaded.config = resolve(draft, node);
      loaded.config->digest = digest_of(tree);
    }
  }
  loaded.diagnostics = out.take_sorted();
  return loaded;
}

std::string Diagnostic::to_string() const {
  return fmt::format("{}:{}:{}: {}: {}", file, at.line, at.column, severity == Severity::error ? "error" : "warning",
                     text);
}

const GroupConfig* Config::group(std::string_view name) const {
  if (!vrrp) return nullptr;
  const auto found = std::ranges::find(vrrp->groups, name, &GroupConfig::name);
  return found == vrrp->groups.end() ? nullptr : &*found;
}

bool Config::replicates(std::string_view name) const {
  return sync && (sync->groups.empty() || std::ranges::find(sync->groups, name) != sync->groups.end());
}

std::vector<Prefix> InstanceConfig::all_addresses() const {
  std::vector<Prefix> result = virtual_addresses;
  result.insert(result.end(), excluded_addresses.begin(), excluded_addresses.end());
  return result;
}

std::vector<std::string> Config::devices_of(const std::string& interface) const {
  std::vector<std::string> result{interface};
  if (!vrrp || interface.empty()) return result;
  for (const GroupConfig& group : vrrp->groups)
    for (const InstanceConfig& instance : group.instances)
      if (instance.interface == interface && !instance.virtual_mac.empty()) result.push_back(instance.virtual_mac);
  return result;
}

bool Config::has_table() const {
  if (nat || !firewall.empty()) return true;
  const auto filters = [](const GroupConfig& group) {
    return !std::ranges::all_of(group.instances, &InstanceConfig::accept);
  };
  return vrrp && std::ranges::any_of(vrrp->groups, filters);
}

Duration skew_time(Duration interval, int priority) {
  return (256 - priority) * interval / 256;
}

Duration down_interval(Duration interval, int priority) {
  return 3 * interval + skew_time(interval, priority);
}

std::vector<std::string_view> Draft::node_names() const {
  std::vector<std::string_view> names;
  for (const NodeConfig& node : config.nodes) names.push_back(node.name);
  return names;
}

int Draft::priority_of(const GroupConfig& group, const InstanceConfig* instance, const NodeConfig& node) const {
  const auto given = [&](const auto& map, const auto& key) -> const int* {
    const auto found = map.find(key);
    if (found == map.end()) return nullptr;
    const auto mine = found->second.find(node.name);
    return mine == found->second.end() ? nullptr : &mine->second;
  };
  if (instance)
    if (const int* own = given(instance_priorities, std::pair(group.name, instance->name))) return *own;
  const int* own = given(group_priorities, group.name);
  return own ? *own : node.priority;
}

std::vector<std::string_view> Draft::group_names() const {
  std::vector<std::string_view> names;
  if (config.vrrp)
    for (const GroupConfig& group : config.vrrp->groups) names.push_back(group.name);
  return names;
}

}  // namespace common
