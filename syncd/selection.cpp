#include "syncd/selection.hpp"

#include <algorithm>

#include "syncd/record.hpp"

namespace syncd {
namespace {

using common::Time;

/// Older than any minimum age that can be configured.
constexpr std::uint32_t kOldEnough = 3600 * 1000;

/// Modulo 2^32: only differences count.
std::uint32_t milliseconds_of(Time now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
}

}  // namespace

void Selection::configure(const common::SyncFilter& config) {
  if (config == config_) return;
  config_ = config;
  filter_ = Filter(config);
  active_ = filter_.has_rules() || config.replicate_after > common::Duration{};
  reviewing_ = true;
  cursor_ = 0;
  if (!store_.young.empty()) ripe_at_ = Time{};
}

void Selection::became_master() {
  const auto withholds = [](const Group& group) { return group.withheld != 0; };
  if (!active_ && std::ranges::none_of(store_.groups, withholds)) return;
  reviewing_ = true;
  cursor_ = 0;
}

bool Selection::is_young(const Entry& e, Time now) const {
  return std::chrono::milliseconds(milliseconds_of(now) - e.born) < config_.replicate_after;
}

void Selection::add(Slot slot, const Flow& flow, bool fresh, Time now) {
  const Verdict verdict = filter_.judge(flow, flow.tcp.state);
  if (verdict == Verdict::replicated && !(fresh && config_.replicate_after > common::Duration{})) return;
  count(verdict);
  hold(slot, milliseconds_of(now) - (fresh ? 0 : kOldEnough), now);
  if (verdict == Verdict::replicated) let_ripen(slot, now);
}

void Selection::count(Verdict verdict) {
  if (verdict == Verdict::excluded) ++store_.counters[Counter::filtered_excluded];
  if (verdict == Verdict::not_included) ++store_.counters[Counter::filtered_not_included];
}

/// Once replicated, a flow is never too young again, whatever the configuration; nor while its end is being told.
void Selection::settle(Slot slot, Verdict verdict, Time now) {
  Entry& e = store_[slot];
  const bool held = e.is(entry::withheld), young = e.queue == Queue::young;
  if (verdict != Verdict::replicated) {
    if (held && !young) return;
    count(verdict);
    return hold(slot, held ? e.born : milliseconds_of(now) - kOldEnough, now);
  }
  if (!held || (young && is_young(e, now))) return;
  const bool told = e.generation == store_.group_of(e).generation;
  if (told || !is_young(e, now)) return let_go(slot, now);
  let_ripen(slot, now);
}

void Selection::hold(Slot slot, std::uint32_t born, Time now) {
  store_.withhold(slot, born);
  sender_.withdrawn(slot, now);
}

void Selection::let_ripen(Slot slot, Time now) {
  store_.enqueue(slot, Queue::young);
  if (!ripe_at_) ripe_at_ = now + config_.replicate_after;
}

void Selection::let_go(Slot slot, Time now) {
  Entry& e = store_[slot];
  store_.unqueue(slot);
  store_.reveal(slot);
  // On a backup it is one of those that the master's stream confirms or has swept.
  if (store_.group_of(e).role != Role::master) return;
  store_.set_unshared(e, true);
  sender_.changed(slot, now);
}

void Selection::let_young_go(std::size_t group, Time now) {
  for (Slot slot = store_.young.head; slot != kNoSlot;) {
    const Slot next = store_[slot].send.next;
    if (store_[slot].group == group) let_go(slot, now);
    slot = next;
  }
}

void Selection::ending(Slot slot) {
  if (store_[slot].queue == Queue::young) ++store_.counters[Counter::filtered_young];
}

bool Selection::withholds(const Flow& flow) const {
  if (!active_ && !reviewing_) return false;
  Record key;
  encode_key(flow.key, key);
  const Slot slot = store_.table.find(key.key());
  if (slot != kNoSlot && !store_[slot].is(entry::gone)) return store_[slot].is(entry::withheld);
  return filter_.judge(flow, flow.tcp.state) != Verdict::replicated;
}

void Selection::tick(Time now) {
  if (reviewing_) review(now);
  if (ripe_at_ && *ripe_at_ <= now) ripen(now);
}

void Selection::review(Time now) {
  for (std::size_t looked_at = 0; cursor_ < store_.table.end(); ++cursor_) {
    if (++looked_at > kSelectionSlice) return;
    const Entry& e = store_[cursor_];
    if (!e.used() || e.is(entry::gone | entry::sentinel) || store_.group_of(store_[cursor_]).role != Role::master)
      continue;
    const Flow flow = decode(store_.table.record(cursor_));
    settle(cursor_, filter_.judge(flow, flow.tcp.state), now);
  }
  reviewing_ = false;
}

void Selection::ripen(Time now) {
  ripe_at_.reset();
  for (std::size_t n = 0; !store_.young.empty(); ++n) {
    const Slot slot = store_.young.head;
    const Entry& e = store_[slot];
    if (is_young(e, now)) {
      ripe_at_ = now + config_.replicate_after - std::chrono::milliseconds(milliseconds_of(now) - e.born);
      return;
    }
    if (n >= kSelectionSlice) {
      ripe_at_ = now;
      return;
    }
    let_go(slot, now);
  }
}

}  // namespace syncd
