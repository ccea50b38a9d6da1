#pragma once
// The interfaces of this router and all their addresses, as the kernel reports them: whose flows are the
// router's own, and which sync links can be used.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/address.hpp"
#include "common/io/loop.hpp"
#include "common/result.hpp"
#include "syncd/io/counters.hpp"
#include "syncd/io/netlink_socket.hpp"

namespace syncd::io {

class Interfaces {
 public:
  struct Interface {
    int index = 0;
    std::string name;
    bool running = false;        ///< up, with carrier
    unsigned interruptions = 0;  ///< how often it has ceased to run
    std::uint32_t mtu = 0;
    std::set<common::IpAddress> addresses;  ///< those that can be used now
  };

  /// `changed` is called from the loop after changes have been taken in.
  static common::Result<std::unique_ptr<Interfaces>> open(common::io::Loop& loop, Counters& counters,
                                                          std::function<void()> changed);
  ~Interfaces();

  const Interface* find(const std::string& name) const;
  /// Of all interfaces, each once.
  std::vector<common::IpAddress> addresses() const;

 private:
  Interfaces(common::io::Loop& loop, Counters& counters, std::function<void()> changed, NetlinkSocket monitor);
  common::Status read_all();
  common::Status dump(std::uint16_t type);
  void poll();
  /// Applies the messages of one datagram; true at the end mark of a dump.
  bool apply(common::ByteView datagram);
  void apply_link(std::uint16_t type, common::ByteView payload);
  void apply_address(std::uint16_t type, common::ByteView payload);

  common::io::Loop& loop_;
  Counters& counters_;
  std::function<void()> changed_;
  NetlinkSocket monitor_;
  common::Bytes buffer_;
  std::map<int, Interface> interfaces_;
};

}  // namespace syncd::io
