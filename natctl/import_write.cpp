// Our file, and the interfaces' own addresses for the operating system.
#include "natctl/import_write.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "natctl/import_model.hpp"

namespace natctl::importer {
namespace {

using common::Prefix;

/// A line that is still easily read; longer ones become blocks.
constexpr std::size_t kLongestLine = 110;

bool is_plain(const std::string& text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || text == "null" || text == "Null" || text == "NULL" || text.back() == ' ') return false;
  if (!letter(text.front()) && !digit(text.front()) && text.front() != '/') return false;
  return std::ranges::all_of(
      text, [&](char c) { return letter(c) || digit(c) || std::string_view("_./*+- ").find(c) != std::string::npos; });
}

}  // namespace

std::string yaml(const std::string& text) {
  if (is_plain(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string yaml_list(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + yaml(item);
  return "[" + out + "]";
}

namespace {

std::string field_text(const Field& field) {
  if (field.list) return yaml_list(field.items);
  const std::string& only = field.items.front();
  return only.starts_with('{') ? only : yaml(only);  // a map is written already
}

std::string as_flow(const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields)
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", field.key, field_text(field));
  return out.empty() ? "{}" : "{ " + out + " }";
}

/// "key: { a: b }", or the same as a block.
void write_map(std::string& out, std::size_t indentation, const std::string& key, const std::vector<Field>& fields) {
  const std::string before(indentation, ' ');
  const std::string line = fmt::format("{}{}: {}", before, key, as_flow(fields));
  if (line.size() <= kLongestLine) {
    out += line + "\n";
    return;
  }
  out += fmt::format("{}{}:\n", before, key);
  for (const Field& field : fields) out += fmt::format("{}  {}: {}\n", before, field.key, field_text(field));
}

void write_rules(std::string& out, std::size_t indentation, const char* name, const std::vector<Rule>& rules) {
  if (rules.empty()) return;
  out += fmt::format("{}{}:\n", std::string(indentation, ' '), name);
  for (const Rule& rule : rules) write_map(out, indentation + 2, std::to_string(rule.number), rule.fields);
}

/// The interfaces that the file names: a mapping of any other would be taken for a slip.
std::set<std::string> named_interfaces(const Router& router, const PlanOfGroups& plan) {
  std::set<std::string> names;
  for (const PlannedGroup& group : plan.groups) {
    for (const std::size_t index : group.instances) names.insert(router.instances[index].interface);
    for (const Track& track : group.tracks)
      if (track.fields.front().key == "interface") names.insert(track.fields.front().items.front());
  }
  if (plan.links)
    for (const SyncLinkModel& link : router.links) names.insert(link.interface);
  const auto add_rules = [&](const std::vector<Rule>& rules) {
    for (const Rule& rule : rules)
      for (const Field& field : rule.fields)
        if (field.key.ends_with("interface"))
          for (const std::string& item : field.items) names.insert(item.starts_with("not ") ? item.substr(4) : item);
  };
  for (const auto* rules : {&router.source, &router.destination, &router.one_to_one}) add_rules(*rules);
  for (const RuleSet& set : router.firewall) {
    add_rules(set.rules);
    for (const auto& [interface, direction] : set.hooks) names.insert(interface);
  }
  return names;
}

void write_nodes(std::string& out, const Pair& pair, const PlanOfGroups& plan) {
  const std::set<std::string> names = named_interfaces(pair.first, plan);
  const auto write = [&](const Router& router, bool second) {
    std::vector<Field> fields;
    if (const auto priority = plan.priority_of(second))
      fields.push_back({"priority", {std::to_string(*priority)}, false});
    const bool linked = pair.second && plan.links;
    if (linked && router.links.size() == 1) fields.push_back({"sync_address", {router.links.front().local}, false});
    if (linked && router.links.size() > 1) {
      std::string map;
      for (const SyncLinkModel& link : router.links)
        map += fmt::format("{}{}: {}", map.empty() ? "" : ", ", yaml(link.interface), yaml(link.local));
      fields.push_back({"sync_addresses", {"{ " + map + " }"}, false});
    }
    std::string map;
    for (const auto& [name, own] : pair.interfaces)
      if (second && names.contains(name) && name != own)
        map += fmt::format("{}{}: {}", map.empty() ? "" : ", ", yaml(name), yaml(own));
    if (!map.empty()) fields.push_back({"interfaces", {"{ " + map + " }"}, false});
    write_map(out, 2, yaml(router.name), fields);
  };
  out += "nodes:\n";
  write(pair.first, false);
  if (pair.second) write(*pair.second, true);
}

std::vector<std::string> addresses_of(const std::vector<Word>& words) {
  std::vector<std::string> addresses;
  for (const Word& word : words)
    if (const auto prefix = Prefix::parse(word.text)) {
      const bool bare = word.text.find('/') == std::string::npos;
      addresses.push_back(bare ? prefix->address.to_string() : prefix->to_string());
    }
  return addresses;
}

void write_instance(std::string& out, const Instance& instance) {
  std::vector<Field> fields{{"interface", {instance.interface}, false},
                            {"vrid", {std::to_string(instance.vrid)}, false},
                            {"virtual_addresses", addresses_of(instance.addresses), true}};
  if (!instance.excluded.empty()) fields.push_back({"excluded_addresses", addresses_of(instance.excluded), true});
  write_map(out, 8, yaml(instance.name), fields);
}

void write_group(std::string& out, const Pair& pair, const PlannedGroup& group) {
  const Instance& head = pair.first.instances[group.instances.front()];
  out += fmt::format("    {}:\n", yaml(group.name));
  if (!group.priorities.empty()) {
    std::string map;
    for (const auto& [node, priority] : group.priorities)
      map += fmt::format("{}{}: {}", map.empty() ? "" : ", ", yaml(node), priority);
    out += fmt::format("      priority: {{ {} }}\n", map);
  }
  out += fmt::format("      advertise_interval: {}\n", head.interval);
  if (!head.preempt) out += "      preempt: false\n";
  if (head.preempt_delay != 0) out += fmt::format("      preempt_delay: {}s\n", head.preempt_delay);
  if (!group.protects.empty()) out += fmt::format("      protects: {}\n", yaml_list(group.protects));
  if (!group.hooks.empty()) {
    std::vector<Field> fields;
    for (const Hook& hook : group.hooks) fields.push_back({hook.key, {hook.path}, false});
    write_map(out, 6, "hooks", fields);
  }
  if (!group.tracks.empty()) out += "      track:\n";
  for (const Track& track : group.tracks) write_map(out, 8, yaml(track.name), track.fields);
  out += "      instances:\n";
  for (const std::size_t index : group.instances) write_instance(out, pair.first.instances[index]);
}

void write_sync(std::string& out, const Pair& pair, const PlanOfGroups& plan) {
  if (!pair.second || !plan.links) return;
  std::string links;
  for (const SyncLinkModel& link : pair.first.links)
    links += fmt::format("{}{{ interface: {}{} }}", links.empty() ? "" : ", ", yaml(link.interface),
                         link.multicast.empty() ? "" : ", multicast: " + yaml(link.multicast));
  out += "sync:\n";
  if (!plan.sync_groups.empty()) out += fmt::format("  groups: {}\n", yaml_list(plan.sync_groups));
  out += fmt::format("  links: [ {} ]\n  key_file: /etc/steadynat/sync.key\n", links);
}

void write_groups(std::string& out, const char* name, const std::vector<Group>& groups) {
  if (groups.empty()) return;
  out += fmt::format("{}:\n", name);
  for (const Group& group : groups) out += fmt::format("  {}: {}\n", yaml(group.name), yaml_list(group.items));
}

void write_firewall(std::string& out, const std::vector<RuleSet>& sets) {
  if (sets.empty()) return;
  out += "firewall:\n";
  for (const RuleSet& set : sets) {
    out += fmt::format("  {}:\n", yaml(set.name));
    for (const Field& field : set.fields) out += fmt::format("    {}: {}\n", field.key, field_text(field));
    std::map<std::string, std::vector<std::string>> hooks;
    for (const auto& [interface, direction] : set.hooks) {
      std::vector<std::string>& list = hooks[interface];
      if (std::ranges::find(list, direction) == list.end()) list.push_back(direction);
    }
    std::vector<Field> fields;
    for (const auto& [interface, directions] : hooks)
      fields.push_back({yaml(interface), directions, directions.size() > 1});
    if (!fields.empty()) write_map(out, 4, "interfaces", fields);
    write_rules(out, 4, "rules", set.rules);
  }
}

}  // namespace

std::string write_config(const Pair& pair, const PlanOfGroups& plan, std::string_view made_by) {
  const Router& router = pair.first;
  std::string out = fmt::format(
      "# Made by natctl {}. What has no place here was named when it was made; `natctl check` checks it.\n"
      "version: 1\n",
      made_by);
  write_nodes(out, pair, plan);
  if (!plan.groups.empty()) {
    out += "vrrp:\n  groups:\n";
    for (const PlannedGroup& group : plan.groups) write_group(out, pair, group);
  }
  write_sync(out, pair, plan);
  write_groups(out, "address_groups", router.address_groups);
  write_groups(out, "port_groups", router.port_groups);
  if (!router.source.empty() || !router.destination.empty() || !router.one_to_one.empty()) {
    out += "nat:\n";
    write_rules(out, 2, "static", router.one_to_one);
    write_rules(out, 2, "source", router.source);
    write_rules(out, 2, "destination", router.destination);
  }
  write_firewall(out, router.firewall);
  return out;
}

namespace {

/// Addresses of each interface, in the order of the names.
std::map<std::string, std::vector<Prefix>> by_interface(const Router& router) {
  std::map<std::string, std::vector<Prefix>> result;
  for (const InterfaceAddress& each : router.addresses)
    if (const auto prefix = Prefix::parse(each.address)) result[each.interface].push_back(*prefix);
  result.erase("lo");
  return result;
}

bool leads_to(const std::vector<Prefix>& addresses, const std::string& gateway) {
  const auto address = common::IpAddress::parse(gateway);
  return address && std::ranges::any_of(addresses, [&](const Prefix& each) { return each.contains(*address); });
}

}  // namespace

std::string write_ifupdown(const Router& router) {
  std::string out = fmt::format("# /etc/network/interfaces.d/steadynat on {}\n", router.name);
  for (const auto& [interface, addresses] : by_interface(router)) {
    out += fmt::format("\nauto {}\n", interface);
    for (const Prefix& address : addresses) {
      out += fmt::format("iface {} {} static\n    address {}\n", interface, address.address.is_v4() ? "inet" : "inet6",
                         address.to_string());
      if (leads_to({address}, router.gateway)) out += fmt::format("    gateway {}\n", router.gateway);
    }
  }
  return out;
}

std::string write_networkd(const Router& router) {
  std::string out = fmt::format("# Files of /etc/systemd/network on {}\n", router.name);
  const auto interfaces = by_interface(router);
  std::set<std::string> vlans;
  for (const auto& [interface, addresses] : interfaces)
    if (interface.find('.') != std::string::npos) vlans.insert(interface);
  for (const std::string& vlan : vlans)
    out += fmt::format("\n# 10-{0}.netdev\n[NetDev]\nName={0}\nKind=vlan\n\n[VLAN]\nId={1}\n", vlan,
                       vlan.substr(vlan.rfind('.') + 1));
  std::set<std::string> names;
  for (const auto& [interface, addresses] : interfaces) names.insert(interface);
  for (const std::string& vlan : vlans) names.insert(vlan.substr(0, vlan.rfind('.')));
  for (const std::string& interface : names) {
    out += fmt::format("\n# 10-{0}.network\n[Match]\nName={0}\n\n[Network]\n", interface);
    for (const std::string& vlan : vlans)
      if (vlan.substr(0, vlan.rfind('.')) == interface) out += fmt::format("VLAN={}\n", vlan);
    const auto found = interfaces.find(interface);
    if (found == interfaces.end()) continue;
    for (const Prefix& address : found->second) out += fmt::format("Address={}\n", address.to_string());
    if (leads_to(found->second, router.gateway)) out += fmt::format("Gateway={}\n", router.gateway);
  }
  return out;
}

}  // namespace natctl::importer
