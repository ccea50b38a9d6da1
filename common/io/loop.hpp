#pragma once
// The event loop: a thin owner of sd-event. Handlers are called in turn, never re-entered. Timers have an
// accuracy of 1 us: 0 would mean sd-event's default of 250 ms, and a 10 ms advert timer would fire a quarter
// of a second late.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.hpp"
#include "common/time.hpp"

namespace common::io {

/// CLOCK_BOOTTIME: goes on through a suspend, so that the engine sees the gap.
Time now();
/// The same instant as wall-clock time, RFC 3339 in UTC with milliseconds.
std::string wall_clock(Time time);

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Lower is served first: timers and protocol sockets before control sockets.
  enum class Priority { urgent = -50, normal = 0, idle = 50 };

  /// Watches a descriptor that the caller owns and must unwatch before closing it (a handler may do so with
  /// any, also its own). `events` as for epoll.
  using Handler = std::function<void(std::uint32_t events)>;
  void watch(int fd, std::uint32_t events, Handler handler, Priority priority = Priority::normal);
  void change(int fd, std::uint32_t events);
  void unwatch(int fd);

  /// Called once when `at` has come; set again, or with none, it replaces what was set before. A handler may
  /// set its own timer again, and may destroy it.
  class Timer;
  std::unique_ptr<Timer> timer(std::function<void()> handler, Priority priority = Priority::urgent);

  /// SIGTERM and SIGINT, and SIGHUP. They are blocked from here on, as SIGCHLD always is: a program that is
  /// started from here must be given an empty signal mask.
  void on_signals(std::function<void()> terminate, std::function<void()> reload);
  /// Called when a child process ends, with its wait status. The child must not be waited for elsewhere.
  void on_child(int pid, std::function<void(int status)> handler);

  /// Answers systemd's watchdog from within the loop; false when systemd did not ask for it.
  bool start_watchdog();

  void run();  ///< until stop()
  void stop(int code = 0);
  int exit_code() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Loop::Timer {
 public:
  virtual ~Timer() = default;
  virtual void set(Deadline at) = 0;
};

}  // namespace common::io
