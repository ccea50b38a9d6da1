#pragma once
// What vrrpd says of the groups, and what follows from it: taking over (prepare, ready), leaving (drain, drained), and
// whose the flows are. A role changes in become_master() and become_backup() and nowhere else.
#include <optional>
#include <string>
#include <vector>

#include "common/notify.hpp"
#include "syncd/commit.hpp"
#include "syncd/engine.hpp"
#include "syncd/observer.hpp"
#include "syncd/peer.hpp"
#include "syncd/receiver.hpp"
#include "syncd/selection.hpp"
#include "syncd/sender.hpp"

namespace syncd {

/// A peer that is leaving is given this long to say that it has sent everything.
inline constexpr common::Duration kDrainWait = std::chrono::milliseconds(100);
/// And this long to give us what it had as the last master, when we take over with less: time for a hundred thousand
/// connections. vrrpd waits twice as long by default, so it is no timeout there.
inline constexpr common::Duration kLegacyWait = std::chrono::milliseconds(500);
/// From hearing of the peer's claim until the agent, who hears of it through us, has shut the gate: two messages and a
/// transaction, a millisecond together, and room for a busy router.
inline constexpr common::Duration kGateShutsIn = std::chrono::milliseconds(5);
/// Refused writes are tried once more, and that once more for what this displaced.
inline constexpr int kFlushRounds = 3;

class Roles {
 public:
  struct Parts {
    Store& store;
    Sender& sender;
    Selection& selection;
    Receiver& receiver;
    Commit& commit;
    Observer& observer;
    Peer& peer;
  };
  explicit Roles(Parts parts) : parts_(parts) {}

  void on_connected(const std::string& node, Actions& out);
  void on_message(const common::NotifyMessage& message, bool link_up, common::Time now, Actions& out);
  void on_synced(std::uint64_t request, bool link_up, common::Time now, Actions& out);
  void on_flushed(std::uint64_t request, common::Time now, Actions& out);
  /// What the sender was to tell of is acknowledged.
  void on_passed(Sender::Mark mark);
  /// After anything that may let a takeover or a drain go on.
  void advance(bool link_up, common::Time now, Actions& out);
  common::Deadline deadline(common::Time now) const;

 private:
  struct Takeover {
    std::size_t group = 0;
    common::Term term;
    std::uint64_t request = 0;  ///< of SyncEvents, then of FlushKernel
    bool synced = false;        ///< all events from before are in
    bool flipped = false;
    bool entered = false;       ///< vrrpd has not waited for us: packets pass
    common::Time wait_until{};  ///< for the mark of a peer that is leaving
    common::Time legacy_until{};
    common::Term before;         ///< the newest term that was known
    std::uint64_t failures = 0;  ///< of commit, at the beginning
    int rounds = 0;
  };
  struct Draining {
    std::size_t group = 0;
    common::Term term;
    common::Time until{};
    common::Deadline begin;  ///< not asked for by vrrpd: when the gate is surely shut
    std::uint64_t request = 0;
    Sender::Mark mark = 0;
    bool passed = false;
    /// Of the peer, when it was asked whether it lives. It may hold everything and have died since.
    std::optional<std::uint64_t> answers;
  };

  void on_prepare(const common::Prepare& prepare, common::Time now, Actions& out);
  void on_drain(const common::Drain& drain, bool link_up, common::Time now, Actions& out);
  void on_state(const std::string& name, common::GroupState state, common::Phase phase, const common::Term& term,
                bool welcome, common::Time now);
  void become_master(Group& group, const common::Term& term, bool take_over, common::Time now);
  void become_backup(Group& group, common::Time now);
  void review_rivals(bool link_up, common::Time now);
  void flip(Takeover& takeover, common::Time now, Actions& out);
  bool peer_still_drains(const Takeover& takeover, bool link_up, common::Time now) const;
  bool legacy_is_coming(const Takeover& takeover, bool link_up, common::Time now) const;
  void offer_remainder(Group& group, common::Time now);
  void resume_mastership(common::Time now);
  void review_drain(std::size_t at, bool link_up, common::Time now, Actions& out);
  void finish_drain(std::size_t at, bool confirmed, std::string detail, common::Time now, Actions& out);
  bool quiet(const Group& group) const;
  void review_hearing(common::Time now, Actions& out);
  bool older(Group& group, const common::Term& term);

  Parts parts_;
  std::vector<Takeover> takeovers_;
  std::vector<Draining> drains_;
  std::uint64_t last_request_ = 0;
  bool hearing_ = true;  ///< what packets do to the kernel's table
};

}  // namespace syncd
