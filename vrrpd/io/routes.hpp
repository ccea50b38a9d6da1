#pragma once
// Routes that only the master has. They are marked as ours by their protocol, prefer a virtual address as source (so
// that the kernel drops an IPv4 one together with the address), and those of IPv6 have a lifetime that is renewed.
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  /// Readable when something has happened to one of our routes.
  int fd() const { return monitor_.fd(); }
  /// What we have added and somebody else has removed or replaced; one for each interface. The kernel does not tell of
  /// every end of a route (one that it takes away together with an address or an interface): those are back with the
  /// next renewal.
  std::vector<Disturbed> missing();

 private:
  using Key = std::pair<std::string, std::string>;  ///< device, and the route in words
  struct Own {
    common::RouteConfig route;
    bool gone = false;
    bool replaced = false;  ///< by another one with the same destination, which is still there
  };
  Routes(const Links& links, Counters& counters, RouteSocket socket, RouteMonitor monitor);
  void take_in(nlmsghdr* message);
  void hear_of_replacements();
  int send(int type, int flags, int index, const common::RouteConfig& route, std::chrono::seconds lifetime);
  int insert(int index, const AddRoute& action, const Own* known);

  const Links& links_;
  Counters& counters_;
  RouteSocket socket_;
  RouteMonitor monitor_;
  std::map<Key, Own> ours_;
  std::set<Key> failed_;  ///< said once
};

}  // namespace vrrpd::io
