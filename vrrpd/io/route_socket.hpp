#pragma once
// rtnetlink by libnl: one socket for requests that are acknowledged, and the socket of the notifications.
#include <cstdint>
#include <functional>
#include <memory>
#include <set>

#include "common/result.hpp"

// libnl's headers stay in the .cpp files.
struct nl_sock;
struct nl_msg;
struct nlmsghdr;

namespace vrrpd::io {

struct FreeSocket {
  void operator()(nl_sock* socket) const;
};
struct FreeMessage {
  void operator()(nl_msg* message) const;
};
using SocketPtr = std::unique_ptr<nl_sock, FreeSocket>;
using MessagePtr = std::unique_ptr<nl_msg, FreeMessage>;

/// Requests. The kernel serves rtnetlink inside sendmsg, so waiting for the acknowledgement does not wait for
/// anything but the kernel's own work (tens of microseconds for an address).
class RouteSocket {
 public:
  static common::Result<RouteSocket> open();

  /// The kernel's verdict: 0, or an errno value. (libnl's own codes fold several of them into one.)
  int request(nl_msg* message);
  using Visitor = std::function<void(nlmsghdr* message)>;
  /// Everything that RTM_GETLINK, RTM_GETADDR or RTM_GETNEIGH lists; of one interface's neighbours only.
  common::Status dump(int type, int family, const Visitor& visit, int interface = 0);

 private:
  explicit RouteSocket(SocketPtr socket) : socket_(std::move(socket)) {}
  SocketPtr socket_;
};

/// Notifications, never blocking.
class RouteMonitor {
 public:
  static common::Result<RouteMonitor> open();
  /// Of routes, and only of those that this protocol has made: a router may know a million others.
  static common::Result<RouteMonitor> open_routes(unsigned char protocol);
  /// Also, by whomever, of those that have replaced another one, to a destination of such a prefix length. The kernel
  /// says no more of the one that is gone. 0, or an errno value.
  int filter(unsigned char protocol, const std::set<std::uint8_t>& replaced_lengths);

  int fd() const;
  enum class Outcome { drained, overrun };
  /// Reads everything that waits. overrun: some were lost, and only a dump tells the truth.
  Outcome read(const RouteSocket::Visitor& visit);

 private:
  explicit RouteMonitor(SocketPtr socket) : socket_(std::move(socket)) {}
  SocketPtr socket_;
};

}  // namespace vrrpd::io
