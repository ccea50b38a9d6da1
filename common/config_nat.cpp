#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// nft's comments end at 128 bytes; the group and the number of a rule stand there as well.
constexpr std::size_t kLongestDescription = 100;

/// Below are the ports of services of the router itself, as the kernel keeps them apart, too.
constexpr PortRange kTranslationPorts{1024, 65535};

const GroupConfig* group_with(const Config& config, const IpAddress& address) {
  if (!config.vrrp) return nullptr;
  for (const GroupConfig& group : config.vrrp->groups)
    for (const InstanceConfig& instance : group.instances)
      for (const Prefix& each : instance.all_addresses())
        if (each.address == address) return &group;
  return nullptr;
}

/// Hosts beside the router ask for such an address by ARP, and only virtual ones are answered for.
std::optional<Prefix> beside_a_virtual_address(const Config& config, const AddressRange& range) {
  for (const GroupConfig& group : config.vrrp->groups)
    for (const InstanceConfig& instance : group.instances)
      for (const Prefix& each : instance.all_addresses())
        if (AddressRange::of(each).overlaps(range)) return each;
  return std::nullopt;
}

/// An address that the outside world knows must move with the group.
void check_moves(const Reader& reader, const Config& config, const AddressRange& range, const std::string& rule_group) {
  if (!config.vrrp) return;
  const GroupConfig* group = range.single() ? group_with(config, range.first) : nullptr;
  if (group) {
    if (!rule_group.empty() && group->name != rule_group)
      reader.error(fmt::format("{} is a virtual address of group {}, but the rule belongs to group {}",
                               range.to_string(), group->name, rule_group));
  } else if (range.single()) {
    reader.warning(
        fmt::format("{} is no virtual address, so it does not move in a failover: "
                    "connections will break",
                    range.to_string()));
  } else if (const auto near = beside_a_virtual_address(config, range)) {
    reader.warning(
        fmt::format("of {} only what is a virtual address moves in a failover, and the rest is in the "
                    "network of {}: connections will break",
                    range.to_string(), near->to_string()));
  }
}

std::optional<AddressRange> read_range(const Reader& reader) {
  std::string word;
  if (!reader.text(word)) return std::nullopt;
  const auto range = AddressRange::parse(word);
  if (!range) {
    reader.error(fmt::format("{} is neither an IP address, a network nor a range (first-last)", quoted(word)));
    return std::nullopt;
  }
  if (range->first.is_unspecified() || range->first.is_multicast()) {
    reader.error(fmt::format("{} cannot be the address of a router", range->first.to_string()));
    return std::nullopt;
  }
  return range;
}

void check_family(const Reader& reader, NatRule& rule) {
  const Family family = rule.translate_to->family();
  const AddressSet& set = rule.match.source.family() ? rule.match.source : rule.match.destination;
  if (set.family() && *set.family() != family)
    reader.error(fmt::format("{} and translate_to are not of one family, IPv4 or IPv6",
                             &set == &rule.match.source ? "source_address" : "destination_address"));
  rule.match.family = family;
}

void read_translate_to(const Reader& reader, const Config& config, NatRule& rule, bool source) {
  if (source && reader.value.text == "masquerade") {
    reader.warning(
        "masquerade takes the router's own address, which does not move in a failover: "
        "every connection breaks; give a virtual address");
    return;
  }
  rule.translate_to = read_range(reader);
  if (!rule.translate_to) return;
  check_family(reader, rule);
  if (source) check_moves(reader, config, *rule.translate_to, rule.group);
}

void read_rule_group(Section& section, Draft& draft, std::string& into) {
  section.with("group", [&](const Reader& r) { read_group_name(r, draft, into); });
  const std::vector<std::string_view> groups = draft.group_names();
  if (section.has("group") || groups.empty()) return;
  if (groups.size() == 1) {
    into = groups.front();
  } else {
    section.out().error(section.at(),
                        section.name() + ": 'group' is missing; with several groups a rule must name its own");
  }
}

/// Each router its own part, so that connections that both make while they do not hear each other cannot clash.
std::map<std::string, PortRange> halves(const Reader& reader, const std::vector<NodeConfig>& nodes) {
  if (nodes.size() != 2) {
    reader.error("per-node needs two nodes");
    return {};
  }
  const int middle = (kTranslationPorts.first + kTranslationPorts.last) / 2;
  return {{nodes[0].name, {kTranslationPorts.first, static_cast<std::uint16_t>(middle)}},
          {nodes[1].name, {static_cast<std::uint16_t>(middle + 1), kTranslationPorts.last}}};
}

std::optional<PortRange> read_port_range(const Reader& reader) {
  std::string word;
  if (!reader.text(word)) return std::nullopt;
  const auto range = PortRange::parse(word);
  if (!range) reader.error(fmt::format("{} is neither a port (1 to 65535) nor a range (first-last)", quoted(word)));
  return range;
}

