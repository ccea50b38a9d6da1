#include "syncd/observer.hpp"

#include <algorithm>

#include "syncd/receiver.hpp"

namespace syncd {
namespace {

using common::ByteView;
using common::Time;

constexpr std::uint8_t kTcp = 6, kUdp = 17;

/// Entries are at random places in memory: so many are fetched at once, instead of waiting for one after the other.
constexpr std::size_t kLookAhead = 8;

bool one_family(const Flow& flow) {
  const auto family = flow.key.original.source.family();
  return flow.key.original.destination.family() == family && flow.reply.source.family() == family &&
         flow.reply.destination.family() == family;
}

/// Neither reports nor dumps of flows say what is expected: what is known of it stays.
void keep_expectations(Flow& flow, const std::vector<Expectation>& known) {
  Extras extras = flow.extras ? *flow.extras : Extras{};
  extras.expectations = known;
  flow.extras = std::move(extras);
}

std::vector<Expectation> expectations_of(ByteView record) {
  const Flow flow = decode(record);
  return flow.extras ? flow.extras->expectations : std::vector<Expectation>{};
}

/// The flow as a dump shows it, with what no dump shows.
void encode_dumped(const Flow& flow, ByteView known, const TcpState* known_tcp, Record& out) {
  if (!expects(known)) return encode(flow, known_tcp, out);
  Flow with = flow;
  keep_expectations(with, expectations_of(known));
  encode(with, known_tcp, out);
}

bool same_state(ByteView a, const RecordLayout& la, ByteView b, const RecordLayout& lb) {
  return std::ranges::equal(a.first(la.state_end), b.first(lb.state_end));
}

std::uint32_t seconds_after(Time now, std::uint32_t timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  return static_cast<std::uint32_t>(std::min<std::int64_t>(seconds + timeout, UINT32_MAX));
}

}  // namespace

std::size_t TimeoutGuide::kind(const Flow& flow) {
  if (flow.key.protocol == kTcp) return flow.tcp.state & 15u;
  const std::size_t answered =
      (flow.status & status_bits::seen_reply ? 1u : 0u) + (flow.status & status_bits::assured ? 2u : 0u);
  return (flow.key.protocol == kUdp ? 16u : 20u) + answered;
}

void TimeoutGuide::learn(const Flow& flow) {
  if (flow.key.protocol == kTcp && !flow.has_tcp) return;
  std::uint32_t& longest = longest_[kind(flow)];
  longest = std::max(longest, flow.timeout);
}

std::uint32_t TimeoutGuide::full(const Flow& flow) const {
  if (flow.key.protocol == kTcp && !flow.has_tcp) return flow.timeout;
  return std::max(longest_[kind(flow)], flow.timeout);
}

// --- events
// -----------------------------------------------------------------------------------------------------------

void Observer::look_ahead(const Flow& flow) const {
  Record key;
  encode_key(flow.key, key);
  store_.table.prefetch(store_.table.hash(key.key()));
}

void Observer::on_changes(std::span<const FlowChange> changes, Time now) {
  for (std::size_t i = 0; i < std::min(changes.size(), kLookAhead); ++i) look_ahead(changes[i].flow);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (i + kLookAhead < changes.size()) look_ahead(changes[i + kLookAhead].flow);
    const FlowChange& change = changes[i];
    if (!one_family(change.flow)) {
      ++store_.counters[Counter::mixed_families];
      continue;
    }
    if (change.own) {
      on_own_request(change, now);
      continue;
    }
    ++store_.counters[Counter::events];
    switch (change.kind) {
      case ChangeKind::created:
      case ChangeKind::updated:
        guide_.learn(change.flow);
        on_live(change.flow, change.kind == ChangeKind::created ? Seen::created : Seen::updated, now);
        break;
      case ChangeKind::destroyed:
        on_destroyed(change.flow, now);
        break;
      case ChangeKind::detailed:
        on_detailed(change.flow, now);
        break;
    }
  }
}

/// Traffic passes here although the peer is not heard: of two masters the other one may be the one that is cut off. An
/// answer is asked for, as anybody may send first packets into the void.
void Observer::note_served(const Flow& flow) {
  if ((flow.status & status_bits::seen_reply) == 0) return;
  const auto owner = ownership_.group_of(flow);
  if (owner && store_.groups[*owner].role == Role::master) ++store_.groups[*owner].served_apart;
}

