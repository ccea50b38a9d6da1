#include "syncd/room.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "common/pair_sysctls.hpp"

namespace syncd {

std::size_t room_for(std::uint64_t kernel_limit) {
  if (kernel_limit == 0) return kMaxFlows;
  const std::uint64_t limit = std::min<std::uint64_t>(kernel_limit, kMaxFlows);
  return std::min<std::size_t>(limit + limit / 4 + kRoomForEnded, kMaxFlows);
}

Room::News Room::measured(const TableSize& kernel) {
  kernel_limit_ = kernel.most;
  const std::size_t limit = room_for(kernel.most);
  store_.table.set_limit(limit);
  const std::uint64_t before = std::exchange(turned_away_, store_.counters[Counter::table_full]);
  if (turned_away_ != before) {
    quiet_looks_ = 0;
    return std::exchange(full_, true) ? News::none : News::full;
  }
  if (!full_) return News::none;
  quiet_looks_ = store_.table.size() <= limit - limit / kRoomAgain ? quiet_looks_ + 1 : 0;
  if (quiet_looks_ < kRoomLooks) return News::none;
  full_ = false;
  return News::again;
}

std::string Room::reason() const {
  if (!full_) return {};
  const std::size_t limit = store_.table.limit();
  if (limit == kMaxFlows)
    return fmt::format(
        "there are more connections than the {} that syncd has room for: some are not replicated, and a failover would "
        "break them",
        limit);
  return fmt::format(
      "there are more connections than syncd has room for ({}, as {} is {}): some are not replicated, and a failover "
      "would break them: raise {} here",
      limit, common::kConntrackMax, kernel_limit_, common::kConntrackMax);
}

}  // namespace syncd
