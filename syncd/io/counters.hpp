#pragma once
// What syncd's shell counts: failures of the kernel and of the world outside, which the engine cannot see.
#include <cstdint>
#include <map>
#include <string>

namespace syncd::io {

struct Counters {
  std::uint64_t netlink_overruns = 0;  ///< of interfaces and addresses: all was read anew
  std::uint64_t dumps_failed = 0;
  std::uint64_t link_socket_errors = 0;  ///< the socket of a sync link could not be opened
  std::uint64_t link_send_errors = 0;    ///< the kernel refused a datagram (no route, refused, ...)
  std::uint64_t link_send_too_long = 0;  ///< the same: longer than the path takes
  std::uint64_t link_send_dropped = 0;   ///< datagrams for a link that takes none now
  std::uint64_t link_receive_errors = 0;
  std::uint64_t link_receive_too_long = 0;  ///< longer than any datagram of ours

  /// Under the names that status shows.
  void add_to(std::map<std::string, std::uint64_t>& out) const {
    out["io_netlink_overruns"] = netlink_overruns;
    out["io_dumps_failed"] = dumps_failed;
    out["io_link_socket_errors"] = link_socket_errors;
    out["io_link_send_errors"] = link_send_errors;
    out["io_link_send_too_long"] = link_send_too_long;
    out["io_link_send_dropped"] = link_send_dropped;
    out["io_link_receive_errors"] = link_receive_errors;
    out["io_link_receive_too_long"] = link_receive_too_long;
  }
};

}  // namespace syncd::io
