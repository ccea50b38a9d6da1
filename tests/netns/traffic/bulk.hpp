#pragma once
// Long transfers with known content, paced, so that they are busy in the middle of a failover without using
// up a small test machine.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "traffic/failure.hpp"
#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/options.hpp"

namespace traffic {

class BulkTransfers {
 public:
  struct Settings {
    std::string local;
    sockaddr_in sink{}, source{};
    PortRange ports;
    std::uint64_t uploads = 0, downloads = 0;
    std::uint64_t bytes_per_second = 0;  ///< of each
  };
  BulkTransfers(Loop& loop, const Settings& settings, Nanoseconds start);
  void tick(Nanoseconds at);
  /// Transfers that moved within the last `kMoving`, lost ones, bytes that arrived intact.
  Json check(Nanoseconds at) const;
  std::uint64_t broken() const { return failures_.total(); }
  std::uint64_t bytes() const;
  std::vector<Json> failures() const { return failures_.entries(); }

 private:
  static constexpr Nanoseconds kMoving = kSecond;
  class Transfer;
  void lose(Transfer& transfer, Failure failure, int error, Nanoseconds at);

  Loop& loop_;
  Settings settings_;
  Pattern pattern_;
  bool begun_ = false;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<std::byte> buffer_;
  FailureLog failures_;

 public:
  ~BulkTransfers();
};

}  // namespace traffic
