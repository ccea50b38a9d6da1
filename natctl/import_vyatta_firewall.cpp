// Rule sets, and where they hang: at the interface (up to VyOS 1.3), at `firewall interface`, or by jumps out of the
// base chains (1.4 and later).
#include <fmt/format.h>

#include <algorithm>

#include "natctl/import_vyatta.hpp"

namespace natctl::importer {
namespace {

/// A rule set of ours; an `ipv6-name` may share its name with a `name`.
std::string set_name(const std::string& theirs, bool ipv6) {
  return safe_name(theirs) + (ipv6 ? "-6" : "");
}

bool read_states(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* node = rule.find("state");
  if (!node) return true;
  std::vector<std::string> states;
  bool good = true;
  for (const auto& child : node->children()) {
    const bool known = child->text() == "established" || child->text() == "related" || child->text() == "new" ||
                       child->text() == "invalid";
    if (!known) {
      good = false;
      continue;  // it stays unread, and is listed
    }
    if (is_enabled(*node, child->text().c_str())) states.push_back(child->text());
  }
  if (states.empty() && good) {
    reader.warn(*node, "a state that is none: the rule would never match");
    good = false;
  }
  into.add("state", std::move(states));
  return good;
}

struct IcmpName {
  const char* theirs;
  const char* ours;
  int code;
};
/// Where theirs are called otherwise, or are a type and a code.
constexpr IcmpName kIcmpNames[] = {
    {"ping", "echo-request", -1},
    {"pong", "echo-reply", -1},
    {"ttl-exceeded", "time-exceeded", -1},
    {"network-unreachable", "destination-unreachable", 0},
    {"host-unreachable", "destination-unreachable", 1},
    {"protocol-unreachable", "destination-unreachable", 2},
    {"port-unreachable", "destination-unreachable", 3},
    {"fragmentation-needed", "destination-unreachable", 4},
    {"ttl-zero-during-transit", "time-exceeded", 0},
    {"ttl-zero-during-reassembly", "time-exceeded", 1},
    {"router-solicitation", "nd-router-solicit", -1},
    {"router-advertisement", "nd-router-advert", -1},
    {"neighbor-solicitation", "nd-neighbor-solicit", -1},
    {"neighbour-solicitation", "nd-neighbor-solicit", -1},
    {"neighbor-advertisement", "nd-neighbor-advert", -1},
    {"neighbour-advertisement", "nd-neighbor-advert", -1},
};

bool add_icmp(const VyattaReader& reader, const Words& word, common::Family family, Rule& into) {
  std::string name = word.text(), code;
  const auto slash = name.find('/');
  if (slash != std::string::npos) {
    code = name.substr(slash + 1);
    name.resize(slash);
  }
  const auto known = [&](const std::string& text) {
    return common::icmp_type_number(family, text).has_value() ||
           (!text.empty() && text.size() <= 3 && text.find_first_not_of("0123456789") == std::string::npos);
  };
  if (!known(name))
    for (const IcmpName& each : kIcmpNames)
      if (name == each.theirs && common::icmp_type_number(family, each.ours)) {
        name = each.ours;
        if (each.code >= 0) code = std::to_string(each.code);
        break;
      }
  if (!known(name)) {
    reader.warn(word, fmt::format("not understood: ICMP type {}", common::quoted(word.text())));
    return false;
  }
  into.add("icmp_types", name);
  if (!code.empty()) into.add("icmp_code", code);
  return true;
}

bool read_icmp(const VyattaReader& reader, const Words& rule, const char* node_name, common::Family family,
               Rule& into) {
  const Words* node = rule.find(node_name);
  if (!node) return true;
  if (!into.find("protocol")) into.add("protocol", family == common::Family::ipv4 ? "icmp" : "icmpv6");
  const Words* type = node->value("type-name");
  if (!type) type = node->value("type");
  const Words* code = node->value("code");
  if (!type || type->text() == "any") return code == nullptr;
  if (!add_icmp(reader, *type, family, into)) return false;
  if (code && !into.find("icmp_code")) into.add("icmp_code", code->text());
  return true;
}

/// "SYN,!ACK" of old files; { syn; not { ack } } of new ones.
bool read_tcp_flags(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* flags = rule.find({"tcp", "flags"});
  if (!flags) return true;
  std::vector<std::string> items;
  bool good = true;
  const auto add = [&](const Words& at, std::string name, bool clear) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name.starts_with('!')) {
      clear = true;
      name.erase(0, 1);
    }
    if (common::tcp_flag(name)) {
      items.push_back((clear ? "not " : "") + name);
      return;
    }
    reader.warn(at, fmt::format("not understood: TCP flag {}", common::quoted(name)));
    good = false;
  };
  for (const Words* word : rule.find("tcp")->each("flags")) {
    if (word->text() == "not") {
      for (const Words* clear : flags->each("not")) add(*clear, clear->text(), true);
      continue;
    }
    std::string_view rest = word->text();
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      add(*word, std::string(rest.substr(0, comma)), false);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  const Field* protocol = into.find("protocol");
  if (!protocol || (protocol->items.front() != "tcp" && protocol->items.front() != "6")) {
    reader.warn(*flags, "TCP flags without the protocol tcp");
    return false;
  }
  into.add("tcp_flags", std::move(items));
  return good;
}

bool read_limit(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* limit = rule.find("limit");
  if (!limit) return true;
  const Words* rate = limit->value("rate");
  const std::string burst = limit->value_or("burst", "");
  std::string text = rate ? rate->text() : std::string();
  const auto slash = text.find('/');
  std::string unit = slash == std::string::npos ? "" : text.substr(slash + 1);
  for (const auto& [theirs, ours] : {std::pair{"s", "second"}, std::pair{"sec", "second"}, std::pair{"m", "minute"},
                                     std::pair{"min", "minute"}, std::pair{"h", "hour"}, std::pair{"d", "day"}})
    if (unit == theirs) unit = ours;
  if (unit != "second" && unit != "minute" && unit != "hour" && unit != "day") {
    reader.warn(*limit, "not understood: limit");
    return false;
  }
  text = text.substr(0, slash) + "/" + unit;
  into.add("limit", burst.empty() ? text : fmt::format("{{ rate: {}, burst: {} }}", text, burst));
  return true;
}

bool read_action(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* action = rule.value("action");
  const bool known = action && (action->text() == "accept" || action->text() == "drop" || action->text() == "reject");
  into.add("action", known ? action->text() : "drop");
  if (action && !known) reader.warn(*action, fmt::format("not understood: action {}", common::quoted(action->text())));
  if (!action) reader.warn(rule, "a rule without an action");
  return known;
}

void read_rule(const VyattaReader& reader, const Words& words, RuleSet& set) {
  const auto number = rule_number(reader, words);
  if (!number) return;
  Rule rule{*number, words.at(), {}};
  read_description(reader, words, rule.fields);
  bool good = read_action(reader, words, rule);
  good = read_states(reader, words, rule) && good;
  good = read_interface(reader, words, "inbound-interface", "inbound_interface", rule) && good;
  good = read_interface(reader, words, "outbound-interface", "outbound_interface", rule) && good;
  good = read_match(reader, words, rule) && good;
  good = read_icmp(reader, words, "icmp", common::Family::ipv4, rule) && good;
  good = read_icmp(reader, words, "icmpv6", common::Family::ipv6, rule) && good;
  good = read_tcp_flags(reader, words, rule) && good;
  good = read_limit(reader, words, rule) && good;
  if (is_enabled(words, "log")) rule.add("log", "true");
  const bool off = words.has("disable");
  if (words.has_unused()) good = false;
  if (!good)
    reader.warn(words, fmt::format("rule {} of {} is switched off (enabled: false), because not all of it was "
                                   "understood; complete it",
                                   *number, set.name));
  if (!good || off) rule.add("enabled", "false");
  set.rules.push_back(std::move(rule));
}

void read_set(VyattaReader& reader, const Words& words, bool ipv6) {
  RuleSet set;
  set.name = set_name(words.text(), ipv6);
  set.at = words.at();
  read_description(reader, words, set.fields);
  set.fields.push_back({"family", {ipv6 ? "ipv6" : "ipv4"}, false});
  const std::string action = words.value_or("default-action", "drop");
  const bool known = action == "accept" || action == "drop" || action == "reject";
  if (!known)
    reader.warn(words, fmt::format("{}: default-action {} is taken as drop", set.name, common::quoted(action)));
  set.fields.push_back({"default_action", {known ? action : "drop"}, false});
  if (words.has("enable-default-log") || words.has("default-log"))
    set.fields.push_back({"log_default", {"true"}, false});
  for (const Words* rule : words.each("rule")) read_rule(reader, *rule, set);
  std::ranges::stable_sort(set.rules, {}, &Rule::number);
  reader.router.firewall.push_back(std::move(set));
}

void hang(VyattaReader& reader, const Words& at, const std::string& set, bool ipv6, const std::string& interface,
          const std::string& direction) {
  const std::string name = set_name(set, ipv6);
  const auto found = std::ranges::find(reader.router.firewall, name, &RuleSet::name);
  if (found == reader.router.firewall.end())
    reader.warn(at, fmt::format("{} {}: there is no rule set {}", interface, direction, common::quoted(set)));
  else if (!is_interface(interface))
    reader.warn(at, fmt::format("not taken over: {} is no name of an interface", common::quoted(interface)));
  else
    found->hooks.emplace_back(interface, direction);
}

/// `name X` and `ipv6-name Y` below `in`, `out` and `local`.
void read_directions(VyattaReader& reader, const Words& node, const std::string& interface) {
  for (const char* direction : {"in", "out", "local"}) {
    const Words* at = node.find(direction);
    if (!at) continue;
    for (const bool ipv6 : {false, true})
      if (const Words* set = at->value(ipv6 ? "ipv6-name" : "name"))
        hang(reader, *set, set->text(), ipv6, interface, direction);
  }
}

/// A base chain says by jumps which rule set is for which interface.
void read_base_chain(VyattaReader& reader, const Words& chain, bool ipv6, bool input) {
  chain.value("default-action");
  for (const Words* words : chain.each("rule")) {
    Rule rule{0, words->at(), {}};
    const bool jump = words->value_or("action", "") == "jump";
    const Words* target = words->value("jump-target");
    const bool good = read_interface(reader, *words, "inbound-interface", "inbound_interface", rule) &&
                      read_interface(reader, *words, "outbound-interface", "outbound_interface", rule);
    words->value("description");
    const bool off = words->has("disable");
    const Field *in = rule.find("inbound_interface"), *out = rule.find("outbound_interface");
    if (!jump || !target || !good || words->has_unused() || (in != nullptr) == (out != nullptr) || off) {
      reader.warn(*words,
                  fmt::format("not taken over: rule {} of a base chain, which is no plain jump for one interface "
                              "and direction",
                              words->text()));
      words->take();
      continue;
    }
    for (const std::string& interface : (in ? in : out)->items)
      hang(reader, *target, target->text(), ipv6, interface, input ? "local" : in ? "in" : "out");
  }
}

/// `state-policy` holds before all rule sets: it becomes their first rules.
void read_state_policy(VyattaReader& reader, const Words& policy) {
  int number = 1;
  for (const char* state : {"established", "related", "invalid"}) {
    const Words* node = policy.find(state);
    if (!node) continue;
    const std::string action = node->value_or("action", "");
    const bool log = is_enabled(*node, "log");
    if (action != "accept" && action != "drop" && action != "reject") {
      reader.warn(*node, fmt::format("not understood: state-policy {} {}", state, common::quoted(action)));
      continue;
    }
    for (RuleSet& set : reader.router.firewall) {
      if (!set.rules.empty() && set.rules.front().number < number) continue;
      if (std::ranges::find(set.rules, number, &Rule::number) != set.rules.end()) {
        reader.warn(*node, fmt::format("{} has a rule {}, where state-policy should stand", set.name, number));
        continue;
      }
      Rule rule{number, node->at(), {}};
      rule.add("action", action);
      rule.add("state", std::string(state));
      if (log) rule.add("log", "true");
      set.rules.push_back(std::move(rule));
    }
    ++number;
  }
  for (RuleSet& set : reader.router.firewall) std::ranges::stable_sort(set.rules, {}, &Rule::number);
}

}  // namespace

