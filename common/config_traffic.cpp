// What a rule says about a packet, and the groups of addresses and ports that rules refer to.
#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// The name of a group must not look like what may stand in its place.
bool is_group_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return Reader::is_name(name) && letter(name.front()) && name != "not" && !IpAddress::parse(name);
}

void check_group_name(const SettingEntry& entry, Diagnostics& out) {
  if (!is_group_name(entry.key))
    out.error(entry.at, fmt::format("{} cannot be the name of a group; begin with a letter, then at most 62 letters, "
                                    "digits, '-', '_' and '.'",
                                    quoted(entry.key)));
}

template <typename Map>
std::vector<std::string_view> keys_of(const Map& map) {
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

/// "not x" or "!x" as x and true.
bool strip_not(std::string& word) {
  for (const std::string_view sign : {"not ", "!"}) {
    if (!word.starts_with(sign)) continue;
    word.erase(0, sign.size());
    word.erase(0, word.find_first_not_of(' ') == std::string::npos ? word.size() : word.find_first_not_of(' '));
    return true;
  }
  return false;
}

/// One item of a list of addresses or ports: a range, or the members of a group.
template <typename Range>
struct Item {
  std::vector<Range> ranges;
  std::string group;  ///< whose members these are
};

/// A list with its "not" items apart, and the name of the group when it is nothing else.
template <typename Set, typename ReadItem>
void read_set(const Reader& reader, Set& into, ReadItem read_item) {
  using Ranges = decltype(into.any);
  const auto put = [](Ranges& ranges, std::string& group, bool first, auto item) {
    group = first ? item.group : std::string();
    ranges.insert(ranges.end(), item.ranges.begin(), item.ranges.end());
  };
  const std::span<const Setting> items = reader.list_or_one();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty");
  for (const Setting& each : items) {
    const Reader item = reader.item(each);
    std::string word;
    if (!item.text(word)) continue;
    const bool negated = strip_not(word);
    const auto found = read_item(item, word);
    if (!found) continue;
    if (negated)
      put(into.none, into.none_group, into.none.empty(), *found);
    else
      put(into.any, into.any_group, into.any.empty(), *found);
  }
  into.any = merged(std::move(into.any));
  into.none = merged(std::move(into.none));
}

std::optional<Item<AddressRange>> address_item(const Reader& reader, const std::string& word, const Draft& draft) {
  if (const auto group = draft.config.address_groups.find(word); group != draft.config.address_groups.end())
    return Item<AddressRange>{group->second, word};
  const auto range = AddressRange::parse(word);
  if (!range) {
    const auto groups = keys_of(draft.config.address_groups);
    reader.error(
        fmt::format("{} is neither an IP address, a network, a range (first-last) nor one of the "
                    "address_groups{}",
                    quoted(word), did_you_mean(word, groups)));
    return std::nullopt;
  }
  if (const auto prefix = Prefix::parse(word); prefix && prefix->has_host_bits())
    reader.warning(fmt::format("{} has bits set behind the prefix length; it is taken as {}", prefix->to_string(),
                               range->to_string()));
  return Item<AddressRange>{{*range}, {}};
}

std::optional<Item<PortRange>> port_item(const Reader& reader, const std::string& word, const Draft& draft) {
  if (const auto group = draft.config.port_groups.find(word); group != draft.config.port_groups.end())
    return Item<PortRange>{group->second, word};
  const auto range = PortRange::parse(word);
  if (!range) {
    const auto groups = keys_of(draft.config.port_groups);
    reader.error(fmt::format("{} is neither a port (1 to 65535), a range (first-last) nor one of the port_groups{}",
                             quoted(word), did_you_mean(word, groups)));
    return std::nullopt;
  }
  return Item<PortRange>{{*range}, {}};
}

void check_one_family(const Reader& reader, const std::vector<const std::vector<AddressRange>*>& lists) {
  std::optional<Family> family;
  for (const auto* list : lists)
    for (const AddressRange& range : *list) {
      if (family && *family != range.family()) {
        reader.error("the addresses are not of one family, IPv4 or IPv6; write two of these");
        return;
      }
      family = range.family();
    }
}

void read_address_group(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  check_group_name(entry, reader.out);
  AddressSet set;
  read_addresses(reader, draft, set);
  if (!set.none.empty()) reader.error("a group says what belongs to it; put the 'not' into the rule");
  draft.config.address_groups[entry.key] = set.any;
}

void read_port_group(const SettingEntry& entry, const Reader& reader, Draft& draft) {
  check_group_name(entry, reader.out);
  PortSet set;
  read_ports(reader, draft, set);
  if (!set.none.empty()) reader.error("a group says what belongs to it; put the 'not' into the rule");
  draft.config.port_groups[entry.key] = set.any;
}

void check_match(Section& section, TrafficMatch& match) {
  const auto fail = [&](std::string_view text) {
    section.out().error(section.at(), fmt::format("{}: {}", section.name(), text));
  };
  const auto source = match.source.family(), destination = match.destination.family();
  match.family = source ? source : destination;
  if (source && destination && *source != *destination)
    fail("source_address and destination_address are not of one family");
  if (match.source_ports.empty() && match.destination_ports.empty()) return;
  const std::vector<std::uint8_t>& given = match.protocol.any;
  if (given.empty() || !std::ranges::all_of(given, has_ports))
    fail("ports need a protocol that has them; add `protocol: tcp`, udp or tcp_udp");
}

}  // namespace

