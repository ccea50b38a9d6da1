#include "syncd/store.hpp"

namespace syncd {
namespace {

/// What comparisons count.
common::ByteView state_of(const Record& record) {
  return record.view().first(record.state_end);
}

}  // namespace

/// Its part of the digest of its bucket.
void Store::count_in(Slot slot, common::ByteView key, common::ByteView state) {
  Entry& e = table[slot];
  e.digest = digest_of(state);
  group_of(e).buckets.add(key, e.digest);
}

void Store::count_out(Slot slot) {
  Entry& e = table[slot];
  group_of(e).buckets.remove(key_of(table.record(slot)), e.digest);
}

void Store::note_expecting(Slot slot, const Record& record) {
  if (record.size == record.key_end || !expects(record.view())) {
    if (!expecting.empty()) expecting.erase(slot);
  } else if (expecting.size() < kMaxExpecting || expecting.contains(slot)) {
    expecting.insert(slot);
  } else {
    ++counters[Counter::expectations_left_out];
  }
}

Slot Store::add(const Record& record, std::uint32_t hash, std::size_t group) {
  const Slot slot = table.insert(record.view(), hash);
  if (slot == kNoSlot) {
    ++counters[Counter::table_full];
    return slot;
  }
  Entry& e = table[slot];
  e.group = static_cast<std::uint8_t>(group);
  e.generation = static_cast<std::uint16_t>(groups[group].generation - 1);  // nobody has told it to anybody
  e.seen = dump_number;
  ++groups[group].flows;
  count_in(slot, record.key(), state_of(record));
  note_expecting(slot, record);
  return slot;
}

void Store::set_record(Slot slot, const Record& record) {
  Entry& e = table[slot];
  const common::ByteView state = state_of(record);
  if (!e.is(entry::gone | entry::withheld) && digest_of(state) != e.digest) {
    count_out(slot);
    count_in(slot, record.key(), state);
    note_expecting(slot, record);
  } else if (e.is(entry::withheld)) {
    note_expecting(slot, record);
  }
  table.set_record(slot, record.view());
}

void Store::end(Slot slot) {
  Entry& e = table[slot];
  if (e.is(entry::gone)) return;
  Group& g = group_of(e);
  --g.flows;
  if (e.is(entry::in_kernel)) --g.in_kernel;
  set_unshared(e, false);
  set_refused(e, false);
  reveal(slot);
  e.set(entry::gone);
  e.clear(entry::adopted | entry::behind | entry::rebind | entry::retime | entry::retried | entry::found);
  count_out(slot);
  if (!expecting.empty()) expecting.erase(slot);
  Record key;
  const common::ByteView record = table.record(slot);
  encode_key(decode_key(record), key);
  table.set_record(slot, key.key());
}

void Store::revive(Slot slot, const Record& record) {
  Entry& e = table[slot];
  table.set_record(slot, record.view());
  e.clear(entry::gone);
  count_in(slot, record.key(), state_of(record));
  note_expecting(slot, record);
  Group& g = group_of(e);
  ++g.flows;
  // A removal that is still queued becomes a replacement: the kernel has an entry of the flow's earlier life.
  if (e.is(entry::in_kernel)) {
    ++g.in_kernel;
    e.set(entry::behind | entry::rebind);
  }
}

void Store::release(Slot slot) {
  Entry& e = table[slot];
  if (!e.is(entry::gone) || e.queue != Queue::none || e.is(entry::queued | entry::in_flight)) return;
  table.erase(slot);
}

void Store::enqueue(Slot slot, Queue queue, bool front) {
  Entry& e = table[slot];
  if (e.queue == queue) return;
  unqueue(slot);
  e.queue = queue;
  if (front)
    table.push_front<&Entry::send>(list(queue), slot);
  else
    table.push_back<&Entry::send>(list(queue), slot);
}

void Store::unqueue(Slot slot) {
  Entry& e = table[slot];
  if (e.queue == Queue::none) return;
  table.unlink<&Entry::send>(list(e.queue), slot);
  e.queue = Queue::none;
}

void Store::queue_write(Slot slot) {
  Entry& e = table[slot];
  if (e.is(entry::queued)) return;
  e.set(entry::queued);
  table.push_back<&Entry::kernel>(writes, slot);
}

void Store::unqueue_write(Slot slot) {
  Entry& e = table[slot];
  if (!e.is(entry::queued)) return;
  e.clear(entry::queued);
  table.unlink<&Entry::kernel>(writes, slot);
}

void Store::set_in_kernel(Entry& e, bool in_kernel) {
  if (e.is(entry::in_kernel) == in_kernel) return;
  if (in_kernel)
    e.set(entry::in_kernel);
  else
    e.clear(entry::in_kernel | entry::leased | entry::liberal);
  if (e.is(entry::gone)) return;
  Group& g = group_of(e);
  g.in_kernel += in_kernel ? 1 : std::uint64_t(-1);
}

void Store::set_counted(Entry& e, std::uint16_t flag, std::uint64_t Group::* count, bool on) {
  if (e.is(flag) == on) return;
  if (on)
    e.set(flag);
  else
    e.clear(flag);
  group_of(e).*count += on ? 1 : std::uint64_t(-1);
}

void Store::set_refused(Entry& e, bool refused) {
  set_counted(e, entry::refused, &Group::refused, refused);
}

void Store::set_unshared(Entry& e, bool unshared) {
  set_counted(e, entry::unshared, &Group::unshared, unshared);
}

/// What the peer is not to have, it does not lack, and no digest counts.
void Store::withhold(Slot slot, std::uint32_t born) {
  Entry& e = table[slot];
  set_unshared(e, false);
  if (e.is(entry::withheld)) return;
  count_out(slot);
  e.set(entry::withheld);
  e.born = born;
  ++group_of(e).withheld;
}

void Store::reveal(Slot slot) {
  Entry& e = table[slot];
  if (!e.is(entry::withheld)) return;
  e.clear(entry::withheld);
  --group_of(e).withheld;
  const common::ByteView record = table.record(slot);
  count_in(slot, key_of(record), record.first(inspect(record)->state_end));
}

void Store::move_to_group(Slot slot, std::size_t group) {
  Entry& e = table[slot];
  if (e.group == group) return;
  set_unshared(e, false);
  set_refused(e, false);
  reveal(slot);
  const bool live = !e.is(entry::gone);
  if (live) {
    count_out(slot);
    --group_of(e).flows;
    ++groups[group].flows;
    if (e.is(entry::in_kernel)) {
      --group_of(e).in_kernel;
      ++groups[group].in_kernel;
    }
  }
  e.group = static_cast<std::uint8_t>(group);
  e.generation = static_cast<std::uint16_t>(groups[group].generation - 1);
  if (live) groups[group].buckets.add(key_of(table.record(slot)), e.digest);
}

}  // namespace syncd
