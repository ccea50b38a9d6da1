// How an instance reaches its peer and the world besides the group address and its own MAC: unicast, a virtual MAC,
// routes that follow the master.
#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// The kernel's IFNAMSIZ less the terminating zero.
constexpr std::size_t kLongestInterface = 15;
constexpr int kHighestMetric = 1 << 30;
constexpr int kHighestTable = 1 << 30;

std::string_view family_name(Family family) {
  return family == Family::ipv4 ? "IPv4" : "IPv6";
}

bool is_usable_peer(const Reader& reader, const IpAddress& address, Family family) {
  if (address.family() != family) {
    reader.error(
        fmt::format("{} is not an {} address, as those of the instance are", address.to_string(), family_name(family)));
    return false;
  }
  if (!address.is_unspecified() && !address.is_multicast()) return true;
  reader.error(fmt::format("{} cannot be the address of a router", address.to_string()));
  return false;
}

void read_own_addresses(const Reader& reader, Draft& draft, const std::string& group, InstanceConfig& instance) {
  auto& given = draft.unicast[{group, instance.name}];
  const std::vector<std::string_view> nodes = draft.node_names();
  for (const SettingEntry& entry : reader.map()) {
    const Reader each = reader.entry(entry);
    if (std::ranges::find(nodes, entry.key) == nodes.end()) {
      reader.out.error(entry.at, fmt::format("{}: no node is called {}{}; a router that is no node stands in "
                                             "unicast_peers",
                                             reader.name, quoted(entry.key), did_you_mean(entry.key, nodes)));
      continue;
    }
    IpAddress address;
    if (each.address(address) && is_usable_peer(each, address, instance.family())) given[entry.key] = address;
  }
  for (const std::string_view node : nodes)
    if (reader.value.find(node) == nullptr) reader.error(fmt::format("the address of {} is missing", node));
}

void read_peers(const Reader& reader, InstanceConfig& instance) {
  for (const Setting& item : reader.list()) {
    const Reader each = reader.item(item);
    IpAddress address;
    if (each.address(address) && is_usable_peer(each, address, instance.family()))
      instance.unicast->peers.push_back(address);
  }
}

void read_unicast(Section& section, Draft& draft, const std::string& group, InstanceConfig& instance) {
  const auto missing = [&](std::string_view key) {
    if (section.has(key))
      section.out().error(section.at(),
                          fmt::format("{}: {} needs unicast, the addresses of the nodes", section.name(), key));
  };
  if (!section.has("unicast")) {
    missing("unicast_peers");
    missing("unicast_minimum_ttl");
  }
  if (section.has("unicast")) instance.unicast.emplace();
  UnicastConfig unused;
  UnicastConfig& unicast = instance.unicast ? *instance.unicast : unused;
  section.with("unicast", [&](const Reader& r) { read_own_addresses(r, draft, group, instance); });
  section.with("unicast_peers", [&](const Reader& r) {
    if (instance.unicast) read_peers(r, instance);
  });
  int ttl = unicast.minimum_ttl;
  section.integer("unicast_minimum_ttl", ttl, 1, 255);
  unicast.minimum_ttl = static_cast<std::uint8_t>(ttl);
  if (instance.unicast && draft.config.nodes.size() < 2 && unicast.peers.empty())
    section.out().error(section.at(), fmt::format("{}: with one node give unicast_peers, too", section.name()));
}

void read_virtual_mac(const Reader& reader, InstanceConfig& instance, SeenInstances& seen) {
  std::string word;
  if (!reader.text(word)) return;
  if (word == "false") return;
  if (word == "true") {
    const std::string_view family = instance.family() == Family::ipv4 ? "v4" : "v6";
    word = fmt::format("{}-{}-{}", family, instance.vrid, instance.interface).substr(0, kLongestInterface);
  } else if (!reader.interface_name(word)) {
    return;
  }
  const auto [first, fresh] = seen.devices.try_emplace(word, reader.value.at);
  if (!fresh) {
    reader.error(fmt::format("{} is the name of an interface with a virtual MAC already, in line {}; give another name",
                             quoted(word), first->second.line));
    return;
  }
  instance.virtual_mac = word;
}

/// Where the route's packets come from when the router itself sends them: a virtual address, so that the kernel drops
/// the route with the address.
std::optional<IpAddress> source_for(const InstanceConfig& instance, Family family) {
  for (const Prefix& each : instance.all_addresses())
    if (each.address.family() == family && !each.address.is_link_local()) return each.address;
  return std::nullopt;
}

bool read_destination(const Reader& reader, const RouteConfig& route, const InstanceConfig& instance, Prefix& into) {
  if (reader.value.text != "default") return reader.network(into);
  const Family family = route.via ? route.via->family() : instance.family();
  into = family == Family::ipv4 ? *Prefix::parse("0.0.0.0/0") : *Prefix::parse("::/0");
  return true;
}

void read_route(const Reader& reader, InstanceConfig& instance, SeenInstances& seen) {
  Section section(reader.value, reader.name, reader.out);
  RouteConfig route;
  section.with("via", [&](const Reader& r) {
    IpAddress via;
    if (r.address(via)) route.via = via;
  });
  bool good = false;
  section.with_required("to", [&](const Reader& r) { good = read_destination(r, route, instance, route.to); });
  int metric = 0, table = static_cast<int>(route.table);
  section.integer("metric", metric, 1, kHighestMetric);
  section.integer("table", table, 1, kHighestTable);
  route.metric = static_cast<std::uint32_t>(metric);
  route.table = static_cast<std::uint32_t>(table);
  section.with("source", [&](const Reader& r) {
    IpAddress source;
    if (r.address(source)) route.source = source;
  });
  section.finish();
  if (!good) return;
  const Family family = route.to.address.family();
  if ((route.via && route.via->family() != family) || (route.source && route.source->family() != family)) {
    reader.error("to, via and source are not of one family, IPv4 or IPv6");
    return;
  }
  if (!route.source) route.source = source_for(instance, family);
  const auto [first, fresh] = seen.routes.try_emplace({route.table, route.to, route.metric}, reader.value.at);
  if (!fresh)
    reader.error(fmt::format("the route to {} stands here already, in line {}; give them different metrics",
                             route.to.to_string(), first->second.line));
  instance.virtual_routes.push_back(std::move(route));
}

}  // namespace

void read_delivery(Section& section, Draft& draft, const std::string& group, InstanceConfig& instance,
                   SeenInstances& seen) {
  read_unicast(section, draft, group, instance);
  section.with("virtual_mac", [&](const Reader& r) { read_virtual_mac(r, instance, seen); });
  section.with("virtual_routes", [&](const Reader& r) {
    for (const Setting& item : r.list()) read_route(r.item(item), instance, seen);
  });
}

}  // namespace common
