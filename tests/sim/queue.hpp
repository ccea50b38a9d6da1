#pragma once
// The event queue of the simulated world: ordered by time, then by the order in which things were put in,
// never by an address, so that the same seed gives the same run.
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "common/time.hpp"

namespace sim {

using common::Duration;
using common::Time;

class Queue {
 public:
  using Deed = std::function<void()>;

  Time now() const { return now_; }
  void at(Time when, Deed deed) { items_.push({std::max(when, now_), next_++, std::move(deed)}); }
  void after(Duration delay, Deed deed) { at(now_ + delay, std::move(deed)); }

  /// Performs the earliest deed if it is not later than `limit`.
  bool step(Time limit) {
    if (items_.empty() || items_.top().when > limit) return false;
    Deed deed = std::move(const_cast<Item&>(items_.top()).deed);
    now_ = items_.top().when;
    items_.pop();
    deed();
    return true;
  }

 private:
  struct Item {
    Time when;
    std::uint64_t order;
    Deed deed;
    bool operator<(const Item& other) const {  // the queue's top is its greatest
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  std::priority_queue<Item> items_;
  std::uint64_t next_ = 0;
  Time now_{};
};

}  // namespace sim
