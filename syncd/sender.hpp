#pragma once
// Our flows on their way to the peer, as state: an entry is to be sent, under way, or known to the peer. A flow that
// changes ten times before its turn is sent once; one that begins and ends before its turn is not sent at all.
//
// A datagram that is lost is not sent again: its flows, unless sent since, get in line again with what they are by
// then. A place in the line ("mark") tells when all that stood before it has been acknowledged; that ends a walk over
// all flows, and a drain. Endings go before changes, because a new flow may use the translation of one that ended.
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "common/time.hpp"
#include "syncd/frame.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// At most this many datagrams unacknowledged: 256 * 1400 bytes fit a receive buffer of a megabyte with its overhead,
/// and at 2 ms of delayed acknowledgement allow 5 million flows a second.
inline constexpr std::size_t kMaxWindow = 256;
inline constexpr std::size_t kMinWindow = 8;
inline constexpr std::size_t kFirstWindow = 32;
static_assert(kMaxWindow <= kAckBits);
/// Links of different delay reorder a little; three later acknowledgements mean loss (as TCP and QUIC have it).
inline constexpr std::uint64_t kReorder = 3;
inline constexpr common::Duration kMinRetransmit = std::chrono::milliseconds(5);
inline constexpr common::Duration kMaxRetransmit = std::chrono::milliseconds(200);
/// Changes are gathered this long after the last datagram before a datagram that is not full goes out.
inline constexpr common::Duration kGather = std::chrono::microseconds(500);
/// Entries looked at for one datagram of a walk: bounds the time of a poll when few of them belong to the group.
inline constexpr std::size_t kWalkSlice = 16384;

/// So many large datagrams lost in a row mean that some part of the path does not take them (RFC 8899 4.3, without its
/// probes: what is lost is sent again anyway). Of four timeouts in a row, or eight losses that acknowledgements tell
/// of, chance makes one in 150,000 where a twentieth is lost. Below a first window.
inline constexpr unsigned kBlackHole = 8, kTimeoutCounts = 2;
/// Then all are small, and this long after the last try one large datagram finds out whether that is still so.
inline constexpr common::Duration kWidenAfter = std::chrono::seconds(60);

class Sender {
 public:
  explicit Sender(Store& store) : store_(store) {}

  // What happened to a flow of ours, already in the table.
  void changed(Slot slot, common::Time now);
  void ended(Slot slot, common::Time now);
  /// Ended, or withheld from now on: the peer is not to have it any more.
  void withdrawn(Slot slot, common::Time now);
  /// The peer turns out not to have it as it is: once more, although it has been acknowledged.
  void again(Slot slot, common::Time now);

  /// A stream begins, to be followed when the peer says so. `everything`: not only what the peer never had.
  void begin_stream(Group& group, StreamKind kind, bool everything = true);
  void end_stream(Group& group);
  /// What the peer says to follow, and to have let go of.
  void peer_follows(Group& group, std::uint32_t epoch, std::uint32_t released);
  /// The peer is another process than before, or nobody: nothing under way will be acknowledged.
  void reset();

  /// Is there a datagram to send now?
  bool ready(common::Time now) const;
  /// Appends flows to the frame, as many as fit below `limit`. The frame's head must have been given next_sequence().
  /// False: there was nothing after all.
  bool pack(FrameWriter& frame, std::size_t limit, common::Time now);
  std::uint64_t next_sequence() const { return next_; }
  std::uint64_t low() const { return flying_.empty() ? next_ : flying_.front().sequence; }

  void on_ack(const Ack& ack, common::Time now);
  void tick(common::Time now);
  /// The link is down: keep everything, send nothing. On its return everything under way counts as lost.
  void suspend();

  /// Marks the end of the line; take_passed() names it once everything before it is acknowledged.
  using Mark = std::uint64_t;
  Mark mark();
  void forget(Mark mark);
  bool waiting_for_marks() const { return !marks_.empty(); }
  std::vector<Mark> take_passed();
  /// A walk was acknowledged to its end since this was asked last: the peer is to be told.
  bool take_news() { return std::exchange(news_, false); }

  common::Deadline deadline() const;
  std::uint64_t backlog() const;
  common::Duration lag(common::Time now) const;

 private:
  struct Flight {
    std::uint64_t sequence = 0;
    common::Time sent;
    bool acked = false;
    bool large = false;  ///< more than every path takes
    std::vector<Slot> slots;
  };
  struct Marked {
    Mark mark = 0;
    Slot sentinel = kNoSlot;     ///< in the line
    std::uint64_t sequence = 0;  ///< out of it: all up to here must be acknowledged
  };

  bool may_send(const Group& group) const { return group.stream.epoch != 0 && group.stream.followed; }
  bool walk_has_work(const Group& group) const;
  bool has_work() const;
  void note_waiting(common::Time now);
  void drop_unsent(Slot slot);
  bool pack_one(Slot slot, FrameWriter& frame, std::size_t limit, Flight& flight);
  bool pack_queue(SlotList& queue, FrameWriter& frame, std::size_t limit, Flight& flight);
  bool pack_walks(FrameWriter& frame, std::size_t limit, Flight& flight);
  void reach(Slot sentinel);
  void line_up(Marked& marked);
  void resolve(Flight& flight, bool acked);
  bool newest_large(const Flight& flight) const { return flight.large && flight.sequence > large_acked_; }
  void note_large_lost(unsigned count, common::Time now);
  void note_wide();
  void trim();
  void check_marks();
  bool mine(Slot slot, const Flight& flight);

  Store& store_;
  std::deque<Flight> flying_;             ///< by sequence
  std::vector<std::vector<Slot>> spare_;  ///< slot lists to use again
  std::uint64_t next_ = 1;
  std::size_t window_ = kFirstWindow;
  std::uint64_t unresolved_ = 0;  ///< entries under way
  std::uint32_t last_epoch_ = 0;
  std::uint32_t section_ = 0;  ///< epoch of the block being written
  common::Time last_sent_{};
  common::Deadline waiting_since_;  ///< the line is not empty since
  common::Duration smooth_rtt_{}, rtt_deviation_{}, timeout_ = kMinRetransmit * 4;
  bool wide_ = true;               ///< large datagrams arrive, as far as we know
  std::uint64_t large_acked_ = 0;  ///< the newest that has
  unsigned large_lost_ = 0;        ///< newer ones
  common::Time widen_at_{};
  std::vector<Marked> marks_;
  std::vector<Mark> passed_;
  Mark last_mark_ = 0;
  bool news_ = false;
};

}  // namespace syncd
