#pragma once
// Keeps a long bulk from taking a processor away from everybody else. syncd goes before ordinary programs, so that what
// the kernel reports is at the peer in time; but work that lasts needs no such haste, and two kinds of harm come of it:
// ordinary threads wait, ksoftirqd among them, which forwards the packets when there are many; and when real-time
// programs have had 950 ms of a second of a processor, the kernel holds all of them up there for 50 ms, vrrpd too
// (sched(7), sched_rt_runtime_us; since Linux 6.12 only while ordinary threads wait).
#include "common/time.hpp"

namespace syncd::io {

class Breather {
 public:
  /// Looked at this often. Ordinary threads wait this long, or a little longer.
  static constexpr common::Duration kStretch = std::chrono::milliseconds(10);
  /// Whoever has worked for more than this part of it...
  static constexpr int kBusyPercent = 80;
  /// ...leaves nearly a tenth to others: more than the kernel would take by force, and a report waits that long anyway.
  static constexpr common::Duration kRest = std::chrono::milliseconds(1);

  /// After a turn of the loop; `used`: processor time of this thread, so far. True: rest now.
  bool tired(common::Time now, common::Duration used) {
    const common::Duration passed = now - since_;
    if (passed < kStretch) return false;
    const bool result = (used - used_) * 100 > passed * kBusyPercent;
    since_ = result ? now + kRest : now;
    used_ = used;
    return result;
  }

 private:
  common::Time since_{};
  common::Duration used_{};
};

}  // namespace syncd::io
