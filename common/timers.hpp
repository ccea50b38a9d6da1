#pragma once
// Timers as an enum and an array of optional instants: no callbacks, no heap, no ids to cancel.
// Timer must be an enum class whose last enumerator is `count`.
#include <array>
#include <cstddef>

#include "common/time.hpp"

namespace common {

template <typename Timer>
class TimerTable {
 public:
  void set(Timer timer, Time at) { slot(timer) = at; }
  void stop(Timer timer) { slot(timer).reset(); }
  bool running(Timer timer) const { return slot(timer).has_value(); }
  Deadline at(Timer timer) const { return slot(timer); }

  Deadline next() const {
    Deadline result;
    for (const Deadline& d : slots_) result = earliest(result, d);
    return result;
  }

  /// The expired timer with the earliest instant, which is stopped by this call; none when nothing has expired.
  std::optional<Timer> take_expired(Time now) {
    std::size_t found = kCount;
    for (std::size_t i = 0; i < kCount; ++i)
      if (slots_[i] && *slots_[i] <= now && (found == kCount || *slots_[i] < *slots_[found])) found = i;
    if (found == kCount) return std::nullopt;
    slots_[found].reset();
    return static_cast<Timer>(found);
  }

 private:
  static constexpr std::size_t kCount = static_cast<std::size_t>(Timer::count);
  Deadline& slot(Timer timer) { return slots_[static_cast<std::size_t>(timer)]; }
  const Deadline& slot(Timer timer) const { return slots_[static_cast<std::size_t>(timer)]; }
  std::array<Deadline, kCount> slots_{};
};

}  // namespace common
