#include "natctl/nft.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "natctl/nft_parts.hpp"
#include "natctl/nft_text.hpp"

namespace natctl {

using common::FirewallAction;
using common::FirewallDirection;

namespace {

// A comment holds 128 bytes; "term" and a number of 20 digits take less than 30.
constexpr std::size_t kNodeInComment = 90;
// A reset does not get one, nor does anything but TCP: nftables sees to both.
constexpr std::string_view kReset = "reject with tcp reset";

/// "term 7 R1", as a comment; nothing where a name is too long for one.
std::string term_comment(const common::Term& term) {
  const std::string node = encode_name(term.node);
  if (!term.valid() || node.empty() || node.size() > kNodeInComment) return {};
  return fmt::format(" comment \"term {} {}\"", term.counter, node);
}

std::string switch_rule(const GateState& gate, const std::string& name, std::string_view chain) {
  if (chain == "strict_") return std::string(gate.complete ? kReset : "drop") + term_comment(gate.term);
  if (gate.open) return {};
  return fmt::format("jump {}{}", chain == "gate_" ? "cover_" : "coverout_", name);
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

std::string_view action_word(FirewallAction action) {
  switch (action) {
    case FirewallAction::accept:
      return "accept";
    case FirewallAction::drop:
      return "drop";
    case FirewallAction::reject:
      return "reject";
  }
  return "drop";
}

void write_filter_sets(Writer& out, const Ruleset& ruleset) {
  for (const FilterSet& set : ruleset.filter_sets) {
    const std::string chain = "rules_" + encode_name(set.name);
    out.open("chain " + chain);
    const auto write = [&](const std::string& match, FirewallAction action, const std::string& label,
                           const std::string& description, bool log) {
      const std::string prefix =
          log ? fmt::format("steadynat {} {} {}: ", encode_name(set.name), label, action_word(action)) : std::string();
      out.line(counted(chain, match, action_text(action), label, description, prefix));
    };
    for (const FilterRule& rule : set.rules)
      write(match_text(rule.match), rule.action, std::to_string(rule.number), rule.description, rule.log);
    write({}, set.default_action, "default", {}, set.log_default);
    out.close();
  }
}

void write_hook(Writer& out, const FilterHook& hook) {
  std::string family;
  if (hook.family) family = *hook.family == common::Family::ipv4 ? "meta nfproto ipv4" : "meta nfproto ipv6";
  out.rule({hook.direction == FirewallDirection::out ? "oifname" : "iifname", in_quotes(hook.interface), family,
            "jump rules_" + encode_name(hook.set)});
}

void write_hooks(Writer& out, const Ruleset& ruleset, FirewallDirection direction, bool seeing_pair_traffic = false) {
  for (const FilterHook& hook : ruleset.filter_hooks)
    if (hook.direction == direction &&
        (direction != FirewallDirection::local || hook.sees_pair_traffic == seeing_pair_traffic))
      write_hook(out, hook);
}

/// What a rule set for packets to the router cannot have meant to keep out.
void write_own_traffic(Writer& out, const OwnTraffic& own) {
  out.line(fmt::format("{} accept", kNeighbours));
  for (const std::string& name : own.vrrp_interfaces)
    out.line(fmt::format("iifname {} meta l4proto 112 accept", in_quotes(name)));
  for (const std::string& name : own.sync_interfaces)
    out.line(fmt::format("iifname {} udp dport {} accept", in_quotes(name), own.sync_port));
  for (const std::string& name : own.igmp_interfaces)
    out.line(fmt::format("iifname {} meta l4proto 2 accept", in_quotes(name)));
  for (const std::string& name : own.mld_interfaces)
    out.line(fmt::format("iifname {} icmpv6 type 130 accept", in_quotes(name)));
}

/// RFC 9568 6.1: what neighbours ask and say is taken in any case.
void write_not_accepted(Writer& out, const std::vector<common::AddressRange>& addresses) {
  for (const auto& match : by_family("daddr", addresses)) {
    if (match.starts_with("ip6")) out.rule({match, std::string(kNeighbours), "accept"});
    out.rule({match, "counter drop"});
  }
}

void write_forward(Writer& out, const Ruleset& ruleset) {
  const bool guarded = !ruleset.groups.empty();
  if (guarded) {
    out.open("chain guards");
    for (const Coverage& group : ruleset.groups) write_forward_guards(out, group, encode_name(group.group));
    out.close();
  }
  out.base("forward", "filter", "forward", "filter");
  // The guards have nothing to say about what is part of a connection, and there may be many of them.
  if (guarded) out.line("ct state { new, invalid } jump guards");
  write_hooks(out, ruleset, FirewallDirection::in);
  write_hooks(out, ruleset, FirewallDirection::out);
  out.close();
}

void write_input(Writer& out, const Ruleset& ruleset) {
  out.base("input", "filter", "input", "filter");
  // A late packet of a translated connection without an entry is taken for one to the router, whose stack
  // would answer with a reset that kills the connection.
  for (const Coverage& group : ruleset.groups) write_input_guards(out, group, encode_name(group.group));
  write_not_accepted(out, ruleset.not_accepted);
  write_hooks(out, ruleset, FirewallDirection::local, true);
  const bool filtered = std::ranges::any_of(ruleset.filter_hooks, [](const FilterHook& hook) {
    return hook.direction == FirewallDirection::local && !hook.sees_pair_traffic;
  });
  if (filtered) write_own_traffic(out, ruleset.own);
  write_hooks(out, ruleset, FirewallDirection::local, false);
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
  write_nat_sets(out, ruleset);
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
  write_forward(out, ruleset);
  write_input(out, ruleset);
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

}  // namespace natctl
