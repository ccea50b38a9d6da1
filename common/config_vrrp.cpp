#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// RFC 9568 5.2.7: 12 bits of centiseconds.
constexpr Duration kCentisecond = 10ms;
constexpr Duration kLongestInterval = 4095 * kCentisecond;
/// Beyond this a wait is a mistake rather than a wish; it also keeps sums of durations far from overflow.
constexpr Duration kLongestWait = std::chrono::hours(1);
/// RFC 9568 5.2.5: the count is one byte.
constexpr std::size_t kMostAddresses = 255;

/// What must differ between all instances of the file.
struct Seen {
  std::map<std::pair<std::string, int>, Position> vrids;  ///< interface and VRID
  std::map<IpAddress, Position> addresses;
};

void check_virtual_address(const Reader& reader, const Prefix& prefix) {
  constexpr int kBits = 32;
  const IpAddress& address = prefix.address;
  const bool has_ends = prefix.length < kBits - 1;  // /31 and /32 have neither network nor broadcast address
  const std::uint32_t host_mask = has_ends ? 0xffffffffu >> prefix.length : 0;
  if (address.is_unspecified() || address.is_multicast() || address.v4_value() >> 24 == 127) {
    reader.error(fmt::format("{} cannot be the address of a router", address.to_string()));
  } else if (prefix.length == 0) {
    reader.error(fmt::format("{}: the prefix length must not be 0", prefix.to_string()));
  } else if (has_ends && !prefix.has_host_bits()) {
    reader.error(fmt::format("{} is a network; give the address of a host in it", prefix.to_string()));
  } else if (has_ends && (address.v4_value() & host_mask) == host_mask) {
    reader.error(fmt::format("{} is the broadcast address of its network", prefix.to_string()));
  }
}

void read_virtual_addresses(const Reader& reader, InstanceConfig& instance, Seen& seen) {
  const std::span<const Setting> items = reader.list();
  for (const Setting& item : items) {
    const Reader each = reader.item(item);
    Prefix prefix;
    if (!each.prefix(prefix)) continue;
    if (!prefix.address.is_v4()) {
      each.error(prefix.address.to_string() + " is an IPv6 address; vrrpd speaks VRRP for IPv4 only");
      continue;
    }
    check_virtual_address(each, prefix);
    const auto [first, fresh] = seen.addresses.try_emplace(prefix.address, item.at);
    if (!fresh)
      each.error(fmt::format("{} is a virtual address already, in line {}", prefix.address.to_string(),
                             first->second.line));
    instance.virtual_addresses.push_back(prefix);
  }
  if (items.size() > kMostAddresses)
    reader.error(fmt::format("more than {} addresses do not fit into an advert", kMostAddresses));
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("at least one address is needed");
}

void check_vrid(const Reader& reader, const InstanceConfig& instance, Seen& seen) {
  if (instance.vrid == 0 || instance.interface.empty()) return;
  const auto [first, fresh] = seen.vrids.try_emplace({instance.interface, instance.vrid}, reader.value.at);
  if (!fresh)
    reader.error(
        fmt::format("vrid {} is used on {} already, in line {}; routers could not tell the two apart",
                    instance.vrid, instance.interface, first->second.line));
}

InstanceConfig read_instance(const SettingEntry& entry, const std::string& parent, Draft& draft, Seen& seen,
                             Diagnostics& out) {
  InstanceConfig instance;
  instance.name = entry.key;
  Reader::check_name(entry, "an instance", out);
  Section section(entry.value, fmt::format("{}.{}", parent, printable(entry.key)), out);
  section.with_required("interface", [&](const Reader& r) { read_interface(r, draft, instance.interface); });
  int vrid = 0;
  section.with_required("vrid", [&](const Reader& r) {
    r.integer(vrid, 1, 255);
    instance.vrid = static_cast<std::uint8_t>(vrid);
    check_vrid(r, instance, seen);
  });
  section.with_required("virtual_addresses",
                        [&](const Reader& r) { read_virtual_addresses(r, instance, seen); });
  section.with("checksum", [&](const Reader& r) {
    r.choice<Checksum>(
        instance.checksum,
        {{"auto", Checksum::automatic}, {"rfc5798", Checksum::rfc5798}, {"rfc9568", Checksum::rfc9568}});
  });
  section.finish();
  return instance;
}

void read_hooks(const Reader& reader, HooksConfig& hooks) {
  Section section(reader.value, reader.name, reader.out);
  section.path("notify", hooks.notify);
  section.path("master", hooks.master);
  section.path("backup", hooks.backup);
  section.path("fault", hooks.fault);
  section.path("stop", hooks.stop);
  section.text("user", hooks.user);
  section.duration("timeout", hooks.timeout, 100ms, kLongestWait);
  section.finish();
}

void read_garp(const Reader& reader, GroupConfig& group) {
  // Switches learn from one; a hundred per address would be a storm.
  constexpr int kMostGarps = 100;
  Section section(reader.value, reader.name, reader.out);
  section.integer("count", group.garp_count, 1, kMostGarps);
  section.duration("repeat_after", group.garp_repeat_after, 0s, kLongestWait);
  section.finish();
}

