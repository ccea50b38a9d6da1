#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// RFC 9568 5.2.5: the count is one byte.
constexpr std::size_t kMostAddresses = 255;

/// Loopback, or what no host has.
bool is_unusable(const IpAddress& address) {
  if (address.is_unspecified() || address.is_multicast()) return true;
  if (address.is_v4()) return address.v4_value() >> 24 == 127;
  return address == *IpAddress::parse("::1");
}

/// Nothing but ones behind the prefix. IPv6 has no broadcast.
bool is_broadcast(const Prefix& prefix) {
  if (!prefix.address.is_v4() || prefix.length >= 31) return false;
  const std::uint32_t host_mask = 0xffffffffu >> prefix.length;
  return (prefix.address.v4_value() & host_mask) == host_mask;
}

void check_virtual_address(const Reader& reader, const Prefix& prefix) {
  // /31 and /32 (RFC 6164: /127 and /128) have no address that stands for the network.
  const std::uint8_t longest = prefix.address.is_v4() ? 30 : 126;
  if (is_unusable(prefix.address)) {
    reader.error(fmt::format("{} cannot be the address of a router", prefix.address.to_string()));
  } else if (prefix.length == 0) {
    reader.error(fmt::format("{}: the prefix length must not be 0", prefix.to_string()));
  } else if (prefix.length <= longest && !prefix.has_host_bits()) {
    reader.error(fmt::format("{} is a network; give the address of a host in it", prefix.to_string()));
  } else if (is_broadcast(prefix)) {
    reader.error(fmt::format("{} is the broadcast address of its network", prefix.to_string()));
  }
}

void read_addresses(const Reader& reader, const std::string& interface, std::vector<Prefix>& into,
                    SeenInstances& seen) {
  for (const Setting& item : reader.list()) {
    const Reader each = reader.item(item);
    Prefix prefix;
    if (!each.prefix(prefix)) continue;
    check_virtual_address(each, prefix);
    // A link-local address means something on its own link only.
    const std::string scope = prefix.address.is_link_local() ? interface : std::string();
    const auto [first, fresh] = seen.addresses.try_emplace({scope, prefix.address}, item.at);
    if (!fresh)
      each.error(
          fmt::format("{} is a virtual address already, in line {}", prefix.address.to_string(), first->second.line));
    into.push_back(prefix);
  }
}

void read_virtual_addresses(const Reader& reader, InstanceConfig& instance, SeenInstances& seen) {
  read_addresses(reader, instance.interface, instance.virtual_addresses, seen);
  if (reader.value.items.size() > kMostAddresses)
    reader.error(fmt::format("more than {} addresses do not fit into an advert", kMostAddresses));
  if (reader.value.is(Setting::Kind::list) && reader.value.items.empty())
    reader.error("at least one address is needed");
  if (instance.virtual_addresses.empty()) return;
  const bool v4 = instance.family() == Family::ipv4;
  for (const Prefix& each : instance.virtual_addresses)
    if (each.address.is_v4() != v4) {
      reader.error(fmt::format("{} and {} are not of one family, IPv4 or IPv6; make an instance for each",
                               instance.virtual_addresses.front().address.to_string(), each.address.to_string()));
      break;
    }
  if (!v4 && !instance.virtual_addresses.front().address.is_link_local())
    reader.error("the first IPv6 address must be link-local, such as fe80::1/64 (RFC 9568 5.2.9)");
}

void check_vrid(const Setting& value, const std::string& name, const InstanceConfig& instance, SeenInstances& seen,
                Diagnostics& out) {
  if (instance.vrid == 0 || instance.interface.empty()) return;
  const auto [first, fresh] = seen.vrids.try_emplace({instance.interface, instance.vrid, instance.family()}, value.at);
  if (!fresh)
    out.error(value.at,
              fmt::format("{}.vrid: vrid {} is used on {} already, in line {}; routers could not tell the two apart",
                          name, instance.vrid, instance.interface, first->second.line));
}

void check_version(Section& section, const InstanceConfig& instance, const GroupConfig& group) {
  const auto wrong = [&](std::string_view text) {
    section.out().error(section.at(), fmt::format("{}: {}", section.name(), text));
  };
  const bool speaks_v2 = instance.version != VrrpVersion::v3;
  if (!instance.password_file.empty() && !speaks_v2) wrong("password_file: only VRRP version 2 has passwords");
  if (speaks_v2 && instance.family() == Family::ipv6) wrong("VRRP version 2 knows IPv4 only; use version 3");
  // In a change of versions adverts may come faster than version 2 can say (RFC 9568 8.4.1).
  const Duration interval = instance.advertise_interval.value_or(group.advertise_interval);
  if (instance.version == VrrpVersion::v2 && interval % 1s != 0s)
    wrong(fmt::format("VRRP version 2 needs an advertise_interval in whole seconds, not {}", to_string(interval)));
}

InstanceConfig read_instance(const SettingEntry& entry, const std::string& parent, Draft& draft,
                             const GroupConfig& group, SeenInstances& seen, Diagnostics& out) {
  InstanceConfig instance;
  instance.name = entry.key;
  Reader::check_name(entry, "an instance", out);
  Section section(entry.value, fmt::format("{}.{}", parent, printable(entry.key)), out);
  section.with_required("interface", [&](const Reader& r) { read_interface(r, draft, instance.interface); });
  int vrid = 0;
  section.with_required("vrid", [&](const Reader& r) { r.integer(vrid, 1, 255); });
  instance.vrid = static_cast<std::uint8_t>(vrid);
  section.with_required("virtual_addresses", [&](const Reader& r) { read_virtual_addresses(r, instance, seen); });
  section.with("checksum", [&](const Reader& r) {
    r.choice<Checksum>(instance.checksum,
                       {{"auto", Checksum::automatic}, {"rfc5798", Checksum::rfc5798}, {"rfc9568", Checksum::rfc9568}});
  });
  section.with("version", [&](const Reader& r) {
    r.choice<VrrpVersion>(instance.version,
                          {{"3", VrrpVersion::v3}, {"2", VrrpVersion::v2}, {"2+3", VrrpVersion::both}});
  });
  section.path("password_file", instance.password_file);
  section.with("excluded_addresses",
               [&](const Reader& r) { read_addresses(r, instance.interface, instance.excluded_addresses, seen); });
  read_delivery(section, draft, group.name, instance, seen);
  section.boolean("accept", instance.accept);
  section.with("priority", [&](const Reader& r) {
    read_priorities(r, draft, draft.instance_priorities[{group.name, instance.name}]);
  });
  section.with("advertise_interval", [&](const Reader& r) {
    Duration interval{};
    read_interval(r, interval);
    if (interval > 0s) instance.advertise_interval = interval;
  });
  section.with("garp", [&](const Reader& r) {
    instance.garp = group.garp;
    read_garp(r, *instance.garp);
  });
  section.with("hooks", [&](const Reader& r) { read_hooks(r, instance.hooks); });
  if (const Setting* value = section.find("vrid")) check_vrid(*value, section.name(), instance, seen, out);
  check_version(section, instance, group);
  section.finish();
  return instance;
}

}  // namespace

void read_instances(const Reader& reader, Draft& draft, GroupConfig& group, SeenInstances& seen) {
  for (const SettingEntry& entry : reader.filled_map("at least one instance is needed"))
    group.instances.push_back(read_instance(entry, reader.name, draft, group, seen, reader.out));
}

}  // namespace common
