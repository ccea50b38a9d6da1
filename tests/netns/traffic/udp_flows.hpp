#pragma once
// UDP flows that only the client keeps alive: each socket sends a small datagram every interval. Sent to the
// echo port they are answered; sent to the push port they are not, until the server is told to, which is how
// a NAT entry that has quietly expired is found out.
#include <cstdint>
#include <string>
#include <vector>

#include "traffic/failure.hpp"
#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/options.hpp"

namespace traffic {

class UdpFlows {
 public:
  struct Settings {
    std::string local;
    sockaddr_in server{};
    PortRange ports;
    std::uint64_t count = 0;
    Nanoseconds interval = 2 * kSecond;
  };
  UdpFlows(Loop& loop, const Settings& settings, Nanoseconds start);
  void tick(Nanoseconds at);
  void silence(bool on) { silent_ = on; }
  /// From here on flows count as reached and as moved.
  void clear();
  Json check() const;

 private:
  class Flow : public Watcher {
   public:
    void ready(std::uint32_t events, Nanoseconds at) override;
    UdpFlows* owner = nullptr;
    Fd fd;
    std::uint32_t id = 0, sequence = 0;
    std::uint64_t received = 0;
    std::uint64_t port = 0;  ///< that the server saw last
    bool moved = false;      ///< it saw another one before
  };

  Loop& loop_;
  Settings settings_;
  std::vector<Flow> flows_;
  std::size_t cursor_ = 0;
  Nanoseconds turn_at_;
  bool silent_ = false;
  std::uint64_t sent_ = 0, received_ = 0, wrong_ = 0, refused_ = 0;
};

}  // namespace traffic
