// Checks that need more than one section of the file.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "common/config_parse.hpp"

namespace common {
namespace {

bool overlap(const Prefix& a, const Prefix& b) {
  return a.contains(b.address) || b.contains(a.address);
}

/// With several groups a flow belongs to the group whose inner networks it comes from or goes to.
void check_groups_differ(const Draft& draft, Diagnostics& out) {
  if (!draft.config.vrrp || draft.config.vrrp->groups.size() < 2) return;
  for (auto one = draft.protects.begin(); one != draft.protects.end(); ++one)
    for (auto other = draft.protects.begin(); other != one; ++other)
      if (one->group != other->group && overlap(one->network, other->network))
        out.error(one->at,
                  fmt::format("vrrp.groups.{}.protects: {} overlaps with {} of group {}; a connection must belong "
                              "to one group",
                              one->group, one->network.to_string(), other->network.to_string(), other->group));
  if (!draft.config.sync && !draft.config.nat) return;
  for (const GroupConfig& group : draft.config.vrrp->groups)
    if (group.protects.empty())
      out.error(draft.group_at.at(group.name),
                fmt::format("vrrp.groups.{}: 'protects' is missing; with several groups each names the inner "
                            "networks whose "
                            "connections are its own",
                            group.name));
}

/// The owner of addresses is active from its start and keeps them when it leaves: that is for plain VRRP.
void check_owners(const Draft& draft, Diagnostics& out) {
  if (!draft.config.vrrp) return;
  for (const GroupConfig& group : draft.config.vrrp->groups)
    for (const NodeConfig& node : draft.config.nodes) {
      const auto is_owner = [&](const InstanceConfig& instance) {
        return draft.priority_of(group, &instance, node) == kOwnerPriority;
      };
      const auto owned = std::ranges::count_if(group.instances, is_owner);
      const Position at = draft.group_at.at(group.name);
      if (owned != 0 && owned != std::ssize(group.instances))
        out.error(at, fmt::format("vrrp.groups.{}: on {} some instances have priority 255 (the router's own addresses) "
                                  "and others have not; they could not move together",
                                  group.name, node.name));
      else if (owned != 0 && !std::ranges::all_of(group.instances, &std::string::empty, &InstanceConfig::virtual_mac))
        out.error(at,
                  fmt::format("vrrp.groups.{}: priority 255 on {} means that the addresses are its interfaces' own, so "
                              "that they cannot have a virtual MAC",
                              group.name, node.name));
      else if (owned != 0 && draft.config.replicates(group.name))
        out.error(at, fmt::format("vrrp.groups.{}: priority 255 on {} means that the addresses are its own and never "
                                  "leave it, so that connections cannot follow them; use 1 to 254",
                                  group.name, node.name));
    }
}

/// A name that a node does not map is taken as it stands, unless a mapping waits in vain for nearly that
/// name.
void check_interfaces(const Draft& draft, Diagnostics& out) {
  std::set<std::string, std::less<>> used;
  for (const Draft::InterfaceUse& use : draft.interfaces) used.insert(use.name);
  for (const NodeConfig& node : draft.config.nodes) {
    std::set<std::string_view> unused;
    for (const auto& [name, own] : node.interfaces)
      if (!used.contains(name)) unused.insert(name);
    std::set<std::string_view> suggested;
    for (const Draft::InterfaceUse& use : draft.interfaces) {
      if (node.interfaces.contains(use.name)) continue;
      const std::string_view guess = closest(use.name, {unused.begin(), unused.end()});
      if (guess.empty()) continue;
      suggested.insert(guess);
      out.error(use.at, fmt::format("nodes.{}.interfaces has no {}; did you mean {}?", node.name, quoted(use.name),
                                    quoted(guess)));
    }
    for (const std::string_view name : unused)
      if (!suggested.contains(name))
        out.warning(draft.node_at.at(node.name),
                    fmt::format("nodes.{}.interfaces: {} is used nowhere", node.name, quoted(name)));
  }
  for (const NodeConfig& node : draft.config.nodes)
    for (const Draft::InterfaceUse& use : draft.interfaces) {
      if (node.interfaces.contains(use.name)) continue;
      for (const auto& [name, own] : node.interfaces)
        if (own == use.name && used.contains(name))
          out.error(use.at, fmt::format("on node {} {} is the interface of {} already", node.name, quoted(use.name),
                                        quoted(name)));
    }
}

void check_link_names(const Draft& draft, const NodeConfig& node, Diagnostics& out) {
  std::vector<std::string_view> links;
  for (const Draft::LinkUse& link : draft.links) links.push_back(link.interface);
  const Position at = draft.node_at.at(node.name);
  for (const auto& [name, address] : node.sync_addresses)
    if (std::ranges::find(links, name) == links.end())
      out.error(at, fmt::format("nodes.{}.sync_addresses: sync.links has no {}{}", node.name, quoted(name),
                                did_you_mean(name, links)));
  if (draft.sync_address.contains(node.name)) {
    if (links.size() > 1)
      out.error(at, fmt::format("nodes.{}: with several links give `sync_addresses: {{ {}: ..., {}: ... }}` "
                                "instead of sync_address",
                                node.name, links[0], links[1]));
    return;
  }
  // A wrong address has been reported where it stands.
  if (node.sync_addresses.empty() && draft.sync_address_given.contains(node.name)) return;
  for (const std::string_view link : links)
    if (!node.sync_addresses.contains(std::string(link)))
      out.error(at,
                fmt::format("nodes.{}: {} is missing, the address of this node on the sync link {}", node.name,
                            links.size() == 1 ? "'sync_address'" : "'sync_addresses." + std::string(link) + "'", link));
}

void check_links(const Draft& draft, Diagnostics& out) {
  if (!draft.config.sync) return;
  const std::vector<NodeConfig>& nodes = draft.config.nodes;
  if (nodes.size() == 1) out.error(draft.sync_at, "sync: needs two nodes");
  for (const NodeConfig& node : nodes) check_link_names(draft, node, out);
  if (nodes.size() != 2) return;
  const auto address_of = [&](const NodeConfig& node, const std::string& link) -> std::optional<IpAddress> {
    if (const auto only = draft.sync_address.find(node.name); only != draft.sync_address.end()) return only->second;
    const auto found = node.sync_addresses.find(link);
    return found == node.sync_addresses.end() ? std::nullopt : std::optional(found->second);
  };
  for (const Draft::LinkUse& link : draft.links) {
    const std::optional<IpAddress> a = address_of(nodes[0], link.interface), b = address_of(nodes[1], link.interface);
    if (!a || !b) continue;
    if (*a == *b)
      out.error(link.at, fmt::format("sync.links: both nodes have {} on {}", a->to_string(), link.interface));
    if (a->family() != b->family())
      out.error(link.at,
                fmt::format("sync.links: the addresses on {} are not of one family, IPv4 or IPv6", link.interface));
    if (link.multicast && link.multicast->family() != a->family())
      out.error(link.at, fmt::format("sync.links: the multicast group {} is not of the family of the addresses on {}",
                                     link.multicast->to_string(), link.interface));
  }
}

void check_sync_addresses_usable(const Draft& draft, Diagnostics& out) {
  for (const auto& [node, address] : draft.sync_address)
    if (address.is_unspecified() || address.is_multicast())
      out.error(draft.node_at.at(node),
                fmt::format("nodes.{}: {} cannot be the address of a router", node, address.to_string()));
}

}  // namespace

void check_across(Draft& draft, Diagnostics& out) {
  check_groups_differ(draft, out);
  check_owners(draft, out);
  check_interfaces(draft, out);
  check_links(draft, out);
  check_sync_addresses_usable(draft, out);
  check_pair_traffic(draft, out);
}

}  // namespace common
