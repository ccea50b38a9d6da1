#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// Where a rule set hangs: one per interface, direction and family, or it would be unclear which comes first.
struct Place {
  std::string interface;
  FirewallDirection direction;
  std::optional<Family> family;
  std::string set;
};
using Places = std::vector<Place>;

/// Above this a limit is none that nft can count, and a burst no burst.
constexpr int kHighestRate = 1'000'000;
constexpr std::string_view kRateUnits[] = {"second", "minute", "hour", "day"};

bool read_action(const Reader& reader, FirewallAction& into) {
  return reader.choice<FirewallAction>(
      into, {{"accept", FirewallAction::accept}, {"drop", FirewallAction::drop}, {"reject", FirewallAction::reject}});
}

/// A rule that accepts what is established, but not what is related to it.
struct Lonely {
  std::string name;
  Position at;
};

bool has_state(const FirewallRule& rule, ConnectionState state) {
  return std::ranges::find(rule.match.states, state) != rule.match.states.end();
}

/// The two may stand in one rule or in several.
void check_related(const FirewallRuleSet& set, const std::vector<Lonely>& lonely, Diagnostics& out) {
  const bool related = std::ranges::any_of(set.rules, [](const FirewallRule& rule) {
    return rule.action == FirewallAction::accept && has_state(rule, ConnectionState::related);
  });
  if (related) return;
  for (const Lonely& each : lonely)
    out.warning(each.at, each.name +
                             ": established without related drops the ICMP errors that belong to accepted connections "
                             "(path MTU discovery needs them); write [established, related]");
}

void read_states(const Reader& reader, std::vector<ConnectionState>& states) {
  using enum ConnectionState;
  for (const Setting& item : reader.list_or_one()) {
    ConnectionState state{};
    const bool good = reader.item(item).choice<ConnectionState>(state, {{to_string(fresh), fresh},
                                                                        {to_string(established), established},
                                                                        {to_string(related), related},
                                                                        {to_string(invalid), invalid}});
    if (good && std::ranges::find(states, state) == states.end()) states.push_back(state);
  }
}

void read_icmp_types(const Reader& reader, TrafficMatch& match) {
  const std::vector<std::uint8_t>& given = match.protocol.any;
  const bool v4 = given == std::vector<std::uint8_t>{protocols::icmp};
  if (!v4 && given != std::vector<std::uint8_t>{protocols::icmpv6}) {
    reader.error("types differ between IPv4 and IPv6; add `protocol: icmp` or icmpv6");
    return;
  }
  const Family family = v4 ? Family::ipv4 : Family::ipv6;
  for (const Setting& each : reader.list_or_one()) {
    const Reader item = reader.item(each);
    std::string word;
    if (!item.text(word)) continue;
    auto number = icmp_type_number(family, word);
    int value = 0;
    if (!number && word.find_first_not_of("0123456789") == std::string::npos) {
      if (!item.integer(value, 0, 255)) continue;
      number = static_cast<std::uint8_t>(value);
    }
    if (number)
      match.icmp_types.push_back(*number);
    else
      item.error(fmt::format("unknown type {}{}", quoted(word), did_you_mean(word, icmp_type_names(family))));
  }
}

void read_icmp(Section& section, TrafficMatch& match) {
  section.with("icmp_types", [&](const Reader& r) { read_icmp_types(r, match); });
  section.with("icmp_code", [&](const Reader& r) {
    int code = 0;
    if (r.integer(code, 0, 255)) match.icmp_code = static_cast<std::uint8_t>(code);
    if (match.icmp_types.size() != 1) r.error("a code needs the one type in icmp_types that it belongs to");
  });
}

void read_tcp_flags(const Reader& reader, TrafficMatch& match) {
  if (match.protocol.any != std::vector<std::uint8_t>{protocols::tcp}) reader.error("flags need `protocol: tcp`");
  for (const Setting& each : reader.list_or_one()) {
    const Reader item = reader.item(each);
    std::string word;
    if (!item.text(word)) continue;
    const bool clear = word.starts_with("not ");
    if (clear) word.erase(0, 4);
    const auto bit = tcp_flag(word);
    if (!bit) {
      item.error(fmt::format("unknown flag {}; there are fin, syn, rst, psh, ack, urg, ecn and cwr", quoted(word)));
      continue;
    }
    match.tcp_flags.looked_at |= *bit;
    if (!clear) match.tcp_flags.set |= *bit;
  }
}

/// "10/second"
void read_rate(const Reader& reader, RateLimit& limit) {
  std::string word;
  if (!reader.text(word)) return;
  const auto slash = word.find('/');
  const std::string unit = slash == std::string::npos ? std::string() : word.substr(slash + 1);
  Setting number = reader.value;
  number.text = word.substr(0, slash);
  if (std::ranges::find(kRateUnits, unit) == std::end(kRateUnits)) {
    reader.error(
        fmt::format("expected a rate such as 10/second, per second, minute, hour or day, found {}", quoted(word)));
    return;
  }
  if (Reader{number, reader.name, reader.out}.integer(limit.rate, 1, kHighestRate)) limit.unit = unit;
}

