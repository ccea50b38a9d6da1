#pragma once
// The peer's flows as they come: applied in any order, each flow's newest version winning, so that loss, repetition and
// reordering of datagrams do not matter. An ending that came before something older must be remembered until nothing
// older can come any more ("grave"), or the older record would bring the flow back.
//
// A replica follows one epoch of the peer's stream. When the peer says that its walk over all flows is acknowledged,
// what it did not name in this epoch is swept: from the table, and from our kernel.
//
// A remainder is the other way round: the peer has lost, or left, the mastership, and offers what we may never have
// heard of. That becomes ours. What we know already stays as we know it, unless its translation there is better proven.
#include <tsl/robin_map.h>

#include <array>
#include <bitset>
#include <functional>
#include <map>
#include <string>

#include "common/time.hpp"
#include "syncd/commit.hpp"
#include "syncd/frame.hpp"
#include "syncd/ownership.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Acknowledge when so many datagrams have come, or after so much time, whichever is first. All that are read in one
/// turn are acknowledged together, so that a bulk is not acknowledged more often for it; and a standby that lets
/// datagrams gather for 4 ms does not keep its peer waiting beyond them.
inline constexpr unsigned kAckEvery = 4;
inline constexpr common::Duration kAckDelay = std::chrono::milliseconds(2);
/// Entries per step of a sweep: below a millisecond.
inline constexpr std::size_t kSweepSlice = 16384;

/// Flows of the peer with an address of this router: mostly the router's own, as a host behind the other one.
inline constexpr std::size_t kMaxKeptOut = 4096;

class Receiver {
 public:
  Receiver(Store& store, Sender& sender, Commit& commit, const Ownership& ownership)
      : store_(store), sender_(sender), commit_(commit), ownership_(ownership) {}

  /// The peer is another process: its sequences and epochs begin anew.
  void reset();
  /// What the peer says of its stream of a group. True: our answer (what we follow) has changed.
  bool consider(Group& group, const GroupState& said);
  void stop_following(Group& group);

  void on_data(const Frame& frame, common::Time now);

  bool ack_due(common::Time now) const { return ack_at_ && *ack_at_ <= now; }
  bool ack_wanted() const { return ack_at_.has_value(); }
  /// Taking it counts as sending it.
  Ack take_ack();

  /// A slice of pending sweeps. True: a replica has become complete.
  bool sweep();
  bool sweeping() const;
  common::Deadline deadline() const { return ack_at_; }

  /// Newest sequence that has come.
  std::uint64_t newest() const { return newest_; }
  /// Everything that came in datagrams from this one on was understood. What was not is acknowledged all the same: it
  /// would be no better the next time.
  bool understood_since(std::uint64_t sequence) const { return not_understood_ < sequence; }

  /// What flows that were not taken in, rightly, would add to the digests of buckets from `first` on.
  std::array<std::uint64_t, kBucketsAtOnce> kept_out(std::size_t group, std::size_t first) const;
  /// The keys of those that were not taken in, as far as account is kept of them.
  void for_kept_out(const std::function<void(common::ByteView)>& each) const;
  /// All of them are accounted for there.
  bool counts(std::size_t group, std::size_t bucket) const;
  /// Other addresses are ours now: those that need no longer be kept out are taken in when the peer sends them again.
  void review_kept_out();
  /// A flow of the peer that has become our own: it is kept out from now on.
  void let_go(Slot slot);
  /// The peer has named all of these buckets since that sequence.
  void forget_kept_out(std::size_t group, const BucketSet& buckets, std::uint64_t before);

 private:
  bool consider_remainder(Group& group, const GroupState& said);
  bool may_follow(const Group& group, const GroupState& said);
  bool heeded(const Frame& frame);
  void note_not_understood(std::uint64_t sequence);
  void apply(Group& group, common::ByteView records, std::uint64_t sequence, common::Time now, bool adopting);
  void adopt(std::size_t group, const Record& record, common::Time now);
  void compare_proofs(Slot slot, std::size_t group, const Record& record, common::Time now);
  void apply_live(std::size_t group, const Record& record, std::uint64_t sequence, common::Time now);
  void apply_gone(std::size_t group, const Record& record, std::uint64_t sequence);
  bool admit(Slot slot, std::size_t group, std::uint64_t sequence);
  bool let_in(std::size_t group, const Record& record, std::uint64_t sequence);
  bool keeps_out(std::size_t group, const Record& record, std::uint64_t sequence);
  void keep_out(std::size_t group, common::ByteView key, std::uint32_t digest, std::uint64_t sequence);
  void forget_kept_out(std::size_t group);
  void bury(Slot slot, std::uint64_t sequence);
  void advance();
  void skip_to(std::uint64_t base);
  bool may_be_overtaken(std::uint64_t sequence) const { return sequence > base_ + 1; }

  struct KeptOut {
    std::size_t group = 0, bucket = 0;
    std::uint32_t digest = 0;
    std::uint64_t version = 0;
  };

  Store& store_;
  Sender& sender_;
  Commit& commit_;
  const Ownership& ownership_;
  bool begun_ = false;
  std::uint64_t base_ = 0;  ///< everything up to here has come, or is disowned by the sender
  std::bitset<kAckBits> beyond_;
  std::uint64_t newest_ = 0;
  std::uint64_t not_understood_ = 0;               ///< sequence of the last datagram of which something was not
  tsl::robin_map<std::string, KeptOut> kept_out_;  ///< by key
  std::map<std::size_t, BucketSet> uncounted_;     ///< by group: buckets with flows for which there was no room there
  unsigned unacknowledged_ = 0;
  common::Deadline ack_at_;
};

}  // namespace syncd
