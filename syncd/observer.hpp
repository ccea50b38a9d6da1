#pragma once
// What our own kernel says. As master of a group its events are the truth that goes to the peer. As backup its entries
// are copies: they are compared, never sent, and their end is no end of the flow.
//
// Events may be lost (the kernel says so) and dumps are fuzzy but never miss an entry that stands still. So after a
// loss, at start and after a takeover a dump runs beside the events: what it shows is taken in, and what it did not
// show, and no event touched meanwhile, is gone.
#include <tsl/robin_set.h>

#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/time.hpp"
#include "syncd/commit.hpp"
#include "syncd/ownership.hpp"
#include "syncd/selection.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// The net under the events: entries made before events were switched on are silent for life.
inline constexpr common::Duration kDumpEvery = std::chrono::minutes(10);
/// Before a dump that was cut short is begun again.
inline constexpr common::Duration kDumpRetry = std::chrono::milliseconds(100);
/// After a takeover the traffic has the processor first.
inline constexpr common::Duration kDumpAfterTakeover = std::chrono::seconds(2);

/// Endings during one dump; more of them, and the dump is made once more.
inline constexpr std::size_t kMaxEndedMeanwhile = 262144;

/// The longest timeout seen of each kind of flow. An event tells the full timeout of a state, a dump only what is left
/// of it; a flow known by dump alone is given what others of its kind have.
class TimeoutGuide {
 public:
  void learn(const Flow& flow);
  std::uint32_t full(const Flow& flow) const;

 private:
  static std::size_t kind(const Flow& flow);
  std::array<std::uint32_t, 24> longest_{};
};

class Observer {
 public:
  Observer(Store& store, Sender& sender, Commit& commit, Selection& selection, const Ownership& ownership)
      : store_(store), sender_(sender), commit_(commit), selection_(selection), ownership_(ownership) {}

  void on_changes(std::span<const FlowChange> changes, common::Time now);
  void on_lost(common::Time now);
  /// A dump for reconciliation is wanted at this time, unless one is wanted earlier.
  void want_dump(common::Time at) { dump_at_ = common::earliest(dump_at_, at); }
  /// The same at once; and what our kernel has beyond what its master has goes, where the group is not ours.
  void want_repair(common::Time now) {
    want_dump(now);
    repair_ = true;
  }
  bool dump_due(common::Time now) const { return dump_at_ && *dump_at_ <= now && !dumping_ && !sweeping_; }
  void dump_started(common::Time now);
  void on_dumped(std::span<const Flow> flows, bool last, bool failed, common::Time now);
  /// What the kernel expects at the end of a dump: these flows announced it.
  void on_masters(std::span<const FlowKey> masters);
  /// Flows of ours whose expectations are to be read: after a dump, of all that has any here or in the kernel.
  std::vector<FlowKey> take_unread() { return std::exchange(unread_, {}); }
  /// A slice of what a dump did not show.
  void sweep(common::Time now);
  bool sweeping() const { return sweeping_; }
  /// Nothing that the kernel said was lost without a dump having made up for it.
  bool in_step() const { return store_.whole; }
  bool dumped_once() const { return dumped_once_; }
  common::Deadline deadline() const { return dumping_ || sweeping_ ? common::Deadline{} : dump_at_; }

 private:
  void look_ahead(const Flow& flow) const;
  /// What has told of a connection: packets that began it, packets that changed it, or the kernel's table.
  enum class Seen { created, updated, dumped };
  void on_live(const Flow& flow, Seen seen, common::Time now);
  void on_live_unknown(const Flow& flow, std::uint32_t hash, Seen seen, common::Time now);
  void remove_stray(const Flow& flow, const Record& record, std::uint32_t hash, std::size_t group, common::Time now);
  void note_excluded(const Flow& flow, bool covered);
  void on_live_own(Slot slot, const Flow& flow, bool from_dump, common::Time now);
  void on_live_copy(Slot slot, const Flow& flow, bool from_dump, common::Time now);
  void on_destroyed(const Flow& flow, common::Time now);
  void on_own_request(const FlowChange& change, common::Time now);
  void on_detailed(const Flow& flow, common::Time now);
  void note_served(const Flow& flow);
  void note_kernel(Entry& e, const Flow& flow, std::uint32_t own_timeout, common::Time now);
  bool is_ours(const Flow& flow) const;

  Store& store_;
  Sender& sender_;
  Commit& commit_;
  Selection& selection_;
  const Ownership& ownership_;
  TimeoutGuide guide_;
  common::Deadline dump_at_;
  bool dumping_ = false, sweeping_ = false, again_ = false;
  bool dumped_once_ = false;
  bool repair_ = false;     ///< wanted
  bool repairing_ = false;  ///< by the dump that is being read
  Slot cursor_ = 0;
  std::vector<FlowKey> unread_;
  tsl::robin_set<std::uint32_t> ended_meanwhile_;  ///< hashes: what ended while a dump that may still show it was read
};

}  // namespace syncd