/// Where the kernel's entry stands, as the kernel itself says.
void Observer::note_kernel(Entry& e, const Flow& flow, std::uint32_t own_timeout, Time now) {
  store_.set_in_kernel(e, true);
  e.seen = store_.dump_number;
  if (flow.tcp.flags_original & flow.tcp.flags_reply & tcp_flags::be_liberal) e.set(entry::liberal);
  e.lease_until = seconds_after(now, flow.timeout);
  if (flow.timeout > own_timeout && (flow.status & status_bits::fixed_timeout) == 0) e.set(entry::leased);
}

/// Our own writes come back in their order.
void Observer::on_own_request(const FlowChange& change, Time now) {
  Record key;
  encode_key(change.flow.key, key);
  const Slot slot = store_.table.find(key.key());
  if (slot == kNoSlot) return;
  Entry& e = store_[slot];
  if (change.kind == ChangeKind::destroyed) return store_.set_in_kernel(e, false);
  if (e.is(entry::gone)) return;  // the removal is on its way
  const ByteView record = store_.table.record(slot);
  const auto layout = inspect(record);
  const std::uint32_t end = e.lease_until;
  note_kernel(e, change.flow, layout ? timeout_of(record, *layout) : 0, now);
  if (is_closed(record)) e.lease_until = end;  // without our grace
}

void Observer::on_live(const Flow& flow, Seen seen, Time now) {
  const bool from_dump = seen == Seen::dumped;
  if (store_.apart && !from_dump) note_served(flow);
  Record record;
  encode_key(flow.key, record);
  const std::uint32_t hash = store_.table.hash(record.key());
  const Slot slot = store_.table.find(record.key(), hash);
  if (slot == kNoSlot) {
    if (!from_dump || !ended_meanwhile_.contains(hash)) on_live_unknown(flow, hash, seen, now);
    return;
  }
  Entry& e = store_[slot];
  if (e.is(entry::gone) && !ownership_.group_of(flow)) return note_excluded(flow, false);
  // An event is newer than what the dump read, whatever order they were delivered in.
  if (from_dump && e.seen == store_.dump_number) return;
  e.seen = store_.dump_number;
  if (store_.group_of(e).role == Role::master)
    on_live_own(slot, flow, from_dump, now);
  else
    on_live_copy(slot, flow, from_dump, now);
}

void Observer::note_excluded(const Flow& flow, bool covered) {
  ++store_.counters[Counter::flows_excluded];
  if (covered)
    ++store_.counters[Counter::excluded_group];
  else
    ++store_.counters[ownership_.stays_here(flow) ? Counter::excluded_own : Counter::excluded_uncovered];
}

void Observer::on_live_unknown(const Flow& flow, std::uint32_t hash, Seen seen, Time now) {
  const bool from_dump = seen == Seen::dumped;
  const auto owner = ownership_.group_of(flow);
  if (!owner || !store_.groups[*owner].replicated) {
    return note_excluded(flow, owner.has_value());
  }
  Group& group = store_.groups[*owner];
  // A backup with a whole replica knows its master's flows; whatever else passes here is nobody's. A sweep on its way
  // has looked at places already that this might take, and would leave it there as the master's; one that has not
  // begun, since it waits for the first dump, is to find it.
  const Group::Replica& replica = group.replica;
  const bool begun = replica.sweeping && (group.inherited ? dumped_once_ : replica.cursor > 0);
  if (group.role == Role::backup && begun) return;
  Record record;
  encode(flow, nullptr, record);
  if (group.role == Role::backup && group.replica.complete) {
    if (from_dump && repairing_) remove_stray(flow, record, hash, *owner, now);
    return;
  }
  if (from_dump) set_timeout(record, guide_.full(flow));
  const Slot slot = store_.add(record, hash, *owner);
  if (slot == kNoSlot) return;
  Entry& e = store_[slot];
  note_kernel(e, flow, UINT32_MAX, now);
  if (group.role != Role::master) {
    e.set(entry::found);
    return selection_.added(slot, flow, false, now);
  }
  if (!from_dump || dumped_once_) store_.set_unshared(e, true);
  // Before the first dump has come this far, any flow of a working master may report a change as the first thing.
  selection_.added(slot, flow, seen == Seen::created, now);
  if (from_dump) ++store_.counters[Counter::reconciled_missing];
  sender_.changed(slot, now);
}

/// It would be in the way of its master's connections, and verify names it.
void Observer::remove_stray(const Flow& flow, const Record& record, std::uint32_t hash, std::size_t group, Time now) {
  const Slot slot = store_.add(record, hash, group);
  if (slot == kNoSlot) return;
  note_kernel(store_[slot], flow, UINT32_MAX, now);
  ++store_.counters[Counter::strays_removed];
  commit_.ended(slot);
}

