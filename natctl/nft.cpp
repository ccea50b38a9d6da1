#include "natctl/nft.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "natctl/nft_text.hpp"

namespace natctl {

using common::FirewallAction;
using common::FirewallDirection;
using common::IpAddress;

namespace {

// A comment holds 128 bytes; "term" and a number of 20 digits take less than 30.
constexpr std::size_t kNodeInComment = 90;
// A reset does not get one, nor does anything but TCP: nftables sees to both.
constexpr std::string_view kReset = "reject with tcp reset";
// Translation is done at srcnat (100); behind it one sees what really leaves.
constexpr std::string_view kAfterTranslation = "srcnat + 10";
// IPv6 finds its neighbours by ICMPv6 to the very addresses that the gate shuts; ARP never comes by here.
constexpr std::string_view kNeighbours = "icmpv6 type { 133, 134, 135, 136, 137 }";
// An address of the interface that the packet leaves by: the router speaks for itself (adverts of VRRP, a
// ping by the operator). It is neither translated nor stopped, on either router.
constexpr std::string_view kNotOwn = "fib saddr . oif type != local";

/// Of a packet on its way out: it is one that the rule is about. Where the rule names no source, that must
/// not be one without an address either, which is how the router asks for its own (DHCP).
std::string outgoing(const Match& match) {
  std::string text = match_text(match);
  if (match.outbound.empty()) text += " oifname != \"lo\"";
  if (!match.source) text += match.family == common::Family::ipv6 ? " ip6 saddr != ::" : " ip saddr != 0.0.0.0";
  return text + " " + std::string(kNotOwn);
}

/// "ip daddr { a, b }" and "ip6 daddr { c }", as far as there are any.
std::vector<std::string> by_family(std::string_view field, const std::vector<IpAddress>& addresses) {
  std::vector<std::string> result;
  for (const bool v4 : {true, false}) {
    std::vector<std::string> list;
    for (const IpAddress& a : addresses)
      if (a.is_v4() == v4) list.push_back(a.to_string());
    if (!list.empty()) result.push_back(fmt::format("{} {} {{ {} }}", v4 ? "ip" : "ip6", field, fmt::join(list, ", ")));
  }
  return result;
}

std::vector<IpAddress> translations(const Ruleset& ruleset) {
  std::vector<IpAddress> result;
  for (const SourceNat& rule : ruleset.source_nat)
    if (rule.translate_to && std::find(result.begin(), result.end(), *rule.translate_to) == result.end())
      result.push_back(*rule.translate_to);
  return result;
}

/// "term 7 R1", as a comment; nothing where a name is too long for one.
std::string term_comment(const common::Term& term) {
  const std::string node = encode_name(term.node);
  if (!term.valid() || node.empty() || node.size() > kNodeInComment) return {};
  return fmt::format(" comment \"term {} {}\"", term.counter, node);
}

std::optional<common::Term> read_term(std::string_view comment) {
  constexpr std::string_view kHead = "term ";
  if (!comment.starts_with(kHead)) return std::nullopt;
  comment.remove_prefix(kHead.size());
  common::Term term;
  const auto [end, failure] = std::from_chars(comment.data(), comment.data() + comment.size(), term.counter);
  if (failure != std::errc{} || end == comment.data() + comment.size() || *end != ' ') return std::nullopt;
  comment.remove_prefix(static_cast<std::size_t>(end - comment.data()) + 1);
  term.node = decode_name(comment);
  return term;
}

std::string switch_rule(const GateState& gate, const std::string& name, std::string_view chain) {
  if (chain == "strict_") return std::string(gate.complete ? kReset : "drop") + term_comment(gate.term);
  if (gate.open) return {};
  return fmt::format("jump {}{}", chain == "gate_" ? "cover_" : "coverout_", name);
}

constexpr std::string_view kCounters[] = {"shut", "invalid", "midstream", "untranslated"};
constexpr std::string_view kSwitch[] = {"gate_", "gateout_", "strict_"};

void write_cover(Writer& out, const Coverage& group, const std::string& name) {
  const std::string drop = fmt::format("counter name \"shut_{}\" drop", name);
  out.open("chain cover_" + name);
  const bool v6 =
      std::any_of(group.addresses.begin(), group.addresses.end(), [](const IpAddress& a) { return !a.is_v4(); });
  if (v6) out.line(fmt::format("{} return", kNeighbours));
  for (const auto& match : by_family("daddr", group.addresses)) out.rule({match, drop});
  for (Match match : group.translated) {
    // What is addressed to the router itself passes, and what has no single receiver is not forwarded by us.
    std::string forwarded = "fib daddr type unicast";
    if (!match.source && !match.outbound.empty()) forwarded += " fib daddr oifname " + in_quotes(match.outbound);
    match.outbound.clear();
    out.rule({match_text(match), forwarded, drop});
  }
  for (const common::Prefix& prefix : group.protects)
    for (const char* field : {"saddr", "daddr"}) out.rule({prefix_text(field, prefix), "fib daddr type unicast", drop});
  out.close();

  out.open("chain coverout_" + name);
  for (const Match& match : group.translated) out.rule({outgoing(match), drop});
  out.close();
}

void write_group(Writer& out, const Coverage& group, const GateState& gate) {
  const std::string name = encode_name(group.group);
  for (const std::string_view counter : kCounters) out.line(fmt::format("counter {}_{} {{ }}", counter, name));
  write_cover(out, group, name);
  for (const std::string_view chain : kSwitch) {
    out.open(fmt::format("chain {}{}", chain, name));
    if (const std::string rule = switch_rule(gate, name, chain); !rule.empty()) out.line(rule);
    out.close();
  }
  out.open("chain guard_" + name);
  out.line(fmt::format("ct state invalid counter name \"invalid_{}\" drop", name));
  out.line(
      fmt::format("ct state new tcp flags & (fin | syn | rst | ack) != syn counter name \"midstream_{0}\" "
                  "jump strict_{0}",
                  name));
  out.close();
}

/// What has passed the translation must carry a translated address.
void write_untranslated(Writer& out, const Ruleset& ruleset) {
  const std::vector<IpAddress> translated = translations(ruleset);
  out.base("postrouting", "filter", "postrouting", kAfterTranslation);
  for (const SourceNat& rule : ruleset.source_nat) {
    std::vector<IpAddress> same;
    for (const IpAddress& a : translated)
      if (rule.match.family && a.family() == *rule.match.family) same.push_back(a);
    std::string already;
    if (!same.empty()) {
      already = by_family("saddr", same).front();
      already.insert(already.find('{'), "!= ");
    }
    const std::string count =
        rule.group.empty() ? "counter" : fmt::format("counter name \"untranslated_{}\"", encode_name(rule.group));
    out.rule({outgoing(rule.match), already, count, "drop"});
  }
  out.close();
}

void write_nat(Writer& out, const Ruleset& ruleset) {
  // Both stand even when empty: without a chain at a nat hook, the translations of replicated entries do not
  // happen.
  out.base("nat_prerouting", "nat", "prerouting", "dstnat");
  out.close();
  out.base("nat_postrouting", "nat", "postrouting", "srcnat");
  for (const SourceNat& rule : ruleset.source_nat) {
    std::string verdict = "masquerade";
    if (rule.translate_to)
      verdict = fmt::format("snat {} to {}", rule.translate_to->is_v4() ? "ip" : "ip6", rule.translate_to->to_string());
    if (rule.fully_random) verdict += " fully-random";
    out.rule({outgoing(rule.match), "counter", verdict, comment_text(rule.number, rule.description)});
  }
  out.close();
}

std::string action_text(FirewallAction action) {
  switch (action) {
    // A packet that one rule set accepts is still looked at by the one of the interface that it leaves by.
    case FirewallAction::accept:
      return "return";
    case FirewallAction::drop:
      return "drop";
    case FirewallAction::reject:
      return "reject";
  }
  return "drop";
}

void write_filter_sets(Writer& out, const Ruleset& ruleset) {
  for (const FilterSet& set : ruleset.filter_sets) {
    out.open("chain rules_" + encode_name(set.name));
    for (const FilterRule& rule : set.rules)
      out.rule(
          {match_text(rule.match), "counter", action_text(rule.action), comment_text(rule.number, rule.description)});
    out.line("counter " + action_text(set.default_action));
    out.close();
  }
}

void write_hooks(Writer& out, const Ruleset& ruleset, FirewallDirection direction) {
  for (const FilterHook& hook : ruleset.filter_hooks) {
    if (hook.direction != direction) continue;
    out.line(fmt::format("{} {} jump rules_{}", direction == FirewallDirection::out ? "oifname" : "iifname",
                         in_quotes(hook.interface), encode_name(hook.set)));
  }
}

/// What a rule set for packets to the router cannot have meant to keep out.
void write_own_traffic(Writer& out, const OwnTraffic& own) {
  out.line(fmt::format("{} accept", kNeighbours));
  for (const std::string& name : own.vrrp_interfaces)
    out.line(fmt::format("iifname {} meta l4proto 112 accept", in_quotes(name)));
  for (const std::string& name : own.sync_interfaces)
    out.line(fmt::format("iifname {} udp dport {} accept", in_quotes(name), own.sync_port));
}

void write_filter(Writer& out, const Ruleset& ruleset) {
  out.base("forward", "filter", "forward", "filter");
  for (const Coverage& group : ruleset.groups) {
    const std::string jump = "jump guard_" + encode_name(group.group);
    for (const Match& match : group.translated) out.rule({match_text(match), jump});
    for (const common::Prefix& prefix : group.protects)
      for (const char* field : {"saddr", "daddr"}) out.rule({prefix_text(field, prefix), jump});
  }
  write_hooks(out, ruleset, FirewallDirection::in);
  write_hooks(out, ruleset, FirewallDirection::out);
  out.close();

  out.base("input", "filter", "input", "filter");
  // A late packet of a translated connection without an entry is taken for one to the router, whose stack
  // would answer with a reset that kills the connection.
  for (const Coverage& group : ruleset.groups)
    for (const auto& match : by_family("daddr", group.addresses))
      out.rule({match, "jump guard_" + encode_name(group.group)});
  const bool filtered = std::any_of(ruleset.filter_hooks.begin(), ruleset.filter_hooks.end(),
                                    [](const FilterHook& hook) { return hook.direction == FirewallDirection::local; });
  if (filtered) write_own_traffic(out, ruleset.own);
  write_hooks(out, ruleset, FirewallDirection::local);
  out.close();
}

}  // namespace

std::string render_table(const Ruleset& ruleset, const GateStates& gates) {
  Writer out;
  // Adding first makes deleting succeed when there was none.
  out.line(fmt::format("add table {}", kTable));
  out.line(fmt::format("delete table {}", kTable));
  out.open(fmt::format("table {}", kTable));
  // Never jumped to: a rule about conntrack anywhere in the table switches conntrack on.
  out.open("chain conntrack");
  out.line("ct state established");
  out.close();
  for (const Coverage& group : ruleset.groups) {
    const auto gate = gates.find(group.group);
    write_group(out, group, gate == gates.end() ? GateState{} : gate->second);
  }
  write_filter_sets(out, ruleset);

  out.base("raw_prerouting", "filter", "prerouting", "raw");
  for (const Coverage& group : ruleset.groups) out.line("jump gate_" + encode_name(group.group));
  out.close();
  out.base("raw_output", "filter", "output", "raw");
  for (const Coverage& group : ruleset.groups) out.line("jump gateout_" + encode_name(group.group));
  out.close();
  write_nat(out, ruleset);
  write_filter(out, ruleset);
  write_untranslated(out, ruleset);
  out.close();
  return out.take();
}

std::string render_gates(const GateStates& gates) {
  Writer out;
  for (const auto& [group, gate] : gates) {
    const std::string name = encode_name(group);
    for (const std::string_view chain : kSwitch) out.line(fmt::format("flush chain {} {}{}", kTable, chain, name));
    for (const std::string_view chain : kSwitch)
      if (const std::string rule = switch_rule(gate, name, chain); !rule.empty())
        out.line(fmt::format("add rule {} {}{} {}", kTable, chain, name, rule));
  }
  return out.take();
}

std::string render_removal() {
  return fmt::format("add table {0}\ndelete table {0}\n", kTable);
}

namespace {

/// A string of an object; empty when it has none.
std::string text_of(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::optional<std::string> group_of(const std::string& chain, std::string_view prefix) {
  if (!chain.starts_with(prefix)) return std::nullopt;
  return decode_name(std::string_view(chain).substr(prefix.size()));
}

}  // namespace

std::optional<GateStates> read_gates(std::string_view json) {
  const auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_object() || !list.contains("nftables") || !list["nftables"].is_array()) return std::nullopt;
  GateStates gates;
  // A group is one of ours by its strict_ chain, a name that starts no other chain's.
  for (const auto& item : list["nftables"])
    if (item.is_object() && item.contains("chain"))
      if (const auto group = group_of(text_of(item["chain"], "name"), kSwitch[2])) gates[*group].open = true;
  for (const auto& item : list["nftables"]) {
    if (!item.is_object() || !item.contains("rule")) continue;
    const auto& rule = item["rule"];
    const std::string chain = text_of(rule, "chain");
    for (auto& [group, gate] : gates) {
      const std::string name = encode_name(group);
      if (chain == std::string(kSwitch[0]) + name) gate.open = false;
      if (chain != std::string(kSwitch[2]) + name) continue;
      if (const auto term = read_term(text_of(rule, "comment"))) gate.term = *term;
      if (rule.contains("expr"))
        for (const auto& expression : rule["expr"])
          gate.complete |= expression.is_object() && expression.contains("reject");
    }
  }
  return gates;
}

std::map<std::string, std::uint64_t> read_counters(std::string_view json) {
  std::map<std::string, std::uint64_t> result;
  const auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_object() || !list.contains("nftables") || !list["nftables"].is_array()) return result;
  for (const std::string_view name : kCounters) result[std::string(name) + "_packets"] = 0;
  for (const auto& item : list["nftables"]) {
    if (!item.is_object() || !item.contains("counter") || !item["counter"].is_object()) continue;
    const auto& counter = item["counter"];
    const auto packets = counter.find("packets");
    if (packets == counter.end() || !packets->is_number_unsigned()) continue;
    for (const std::string_view name : kCounters)
      if (group_of(text_of(counter, "name"), std::string(name) + "_"))
        result[std::string(name) + "_packets"] += packets->get<std::uint64_t>();
  }
  return result;
}

}  // namespace natctl
