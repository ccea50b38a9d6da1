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
  read_sync(root, draft);
  read_traffic_groups(root, draft);
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

void resolve_vrrp(const Draft& draft, const NodeConfig& own, Config& config) {
  if (!config.vrrp) return;
  const NodeConfig* peer = find_node(config, config.peer);
  for (GroupConfig& group : config.vrrp->groups) {
    group.priority = draft.priority_of(group, nullptr, own);
    if (peer) group.peer_priority = draft.priority_of(group, nullptr, *peer);
    for (InstanceConfig& instance : group.instances) {
      instance.interface = on_node(own, instance.interface);
      const int priority = draft.priority_of(group, &instance, own);
      if (priority != group.priority) instance.priority = priority;
    }
  }
}

void resolve_match(const NodeConfig& own, TrafficMatch& match) {
  for (auto* list : {&match.inbound.any, &match.inbound.none, &match.outbound.any, &match.outbound.none})
    for (std::string& name : *list) name = on_node(own, name);
}

void resolve_rules(const Draft& draft, const NodeConfig& own, Config& config) {
  for (FirewallRuleSet& set : config.firewall) {
    for (FirewallInterface& use : set.interfaces) use.interface = on_node(own, use.interface);
    for (FirewallRule& rule : set.rules) resolve_match(own, rule.match);
  }
  if (!config.nat) return;
  for (auto* list : {&config.nat->source, &config.nat->destination})
    for (NatRule& rule : *list) {
      resolve_match(own, rule.match);
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
    if (std::ranges::find(names, node) == names.end())
      loaded.unknown_node_choices.assign(names.begin(), names.end());
    if (!out.failed() && loaded.unknown_node_choices.empty()) {
      loaded.config = resolve(draft, node);
      loaded.config->digest = digest_of(tree);
    }
  }
  loaded.diagnostics = out.take_sorted();
  return loaded;
}

std::string Diagnostic::to_string() const {
  return fmt::format("{}:{}:{}: {}: {}", file, at.line, at.column,
                     severity == Severity::error ? "error" : "warning", text);
}

const GroupConfig* Config::group(std::string_view name) const {
  if (!vrrp) return nullptr;
  const auto found = std::ranges::find(vrrp->groups, name, &GroupConfig::name);
  return found == vrrp->groups.end() ? nullptr : &*found;
}

bool Config::replicates(std::string_view name) const {
  return sync && (sync->groups.empty() || std::ranges::find(sync->groups, name) != sync->groups.end());
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
