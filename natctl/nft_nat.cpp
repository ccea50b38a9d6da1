// The translations.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "natctl/nft.hpp"
#include "natctl/nft_parts.hpp"

namespace natctl {

using common::AddressRange;
using common::Family;

namespace {

// Translation is done at srcnat (100); behind it one sees what really leaves.
constexpr std::string_view kAfterTranslation = "srcnat + 10";

std::string_view family_word(const Match& match) {
  return match.family == Family::ipv6 ? "ip6" : "ip";
}

std::string flags(const Translation& rule) {
  std::vector<std::string_view> words;
  if (rule.port_mapping == common::PortMapping::random) words.emplace_back("random");
  if (rule.port_mapping == common::PortMapping::fully_random) words.emplace_back("fully-random");
  if (rule.persistent) words.emplace_back("persistent");
  return fmt::format("{}", fmt::join(words, ","));
}

/// "10.0.0.1-10.0.0.5:1024-65535"
std::string target(const AddressRange& range, const std::string& ports) {
  const bool brackets = range.family() == Family::ipv6 && !ports.empty();
  const auto address = [&](const common::IpAddress& each) {
    return brackets ? "[" + each.to_string() + "]" : each.to_string();
  };
  std::string text = address(range.first);
  if (!range.single()) text += "-" + address(range.last);
  return ports.empty() ? text : text + ":" + ports;
}

std::string prefix_map(const Translation& rule, std::string_view verb, std::string_view field) {
  return fmt::format("{0} {1} prefix to {1} {2} map {{ {3} : {4} }}", verb, family_word(rule.match), field,
                     rule.from->to_string(), rule.to->to_string());
}

std::string source_verdict(const Translation& rule, bool with_ports) {
  if (rule.exclude) return "return";
  const std::string ports = rule.ports && with_ports ? rule.ports->to_string() : std::string();
  if (rule.from) return prefix_map(rule, "snat", "saddr");
  if (!rule.to) return join({"masquerade", ports.empty() ? "" : "to :" + ports, flags(rule)});
  return join({fmt::format("snat {} to {}", family_word(rule.match), target(*rule.to, ports)), flags(rule)});
}

/// Several ports are translated each to its own: a range alone would let the kernel choose.
std::string port_map(const Translation& rule) {
  const common::PortRange& from = rule.match.destination_ports.any.front();
  std::vector<std::string> pairs;
  for (std::size_t i = 0; i < from.size(); ++i)
    pairs.push_back(fmt::format("{} : {}", from.first + i, rule.ports->first + i));
  return fmt::format("th dport map {{ {} }}", fmt::join(pairs, ", "));
}

std::string destination_verdict(const Translation& rule) {
  if (rule.exclude) return "return";
  if (rule.from) return prefix_map(rule, "dnat", "daddr");
  const bool several = rule.ports && !rule.ports->single();
  const std::string ports = rule.ports && !several ? rule.ports->to_string() : std::string();
  return join({fmt::format("dnat {} to {}", family_word(rule.match), target(*rule.to, ports)),
               several ? ": " + port_map(rule) : "", flags(rule)});
}

std::string log_prefix(const Translation& rule) {
  return rule.log ? fmt::format("steadynat {}: ", rule.label) : std::string();
}

/// What the kernel can give a port of its choice, of what the rule is about; for ICMP that is the id of an echo.
std::vector<std::uint8_t> with_ports(const Match& match) {
  using namespace common::protocols;
  std::vector<std::uint8_t> result;
  for (const std::uint8_t number : {match.family == Family::ipv6 ? icmpv6 : icmp, tcp, udp, dccp, sctp, udplite})
    if (match.protocol.matches(number)) result.push_back(number);
  return result;
}

/// A range of ports can only be given for protocols that have ports: the rest of a wider rule follows without it.
void write_source_rule(Writer& out, const Translation& rule) {
  const auto write = [&](const Match& match, bool ports) {
    out.line(counted("source", outgoing(match), source_verdict(rule, ports), rule.label, rule.description,
                     log_prefix(rule)));
  };
  const std::vector<std::uint8_t> able = with_ports(rule.match);
  if (!rule.ports || able.empty()) return write(rule.match, false);
  Match narrow = rule.match;
  narrow.protocol = {able, {}};
  write(narrow, true);
  const bool all = !rule.match.protocol.any.empty() && std::ranges::all_of(rule.match.protocol.any, [&](auto number) {
    return std::ranges::find(able, number) != able.end();
  });
  if (!all) write(rule.match, false);
}

void write_hairpin(Writer& out, const Hairpin& rule) {
  Match match = rule.match;
  match.inbound = match.outbound = {{rule.interface}, {}};
  out.line(counted("hairpin", match_text(match) + " ct status dnat",
                   fmt::format("snat {} to {}", family_word(match), rule.to.to_string()), rule.label, "hairpin", ""));
}

std::vector<AddressRange> translations(const Ruleset& ruleset, Family family) {
  std::vector<AddressRange> result;
  for (const Translation& rule : ruleset.source_nat)
    if (rule.to && rule.to->family() == family) result.push_back(*rule.to);
  return common::merged(std::move(result));
}

void write_address_set(Writer& out, const std::string& name, Family family, const std::vector<AddressRange>& ranges) {
  std::vector<std::string> texts;
  for (const AddressRange& range : ranges) texts.push_back(range_text(range));
  out.open("set " + name);
  out.line(fmt::format("type {}; flags interval;", family == Family::ipv4 ? "ipv4_addr" : "ipv6_addr"));
  out.line(fmt::format("elements = {{ {} }}", fmt::join(texts, ", ")));
  out.close();
}

}  // namespace

void write_nat_sets(Writer& out, const Ruleset& ruleset) {
  for (const auto& [name, ranges] : ruleset.address_groups)
    if (!ranges.empty()) write_address_set(out, group_set_name("address", name), ranges.front().family(), ranges);
  for (const auto& [name, ranges] : ruleset.port_groups) {
    std::vector<std::string> texts;
    for (const auto& range : ranges) texts.push_back(range.to_string());
    out.open("set " + group_set_name("port", name));
    out.line("type inet_service; flags interval;");
    out.line(fmt::format("elements = {{ {} }}", fmt::join(texts, ", ")));
    out.close();
  }
  for (const Family family : {Family::ipv4, Family::ipv6})
    if (const auto ranges = translations(ruleset, family); !ranges.empty())
      write_address_set(out, family == Family::ipv4 ? "translated4" : "translated6", family, ranges);
}

void write_nat(Writer& out, const Ruleset& ruleset) {
  // Both stand even when empty: without a chain at a nat hook, the translations of replicated entries do not
  // happen.
  out.base("nat_prerouting", "nat", "prerouting", "dstnat");
  for (const Translation& rule : ruleset.destination_nat)
    out.line(counted("destination", match_text(rule.match), destination_verdict(rule), rule.label, rule.description,
                     log_prefix(rule)));
  out.close();
  out.base("nat_postrouting", "nat", "postrouting", "srcnat");
  for (const Hairpin& rule : ruleset.hairpins) write_hairpin(out, rule);
  for (const Translation& rule : ruleset.source_nat) write_source_rule(out, rule);
  out.close();
}

void write_untranslated(Writer& out, const Ruleset& ruleset) {
  out.base("postrouting", "filter", "postrouting", kAfterTranslation);
  for (const Family family : {Family::ipv4, Family::ipv6})
    if (!translations(ruleset, family).empty())
      out.line(family == Family::ipv4 ? "ip saddr @translated4 accept" : "ip6 saddr @translated6 accept");
  for (const Translation& rule : ruleset.source_nat) {
    const std::string count =
        rule.group.empty() ? "counter" : fmt::format("counter name \"untranslated_{}\"", encode_name(rule.group));
    out.rule_once({outgoing(rule.match), rule.exclude ? "return" : count + " drop"});
  }
  out.close();
}

}  // namespace natctl
