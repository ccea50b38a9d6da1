#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// A router and its peer: takeover, terms and the link are made for two.
constexpr std::size_t kMostNodes = 2;

void read_sync_addresses(Section& section, Draft& draft, NodeConfig& node) {
  if (section.has("sync_address") && section.has("sync_addresses"))
    section.out().error(section.at(), section.name() + ": give either sync_address or sync_addresses");
  if (section.has("sync_address") || section.has("sync_addresses")) draft.sync_address_given.insert(node.name);
  section.with("sync_address", [&](const Reader& r) {
    IpAddress address;
    if (r.address(address)) draft.sync_address[node.name] = address;
  });
  section.with("sync_addresses", [&](const Reader& r) {
    for (const SettingEntry& entry : r.map()) {
      IpAddress address;
      if (r.entry(entry).address(address)) node.sync_addresses[entry.key] = address;
    }
  });
}

void read_interfaces(const Reader& reader, NodeConfig& node) {
  for (const SettingEntry& entry : reader.map()) {
    const Reader value = reader.entry(entry);
    std::string own;
    if (!value.interface_name(own)) continue;
    for (const auto& [name, other] : node.interfaces)
      if (other == own) value.error(fmt::format("{} is the interface of {} already", quoted(own), quoted(name)));
    node.interfaces[entry.key] = own;
  }
}

NodeConfig read_node(const SettingEntry& entry, Draft& draft, Diagnostics& out) {
  NodeConfig node;
  node.name = entry.key;
  Section section(entry.value, "nodes." + printable(entry.key), out);
  section.with("priority", [&](const Reader& r) { read_priority(r, node.priority); });
  read_sync_addresses(section, draft, node);
  section.with("interfaces", [&](const Reader& r) { read_interfaces(r, node); });
  section.finish();
  return node;
}

}  // namespace

void read_nodes(Section& root, Draft& draft) {
  root.with_required("nodes", [&](const Reader& r) {
    for (const SettingEntry& entry : r.filled_map("name the two routers here")) {
      Reader::check_name(entry, "a node", r.out);
      if (draft.config.nodes.size() == kMostNodes) {
        r.out.error(entry.at, fmt::format("a third node, {}; a pair has two", quoted(entry.key)));
        continue;
      }
      draft.node_at[entry.key] = entry.at;
      draft.config.nodes.push_back(read_node(entry, draft, r.out));
    }
  });
}

void read_priority(const Reader& reader, int& into) {
  reader.integer(into, kLowestPriority, kHighestPriority);
}

void read_interface(const Reader& reader, Draft& draft, std::string& into) {
  if (reader.interface_name(into)) draft.interfaces.push_back({into, reader.value.at});
}

void read_group_name(const Reader& reader, const Draft& draft, std::string& into) {
  std::string name;
  if (!reader.text(name)) return;
  const std::vector<std::string_view> known = draft.group_names();
  if (std::ranges::find(known, name) == known.end()) {
    const std::string hint = did_you_mean(name, known);
    reader.error(fmt::format("no group is called {}{}", quoted(name),
                             !hint.empty()   ? hint
                             : known.empty() ? "; vrrp.groups has none"
                                             : fmt::format("; there are {}", fmt::join(known, ", "))));
    return;
  }
  into = name;
}

}  // namespace common
