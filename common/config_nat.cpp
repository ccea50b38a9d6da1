#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// nft's comments end at 128 bytes; the group and the number of a rule stand there as well.
constexpr std::size_t kLongestDescription = 100;

void read_translate_to(const Reader& reader, NatRule& rule) {
  if (reader.value.text == "masquerade") {
    reader.warning(
        "masquerade takes the router's own address, which does not move in a failover: "
        "every connection breaks; give a virtual address");
    return;
  }
  IpAddress address;
  if (!reader.address(address)) return;
  if (address.is_unspecified() || address.is_multicast()) {
    reader.error(fmt::format("{} cannot be the address of a router", address.to_string()));
    return;
  }
  rule.translate_to = address;
}

const GroupConfig* group_with(const Config& config, const IpAddress& address) {
  if (!config.vrrp) return nullptr;
  for (const GroupConfig& group : config.vrrp->groups)
    for (const InstanceConfig& instance : group.instances)
      for (const Prefix& each : instance.virtual_addresses)
        if (each.address == address) return &group;
  return nullptr;
}

void check_translate_to(const Reader& reader, const Config& config, const NatRule& rule) {
  if (!rule.translate_to) return;
  const IpAddress& address = *rule.translate_to;
  if (rule.source_address && rule.source_address->address.family() != address.family())
    reader.error("source_address and translate_to are not of one family, IPv4 or IPv6");
  if (!config.vrrp) return;
  const GroupConfig* group = group_with(config, address);
  if (!group) {
    reader.warning(
        fmt::format("{} is no virtual address, so it does not move in a failover: "
                    "connections will break",
                    address.to_string()));
  } else if (!rule.group.empty() && group->name != rule.group) {
    reader.error(fmt::format("{} is a virtual address of group {}, but the rule belongs to group {}",
                             address.to_string(), group->name, rule.group));
  }
}

void read_rule_group(Section& section, Draft& draft, NatRule& rule) {
  section.with("group", [&](const Reader& r) { read_group_name(r, draft, rule.group); });
  const std::vector<std::string_view> groups = draft.group_names();
  if (section.has("group") || groups.empty()) return;
  if (groups.size() == 1) {
    rule.group = groups.front();
  } else {
    section.out().error(
        section.at(), section.name() + ": 'group' is missing; with several groups a rule must name its own");
  }
}

void read_source_rule(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  NatRule rule;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  section.with("description", [&](const Reader& r) { read_description(r, rule.description); });
  read_rule_group(section, draft, rule);
  section.with("outbound_interface",
               [&](const Reader& r) { read_interface(r, draft, rule.outbound_interface); });
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
  section.with("protocol", [&](const Reader& r) { read_protocol(r, rule.protocol); });
  section.with("translate_to", [&](const Reader& r) {
    read_translate_to(r, rule);
    check_translate_to(r, draft.config, rule);
  });
  if (!section.has("translate_to"))
    section.out().warning(section.at(), section.name() +
                                            ": without translate_to the router's own address is used "
                                            "(masquerade), which does not move in a failover: every "
                                            "connection breaks");
  section.with("port_mapping", [&](const Reader& r) {
    r.choice<PortMapping>(rule.port_mapping,
                          {{"preserve", PortMapping::preserve}, {"fully-random", PortMapping::fully_random}});
  });
  section.finish();
  draft.config.nat->source.push_back(std::move(rule));
}

}  // namespace

void read_nat(Section& root, Draft& draft) {
  root.with("nat", [&](const Reader& r) {
    draft.config.nat.emplace();
    Section section(r.value, r.name, r.out);
    section.with("source", [&](const Reader& rules) {
      for (const SettingEntry& entry : rules.map()) read_source_rule(entry, rules.entry(entry), draft);
    });
    section.finish();
    std::ranges::sort(draft.config.nat->source, {}, &NatRule::number);
  });
}

std::optional<int> read_rule_number(const SettingEntry& entry, const Reader& reader) {
  int number = 0;
  const char* end = entry.key.data() + entry.key.size();
  const auto [stopped, error] = std::from_chars(entry.key.data(), end, number);
  // A leading zero would let one number stand under two keys.
  if (error == std::errc() && stopped == end && entry.key.front() != '0' && number >= kLowestRule &&
      number <= kHighestRule)
    return number;
  reader.out.error(entry.at, fmt::format("{}: a rule is called by its number, {} to {}", reader.name,
                                         kLowestRule, kHighestRule));
  return std::nullopt;
}

void read_protocol(const Reader& reader, std::string& into) {
  // As nftables calls them.
  static constexpr std::string_view kProtocols[] = {"tcp",  "udp",     "icmp", "icmpv6", "sctp",
                                                    "dccp", "udplite", "gre",  "esp",    "ah"};
  std::string word;
  if (!reader.text(word)) return;
  if (std::ranges::find(kProtocols, word) == std::end(kProtocols)) {
    const std::string hint = did_you_mean(word, {std::begin(kProtocols), std::end(kProtocols)});
    reader.error(fmt::format(
        "unknown protocol {}{}", quoted(word),
        hint.empty() ? "; known are tcp, udp, icmp, icmpv6, sctp, dccp, udplite, gre, esp and ah" : hint));
    return;
  }
  into = word;
}

void read_description(const Reader& reader, std::string& into) {
  std::string text;
  if (!reader.text(text)) return;
  // It becomes a comment in the nftables table, where a quotation mark ends it.
  const bool bad = std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || c == '"' || c == '\\';
  });
  if (bad || text.size() > kLongestDescription) {
    reader.error(fmt::format("at most {} bytes on one line, without quotation marks and backslashes",
                             kLongestDescription));
    return;
  }
  into = text;
}

}  // namespace common
