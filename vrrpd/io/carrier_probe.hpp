#pragma once
// Asks the kernel for the carrier of our interfaces every few milliseconds. Notifications of it are limited
// to one burst a second for the whole system (net/core/link_watch.c): when a switch dies that two of our
// interfaces are plugged into, the second may be told a second late, and a takeover would wait that long. In
// a thread of its own: the question takes the kernel's lock of the network configuration, which others may
// hold for longer than an advert may be late.
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "common/io/loop.hpp"
#include "common/io/unique_fd.hpp"
#include "common/result.hpp"

namespace vrrpd::io {

class CarrierProbe {
 public:
  /// Called in the loop's thread, when the carrier of an interface differs from what was said of it before
  /// (at first: that there is one).
  using Handler = std::function<void(int index, bool carrier)>;
  static common::Result<std::unique_ptr<CarrierProbe>> open(common::io::Loop& loop, Handler handler);
  ~CarrierProbe();
  CarrierProbe(const CarrierProbe&) = delete;
  CarrierProbe& operator=(const CarrierProbe&) = delete;

  void watch(const std::set<int>& indexes);
  /// Hands over what has been found out up to now.
  void poll();

 private:
  CarrierProbe(common::io::Loop& loop, Handler handler, common::io::UniqueFd route, common::io::UniqueFd wakeup);
  void work(const std::stop_token& stop);
  void probe(int index, bool& carrier) const;

  common::io::Loop& loop_;
  Handler handler_;
  common::io::UniqueFd route_, wakeup_;

  std::mutex mutex_;  ///< of what follows
  std::condition_variable_any ended_;
  std::map<int, bool> carriers_;  ///< what is known
  std::map<int, bool> changes_;   ///< and not handed over yet
  std::jthread thread_;           ///< last: it ends before anything that it uses
};

}  // namespace vrrpd::io
