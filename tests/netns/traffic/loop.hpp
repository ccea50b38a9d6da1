#pragma once
// One epoll, drained in batches every two milliseconds, and a tick each time: no timer per connection,
// nothing allocated per packet, and few wakeups. 6,000 connections with ten messages a second each have to
// fit into two processors together with the network that they are to test, and waking up for each packet
// costs a third of that.
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "traffic/net.hpp"

namespace traffic {

/// Edge triggered, for the many small echo connections: level triggering asks every socket twice. Whoever
/// uses it reads until the end when `kEnded` is among the events, because data and the end may share one
/// edge.
inline constexpr std::uint32_t kEdge = EPOLLIN | EPOLLRDHUP | EPOLLET;
inline constexpr std::uint32_t kEnded = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/// Something with a file descriptor. Lives until the end of the batch in which it was retired.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void ready(std::uint32_t events, Nanoseconds at) = 0;
};

class Loop {
 public:
  Loop();
  void add(int fd, std::uint32_t events, Watcher& watcher);
  void modify(int fd, std::uint32_t events, Watcher& watcher);
  /// Destroys the watcher after the batch: an event of its own may still be in it.
  void retire(std::unique_ptr<Watcher> watcher) { retired_.push_back(std::move(watcher)); }
  void stop() { stopping_ = true; }
  /// Until stop(). `tick` is called after each batch.
  void run(const std::function<void(Nanoseconds)>& tick);

 private:
  static constexpr int kBatch = 512;
  static constexpr Nanoseconds kPeriod = 2 * kMillisecond;

  Fd epoll_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Watcher>> retired_;
  std::array<epoll_event, kBatch> batch_{};
};

/// Lines on stdin; end of file is reported as "stop", so that the tool never outlives the test that started
/// it.
class Commands : public Watcher {
 public:
  Commands(Loop& loop, std::function<void(const std::string&)> on_line);
  void ready(std::uint32_t events, Nanoseconds at) override;

 private:
  Loop& loop_;
  std::function<void(const std::string&)> on_line_;
  std::string partial_;
};

/// SIGTERM and SIGINT become the command "stop"; SIGPIPE is ignored.
void stop_on_signals();
bool signalled();

}  // namespace traffic
