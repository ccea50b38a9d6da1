#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// Where a rule set hangs: one per interface and direction, or it would be unclear which comes first.
using Places = std::map<std::pair<std::string, FirewallDirection>, std::string>;

bool read_action(const Reader& reader, FirewallAction& into) {
  return reader.choice<FirewallAction>(into, {{"accept", FirewallAction::accept},
                                              {"drop", FirewallAction::drop},
                                              {"reject", FirewallAction::reject}});
}

void read_ports(const Reader& reader, std::vector<std::uint16_t>& into) {
  for (const Setting& item : reader.list_or_one()) {
    int port = 0;
    if (reader.item(item).integer(port, 1, 65535)) into.push_back(static_cast<std::uint16_t>(port));
  }
}

void read_states(const Reader& reader, FirewallRule& rule) {
  const auto has = [&](ConnectionState state) {
    return std::ranges::find(rule.states, state) != rule.states.end();
  };
  for (const Setting& item : reader.list_or_one()) {
    ConnectionState state{};
    const bool good =
        reader.item(item).choice<ConnectionState>(state, {{"new", ConnectionState::fresh},
                                                          {"established", ConnectionState::established},
                                                          {"related", ConnectionState::related},
                                                          {"invalid", ConnectionState::invalid}});
    if (good && !has(state)) rule.states.push_back(state);
  }
  if (rule.action == FirewallAction::accept && has(ConnectionState::established) &&
      !has(ConnectionState::related))
    reader.warning(
        "established without related drops the ICMP errors that belong to accepted connections "
        "(path MTU discovery needs them); write [established, related]");
}

void check_ports(Section& section, const FirewallRule& rule) {
  if (rule.source_ports.empty() && rule.destination_ports.empty()) return;
  for (const std::string_view protocol : {"tcp", "udp", "sctp", "dccp", "udplite"})
    if (rule.protocol == protocol) return;
  section.out().error(section.at(),
                      section.name() + ": ports need a protocol that has them; add `protocol: tcp` or udp");
}

FirewallRule read_rule(const SettingEntry& entry, const Reader& reader) {
  FirewallRule rule;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  section.with("description", [&](const Reader& r) { read_description(r, rule.description); });
  section.with_required("action", [&](const Reader& r) { read_action(r, rule.action); });
  section.with("state", [&](const Reader& r) { read_states(r, rule); });
  section.with("protocol", [&](const Reader& r) { read_protocol(r, rule.protocol); });
  const auto network = [](std::optional<Prefix>& into) {
    return [&into](const Reader& r) {
      Prefix prefix;
      if (r.network(prefix)) into = prefix;
    };
  };
  section.with("source_address", network(rule.source_address));
  section.with("destination_address", network(rule.destination_address));
  if (rule.source_address && rule.destination_address &&
      rule.source_address->address.family() != rule.destination_address->address.family())
    section.out().error(section.at(),
                        section.name() + ": source_address and destination_address are not of one family");
  section.with("source_ports", [&](const Reader& r) { read_ports(r, rule.source_ports); });
  section.with("destination_ports", [&](const Reader& r) { read_ports(r, rule.destination_ports); });
  check_ports(section, rule);
  section.finish();
  return rule;
}

void read_interfaces(const Reader& reader, Draft& draft, FirewallRuleSet& set, Places& places) {
  for (const SettingEntry& entry : reader.map()) {
    const Reader directions = reader.entry(entry);
    Setting key;  // the name stands as a key, and is checked as a value
    key.kind = Setting::Kind::scalar;
    key.at = entry.at;
    key.text = entry.key;
    std::string interface;
    read_interface({key, reader.name, reader.out}, draft, interface);
    for (const Setting& item : directions.list_or_one()) {
      FirewallDirection direction{};
      const Reader each = directions.item(item);
      if (!each.choice<FirewallDirection>(direction, {{"in", FirewallDirection::in},
                                                      {"out", FirewallDirection::out},
                                                      {"local", FirewallDirection::local}}))
        continue;
      const auto [first, fresh] = places.try_emplace({interface, direction}, set.name);
      if (!fresh)
        each.error(fmt::format("rule set {} is used there already; an interface has one per direction",
                               quoted(first->second)));
      set.interfaces.push_back({interface, direction});
    }
  }
}

FirewallRuleSet read_rule_set(const SettingEntry& entry, const Reader& reader, Draft& draft, Places& places) {
  FirewallRuleSet set;
  set.name = entry.key;
  Reader::check_name(entry, "a rule set", reader.out);
  Section section(entry.value, reader.name, reader.out);
  std::string description;
  section.with("description", [&](const Reader& r) { read_description(r, description); });
  section.with("interfaces", [&](const Reader& r) { read_interfaces(r, draft, set, places); });
  section.with("default_action", [&](const Reader& r) { read_action(r, set.default_action); });
  section.with("rules", [&](const Reader& r) {
    for (const SettingEntry& rule : r.map()) set.rules.push_back(read_rule(rule, r.entry(rule)));
  });
  section.finish();
  std::ranges::sort(set.rules, {}, &FirewallRule::number);
  if (!section.has("interfaces"))
    reader.out.warning(entry.at, reader.name + ": without interfaces it has no effect");
  return set;
}

}  // namespace

void read_firewall(Section& root, Draft& draft) {
  root.with("firewall", [&](const Reader& r) {
    Places places;
    for (const SettingEntry& entry : r.map())
      draft.config.firewall.push_back(read_rule_set(entry, r.entry(entry), draft, places));
  });
}

}  // namespace common
