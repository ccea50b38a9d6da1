#include "vrrpd/reload.hpp"

#include <algorithm>

namespace vrrpd {

namespace {

bool same_unicast(const common::UnicastConfig& a, const common::UnicastConfig& b) {
  return a.own == b.own && a.peers == b.peers && a.minimum_ttl == b.minimum_ttl;
}

bool same(const common::InstanceConfig& a, const common::InstanceConfig& b) {
  const bool both_unicast =
      a.unicast.has_value() == b.unicast.has_value() && (!a.unicast || same_unicast(*a.unicast, *b.unicast));
  return a.name == b.name && a.interface == b.interface && a.vrid == b.vrid && a.checksum == b.checksum &&
         a.virtual_addresses == b.virtual_addresses && a.excluded_addresses == b.excluded_addresses &&
         a.virtual_routes == b.virtual_routes && a.virtual_mac == b.virtual_mac && a.version == b.version &&
         a.password == b.password && both_unicast;
}

}  // namespace

Change compare(const common::GroupConfig& running, const common::Config& wanted) {
  const common::GroupConfig* next = wanted.group(running.name);
  if (next == nullptr) return Change::retire;
  const bool equal = std::equal(running.instances.begin(), running.instances.end(), next->instances.begin(),
                                next->instances.end(), same);
  const auto owned = [](const common::GroupConfig& group) { return group.owns(group.instances.front()); };
  return equal && owned(running) == owned(*next) ? Change::adopt : Change::restart;
}

std::vector<std::string> added(const std::vector<std::string>& running, const common::Config& wanted) {
  std::vector<std::string> result;
  if (!wanted.vrrp) return result;
  for (const common::GroupConfig& group : wanted.vrrp->groups)
    if (std::find(running.begin(), running.end(), group.name) == running.end()) result.push_back(group.name);
  return result;
}

}  // namespace vrrpd
