#pragma once
// Reads single entries of the kernel's table, with what they expect. The kernel answers within sendmsg, and goes on
// with a longer answer while it is read, so nothing is waited for.
#include <span>
#include <vector>

#include "common/bytes.hpp"
#include "common/result.hpp"
#include "syncd/flow.hpp"
#include "syncd/io/decoder.hpp"
#include "syncd/io/netlink_socket.hpp"

namespace syncd::io {

class ConntrackReader {
 public:
  /// Entries asked for at once: their answers fit the socket's buffer many times over.
  static constexpr std::size_t kBatch = 64;

  static common::Result<ConntrackReader> open();
  /// The entries of these keys, as far as there are any, as `detailed`.
  std::vector<FlowChange> read(std::span<const FlowKey> keys, Decoder& decoder);

 private:
  explicit ConntrackReader(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void receive(std::vector<FlowChange>& out, Decoder& decoder);
  bool read_expectations(Flow& flow, Decoder& decoder);

  NetlinkSocket socket_;
  common::Bytes requests_, buffer_;
  std::uint32_t sequence_ = 0;
};

}  // namespace syncd::io