std::map<std::string, PortRange> ports_by_node(const Reader& reader, const std::vector<NodeConfig>& nodes) {
  std::map<std::string, PortRange> result;
  for (const SettingEntry& entry : reader.map()) {
    if (std::ranges::find(nodes, entry.key, &NodeConfig::name) == nodes.end()) {
      reader.out.error(entry.at, fmt::format("{}: no node is called {}", reader.name, quoted(entry.key)));
    } else if (const auto range = read_port_range(reader.entry(entry))) {
      result[entry.key] = *range;
    }
  }
  for (const NodeConfig& node : nodes)
    if (!reader.value.find(node.name)) reader.error(fmt::format("the ports of node {} are missing", node.name));
  if (result.size() == nodes.size() && nodes.size() == 2 &&
      result.begin()->second.first <= result.rbegin()->second.last &&
      result.rbegin()->second.first <= result.begin()->second.last)
    reader.warning("the two routers share ports: connections made while they do not hear each other can clash");
  return result;
}

void read_source_ports(const Reader& reader, Draft& draft, NatRule& rule) {
  if (reader.value.is(Setting::Kind::map)) {
    draft.node_ports[rule.number] = ports_by_node(reader, draft.config.nodes);
  } else if (reader.value.text == "per-node") {
    draft.node_ports[rule.number] = halves(reader, draft.config.nodes);
  } else if (const auto range = read_port_range(reader)) {
    rule.ports = *range;
    return;
  }
  // Which of them counts is known with the node; until then any one says that there are some.
  rule.ports = kTranslationPorts;
}

bool same_size(const AddressRange& a, const AddressRange& b) {
  const auto one = a.network(), other = b.network();
  return one && other && a.family() == b.family() && one->length == other->length;
}

void check_prefix_mapping(const Reader& reader, const NatRule& rule, bool source) {
  const AddressSet& from = source ? rule.match.source : rule.match.destination;
  const bool plain = from.any.size() == 1 && from.none.empty() && rule.translate_to;
  if (!plain || !same_size(from.any.front(), *rule.translate_to))
    reader.error(fmt::format("prefix needs one network as {} and one of the same length as translate_to",
                             source ? "source_address" : "destination_address"));
  else if (rule.ports)
    reader.error("prefix translates addresses one to one and leaves ports alone; remove 'ports'");
}

void read_mappings(Section& section, NatRule& rule, bool source) {
  if (source)
    section.with("port_mapping", [&](const Reader& r) {
      r.choice<PortMapping>(rule.port_mapping, {{"preserve", PortMapping::preserve},
                                                {"random", PortMapping::random},
                                                {"fully-random", PortMapping::fully_random}});
    });
  section.with("address_mapping", [&](const Reader& r) {
    r.choice<AddressMapping>(rule.address_mapping, {{"spread", AddressMapping::spread},
                                                    {"persistent", AddressMapping::persistent},
                                                    {"prefix", AddressMapping::prefix}});
    if (rule.address_mapping == AddressMapping::prefix) check_prefix_mapping(r, rule, source);
  });
}

/// What all kinds of rules have. False: the rule is switched off.
bool read_common(Section& section, std::string& description, bool& log) {
  bool enabled = true;
  section.with("description", [&](const Reader& r) { read_description(r, description); });
  section.boolean("enabled", enabled);
  section.boolean("log", log);
  return enabled;
}

void check_excluded(Section& section, const NatRule& rule) {
  if (!rule.exclude) return;
  for (const char* key : {"translate_to", "ports", "port_mapping", "address_mapping", "hairpin"})
    if (section.has(key))
      section.out().error(
          section.at(), fmt::format("{}: what is excluded is not translated; remove {}", section.name(), quoted(key)));
}

void read_source_rule(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  NatRule rule;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  const bool enabled = read_common(section, rule.description, rule.log);
  read_rule_group(section, draft, rule.group);
  section.with("outbound_interface", [&](const Reader& r) { read_interfaces(r, draft, rule.match.outbound); });
  read_match(section, draft, rule.match);
  section.boolean("exclude", rule.exclude);
  section.with("translate_to", [&](const Reader& r) { read_translate_to(r, draft.config, rule, true); });
  if (!section.has("translate_to") && !rule.exclude)
    section.out().warning(section.at(), section.name() +
                                            ": without translate_to the router's own address is used "
                                            "(masquerade), which does not move in a failover: every "
                                            "connection breaks");
  section.with("ports", [&](const Reader& r) { read_source_ports(r, draft, rule); });
  read_mappings(section, rule, true);
  check_excluded(section, rule);
  section.finish();
  if (enabled) draft.config.nat->source.push_back(std::move(rule));
}

/// The address that the server then sees must be one that it answers to by way of this router, on either.
void read_hairpin(const Reader& reader, Draft& draft, Family family, std::string& into) {
  std::string name;
  read_interface(reader, draft, name);
  if (name.empty()) return;
  bool found = false;
  if (draft.config.vrrp)
    for (const GroupConfig& group : draft.config.vrrp->groups)
      for (const InstanceConfig& instance : group.instances)
        for (const Prefix& each : instance.all_addresses())
          found =
              found || (instance.interface == name && each.address.family() == family && !each.address.is_link_local());
  if (!found) {
    reader.error(fmt::format("no instance has {} virtual address on {}, which the server would answer to",
                             family == Family::ipv4 ? "an IPv4" : "an IPv6", quoted(name)));
    return;
  }
  into = name;
}

