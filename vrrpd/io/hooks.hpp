#pragma once
// Runs the notify programs: of each group, with its instances, one at a time and in order; the loop waits for none.
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/io/loop.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"

namespace vrrpd::io {

class Hooks {
 public:
  /// `environment` ("NAME=value") is all that a hook gets, besides what its arguments say.
  Hooks(common::io::Loop& loop, Counters& counters, std::vector<std::string> environment);
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  void run(RunHook hook);
  bool idle() const;
  /// Called each time the last one has ended.
  void when_idle(std::function<void()> handler);

 private:
  struct Queue {
    std::deque<RunHook> waiting;
    int pid = 0;  ///< of the running one, and its process group
    bool killed = false;
    std::unique_ptr<common::io::Loop::Timer> timer;
  };
  using Key = std::string;  ///< the group

  void start_next(const Key& key);
  bool start(const Key& key, Queue& queue, const RunHook& hook);
  void ended(const Key& key, const std::string& path, int status);
  void overdue(const Key& key, const std::string& path);

  common::io::Loop& loop_;
  Counters& counters_;
  std::vector<std::string> environment_;
  std::function<void()> when_idle_;
  std::map<Key, Queue> queues_;
};

}  // namespace vrrpd::io
