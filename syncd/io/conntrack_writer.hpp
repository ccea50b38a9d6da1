#pragma once
// Writes entries into the kernel in batches. The kernel handles a batch within sendmsg, and answers only what
// it refuses; those answers are found by their sequence number. Nothing here ever waits for a count of
// answers: a batch that asks for acknowledgements can lose some and hang its sender for good (measured).
//
// One write of a flow at a time: where a write needs a second look (the entry exists already), the follow-ups
// are done after its batch, so a second write of the same key within that batch may come in between.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/bytes.hpp"
#include "common/result.hpp"
#include "syncd/ctnetlink.hpp"
#include "syncd/flow.hpp"
#include "syncd/io/netlink_socket.hpp"

namespace syncd::io {

class ConntrackWriter {
 public:
  /// Messages of one sendmsg. More gains nothing and makes the burst of refusals larger (measured: the knee
  /// is at 16-64).
  static constexpr std::size_t kBatch = 64;
  /// Room for the refusals of any batch, and for the entries that are read back: 16 MB, as measured to lose
  /// none.
  static constexpr int kReceiveBuffer = 16 << 20;

  static common::Result<ConntrackWriter> open();

  /// Its own requests come back as events with this port.
  std::uint32_t port() const { return socket_.port(); }
  /// Performs all of them; returns when the kernel has done so. Appends those that it refused, each once.
  /// Removing what is not there is no refusal.
  void write(std::span<const KernelWrite> writes, std::vector<KernelResult>& refused);

  struct Counters {
    std::uint64_t written = 0, refused = 0;
    std::uint64_t existed = 0;       ///< create met an entry of the same key
    std::uint64_t status_kept = 0;   ///< an update had to leave the status alone
    std::uint64_t labels_kept = 0;   ///< no rule here uses labels, so the kernel has no room for them
    std::uint64_t untied = 0;        ///< made without its helper or its master: this kernel has it not
    std::uint64_t answers_lost = 0;  ///< batches of which the kernel could not tell what it refused
  };
  /// What an update leaves as it is.
  void set_masks(const common::SyncMasks& masks) { masks_ = masks; }
  const Counters& counters() const { return counters_; }

 private:
  struct Request {
    std::size_t write = 0;  ///< index into the writes
    ctnetlink::RequestKind kind{};
    std::size_t part = 0;  ///< kind expect: which of the write's expectations
    int code = 0;          ///< what the kernel answered
    bool refused = false;
    bool same = false;  ///< kind get: the entry found is the one wanted
  };
  explicit ConntrackWriter(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void perform(std::span<const KernelWrite> writes, std::vector<Request>& batch);
  void receive_answers(std::span<const KernelWrite> writes, std::vector<Request>& batch);
  void note(const ctnetlink::Message& message, std::span<const KernelWrite> writes, std::vector<Request>& batch);
  void follow_up(std::span<const KernelWrite> writes, const std::vector<Request>& batch,
                 std::vector<KernelResult>& refused);
  void refuse(const KernelWrite& write, int code, std::vector<KernelResult>& refused);

  NetlinkSocket socket_;
  std::uint32_t sequence_ = 0;  ///< of the first request of the batch in hand
  common::Bytes bytes_;
  common::Bytes buffer_;
  std::vector<Request> batch_, next_;
  Counters counters_;
  common::SyncMasks masks_;
};

}  // namespace syncd::io