void read_addresses(const Reader& reader, const Draft& draft, AddressSet& into) {
  read_set(reader, into, [&](const Reader& item, const std::string& word) { return address_item(item, word, draft); });
  check_one_family(reader, {&into.any, &into.none});
  for (const AddressRange& range : into.none)
    if (const auto network = range.network(); network && network->length == 0)
      reader.error("'not' everything is nothing");
}

void read_ports(const Reader& reader, const Draft& draft, PortSet& into) {
  read_set(reader, into, [&](const Reader& item, const std::string& word) { return port_item(item, word, draft); });
}

void read_traffic_groups(Section& root, Draft& draft) {
  root.with("address_groups", [&](const Reader& r) {
    for (const SettingEntry& entry : r.map()) read_address_group(entry, r.entry(entry), draft);
  });
  root.with("port_groups", [&](const Reader& r) {
    for (const SettingEntry& entry : r.map()) read_port_group(entry, r.entry(entry), draft);
  });
}

void read_interface_pattern(const Reader& reader, Draft& draft, std::string& into) {
  std::string word = reader.value.text;
  if (!reader.value.is(Setting::Kind::scalar) || !word.ends_with('*') || word.size() == 1)
    return read_interface(reader, draft, into);
  word.pop_back();
  Setting stem = reader.value;  // what stands before the asterisk is checked as a name
  stem.text = word;
  std::string checked;
  if (Reader{stem, reader.name, reader.out}.interface_name(checked)) into = checked + "*";
}

void read_interfaces(const Reader& reader, Draft& draft, InterfaceSet& into) {
  const std::span<const Setting> items = reader.list_or_one();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty");
  for (const Setting& each : items) {
    Setting item = each;
    const bool negated = item.is(Setting::Kind::scalar) && strip_not(item.text);
    std::string name;
    read_interface_pattern(reader.item(item), draft, name);
    if (!name.empty()) (negated ? into.none : into.any).push_back(name);
  }
}

void read_protocol(const Reader& reader, ProtocolSet& into) {
  const std::span<const Setting> items = reader.list_or_one();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty");
  for (const Setting& each : items) {
    const Reader item = reader.item(each);
    std::string word;
    if (!item.text(word)) continue;
    const bool negated = strip_not(word);
    const auto numbers = protocol_numbers(word);
    if (!numbers || word.empty()) {
      const std::string hint = did_you_mean(word, protocol_names());
      item.error(fmt::format("unknown protocol {}{}", quoted(word),
                             hint.empty() ? "; known are tcp, udp, tcp_udp, icmp, icmpv6, sctp, dccp, udplite, gre, "
                                            "esp, ah, vrrp, ospf and a few more; or give its number"
                                          : hint));
      continue;
    }
    std::vector<std::uint8_t>& list = negated ? into.none : into.any;
    for (const std::uint8_t number : *numbers)
      if (std::ranges::find(list, number) == list.end()) list.push_back(number);
  }
  if (!into.any.empty() && !into.none.empty()) reader.error("give the protocols that are meant, or those that are not");
}

void read_match(Section& section, const Draft& draft, TrafficMatch& into) {
  section.with("source_address", [&](const Reader& r) { read_addresses(r, draft, into.source); });
  section.with("destination_address", [&](const Reader& r) { read_addresses(r, draft, into.destination); });
  section.with("protocol", [&](const Reader& r) { read_protocol(r, into.protocol); });
  section.with("source_ports", [&](const Reader& r) { read_ports(r, draft, into.source_ports); });
  section.with("destination_ports", [&](const Reader& r) { read_ports(r, draft, into.destination_ports); });
  check_match(section, into);
}

}  // namespace common
