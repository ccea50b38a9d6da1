#pragma once
// A netlink socket of libmnl that never blocks, and tells a lost message (ENOBUFS) apart from an empty queue.
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/bytes.hpp"
#include "common/result.hpp"

struct mnl_socket;

namespace syncd::io {

class NetlinkSocket {
 public:
  /// `bus` as NETLINK_NETFILTER; `what` names the socket in messages.
  static common::Result<NetlinkSocket> open(int bus, const std::string& what);

  int fd() const;
  std::uint32_t port() const;  ///< the address of this socket, as the kernel names it in answers and events
  common::Status join(unsigned group) const;
  common::Status leave(unsigned group) const;
  /// The kernel doubles what it is given. Forced beyond rmem_max where this process may; otherwise as far as
  /// it goes.
  void receive_buffer(int bytes);
  /// Errors come back without a copy of the request: a third of the memory, so that none is lost in a bad
  /// batch.
  void short_errors();

  common::Status send(common::ByteView bytes) const;
  enum class Received { datagram, nothing, lost, failed };
  /// Into `buffer`; `out` is what came. lost: the kernel dropped messages for this socket (ENOBUFS).
  Received receive(std::span<std::byte> buffer, common::ByteView& out) const;

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  std::unique_ptr<mnl_socket, Close> socket_;
  std::string what_;
};

}  // namespace syncd::io