/// Of a group that we are master of.
void Observer::on_live_own(Slot slot, const Flow& flow, bool from_dump, Time now) {
  Entry& e = store_[slot];
  const bool was_gone = e.is(entry::gone);
  const ByteView old = store_.table.record(slot);
  const auto layout = was_gone ? std::expected<RecordLayout, RecordError>(RecordLayout{}) : inspect(old);
  const TcpState known = layout && layout->has_tcp ? tcp_of(old, *layout) : TcpState{};
  Record record;
  if (layout && (layout->has_extras || layout->has_master) && !from_dump)
    encode(completed(flow, old), nullptr, record);
  else if (was_gone)
    encode(flow, nullptr, record);
  else
    encode_dumped(flow, old, layout && layout->has_tcp ? &known : nullptr, record);
  const bool same =
      !was_gone && layout && std::ranges::equal(old.first(layout->state_end), record.view().first(record.state_end));
  store_.set_in_kernel(e, true);
  // The kernel's word is the truth now, so a write that waits would only be behind it.
  store_.unqueue_write(slot);
  if (was_gone) {
    store_.revive(slot, record);
    store_.set_unshared(e, true);
  }
  store_.set_refused(e, false);
  e.clear(entry::found | entry::adopted | entry::behind | entry::rebind | entry::retime | entry::retried);
  e.lease_until = seconds_after(now, flow.timeout);
  // A packet made the kernel say this, so its timeout is the kernel's own again. A dump knows no full timeout.
  if (!from_dump)
    e.clear(entry::leased);
  else if (same)
    return;
  else
    set_timeout(record, guide_.full(flow));
  store_.set_record(slot, record);
  if (same) return;
  if (from_dump) ++store_.counters[Counter::reconciled_missing];
  if (was_gone)  // where the peer knows of its earlier life, it is to learn of this one at once
    selection_.added(slot, flow, e.generation != store_.group_of(e).generation, now);
  else
    selection_.altered(slot, flow, flow.has_tcp ? flow.tcp.state : known.state, now);
  sender_.changed(slot, now);
}

/// Of a group that is not ours: a copy of the peer's flow, or an entry that we found here.
void Observer::on_live_copy(Slot slot, const Flow& flow, bool from_dump, Time now) {
  Entry& e = store_[slot];
  if (e.is(entry::gone)) return;
  const ByteView old = store_.table.record(slot);
  Record record;
  encode_dumped(flow, old, nullptr, record);
  const auto old_layout = inspect(old), layout = inspect(record.view());
  if (!old_layout || !layout) return;
  const bool known = e.is(entry::in_kernel);
  note_kernel(e, flow, timeout_of(old, *old_layout), now);
  // While nobody else streams the group, our kernel's word is the best there is: vrrpd may just be starting anew.
  const bool orphaned = e.generation != store_.group_of(e).generation && store_.group_of(e).replica.epoch == 0;
  if (e.is(entry::found) || orphaned) {
    if (from_dump) return;
    encode(completed(flow, old), nullptr, record);
    return store_.set_record(slot, record);
  }
  if (!same_binding(old, *old_layout, record.view(), *layout)) {
    e.set(entry::rebind);
    if (from_dump) commit_.stored(slot, Commit::Difference::binding, now);
  } else if (!known) {
    e.set(entry::behind);
  } else if (from_dump && !e.is(entry::queued) && !same_state(old, *old_layout, record.view(), *layout)) {
    // Somebody altered it behind our back. An event is not enough for that: it may be of the first packets of a
    // takeover that we are about to be told of.
    ++store_.counters[Counter::reconciled_altered];
    commit_.stored(slot, Commit::Difference::state, now);
  }
}

/// The kernel does not report that a helper has shifted the sequence numbers of a connection, and of what is expected
/// only that there is news; it was asked.
void Observer::on_detailed(const Flow& flow, Time now) {
  Record key;
  encode_key(flow.key, key);
  const Slot slot = store_.table.find(key.key());
  if (slot == kNoSlot) return;
  const Entry& e = store_[slot];
  if (e.is(entry::gone) || store_.group_of(e).role != Role::master) return;
  const ByteView old = store_.table.record(slot);
  Flow known = decode(old);
  // Of what is compared only this; all else is told by reports, which come in their order.
  known.extras = completed(flow, old).extras;
  const auto expected = flow.extras ? flow.extras->expectations : std::vector<Expectation>{};
  keep_expectations(known, expected);
  known.status |= flow.status & status_bits::seq_adjust;
  const auto layout = inspect(old);
  Record record;
  encode(known, nullptr, record);
  const bool same = layout && std::ranges::equal(old.first(layout->state_end), record.view().first(record.state_end));
  if (same) return;
  store_.counters[Counter::expectations_left_out] += expected.size() - expectations_of(record.view()).size();
  store_.set_record(slot, record);
  sender_.changed(slot, now);
}