void read_firewall_sets(VyattaReader& reader, const Words& root) {
  const Words* firewall = root.find("firewall");
  if (!firewall) return;
  for (const Words* set : firewall->each("name")) read_set(reader, *set, false);
  for (const Words* set : firewall->each("ipv6-name")) read_set(reader, *set, true);
  for (const bool ipv6 : {false, true})
    if (const Words* family = firewall->find(ipv6 ? "ipv6" : "ipv4"))
      for (const Words* set : family->each("name")) read_set(reader, *set, ipv6);
}

void read_interface_firewall(VyattaReader& reader, const Words& interface, const std::string& name) {
  if (const Words* node = interface.find("firewall")) read_directions(reader, *node, name);
}

void read_firewall_hooks(VyattaReader& reader, const Words& root) {
  const Words* firewall = root.find("firewall");
  if (!firewall) return;
  for (const Words* interface : firewall->each("interface")) read_directions(reader, *interface, interface->text());
  for (const bool ipv6 : {false, true})
    if (const Words* family = firewall->find(ipv6 ? "ipv6" : "ipv4"))
      for (const auto& [hook, input] : {std::pair{"forward", false}, std::pair{"input", true}})
        if (const Words* chain = family->find({hook, "filter"})) read_base_chain(reader, *chain, ipv6, input);
  for (const std::initializer_list<std::string_view> path :
       {std::initializer_list<std::string_view>{"state-policy"}, {"global-options", "state-policy"}})
    if (const Words* policy = firewall->find(path)) read_state_policy(reader, *policy);
}

}  // namespace natctl::importer
