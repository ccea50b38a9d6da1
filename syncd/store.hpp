#pragma once
// The table with its lists and its bookkeeping: the one place where an entry changes hands between "known", "to be
// sent", "to be written" and "free", so that no list can point at an entry that is used anew.
#include <tsl/robin_set.h>

#include "syncd/counters.hpp"
#include "syncd/group.hpp"
#include "syncd/table.hpp"

namespace syncd {

/// Flows of which expectations are kept account: far more than kernels expect at a time (nf_conntrack_expect_max is a
/// thousandth of a table's buckets or so). What others announced goes over, but is not written at a takeover.
inline constexpr std::size_t kMaxExpecting = 65536;

class Store {
 public:
  explicit Store(std::uint64_t seed) : table(seed) {}

  Table table;
  Groups groups;
  Counters counters;
  bool apart = true;             ///< the peer is not heard on any link
  std::uint8_t dump_number = 0;  ///< of the newest dump, for Entry::seen
  /// The table has all that our kernel has: a dump was read to its end, and no events were lost since.
  bool whole = false;

  /// Flows that have announced others which have not come yet. Expectations are few: a kernel has room for some
  /// thousand.
  tsl::robin_set<Slot> expecting;

  SlotList endings, changes;  ///< to send
  SlotList graves;            ///< gone at the peer's word, remembered until nothing older can come
  SlotList young;             ///< withheld until they are old enough, by age
  SlotList writes;            ///< kernel writes

  Group& group_of(const Entry& e) { return groups[e.group]; }
  Entry& operator[](Slot slot) { return table[slot]; }

  /// kNoSlot: no room (counted).
  Slot add(const Record& record, std::uint32_t hash, std::size_t group);
  /// What is known of a flow is another thing now.
  void set_record(Slot slot, const Record& record);
  /// The flow is over: only its key stays, until release().
  void end(Slot slot);
  /// A flow with the key of one that was gone.
  void revive(Slot slot, const Record& record);
  /// Gives an entry that is gone back, unless a list, the link or the kernel still has to do with it.
  void release(Slot slot);

  void enqueue(Slot slot, Queue queue, bool front = false);
  void unqueue(Slot slot);
  void queue_write(Slot slot);
  void unqueue_write(Slot slot);
  void set_in_kernel(Entry& e, bool in_kernel);
  void set_refused(Entry& e, bool refused);
  void set_unshared(Entry& e, bool unshared);
  /// Of a flow that is not gone: from now on the peer is not to have it, or is. `born` is kept until then.
  void withhold(Slot slot, std::uint32_t born);
  void reveal(Slot slot);
  void move_to_group(Slot slot, std::size_t group);

 private:
  void note_expecting(Slot slot, const Record& record);
  void set_counted(Entry& e, std::uint16_t flag, std::uint64_t Group::* count, bool on);
  void count_in(Slot slot, common::ByteView key, common::ByteView state);
  void count_out(Slot slot);
  SlotList& list(Queue queue) {
    if (queue == Queue::endings) return endings;
    if (queue == Queue::changes) return changes;
    return queue == Queue::young ? young : graves;
  }
};

}  // namespace syncd
