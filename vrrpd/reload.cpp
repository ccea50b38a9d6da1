#include "vrrpd/reload.hpp"

#include <algorithm>

namespace vrrpd {

bool same_router(const common::InstanceConfig& a, const common::InstanceConfig& b) {
  return a.name == b.name && a.interface == b.interface && a.vrid == b.vrid && a.family() == b.family();
}

Change compare(const common::GroupConfig& running, const common::Config& wanted) {
  const common::GroupConfig* next = wanted.group(running.name);
  if (next == nullptr) return Change::retire;
  const bool some = std::ranges::any_of(running.instances, [&](const common::InstanceConfig& instance) {
    return std::ranges::any_of(next->instances, [&](const auto& other) { return same_router(instance, other); });
  });
  const auto owned = [](const common::GroupConfig& group) { return group.owns(group.instances.front()); };
  return some && owned(running) == owned(*next) ? Change::adopt : Change::restart;
}

std::vector<std::string> added(const std::vector<std::string>& running, const common::Config& wanted) {
  std::vector<std::string> result;
  if (!wanted.vrrp) return result;
  for (const common::GroupConfig& group : wanted.vrrp->groups)
    if (std::find(running.begin(), running.end(), group.name) == running.end()) result.push_back(group.name);
  return result;
}

}  // namespace vrrpd
