#pragma once
// Time without a clock. Engines are told what time it is; they cannot ask. The clock type has no now(), so that
// a call to the operating system's clock cannot slip into an engine by accident. Shells fill Time from
// CLOCK_BOOTTIME (a suspend is seen as a jump), the simulation from its own queue.
#include <chrono>
#include <cstdint>
#include <optional>

namespace common {

struct MonotonicClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};

using Time = MonotonicClock::time_point;
using Duration = MonotonicClock::duration;
using Deadline = std::optional<Time>;

using namespace std::chrono_literals;

/// The earlier of two deadlines; none is later than any.
constexpr Deadline earliest(Deadline a, Deadline b) {
  if (!a) return b;
  if (!b) return a;
  return *a < *b ? a : b;
}

constexpr double milliseconds(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

}  // namespace common
