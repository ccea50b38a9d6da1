#pragma once
// Is the peer's replica what we have? Asked all the time, a window of buckets (digest.hpp) each second, so that a
// difference which no acknowledgement, no sweep and no event has brought to light does not wait for a failover.
//
// What is under way makes digests differ, so only what stands still is compared. Master: a round begins with a mark in
// the line of what is to be sent; when everything before it is acknowledged, the peer has every bucket that has not
// changed since as we have it, and is told the digests of these. Backup: a bucket that a later datagram has changed is
// left for another time; one that differs is asked for. Master: its flows get in line again; when they are
// acknowledged, the peer is told from which sequence on it was given all of them. Backup: what it has in these buckets
// from before that is no flow of the master's.
//
// A question, an answer or a digest that is lost is made up for when the buckets' turn comes again.
#include <string>
#include <vector>

#include "common/time.hpp"
#include "syncd/commit.hpp"
#include "syncd/digest.hpp"
#include "syncd/engine.hpp"
#include "syncd/frame.hpp"
#include "syncd/peer.hpp"
#include "syncd/receiver.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// So many buckets each second: all of them in eight seconds, for 2.3 KB/s of each group.
inline constexpr common::Duration kAuditEvery = std::chrono::seconds(1);
inline constexpr std::size_t kAuditWindow = 256;
static_assert(kAuditWindow % kBucketsAtOnce == 0 && kBuckets % kAuditWindow == 0);
inline constexpr common::Duration kAuditTurn = kAuditEvery * (kBuckets / kAuditWindow);
/// Entries looked at in a step of a repair: below a millisecond.
inline constexpr std::size_t kRepairSlice = 16384;
/// What differs although it was fetched again is fetched a second time, then after so long, and then after twice as
/// long each time: something is the matter (a full table, say) that fetching does not help against.
inline constexpr common::Duration kFirstRepairPause = 2 * kAuditTurn;
inline constexpr common::Duration kLongestRepairPause = std::chrono::minutes(10);
/// Differences are logged at most this often.
inline constexpr common::Duration kAuditLogEvery = std::chrono::minutes(1);

class Audit {
 public:
  struct Parts {
    Store& store;
    Sender& sender;
    Receiver& receiver;
    Commit& commit;
    const Peer& peer;
  };
  explicit Audit(Parts parts) : parts_(parts) {}

  void on_passed(Sender::Mark mark);
  void on_digests(const DigestBlock& digests, common::Time now);
  void on_repair(const RepairBlock& repair);

  /// may_say: the link is up, and speaks the protocol of today.
  void advance(bool may_say, common::Time now, Actions& out);
  /// Part of a repair is left to do, now.
  bool working() const;
  bool has_to_say() const;
  /// Writes one block.
  void say(FrameWriter& frame);
  common::Deadline deadline() const;
  /// The group's replica differs, and fetching it again has not helped.
  bool stays_different(const Group& group) const;

 private:
  /// As master.
  struct Telling {
    std::size_t cursor = 0;        ///< bucket
    bool in_round = false;         ///< its buckets' clock was set when the round began
    std::size_t blocks_left = 0;   ///< of this round
    std::uint32_t epoch = 0;       ///< of the repair; 0: none
    BucketSet buckets, asked_for;  ///< of the repair; of the next one
    std::uint64_t from = 0;
    bool walking = false, repaired = false;
    Slot at = 0;
    Sender::Mark mark = 0;
  };
  /// As backup.
  struct Checking {
    BucketSet to_ask;
    BucketSet tried;          ///< fetched again, and not seen to be alike since
    std::uint32_t epoch = 0;  ///< of the sweep; 0: none
    BucketSet buckets;
    std::uint64_t from = 0;
    Slot at = 0;
    common::Duration pause = kFirstRepairPause;
    common::Deadline retry_at;  ///< of what was tried; for a turn from then on
    common::Deadline logged_at;
    std::size_t to_log = 0;  ///< differences, in buckets
    bool in_vain = false, in_vain_logged = false;
  };
  struct Side {
    Telling telling;
    Checking checking;
  };

  bool may_tell(const Group& group) const;
  void begin_round(common::Time now);
  bool fill(Group& group, Telling& telling, DigestBlock& block);
  static bool may_retry(Checking& checking, common::Time now);
  void begin_repair(const Group& group, Telling& telling);
  void walk(std::size_t group, common::Time now);
  void sweep(std::size_t group);
  void log(const Group& group, Checking& checking, common::Time now, Actions& out) const;

  Parts parts_;
  std::vector<Side> sides_;  ///< by group
  std::uint64_t round_ = 0;
  Sender::Mark mark_ = 0;  ///< of the round
  common::Time next_at_{};
};

}  // namespace syncd
