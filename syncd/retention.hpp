#pragma once
// What belongs to a group is decided when a flow is first seen. When this router's own addresses change, or what its
// groups cover, it is decided anew for all that is known: as master the peer is told that it is over with what is no
// longer ours to carry; as backup the peer's flows that have become this router's own leave the replica. No entry of
// the kernel is touched: whose it is now, this router alone decides, and a copy of the peer's runs out with its lease.
// What has become ours to carry is found by a dump, or fetched from the peer by the audit.
#include "syncd/ownership.hpp"
#include "syncd/receiver.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Entries per step: some tenths of a millisecond.
inline constexpr std::size_t kRetentionSlice = 1024;

class Retention {
 public:
  Retention(Store& store, Sender& sender, Receiver& receiver, const Ownership& ownership)
      : store_(store), sender_(sender), receiver_(receiver), ownership_(ownership) {}

  /// Ownership says something else than before.
  void begin();
  bool working() const { return working_; }
  void tick(common::Time now);

 private:
  void review(Slot slot, common::Time now);

  Store& store_;
  Sender& sender_;
  Receiver& receiver_;
  const Ownership& ownership_;
  bool working_ = false;
  Slot cursor_ = 0;
};

}  // namespace syncd
