#pragma once
// What a new configuration means for the groups that run: taken over in place, replaced, or gone.
#include <string>
#include <vector>

#include "common/config.hpp"

namespace vrrpd {

enum class Change {
  adopt,    ///< whatever differs changes under way: no transition, no missed advert
  restart,  ///< not one instance is the same, or the owner of the addresses changes: leaves with priority 0 and begins
            ///< anew, so that a peer may follow
  retire,   ///< not in the new configuration
};

/// The same virtual router on the same interface: it goes on, whatever else of it changes.
bool same_router(const common::InstanceConfig& a, const common::InstanceConfig& b);

Change compare(const common::GroupConfig& running, const common::Config& wanted);

/// Names of groups in `wanted` that do not run yet.
std::vector<std::string> added(const std::vector<std::string>& running, const common::Config& wanted);

}  // namespace vrrpd