void read_limit(const Reader& reader, TrafficMatch& match) {
  RateLimit limit;
  if (reader.value.is(Setting::Kind::scalar)) {
    read_rate(reader, limit);
  } else {
    Section section(reader.value, reader.name, reader.out);
    section.with_required("rate", [&](const Reader& r) { read_rate(r, limit); });
    section.integer("burst", limit.burst, 1, kHighestRate);
    section.finish();
  }
  if (!limit.unit.empty()) match.limit = limit;
}

void read_source_mac(const Reader& reader, TrafficMatch& match) {
  std::string word;
  if (!reader.text(word)) return;
  match.source_mac = MacAddress::parse(word);
  if (!match.source_mac)
    reader.error(fmt::format("{} is not a hardware address such as 00:53:00:12:34:56", quoted(word)));
}

/// none: the rule is switched off.
std::optional<FirewallRule> read_rule(const SettingEntry& entry, const Reader& reader, Draft& draft,
                                      std::vector<Lonely>& lonely) {
  FirewallRule rule;
  TrafficMatch& match = rule.match;
  bool enabled = true;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  section.with("description", [&](const Reader& r) { read_description(r, rule.description); });
  section.boolean("enabled", enabled);
  section.boolean("log", rule.log);
  section.with_required("action", [&](const Reader& r) { read_action(r, rule.action); });
  section.with("state", [&](const Reader& r) {
    read_states(r, match.states);
    if (rule.action == FirewallAction::accept && has_state(rule, ConnectionState::established) && enabled)
      lonely.push_back({r.name, r.value.at});
  });
  section.with("inbound_interface", [&](const Reader& r) { read_interfaces(r, draft, match.inbound); });
  section.with("outbound_interface", [&](const Reader& r) { read_interfaces(r, draft, match.outbound); });
  read_match(section, draft, match);
  read_icmp(section, match);
  section.with("tcp_flags", [&](const Reader& r) { read_tcp_flags(r, match); });
  section.with("source_mac", [&](const Reader& r) { read_source_mac(r, match); });
  section.with("limit", [&](const Reader& r) { read_limit(r, match); });
  section.finish();
  return enabled ? std::optional(std::move(rule)) : std::nullopt;
}

void read_places(const Reader& reader, Draft& draft, FirewallRuleSet& set, Places& places) {
  for (const SettingEntry& entry : reader.map()) {
    const Reader directions = reader.entry(entry);
    Setting key;  // the name stands as a key, and is checked as a value
    key.kind = Setting::Kind::scalar;
    key.at = entry.at;
    key.text = entry.key;
    std::string interface;
    read_interface_pattern({key, reader.name, reader.out}, draft, interface);
    for (const Setting& item : directions.list_or_one()) {
      FirewallDirection direction{};
      const Reader each = directions.item(item);
      if (!each.choice<FirewallDirection>(
              direction,
              {{"in", FirewallDirection::in}, {"out", FirewallDirection::out}, {"local", FirewallDirection::local}}))
        continue;
      const auto taken = std::ranges::find_if(places, [&](const Place& place) {
        return place.interface == interface && place.direction == direction &&
               (!place.family || !set.family || place.family == set.family);
      });
      if (taken != places.end())
        each.error(
            fmt::format("rule set {} is used there already; an interface has one per direction", quoted(taken->set)));
      places.push_back({interface, direction, set.family, set.name});
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
  section.with("family", [&](const Reader& r) {
    Family family{};
    if (r.choice<Family>(family, {{"ipv4", Family::ipv4}, {"ipv6", Family::ipv6}})) set.family = family;
  });
  section.with("interfaces", [&](const Reader& r) { read_places(r, draft, set, places); });
  section.with("default_action", [&](const Reader& r) { read_action(r, set.default_action); });
  std::vector<Lonely> lonely;
  section.with("rules", [&](const Reader& r) {
    for (const SettingEntry& each : r.map())
      if (auto rule = read_rule(each, r.entry(each), draft, lonely)) set.rules.push_back(std::move(*rule));
  });
  section.boolean("log_default", set.log_default);
  section.with("pair_traffic", [&](const Reader& r) {
    r.choice<bool>(set.filter_pair_traffic, {{"accept", false}, {"filter", true}});
  });
  section.finish();
  std::ranges::sort(set.rules, {}, &FirewallRule::number);
  check_related(set, lonely, reader.out);
  draft.set_at[set.name] = entry.at;
  if (!section.has("interfaces")) reader.out.warning(entry.at, reader.name + ": without interfaces it has no effect");
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