void read_group_priority(const Reader& reader, Draft& draft, const std::string& group) {
  if (reader.value.is(Setting::Kind::scalar)) {
    reader.error(fmt::format(
        "one number for both routers would be a tie; write {{ {}: {} }} or leave it to the nodes",
        draft.config.nodes.empty() ? "R1" : draft.config.nodes.front().name, printable(reader.value.text)));
    return;
  }
  const std::vector<std::string_view> nodes = draft.node_names();
  for (const SettingEntry& entry : reader.map()) {
    if (std::ranges::find(nodes, entry.key) == nodes.end()) {
      reader.out.error(entry.at, fmt::format("{}: no node is called {}{}", reader.name, quoted(entry.key),
                                             did_you_mean(entry.key, nodes)));
      continue;
    }
    int priority = 0;
    read_priority(reader.entry(entry), priority);
    if (priority != 0) draft.group_priorities[group][entry.key] = priority;
  }
}

void read_preempt_without_sync(const Reader& reader, GroupConfig& group) {
  if (reader.value.text == "never") {
    group.preempt_without_sync = PreemptWithoutSync::never;
    return;
  }
  if (reader.value.is(Setting::Kind::scalar) && !parse_duration(reader.value.text)) {
    reader.error(
        fmt::format("expected never or a duration such as 60s, found {}", quoted(reader.value.text)));
    return;
  }
  if (reader.duration(group.preempt_without_sync_after, 0s, kLongestWait))
    group.preempt_without_sync = PreemptWithoutSync::after;
}

void read_timing(Section& section, GroupConfig& group) {
  section.with("advertise_interval", [&](const Reader& r) {
    if (r.duration(group.advertise_interval, kCentisecond, kLongestInterval) &&
        group.advertise_interval % kCentisecond != 0s)
      r.error(fmt::format("{} is not a multiple of 10ms, the unit of adverts", printable(r.value.text)));
  });
  section.boolean("preempt", group.preempt);
  section.duration("preempt_delay", group.preempt_delay, 0s, kLongestWait);
  section.with("preempt_without_sync", [&](const Reader& r) { read_preempt_without_sync(r, group); });
  section.duration("prepare_timeout", group.prepare_timeout, 10ms, 60s);
  section.duration("gate_timeout", group.gate_timeout, 10ms, kLongestWait);
  section.duration("heal_hold", group.heal_hold, 0s, 60s);
  section.duration("witness_hold", group.witness_hold, 0s, kLongestWait);
  section.with("address_lifetime", [&](const Reader& r) {
    if (r.duration(group.address_lifetime, 1s, 60s) && group.address_lifetime % 1s != 0s)
      r.error(
          fmt::format("{} is not in whole seconds, the kernel's unit of lifetimes", printable(r.value.text)));
  });
  if (group.gate_timeout < group.prepare_timeout)
    section.out().error(
        section.at(),
        fmt::format("{}: gate_timeout ({}) is shorter than prepare_timeout ({})", section.name(),
                    to_string(group.gate_timeout), to_string(group.prepare_timeout)));
}

void read_instances(const Reader& reader, Draft& draft, GroupConfig& group, Seen& seen) {
  for (const SettingEntry& entry : reader.filled_map("at least one instance is needed"))
    group.instances.push_back(read_instance(entry, reader.name, draft, seen, reader.out));
}

void read_group(const SettingEntry& entry, const std::string& parent, Draft& draft, Seen& seen,
                Diagnostics& out) {
  GroupConfig group;
  group.name = entry.key;
  draft.group_at[group.name] = entry.at;
  Reader::check_name(entry, "a group", out);
  Section section(entry.value, fmt::format("{}.{}", parent, printable(entry.key)), out);
  section.with("priority", [&](const Reader& r) { read_group_priority(r, draft, group.name); });
  read_timing(section, group);
  section.with("garp", [&](const Reader& r) { read_garp(r, group); });
  section.with_required("instances", [&](const Reader& r) { read_instances(r, draft, group, seen); });
  section.with("protects", [&](const Reader& r) {
    for (const Setting& item : r.list()) {
      Prefix network;
      if (!r.item(item).network(network)) continue;
      group.protects.push_back(network);
      draft.protects.push_back({group.name, network, item.at});
    }
  });
  section.with("hooks", [&](const Reader& r) { read_hooks(r, group.hooks); });
  section.finish();
  draft.config.vrrp->groups.push_back(std::move(group));
}

}  // namespace

void read_vrrp(Section& root, Draft& draft) {
  root.with("vrrp", [&](const Reader& r) {
    draft.config.vrrp.emplace();
    Section section(r.value, r.name, r.out);
    section.with_required("groups", [&](const Reader& groups) {
      Seen seen;
      for (const SettingEntry& entry : groups.filled_map("at least one group is needed"))
        read_group(entry, groups.name, draft, seen, groups.out);
    });
    section.finish();
  });
}

}  // namespace common
