#include "vrrpd/reload.hpp"

#include <algorithm>

namespace vrrpd {

namespace {

bool same(const common::InstanceConfig& a, const common::InstanceConfig& b) {
  return a.name == b.name && a.interface == b.interface && a.vrid == b.vrid && a.checksum == b.checksum &&
         a.virtual_addresses == b.virtual_addresses;
}

}  // namespace

Change compare(const common::GroupConfig& running, const common::Config& wanted) {
  const common::GroupConfig* next = wanted.group(running.name);
  if (next == nullptr) return Change::retire;
  const bool equal = std::equal(running.instances.begin(), running.instances.end(), next->instances.begin(),
                                next->instances.end(), same);
  return equal ? Change::adopt : Change::restart;
}

std::vector<std::string> added(const std::vector<std::string>& running, const common::Config& wanted) {
  std::vector<std::string> result;
  if (!wanted.vrrp) return result;
  for (const common::GroupConfig& group : wanted.vrrp->groups)
    if (std::find(running.begin(), running.end(), group.name) == running.end()) result.push_back(group.name);
  return result;
}

}  // namespace vrrpd
