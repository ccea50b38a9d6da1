#pragma once
// The clock of one box: it started at another time than the world's, and runs a little fast or slow.
#include <cstdint>

#include "common/time.hpp"

namespace sim {

struct NodeClock {
  common::Duration offset{};
  std::int64_t parts_per_million = 0;

  common::Time local(common::Time world) const {
    const auto w = world.time_since_epoch();
    return common::Time(offset + w + w / 1'000'000 * parts_per_million);
  }
  /// The first instant of the world at which local() is not before `time`, to within a microsecond.
  common::Time world(common::Time time) const {
    const auto l = time.time_since_epoch() - offset;
    return common::Time(l - l / (1'000'000 + parts_per_million) * parts_per_million + std::chrono::microseconds(1));
  }
};

}  // namespace sim
