#pragma once
// Dumps the connection table piece by piece, so that the loop serves everything else in between: the kernel
// makes the next piece only when the last one is read.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/io/loop.hpp"
#include "common/result.hpp"
#include "syncd/ctnetlink.hpp"
#include "syncd/io/decoder.hpp"
#include "syncd/io/netlink_socket.hpp"

namespace syncd::io {

class ConntrackDump {
 public:
  struct Piece {
    std::uint64_t dump = 0;
    std::span<const Flow> flows;
    bool last = false;
    std::span<const FlowKey> masters = {};  ///< with the last piece: flows that have announced others
    bool failed = false;  ///< cut short, or overtaken by a change of the table's size: to be asked again
  };
  using Handler = std::function<void(const Piece&)>;

  ConntrackDump(common::io::Loop& loop, Decoder& decoder, Handler handler);
  ~ConntrackDump();
  ConntrackDump(const ConntrackDump&) = delete;
  ConntrackDump& operator=(const ConntrackDump&) = delete;

  /// A dump that is under way is given up without a further word. What goes wrong is reported as a failed
  /// last piece, in a later turn of the loop.
  void start(std::uint64_t dump);

 private:
  common::Status request();
  bool take(const ctnetlink::Message& message);
  void next_stage();
  void read();
  void finish(bool failed);
  void close();

  common::io::Loop& loop_;
  Decoder& decoder_;
  Handler handler_;
  std::unique_ptr<common::io::Loop::Timer> failure_;
  std::optional<NetlinkSocket> socket_;  ///< a fresh one for each dump: nothing left over can be taken for the new one
  std::uint64_t dump_ = 0;
  bool interrupted_ = false;
  bool expectations_ = false;  ///< the flows are read, now what they announced is
  common::Bytes buffer_;
  std::vector<Flow> flows_;
  std::vector<FlowKey> masters_;
};

}  // namespace syncd::io
