#pragma once
// One epoll, level triggered, drained in large batches, and a tick each millisecond: no timer per connection, nothing
// allocated per packet.
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "traffic/net.hpp"

namespace traffic {

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
  /// Until stop(). `tick` is called about once a millisecond.
  void run(const std::function<void(Nanoseconds)>& tick);

 private:
  static constexpr int kBatch = 512;

  Fd epoll_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Watcher>> retired_;
  std::array<epoll_event, kBatch> batch_{};
};

/// Lines on stdin; end of file is reported as "stop", so that the tool never outlives the test that started it.
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
