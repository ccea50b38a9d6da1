#pragma once
// Which of our flows the peer is not to have: those that the filter leaves out, and those that are too young. They
// stand in the table as all others do, marked as withheld: a flow may come to fit, or cease to; and when the peer takes
// over they go from our kernel as whatever else it does not have. What is withheld after the peer was told of it, is
// told to it as ended.
#include "common/config.hpp"
#include "common/time.hpp"
#include "syncd/filter.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Entries per step: some tenths of a millisecond, which even the step of a takeover can spare.
inline constexpr std::size_t kSelectionSlice = 1024;

class Selection {
 public:
  Selection(Store& store, Sender& sender) : store_(store), sender_(sender) {}
  void configure(const common::SyncFilter& config);

  /// A flow has come into the table. `fresh`: it has just begun; else its age is not known, and old enough.
  void added(Slot slot, const Flow& flow, bool fresh, common::Time now) {
    if (active_) add(slot, flow, fresh, now);
  }
  /// A flow of ours stands in the table in another state than before.
  void altered(Slot slot, const Flow& flow, std::uint8_t tcp_state, common::Time now) {
    if (active_) settle(slot, filter_.judge(flow, tcp_state), now);
  }
  /// Before the entry is told to have ended.
  void ending(Slot slot);
  /// Flows that were not ours have become so.
  void became_master();
  /// The group is about to be handed over: nothing of it is too young any more.
  void let_young_go(std::size_t group, common::Time now);
  /// The peer is not to have it; so that a comparison is not to name it.
  bool withholds(const Flow& flow) const;

  void tick(common::Time now);
  bool working() const { return reviewing_; }
  common::Deadline deadline() const { return ripe_at_; }

 private:
  void add(Slot slot, const Flow& flow, bool fresh, common::Time now);
  void settle(Slot slot, Verdict verdict, common::Time now);
  void count(Verdict verdict);
  void hold(Slot slot, std::uint32_t born, common::Time now);
  void let_ripen(Slot slot, common::Time now);
  void let_go(Slot slot, common::Time now);
  void review(common::Time now);
  void ripen(common::Time now);
  /// Of a flow that is withheld.
  bool is_young(const Entry& e, common::Time now) const;

  Store& store_;
  Sender& sender_;
  common::SyncFilter config_;
  Filter filter_;
  bool active_ = false;
  bool reviewing_ = false;  ///< all of our flows are being judged anew
  Slot cursor_ = 0;
  common::Deadline ripe_at_;  ///< not later than the first of the young ones is old enough
};

}  // namespace syncd
