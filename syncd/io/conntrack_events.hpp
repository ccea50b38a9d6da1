#pragma once
// The kernel's reports of connections that came, changed or went. Reports are queued by the kernel at the
// moment of the packet, so "read until nothing is left" is a point in time: whatever was processed before it
// has been read.
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "common/result.hpp"
#include "syncd/flow.hpp"
#include "syncd/io/decoder.hpp"
#include "syncd/io/netlink_socket.hpp"

namespace syncd::io {

class ConntrackEvents {
 public:
  /// How many reports may wait while this process is busy elsewhere: half a second of 30,000 new connections
  /// a second with four reports each.
  static constexpr int kBacklog = 65536;
  /// What the kernel books for one report, whatever its length (measured); it doubles the size that it is
  /// asked for.
  static constexpr int kBytesPerReport = 1280;
  /// More can never wait, even if another kernel books less for a report.
  static constexpr std::size_t kMostWaiting = 2 * kBacklog;
  /// Read in one portion, before the link and the timers have their turn: about half a millisecond.
  static constexpr std::size_t kPortion = 256;

  /// Subscribes. `writer` is the port of our own writer: what it caused is dropped within the kernel, so that
  /// a large commit does not drown the reports of packets.
  static common::Result<ConntrackEvents> open(std::uint32_t writer);

  /// Reports of connections that packets make and change: from the beginning, until this says no. What is queued by
  /// then is given out all the same.
  common::Status hear_packets(bool on) const;

  int fd() const { return socket_.fd(); }
  struct Read {
    bool emptied = false;  ///< nothing was left at the end
    bool lost = false;     ///< reports were dropped since, and nothing that is still to come is older than that
  };
  /// Up to kPortion reports, into changes().
  Read read(Decoder& decoder);
  const std::vector<FlowChange>& changes() const { return changes_; }
  /// Flows that have announced others since the last call, or whose announced ones have come or will not come any more:
  /// what they expect is to be read. A helper may have shifted their sequence numbers, too, and of that there is no
  /// report.
  std::vector<FlowKey> take_masters() { return std::exchange(masters_, {}); }
  std::uint64_t overruns() const { return overruns_; }

 private:
  explicit ConntrackEvents(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void take(common::ByteView datagram, Decoder& decoder);

  NetlinkSocket socket_;
  common::Bytes buffer_;
  std::vector<FlowChange> changes_;
  std::vector<FlowKey> masters_;
  std::uint64_t overruns_ = 0;
  /// How many reports were read since the kernel said that it dropped some. It says so before it gives out
  /// those that it kept, which are older: were the loss told at once, they would be taken for news after the
  /// dump that makes good for it.
  std::optional<std::size_t> read_since_loss_;
};

/// 0 where the kernel does not report changes of connections (net.netfilter.nf_conntrack_events), or is not
/// there.
bool conntrack_events_enabled();

}  // namespace syncd::io
