#pragma once
// New connections at a steady rate: connect, one message, its echo, close. A connect that an outage delays is
// no failure until the limit: TCP repeats its SYN.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "traffic/failure.hpp"
#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/options.hpp"

namespace traffic {

class FreshConnections {
 public:
  struct Settings {
    std::string local;
    sockaddr_in server{};
    PortRange ports;         ///< used in turn; long enough that TIME_WAIT is over when a port's turn comes again
    std::uint64_t rate = 0;  ///< per second
    Nanoseconds limit = 30 * kSecond;
  };
  FreshConnections(Loop& loop, const Settings& settings, Nanoseconds start);
  void tick(Nanoseconds at);
  void pause(bool on) { paused_ = on; }
  void mark() { slowest_ = 0; }
  Json check() const;
  std::uint64_t done() const { return done_; }
  std::uint64_t failed() const { return failures_.total(); }
  std::vector<Json> failures() const { return failures_.entries(); }

 private:
  class Attempt;
  void start(Nanoseconds at);
  void finish(Attempt& attempt, Nanoseconds at);
  void fail(Attempt& attempt, Failure failure, int error, Nanoseconds at);
  void drop(Attempt& attempt);

  Loop& loop_;
  Settings settings_;
  Nanoseconds next_, next_scan_;
  bool paused_ = false;
  std::uint32_t serial_ = 0;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::uint64_t started_ = 0, done_ = 0, skipped_ = 0;
  Nanoseconds slowest_ = 0;
  FailureLog failures_;

 public:
  ~FreshConnections();
};

}  // namespace traffic
