#pragma once
// Gratuitous ARP and unsolicited neighbour advertisements: they tell the neighbours and the switches where a virtual
// address is now.
#include "common/address.hpp"
#include "common/io/unique_fd.hpp"
#include "common/result.hpp"

namespace vrrpd::io {

class Announcer {
 public:
  static common::Result<Announcer> open();
  /// 0, or an errno value.
  int announce(int index, const common::MacAddress& mac, const common::IpAddress& address);

 private:
  explicit Announcer(common::io::UniqueFd fd) : fd_(std::move(fd)) {}
  common::io::UniqueFd fd_;
};

}  // namespace vrrpd::io
