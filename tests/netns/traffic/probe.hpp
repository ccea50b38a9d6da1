#pragma once
// The 1 ms probe: a sequence-numbered datagram each interval, reflected by a program of its own, and the
// moments at which the kernel received the reflections. Both run under SCHED_FIFO and use the kernel's own
// time stamps, because the silence of the routers is asked for, not that of two busy processors.
#include <cstdint>
#include <string>
#include <vector>

#include "traffic/failure.hpp"
#include "traffic/options.hpp"

namespace traffic {

/// Sends every datagram back where it came from, until it is told to stop.
void reflect(const Options& options);

class Probe {
 public:
  explicit Probe(const Options& options);
  void run();

 private:
  /// Silences shorter than this are the ordinary unevenness of a busy machine, and not worth a record each.
  static constexpr Nanoseconds kGapKept = 3 * kMillisecond;
  static constexpr std::size_t kGapsKept = 20000;
  struct Gap {
    Nanoseconds from = 0, to = 0;
  };

  void send_one(Nanoseconds at);
  void drain();
  void received(Nanoseconds stamped);
  void commands();
  void command(const std::string& line);
  Json gaps(const std::string& type) const;

  Fd fd_;
  Nanoseconds interval_;
  Nanoseconds to_monotonic_;  ///< what turns the kernel's wall clock stamps into CLOCK_MONOTONIC
  Nanoseconds mark_ = 0, last_ = 0;
  std::uint64_t sent_ = 0, received_ = 0;
  std::vector<Gap> gaps_;
  Bins bins_;
  std::string partial_;
  bool stopping_ = false;
};

}  // namespace traffic