void check_destination_ports(const Reader& reader, const NatRule& rule) {
  const std::vector<std::uint8_t>& given = rule.match.protocol.any;
  if (given.empty() || !std::ranges::all_of(given, has_ports)) {
    reader.error("ports need a protocol that has them; add `protocol: tcp`, udp or tcp_udp");
    return;
  }
  if (!rule.ports || rule.ports->single()) return;
  const std::vector<PortRange>& from = rule.match.destination_ports.any;
  const bool same_count =
      from.size() == 1 && rule.match.destination_ports.none.empty() && from.front().size() == rule.ports->size();
  if (!same_count)
    reader.error("several ports need as many, in one range, as destination_ports: each is translated to its own");
}

void check_destination(Section& section, const Draft& draft, const NatRule& rule) {
  const AddressSet& set = rule.match.destination;
  const Setting* value = section.find("destination_address");
  if (value && set.any.size() == 1 && set.any_group.empty())
    check_moves(section.reader(*value, "destination_address"), draft.config, set.any.front(), rule.group);
  if (!value && rule.match.inbound.empty())
    section.out().warning(section.at(), section.name() +
                                            ": without destination_address and inbound_interface it takes all "
                                            "that this router forwards");
}

void read_destination_rule(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  NatRule rule;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  const bool enabled = read_common(section, rule.description, rule.log);
  read_rule_group(section, draft, rule.group);
  section.with("inbound_interface", [&](const Reader& r) { read_interfaces(r, draft, rule.match.inbound); });
  read_match(section, draft, rule.match);
  section.boolean("exclude", rule.exclude);
  section.with("translate_to", [&](const Reader& r) { read_translate_to(r, draft.config, rule, false); });
  if (!section.has("translate_to") && !rule.exclude)
    section.out().error(section.at(), section.name() + ": 'translate_to' is missing");
  section.with("ports", [&](const Reader& r) {
    rule.ports = read_port_range(r);
    if (rule.ports) check_destination_ports(r, rule);
  });
  read_mappings(section, rule, false);
  section.with("hairpin", [&](const Reader& r) {
    read_hairpin(r, draft, rule.match.family.value_or(Family::ipv4), rule.hairpin);
  });
  check_excluded(section, rule);
  check_destination(section, draft, rule);
  section.finish();
  if (enabled) draft.config.nat->destination.push_back(std::move(rule));
}

void read_static_rule(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  StaticNatRule rule;
  if (const std::optional<int> number = read_rule_number(entry, reader)) rule.number = *number;
  Section section(entry.value, reader.name, reader.out);
  const bool enabled = read_common(section, rule.description, rule.log);
  read_rule_group(section, draft, rule.group);
  section.with_required("interface", [&](const Reader& r) { read_interface(r, draft, rule.interface); });
  bool both = true;
  const auto side = [&](const char* key, AddressRange& into) {
    section.with_required(key, [&](const Reader& r) {
      const auto range = read_range(r);
      both = both && range;
      if (range) into = *range;
    });
    both = both && section.has(key);
  };
  side("outside_address", rule.outside);
  side("inside_address", rule.inside);
  if (both && !same_size(rule.outside, rule.inside))
    section.out().error(section.at(), section.name() +
                                          ": outside_address and inside_address must be two addresses, or two "
                                          "networks of the same length");
  if (const Setting* value = section.find("outside_address"); value && both)
    check_moves(section.reader(*value, "outside_address"), draft.config, rule.outside, rule.group);
  section.with("hairpin", [&](const Reader& r) { read_hairpin(r, draft, rule.inside.family(), rule.hairpin); });
  section.finish();
  if (enabled) draft.config.nat->one_to_one.push_back(std::move(rule));
}

}  // namespace

void read_nat(Section& root, Draft& draft) {
  root.with("nat", [&](const Reader& r) {
    NatConfig& nat = draft.config.nat.emplace();
    Section section(r.value, r.name, r.out);
    section.with("source", [&](const Reader& rules) {
      for (const SettingEntry& entry : rules.map()) read_source_rule(entry, rules.entry(entry), draft);
    });
    section.with("destination", [&](const Reader& rules) {
      for (const SettingEntry& entry : rules.map()) read_destination_rule(entry, rules.entry(entry), draft);
    });
    section.with("static", [&](const Reader& rules) {
      for (const SettingEntry& entry : rules.map()) read_static_rule(entry, rules.entry(entry), draft);
    });
    section.finish();
    std::ranges::sort(nat.source, {}, &NatRule::number);
    std::ranges::sort(nat.destination, {}, &NatRule::number);
    std::ranges::sort(nat.one_to_one, {}, &StaticNatRule::number);
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
  reader.out.error(entry.at,
                   fmt::format("{}: a rule is called by its number, {} to {}", reader.name, kLowestRule, kHighestRule));
  return std::nullopt;
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
    reader.error(
        fmt::format("at most {} bytes on one line, without quotation marks and backslashes", kLongestDescription));
    return;
  }
  into = text;
}

}  // namespace common
