#pragma once
// What a new configuration means for the groups that run: taken over in place, replaced, or gone.
#include <string>
#include <vector>

#include "common/config.hpp"

namespace vrrpd {

enum class Change {
  adopt,    ///< the same instances: priorities, intervals and hooks change under way, no advert is missed
  restart,  ///< other instances, VRIDs or addresses: leaves with priority 0 and begins anew, so that a peer may follow
  retire,   ///< not in the new configuration
};

Change compare(const common::GroupConfig& running, const common::Config& wanted);

/// Names of groups in `wanted` that do not run yet.
std::vector<std::string> added(const std::vector<std::string>& running, const common::Config& wanted);

}  // namespace vrrpd
