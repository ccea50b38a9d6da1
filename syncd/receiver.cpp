#include "syncd/receiver.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace syncd {
namespace {

using common::ByteView;
using common::Time;

/// Entries are at random places in memory: so many are fetched at once, instead of waiting for one after the other.
constexpr std::size_t kLookAhead = 8;

/// The record out of a datagram, without the mark that says it is gone.
void copy_record(ByteView bytes, const RecordLayout& layout, Record& out) {
  std::memcpy(out.bytes.data(), bytes.data(), layout.size);
  out.bytes[0] &= ~kGone;
  out.key_end = layout.key_end;
  out.state_end = layout.state_end;
  out.timeout_end = layout.timeout_end;
  out.size = layout.size;
}

std::string key_text(ByteView key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

}  // namespace

void Receiver::reset() {
  for (Slot slot = store_.graves.head; slot != kNoSlot; slot = store_.graves.head) {
    store_.unqueue(slot);
    store_.release(slot);
  }
  begun_ = false;
  base_ = newest_ = not_understood_ = 0;
  beyond_.reset();
  unacknowledged_ = 0;
  ack_at_.reset();
  for (Group& group : store_.groups) {
    stop_following(group);
    group.replica.highest = 0;
    group.told_epoch = group.refused_offer = 0;
    group.adoption = {};
  }
}

void Receiver::stop_following(Group& group) {
  group.replica.epoch = 0;
  group.replica.sweeping = false;
  forget_kept_out(store_.groups.index(group));
}

/// Only of one who holds what we do not. A master's word counts unless we know of a newer term; what nobody is master
/// of is taken when it is newer than what we hold, or it would replace the newer by the older.
bool Receiver::may_follow(const Group& group, const GroupState& said) {
  const bool newer = said.kind == StreamKind::mastership ? said.term >= group.told : said.term > group.held;
  if (!newer) ++store_.counters[Counter::stale_term];
  return newer;
}

/// What only the peer knows is added to what we hold: as the group's master, or as the one who will be asked first.
bool Receiver::consider_remainder(Group& group, const GroupState& said) {
  Group::Adoption& adoption = group.adoption;
  const bool offered = said.epoch != 0 && said.kind == StreamKind::remainder;
  const bool whole = group.role == Role::master || (group.role == Role::backup && group.held == group.newest);
  if (!offered || !whole || !group.replicated) {
    if (adoption.epoch == 0) return false;
    adoption = {};
    return true;
  }
  if (adoption.epoch != said.epoch) {
    adoption = {.epoch = said.epoch, .complete = false};
    ++store_.counters[Counter::remainders_received];
    return true;
  }
  if (!said.all_sent || adoption.complete) return false;
  adoption.complete = true;
  return std::exchange(group.lacking, false);
}

bool Receiver::consider(Group& group, const GroupState& said) {
  Group::Replica& replica = group.replica;
  group.told_epoch = said.epoch;
  const bool adoption_changed = consider_remainder(group, said);
  if (group.role != Role::backup || !group.replicated) return adoption_changed;
  if (said.epoch == 0 || said.kind == StreamKind::remainder) {
    if (replica.epoch == 0) return adoption_changed;
    replica.epoch = 0;  // it is master no more; a sweep that has begun goes on
    return true;
  }
  // First what only we know is to be told: following would sweep it.
  if ((group.stream.epoch != 0 || group.unread) && replica.epoch != said.epoch) return adoption_changed;
  if (replica.epoch != said.epoch && !may_follow(group, said)) return adoption_changed;
  if (said.epoch == replica.epoch) {
    if (said.term > replica.term) {
      replica.term = said.term;
      if (replica.complete) group.held = said.term;
    }
    if (said.all_sent && !replica.complete && !replica.sweeping) {
      replica.sweeping = true;
      replica.cursor = group.inherited ? store_.table.end() : 0;
    }
    return adoption_changed;
  }
  if (said.epoch <= replica.highest) return adoption_changed;
  replica = {
      .epoch = said.epoch, .highest = said.epoch, .term = said.term, .complete = false, .sweeping = false, .cursor = 0};
  group.buckets.restart_clock();
  forget_kept_out(store_.groups.index(group));
  group.held = {};
  // Of the last master itself the peer's legacy is only a part: it is added, and what it does not name stays.
  group.inherited = group.inherited && said.kind == StreamKind::legacy;
  group.lacking = false;
  ++group.generation;
  ++store_.counters[Counter::bulks_received];
  return true;
}

// --- datagrams
// --------------------------------------------------------------------------------------------------------

void Receiver::skip_to(std::uint64_t base) {
  if (base <= base_) return;
  const std::uint64_t by = base - base_;
  if (by >= kAckBits)
    beyond_.reset();
  else
    beyond_ >>= by;
  base_ = base;
  advance();
}

void Receiver::advance() {
  while (beyond_.test(0)) {
    beyond_ >>= 1;
    ++base_;
  }
  for (Slot slot = store_.graves.head; slot != kNoSlot; slot = store_.graves.head) {
    if (may_be_overtaken(store_[slot].version)) break;
    store_.unqueue(slot);
    store_.release(slot);
  }
}

void Receiver::on_data(const Frame& frame, Time now) {
  const std::uint64_t sequence = frame.sequence;
  if (!begun_) {
    begun_ = true;
    base_ = frame.low - 1;
  }
  skip_to(frame.low - 1);
  if (sequence > base_ && sequence - base_ > kAckBits) {
    ++store_.counters[Counter::too_early];
    return;
  }
  if (!heeded(frame)) return;
  ++unacknowledged_;
  if (frame.ack_now || unacknowledged_ >= kAckEvery)
    ack_at_ = now;
  else
    ack_at_ = common::earliest(ack_at_, now + kAckDelay);
  if (sequence <= base_ || beyond_.test(sequence - base_ - 1)) {
    ++store_.counters[Counter::duplicates];
    return;
  }
  newest_ = std::max(newest_, sequence);
  if (frame.unknown_blocks > 0 || frame.untranslatable) note_not_understood(sequence);
  for (const FlowsBlock& block : frame.flows) {
    if (Group* follower = store_.groups.follower_of(block.epoch); follower && follower->role == Role::backup) {
      apply(*follower, block.records, sequence, now, false);
    } else if (Group* adopter = store_.groups.adopter_of(block.epoch)) {
      apply(*adopter, block.records, sequence, now, true);
    } else {
      ++store_.counters[Counter::stale_stream];
      note_not_understood(sequence);  // of a stream that has ended, or of one that a damaged datagram made up
    }
  }
  beyond_.set(sequence - base_ - 1);
  advance();
}

/// An acknowledgement says that the flows are here. We may have let go of a stream that the sender still believes to be
/// followed: then nothing is acknowledged, and what we ignore goes on counting as unknown to us. What the sender itself
/// has given up for a newer stream needs no such care.
bool Receiver::heeded(const Frame& frame) {
  for (const FlowsBlock& block : frame.flows) {
    if (!store_.groups.told_of(block.epoch)) continue;
    const Group* follower = store_.groups.follower_of(block.epoch);
    if ((follower && follower->role == Role::backup) || store_.groups.adopter_of(block.epoch)) continue;
    ++store_.counters[Counter::stale_stream];
    return false;
  }
  return true;
}

void Receiver::note_not_understood(std::uint64_t sequence) {
  not_understood_ = std::max(not_understood_, sequence);
}

Ack Receiver::take_ack() {
  ack_at_.reset();
  unacknowledged_ = 0;
  return {base_, beyond_};
}

void Receiver::apply(Group& group, ByteView records, std::uint64_t sequence, Time now, bool adopting) {
  const std::size_t index = store_.groups.index(group);
  if (!adopting) group.buckets.advance_clock(sequence);
  struct Found {
    ByteView bytes;
    RecordLayout layout;
  };
  std::array<Found, kLookAhead> found;
  Record record;
  while (!records.empty()) {
    std::size_t count = 0;
    for (; count < found.size() && !records.empty(); ++count) {
      const auto layout = inspect(records);
      if (!layout) {
        store_.counters.add(layout.error());
        note_not_understood(sequence);
        records = {};  // where the next record begins, nobody knows
        break;
      }
      found[count] = {records.first(layout->size), *layout};
      if (!layout->gone) store_.table.prefetch(store_.table.hash(records.first(layout->key_end)));
      records = records.subspan(layout->size);
    }
    for (const Found& each : std::span(found).first(count)) {
      copy_record(each.bytes, each.layout, record);
      ++store_.counters[each.layout.gone ? Counter::endings_received : Counter::flows_received];
      if (adopting) {
        if (!each.layout.gone) adopt(index, record, now);
      } else if (each.layout.gone) {
        apply_gone(index, record, sequence);
      } else {
        apply_live(index, record, sequence, now);
      }
    }
  }
}

/// A flow that only the peer knew. One that is known here stays as it is, or as one that has ended, unless the peer
/// knows it better. That it ends there later, its kernel no longer says to anybody: here it then runs out.
void Receiver::adopt(std::size_t group, const Record& record, Time now) {
  const std::uint32_t hash = store_.table.hash(record.key());
  if (ownership_.stays_here(decode(record.view()))) return;
  const Slot known = store_.table.find(record.key(), hash);
  if (known != kNoSlot) return compare_proofs(known, group, record, now);
  const Slot slot = store_.add(record, hash, group);
  if (slot == kNoSlot) return;
  store_[slot].set(entry::adopted);
  ++store_.counters[Counter::adopted];
  commit_.adopted(slot, Commit::Difference::state, now);
  sender_.changed(slot, now);
}

/// The first packet of a connection may pass one of two masters, and all others the other one, after hosts have learned
/// of it. The entry that no answer came to would then be in the way of the connection for as long as it lasts.
void Receiver::compare_proofs(Slot slot, std::size_t group, const Record& record, Time now) {
  Entry& e = store_[slot];
  if (e.group != group || e.is(entry::gone)) return;
  const ByteView ours = store_.table.record(slot);
  const auto our_layout = inspect(ours), layout = inspect(record.view());
  if (!our_layout || !layout) return;
  const bool same = same_binding(ours, *our_layout, record.view(), *layout);
  const bool taken = proof_of(record.view()) > proof_of(ours);
  if (!same) {
    ++store_.counters[taken ? Counter::translations_taken : Counter::translations_kept];
    commit_.note_clash(slot);
  }
  if (!taken) return;
  e.set(entry::adopted);
  store_.set_record(slot, record);
  commit_.adopted(slot, same ? Commit::Difference::state : Commit::Difference::binding, now);
  sender_.changed(slot, now);
}

/// May this version of the group's flow replace what the entry holds?
bool Receiver::admit(Slot slot, std::size_t group, std::uint64_t sequence) {
  Entry& e = store_[slot];
  if (e.group != group) {
    if (store_.group_of(e).role == Role::master) {
      ++store_.counters[Counter::foreign_claims];
      return false;
    }
    store_.unqueue(slot);
    store_.move_to_group(slot, group);
  }
  if (e.generation == store_.groups[group].generation && e.version > sequence) {
    ++store_.counters[Counter::older_version];
    return false;
  }
  e.version = sequence;
  e.generation = store_.groups[group].generation;
  store_.set_unshared(e, false);
  store_.reveal(slot);
  e.clear(entry::found | entry::adopted);
  return true;
}

void Receiver::bury(Slot slot, std::uint64_t sequence) {
  if (may_be_overtaken(sequence))
    store_.enqueue(slot, Queue::graves);
  else
    store_.unqueue(slot);
  store_.release(slot);
}

void Receiver::apply_gone(std::size_t group, const Record& record, std::uint64_t sequence) {
  if (!let_in(group, record, sequence)) return;
  const std::uint32_t hash = store_.table.hash(record.key());
  Slot slot = store_.table.find(record.key(), hash);
  if (slot == kNoSlot) {
    if (!may_be_overtaken(sequence)) return;
    slot = store_.add(record, hash, group);
    if (slot == kNoSlot) return;
  }
  if (!admit(slot, group, sequence)) return;
  commit_.ended(slot);
  bury(slot, sequence);
}

void Receiver::apply_live(std::size_t group, const Record& record, std::uint64_t sequence, Time now) {
  const std::uint32_t hash = store_.table.hash(record.key());
  const Slot slot = store_.table.find(record.key(), hash);
  if (slot == kNoSlot) {
    if (keeps_out(group, record, sequence)) return;
    if (!let_in(group, record, sequence)) return;
    const Slot added = store_.add(record, hash, group);
    if (added == kNoSlot) return;
    store_[added].version = sequence;
    store_[added].generation = store_.groups[group].generation;
    return commit_.stored(added, Commit::Difference::state, now);
  }
  if (!admit(slot, group, sequence)) return;
  store_.unqueue(slot);
  if (store_[slot].is(entry::gone)) {
    if (keeps_out(group, record, sequence)) return store_.release(slot);
    store_.revive(slot, record);
    return commit_.stored(slot, Commit::Difference::state, now);
  }
  const ByteView old = store_.table.record(slot);
  const auto old_layout = inspect(old), layout = inspect(record.view());
  Commit::Difference difference = Commit::Difference::binding;
  if (old_layout && layout && same_binding(old, *old_layout, record.view(), *layout)) {
    const bool same = std::ranges::equal(old.first(old_layout->state_end), record.view().first(layout->state_end));
    difference = same ? Commit::Difference::none : Commit::Difference::state;
  }
  store_.set_record(slot, record);
  commit_.stored(slot, difference, now);
}

// --- flows that are not taken in
// -----------------------------------------------------------------------------------------

/// Of one that is not taken in. The master sends it, for it cannot know our addresses, and has it in its digests.
bool Receiver::keeps_out(std::size_t group, const Record& record, std::uint64_t sequence) {
  if (!ownership_.stays_here(decode(record.view()))) return false;
  ++store_.counters[Counter::own_address_flows];
  keep_out(group, record.key(), digest_of(record.view().first(record.state_end)), sequence);
  return true;
}

void Receiver::keep_out(std::size_t group, ByteView key, std::uint32_t digest, std::uint64_t sequence) {
  std::string text = key_text(key);
  const auto known = kept_out_.find(text);
  if (known == kept_out_.end() && kept_out_.size() >= kMaxKeptOut) {
    uncounted_[group].set(bucket_of(key));
    return;
  }
  if (known != kept_out_.end() && known->second.version > sequence) return;
  store_.groups[group].buckets.add(key, 0);  // it has changed now
  kept_out_[std::move(text)] = {group, bucket_of(key), digest, sequence};
}

/// What the master has never told of, it has in no digest.
void Receiver::let_go(Slot slot) {
  Entry& e = store_[slot];
  ++store_.counters[Counter::own_address_flows];
  if (e.generation == store_.group_of(e).generation && !e.is(entry::found))
    keep_out(e.group, key_of(store_.table.record(slot)), e.digest, e.version);
  store_.unqueue(slot);
  store_.unqueue_write(slot);
  store_.set_in_kernel(e, false);
  store_.end(slot);
  store_.release(slot);
}

/// The flow is kept out no longer, for this is newer. False: it is older than what was kept out.
bool Receiver::let_in(std::size_t group, const Record& record, std::uint64_t sequence) {
  const auto known = kept_out_.empty() ? kept_out_.end() : kept_out_.find(key_text(record.key()));
  if (known == kept_out_.end()) return true;
  if (known->second.version > sequence) {
    ++store_.counters[Counter::older_version];
    return false;
  }
  kept_out_.erase(known);
  store_.groups[group].buckets.add(record.key(), 0);
  return true;
}

bool Receiver::counts(std::size_t group, std::size_t bucket) const {
  const auto it = uncounted_.find(group);
  return it == uncounted_.end() || !it->second.test(bucket);
}

/// Of what was kept out only the key is known; where an address was ours that is not in it, it is asked again.
void Receiver::review_kept_out() {
  for (auto it = kept_out_.begin(); it != kept_out_.end();) {
    Flow flow;
    flow.key = decode_key(std::as_bytes(std::span(it->first)));
    flow.reply = inverted(flow.key);
    it = ownership_.stays_here(flow) ? ++it : kept_out_.erase(it);
  }
  uncounted_.clear();
}

std::array<std::uint64_t, kBucketsAtOnce> Receiver::kept_out(std::size_t group, std::size_t first) const {
  std::array<std::uint64_t, kBucketsAtOnce> sums{};
  for (const auto& [key, flow] : kept_out_)
    if (flow.group == group && flow.bucket >= first && flow.bucket < first + sums.size())
      sums[flow.bucket - first] += flow.digest;
  return sums;
}

void Receiver::for_kept_out(const std::function<void(ByteView)>& each) const {
  for (const auto& [key, flow] : kept_out_) each(std::as_bytes(std::span(key)));
}

void Receiver::forget_kept_out(std::size_t group, const BucketSet& buckets, std::uint64_t before) {
  for (auto it = kept_out_.begin(); it != kept_out_.end();) {
    const KeptOut& flow = it->second;
    it = flow.group == group && flow.version < before && buckets.test(flow.bucket) ? kept_out_.erase(it) : ++it;
  }
}

void Receiver::forget_kept_out(std::size_t group) {
  forget_kept_out(group, ~BucketSet(), UINT64_MAX);
  uncounted_.erase(group);
}

// --- sweeping
// ---------------------------------------------------------------------------------------------------------

bool Receiver::sweeping() const {
  return std::ranges::any_of(store_.groups, [](const Group& g) { return g.replica.sweeping; });
}

bool Receiver::sweep() {
  std::size_t looked_at = 0;
  for (std::size_t i = 0; i < store_.groups.size(); ++i) {
    Group& group = store_.groups[i];
    Group::Replica& replica = group.replica;
    for (; replica.sweeping && replica.cursor < store_.table.end(); ++replica.cursor) {
      if (++looked_at > kSweepSlice) return false;
      const Entry& e = store_[replica.cursor];
      if (!e.used() || e.is(entry::gone | entry::sentinel) || e.group != i || e.generation == group.generation)
        continue;
      ++store_.counters[Counter::swept];
      store_.unqueue(replica.cursor);
      commit_.ended(replica.cursor);
      store_.release(replica.cursor);
    }
    if (!replica.sweeping) continue;
    replica.sweeping = false;
    replica.complete = true;
    group.held = replica.term;
    return true;
  }
  return false;
}

}  // namespace syncd
