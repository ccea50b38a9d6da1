#pragma once
// What the scenarios of the pair are measured against.
#include <catch2/catch.hpp>

#include "pair.hpp"

namespace pair {

/// 3 * interval + skew of the standby.
inline Duration formula(const World& world, int priority = 100) {
  return common::down_interval(world.interval, priority);
}

inline void check_healthy(World& world, Node& master, Node& backup) {
  CHECK(master.state() == GroupState::master);
  CHECK(backup.state() == GroupState::backup);
  CHECK(master.serves());
  CHECK_FALSE(backup.has_addresses());
  CHECK_FALSE(backup.agent.open);
  CHECK(master.status().reasons == std::vector<std::string>{});
  CHECK(backup.status().reasons == std::vector<std::string>{});
  for (Node& node : world.nodes) {
    CHECK(node.counter("late_ready") == 0);
    CHECK(node.counter("deadline_opened") == 0);
  }
}

}  // namespace pair
