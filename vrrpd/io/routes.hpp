#pragma once
// Routes that only the master has. They are marked as ours by their protocol, prefer a virtual address as source (so
// that the kernel drops an IPv4 one together with the address), and those of IPv6 have a lifetime that is renewed.
#include <set>
#include <string>
#include <utility>

#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/links.hpp"
#include "vrrpd/io/route_socket.hpp"

namespace vrrpd::io {

/// The number of VRRP among IP protocols; the kernel only keeps it, and `ip route` shows it ("proto 112").
inline constexpr unsigned char kRouteProtocol = 112;

class Routes {
 public:
  static common::Result<Routes> open(const Links& links, Counters& counters);

  void add(const AddRoute& action);
  void remove(const RemoveRoute& action);

 private:
  using Key = std::pair<std::string, std::string>;  ///< device, and the route in words
  Routes(const Links& links, Counters& counters, RouteSocket socket);
  int send(int type, int flags, int index, const common::RouteConfig& route, std::chrono::seconds lifetime);
  int insert(int index, const AddRoute& action, bool renewal);

  const Links& links_;
  Counters& counters_;
  RouteSocket socket_;
  std::set<Key> ours_;
  std::set<Key> failed_;  ///< said once
};

}  // namespace vrrpd::io