void Observer::on_masters(std::span<const FlowKey> masters) {
  Record key;
  for (const FlowKey& master : masters) {
    encode_key(master, key);
    const Slot slot = store_.table.find(key.key());
    if (slot == kNoSlot || store_[slot].is(entry::gone) || store_.expecting.contains(slot)) continue;
    if (store_.group_of(store_[slot]).role == Role::master) unread_.push_back(master);
  }
  for (const Slot slot : store_.expecting)
    if (store_.group_of(store_[slot]).role == Role::master) unread_.push_back(decode_key(store_.table.record(slot)));
}

void Observer::on_destroyed(const Flow& flow, Time now) {
  Record key;
  encode_key(flow.key, key);
  const std::uint32_t hash = store_.table.hash(key.key());
  if (dumping_) {
    ended_meanwhile_.insert(hash);
    again_ = again_ || ended_meanwhile_.size() >= kMaxEndedMeanwhile;
    if (again_) ended_meanwhile_.clear();
  }
  const Slot slot = store_.table.find(key.key(), hash);
  if (slot == kNoSlot) return;
  Entry& e = store_[slot];
  if (store_.group_of(e).role != Role::master) return commit_.vanished(slot);
  store_.set_in_kernel(e, false);
  store_.unqueue_write(slot);
  selection_.ending(slot);
  sender_.ended(slot, now);
}

// --- dumps
// ------------------------------------------------------------------------------------------------------------

void Observer::on_lost(Time now) {
  ++store_.counters[Counter::events_lost];
  store_.whole = false;
  // What a running dump has shown already may have changed since.
  if (dumping_ || sweeping_)
    again_ = true;
  else
    want_dump(now);
}

void Observer::dump_started(Time now) {
  dumping_ = true;
  repairing_ = std::exchange(repair_, false);
  again_ = false;
  ended_meanwhile_.clear();
  dump_at_ = now + kDumpEvery;
  ++store_.dump_number;
  ++store_.counters[Counter::dumps];
}

/// As master, and with a timeout that traffic set: leases of ours say nothing of the kernel's timeouts.
bool Observer::is_ours(const Flow& flow) const {
  const auto owner = ownership_.group_of(flow);
  if (!owner || store_.groups[*owner].role != Role::master) return false;
  Record key;
  encode_key(flow.key, key);
  const Slot slot = store_.table.find(key.key());
  return slot == kNoSlot || !store_.table[slot].is(entry::leased);
}

void Observer::on_dumped(std::span<const Flow> flows, bool last, bool failed, Time now) {
  if (!dumping_) return;
  for (const Flow& flow : flows) look_ahead(flow);
  // First the longest of each kind in this part, so that the first flow profits from the last.
  for (const Flow& flow : flows)
    if (one_family(flow) && is_ours(flow)) guide_.learn(flow);
  for (const Flow& flow : flows) {
    if (one_family(flow))
      on_live(flow, Seen::dumped, now);
    else
      ++store_.counters[Counter::mixed_families];
  }
  if (failed) {
    ++store_.counters[Counter::dumps_failed];
    dumping_ = false;
    return want_dump(now + kDumpRetry);
  }
  if (!last) return;
  dumping_ = false;
  sweeping_ = true;
  cursor_ = 0;
}

void Observer::sweep(Time now) {
  std::size_t looked_at = 0;
  for (; cursor_ < store_.table.end(); ++cursor_) {
    if (++looked_at > kSweepSlice) return;
    Entry& e = store_[cursor_];
    if (!e.used() || e.is(entry::gone | entry::sentinel) || !e.is(entry::in_kernel)) continue;
    if (e.seen == store_.dump_number) continue;
    ++store_.counters[Counter::reconciled_gone];
    if (store_.group_of(e).role != Role::master) {
      commit_.vanished(cursor_);
      continue;
    }
    store_.set_in_kernel(e, false);
    store_.unqueue_write(cursor_);
    selection_.ending(cursor_);
    sender_.ended(cursor_, now);
  }
  sweeping_ = false;
  dumped_once_ = true;
  for (Group& group : store_.groups) group.unread = false;
  ended_meanwhile_.clear();
  if (again_) return want_dump(now);
  store_.whole = true;
}

}  // namespace syncd
