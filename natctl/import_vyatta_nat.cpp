// `service nat` of Vyatta 6, `nat` and `nat66` of later ones, and the groups that rules refer to.
#include <fmt/format.h>

#include <algorithm>

#include "natctl/import_vyatta.hpp"

namespace natctl::importer {
namespace {

struct GroupKind {
  const char* theirs;
  const char* member;
  bool ports;
};
constexpr GroupKind kKinds[] = {
    {"address-group", "address", false},
    {"network-group", "network", false},
    {"ipv6-address-group", "address", false},
    {"ipv6-network-group", "network", false},
    {"port-group", "port", true},
};

/// Letters first: a group of ours must not look like an address.
std::string group_name(const std::string& theirs, const std::vector<Group>& taken) {
  std::string name = safe_name(theirs);
  const char first = name.front();
  if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z')) || name == "not") name = "g-" + name;
  std::string free = name;
  for (int n = 2; std::ranges::find(taken, free, &Group::name) != taken.end(); ++n)
    free = fmt::format("{}-{}", name, n);
  return free;
}

std::optional<std::string> member_text(const GroupKind& kind, const std::string& text) {
  if (kind.ports) {
    const auto dash = text.find('-');
    if (const auto whole = port_number(text)) return whole;
    return dash == std::string::npos ? std::nullopt : port_range(text.substr(0, dash), text.substr(dash + 1));
  }
  const auto range = common::AddressRange::parse(text);
  return range ? std::optional(range->to_string()) : std::nullopt;
}

void read_group(VyattaReader& reader, const GroupKind& kind, const Words& group) {
  std::vector<Group>& list = kind.ports ? reader.router.port_groups : reader.router.address_groups;
  Group made{group_name(group.text(), list), group.at(), {}};
  group.value("description");
  for (const Words* member : group.each(kind.member)) {
    if (const auto text = member_text(kind, member->text()))
      made.items.push_back(*text);
    else
      reader.warn(*member,
                  fmt::format("{} {}: {} is left out", kind.theirs, group.text(), common::quoted(member->text())));
  }
  if (made.items.empty()) {
    reader.warn(group, fmt::format("not taken over: {} {} has no members", kind.theirs, group.text()));
    return;
  }
  reader.groups[fmt::format("{} {}", kind.theirs, group.text())] = made.name;
  list.push_back(std::move(made));
}

void read_interface_groups(VyattaReader& reader, const Words& groups) {
  for (const Words* group : groups.each("interface-group")) {
    group->value("description");
    std::string members;
    for (const std::string& member : group->values("interface")) members += (members.empty() ? "" : " ") + member;
    if (!members.empty()) reader.groups["interface-group " + group->text()] = members;
  }
}

enum class Kind { source, destination, one_to_one };

/// What a rule translates to; `port` is another of theirs.
struct Target {
  const Words* address = nullptr;
  const Words* port = nullptr;
};

Target target_of(const Words& rule, const char* node) {
  const Words* at = rule.find(node);
  if (!at) return {};
  return {at->value("address"), at->value("port")};
}

bool is_network(const std::string& text) {
  const auto range = common::AddressRange::parse(text);
  return range && !range->single() && range->network();
}

/// Network to network of the same size: hosts keep their part, as in theirs.
bool is_prefix_mapping(const Rule& rule, const char* side, const std::string& to) {
  const Field* from = rule.find(side);
  if (!from || from->items.size() != 1 || !is_network(from->items.front()) || !is_network(to)) return false;
  return common::AddressRange::parse(from->items.front())->network()->length ==
         common::AddressRange::parse(to)->network()->length;
}

bool read_options(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* options = rule.find({"translation", "options"});
  if (!options) return true;
  bool good = true;
  if (const Words* word = options->value("address-mapping")) {
    if (word->text() == "persistent") into.add("address_mapping", "persistent");
    good = word->text() == "persistent" || word->text() == "random";
  }
  if (const Words* word = options->value("port-mapping")) {
    if (word->text() == "random" || word->text() == "fully-random") into.add("port_mapping", word->text());
  }
  if (!good) reader.warn(*options, "not understood: translation options");
  return good;
}

std::string virtual_address_on(const VyattaReader& reader, const Rule& rule) {
  const Field* outbound = rule.find("outbound_interface");
  if (outbound && outbound->items.size() == 1)
    for (const Instance& instance : reader.router.instances)
      if (instance.interface == outbound->items.front())
        for (const Word& address : instance.addresses)
          if (const auto prefix = common::Prefix::parse(address.text); prefix && prefix->address.is_v4())
            return prefix->address.to_string();
  return {};
}

void read_masquerade(const VyattaReader& reader, const Words& rule, Rule& into) {
  const std::string address = virtual_address_on(reader, into);
  if (reader.rewrite_masquerade && !address.empty()) {
    into.add("translate_to", address);
    return;
  }
  into.add("translate_to", "masquerade");
  reader.warn(rule, fmt::format("masquerade takes the router's own address, so no such connection survives a "
                                "failover{}",
                                address.empty() ? "; give a virtual address"
                                                : "; --rewrite-masquerade makes it translate_to: " + address));
}

bool read_target(const VyattaReader& reader, const Words& rule, const Target& target, Kind kind, Rule& into) {
  if (!target.address) {
    reader.warn(rule, "it does not say what address to translate to");
    return false;
  }
  const std::string& text = target.address->text();
  bool good = true;
  if (kind == Kind::source && text == "masquerade") {
    read_masquerade(reader, rule, into);
  } else if (const auto range = common::AddressRange::parse(text)) {
    into.add("translate_to", range->to_string());
    const char* side = kind == Kind::source ? "source_address" : "destination_address";
    if (is_prefix_mapping(into, side, range->to_string())) into.add("address_mapping", "prefix");
  } else {
    reader.warn(*target.address, fmt::format("not understood: address {}", common::quoted(text)));
    good = false;
  }
  if (target.port) {
    if (const auto ports = common::PortRange::parse(target.port->text())) {
      into.add("ports", ports->to_string());
    } else {
      reader.warn(*target.port, fmt::format("not understood: port {}", common::quoted(target.port->text())));
      good = false;
    }
  }
  return good;
}

/// A rule that would do something else than theirs is there to be completed, but switched off.
void finish_rule(const VyattaReader& reader, const Words& rule, bool good, bool off, Rule& into) {
  if (rule.has_unused()) good = false;
  if (!good)
    reader.warn(rule, fmt::format("rule {} is switched off (enabled: false), because not all of it was "
                                  "understood; complete it",
                                  rule.text()));
  if (!good || off) into.add("enabled", "false");
}

/// What is left when it does not say what to translate to: an exclusion, which says nothing of that either.
void make_exclusion(Rule& rule) {
  std::erase_if(rule.fields, [](const Field& each) {
    return each.key == "ports" || each.key == "translate_to" || each.key.ends_with("_mapping");
  });
  rule.add("exclude", "true");
}

void read_rule(VyattaReader& reader, const Words& words, Kind kind, const Target& target, bool masquerade) {
  const auto number = rule_number(reader, words);
  if (!number) return;
  Rule rule{*number, words.at(), {}};
  read_description(reader, words, rule.fields);
  bool good = kind == Kind::source ? read_interface(reader, words, "outbound-interface", "outbound_interface", rule)
                                   : read_interface(reader, words, "inbound-interface", "inbound_interface", rule);
  good = read_match(reader, words, rule) && good;
  if (is_enabled(words, "log")) rule.add("log", "true");
  const bool off = words.has("disable");
  if (words.has("exclude")) {
    rule.add("exclude", "true");
  } else if (masquerade) {
    read_masquerade(reader, words, rule);
  } else {
    good = read_target(reader, words, target, kind, rule) && good;
    good = read_options(reader, words, rule) && good;
    // What cannot say what it translates to is no rule of ours, switched off or not.
    if (!rule.find("translate_to")) {
      make_exclusion(rule);
      good = false;
    }
  }
  finish_rule(reader, words, good, off, rule);
  (kind == Kind::source ? reader.router.source : reader.router.destination).push_back(std::move(rule));
}

void read_static(VyattaReader& reader, const Words& words) {
  const auto number = rule_number(reader, words);
  if (!number) return;
  Rule rule{*number, words.at(), {}};
  read_description(reader, words, rule.fields);
  const Words* outside = words.find("destination");
  const Words *address = outside ? outside->value("address") : nullptr,
              *inside = target_of(words, "translation").address;
  const Words* interface = words.value("inbound-interface");
  if (!address || !inside || !interface || !common::AddressRange::parse(address->text()) ||
      !common::AddressRange::parse(inside->text())) {
    reader.warn(words, fmt::format("not taken over: static rule {} lacks an interface or an address", words.text()));
    return;
  }
  rule.add("interface", interface->text());
  rule.add("outside_address", common::AddressRange::parse(address->text())->to_string());
  rule.add("inside_address", common::AddressRange::parse(inside->text())->to_string());
  if (is_enabled(words, "log")) rule.add("log", "true");
  const bool off = words.has("disable");
  finish_rule(reader, words, true, off, rule);
  reader.router.one_to_one.push_back(std::move(rule));
}

void read_old_nat(VyattaReader& reader, const Words& nat) {
  for (const Words* rule : nat.each("rule")) {
    const std::string type = rule->value_or("type", "");
    if (type == "source" || type == "masquerade")
      read_rule(reader, *rule, Kind::source, target_of(*rule, "outside-address"), type == "masquerade");
    else if (type == "destination")
      read_rule(reader, *rule, Kind::destination, target_of(*rule, "inside-address"), false);
    else
      reader.warn(*rule,
                  fmt::format("not taken over: rule {} has no type, source, destination or masquerade", rule->text()));
  }
}

void read_new_nat(VyattaReader& reader, const Words& nat) {
  for (const auto& [name, kind] : {std::pair{"source", Kind::source}, std::pair{"destination", Kind::destination}})
    if (const Words* rules = nat.find(name))
      for (const Words* rule : rules->each("rule"))
        read_rule(reader, *rule, kind, target_of(*rule, "translation"), false);
  if (const Words* rules = nat.find("static"))
    for (const Words* rule : rules->each("rule")) read_static(reader, *rule);
}

/// IPv4 and IPv6 have number spaces of their own there, and one here.
void settle_numbers(VyattaReader& reader, std::vector<Rule>& rules, std::size_t first_of_ipv6) {
  constexpr int kShift = 500000;
  for (std::size_t i = first_of_ipv6; i < rules.size(); ++i) {
    const auto same = [&](const Rule& rule) { return rule.number == rules[i].number; };
    if (std::none_of(rules.begin(), rules.begin() + static_cast<std::ptrdiff_t>(first_of_ipv6), same)) continue;
    const int moved = rules[i].number % kShift + kShift;
    reader.out.warning(rules[i].at,
                       fmt::format("rule {} is called {} here: a rule of IPv4 has its number", rules[i].number, moved));
    rules[i].number = moved;
  }
}

}  // namespace

void read_groups(VyattaReader& reader, const Words& root) {
  const Words* groups = root.find({"firewall", "group"});
  if (!groups) return;
  for (const GroupKind& kind : kKinds)
    for (const Words* group : groups->each(kind.theirs)) read_group(reader, kind, *group);
  read_interface_groups(reader, *groups);
}

void read_nat(VyattaReader& reader, const Words& root) {
  if (const Words* nat = root.find({"service", "nat"})) read_old_nat(reader, *nat);
  if (const Words* nat = root.find("nat")) read_new_nat(reader, *nat);
  Router& router = reader.router;
  const std::size_t sources = router.source.size(), destinations = router.destination.size();
  if (const Words* nat = root.find("nat66")) read_new_nat(reader, *nat);
  settle_numbers(reader, router.source, sources);
  settle_numbers(reader, router.destination, destinations);
  for (auto* list : {&router.source, &router.destination, &router.one_to_one})
    std::ranges::stable_sort(*list, {}, &Rule::number);
}

}  // namespace natctl::importer
