#pragma once
// What vrrpd's shell counts: failures of the kernel and of the world outside, which the engine cannot see.
#include <cstdint>
#include <map>
#include <string>

namespace vrrpd::io {

struct Counters {
  std::uint64_t advert_send_errors = 0;    ///< sendmsg refused an advert
  std::uint64_t advert_socket_errors = 0;  ///< the socket of an interface could not be opened
  std::uint64_t advert_overflows = 0;      ///< packets that the kernel dropped because we read too late
  std::uint64_t announce_errors = 0;       ///< a gratuitous ARP could not be sent
  std::uint64_t address_errors = 0;        ///< adding or removing an address failed
  std::uint64_t foreign_addresses = 0;     ///< a virtual address was there already and is not ours
  std::uint64_t route_errors = 0;          ///< adding or removing a route failed
  std::uint64_t device_errors = 0;         ///< an interface with a virtual MAC could not be made or set
  std::uint64_t netlink_overruns = 0;      ///< the kernel lost notifications for us: everything was read anew
  std::uint64_t state_file_errors = 0;     ///< terms or addresses could not be written down or were damaged
  std::uint64_t hooks_run = 0;
  std::uint64_t hooks_failed = 0;  ///< not startable, or ended with anything but 0
  std::uint64_t hooks_timed_out = 0;
  std::uint64_t tracks_timed_out = 0;  ///< scripts that were ended because they took too long
  std::uint64_t hooks_dropped = 0;     ///< overtaken by newer ones while an earlier one was still running

  /// Under the names that status shows.
  void add_to(std::map<std::string, std::uint64_t>& out) const {
    out["io_advert_send_errors"] = advert_send_errors;
    out["io_advert_socket_errors"] = advert_socket_errors;
    out["io_advert_overflows"] = advert_overflows;
    out["io_announce_errors"] = announce_errors;
    out["io_address_errors"] = address_errors;
    out["io_foreign_addresses"] = foreign_addresses;
    out["io_route_errors"] = route_errors;
    out["io_device_errors"] = device_errors;
    out["io_netlink_overruns"] = netlink_overruns;
    out["io_state_file_errors"] = state_file_errors;
    out["io_hooks_run"] = hooks_run;
    out["io_hooks_failed"] = hooks_failed;
    out["io_hooks_timed_out"] = hooks_timed_out;
    out["io_tracks_timed_out"] = tracks_timed_out;
    out["io_hooks_dropped"] = hooks_dropped;
  }
};

}  // namespace vrrpd::io
