#include "syncd/audit.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace syncd {

using common::Time;

bool Audit::may_tell(const Group& group) const {
  const Group::Stream& stream = group.stream;
  if (group.role != Role::master || !group.replicated || stream.kind != StreamKind::mastership) return false;
  if (stream.epoch == 0 || !stream.followed || !stream.all_sent) return false;
  const GroupState* said = parts_.peer.said(group);
  return said != nullptr && said->compares && said->following == stream.epoch;
}

// --- digests
// ----------------------------------------------------------------------------------------------------------

void Audit::begin_round(Time now) {
  next_at_ = now + kAuditEvery;
  ++round_;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    Group& group = parts_.store.groups[i];
    Telling& telling = sides_[i].telling;
    telling.blocks_left = 0;  // of the round before, whose clock runs no more
    telling.in_round = may_tell(group);
    if (telling.in_round) group.buckets.set_clock(round_);
  }
  mark_ = parts_.sender.mark();
}

void Audit::on_passed(Sender::Mark mark) {
  if (mark == mark_) {
    mark_ = 0;
    for (Side& side : sides_)
      if (std::exchange(side.telling.in_round, false)) side.telling.blocks_left = kAuditWindow / kBucketsAtOnce;
  }
  for (Side& side : sides_) {
    if (side.telling.mark != mark) continue;
    side.telling.mark = 0;
    side.telling.repaired = true;
  }
}

/// False: nothing of it stands still.
bool Audit::fill(Group& group, Telling& telling, DigestBlock& block) {
  --telling.blocks_left;
  block = {.epoch = group.stream.epoch, .sequence = parts_.sender.next_sequence() - 1, .first = telling.cursor};
  telling.cursor = (telling.cursor + kBucketsAtOnce) % kBuckets;
  for (std::size_t i = 0; i < kBucketsAtOnce; ++i) {
    if (group.buckets.changed_at(block.first + i) >= round_) continue;
    block.settled.set(i);
    block.sums[i] = group.buckets.sum(block.first + i);
  }
  parts_.store.counters[Counter::audit_unsettled] += kBucketsAtOnce - block.settled.count();
  return block.settled.any();
}

/// Within a turn each bucket has its chance.
bool Audit::may_retry(Checking& c, Time now) {
  if (!c.retry_at) c.retry_at = now;
  if (*c.retry_at + kAuditTurn <= now) {
    c.retry_at = now + c.pause;
    c.pause = std::min(c.pause * 2, kLongestRepairPause);
  }
  return *c.retry_at <= now;
}

void Audit::on_digests(const DigestBlock& digests, Time now) {
  Group* const group = parts_.store.groups.follower_of(digests.epoch);
  if (group == nullptr || group->role != Role::backup || !group->replica.complete) return;
  const std::size_t index = parts_.store.groups.index(*group);
  if (index >= sides_.size()) return;
  Checking& c = sides_[index].checking;
  Counters& counters = parts_.store.counters;
  const auto kept_out = parts_.receiver.kept_out(index, digests.first);
  for (std::size_t i = 0; i < kBucketsAtOnce; ++i) {
    const std::size_t bucket = digests.first + i;
    if (!digests.settled.test(i)) continue;
    if (group->buckets.changed_at(bucket) > digests.sequence || !parts_.receiver.counts(index, bucket)) {
      ++counters[Counter::audit_unsettled];
      continue;
    }
    ++counters[Counter::audit_compared];
    if (digests.sums[i] == group->buckets.sum(bucket) + kept_out[i]) {
      c.tried.reset(bucket);
      continue;
    }
    ++counters[Counter::audit_differing];
    ++c.to_log;
    c.in_vain = c.in_vain || c.tried.test(bucket);
    if (!c.tried.test(bucket) || may_retry(c, now)) c.to_ask.set(bucket);
  }
  if (c.tried.any() || !c.in_vain) return;
  c.in_vain = c.in_vain_logged = false;
  c.retry_at.reset();
  c.pause = kFirstRepairPause;
}

bool Audit::stays_different(const Group& group) const {
  const std::size_t index = parts_.store.groups.index(group);
  return index < sides_.size() && group.role == Role::backup && sides_[index].checking.in_vain;
}

// --- repair
// -----------------------------------------------------------------------------------------------------------

void Audit::on_repair(const RepairBlock& repair) {
  // Of what it was given it has acknowledged all: the peer speaks of datagrams that never came. It is asked again.
  if (repair.from > parts_.receiver.newest() + 1) {
    ++parts_.store.counters[Counter::audit_refused];
    return;
  }
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    Group& group = parts_.store.groups[i];
    if (repair.from == 0 && group.stream.epoch == repair.epoch && may_tell(group)) {
      sides_[i].telling.asked_for |= repair.buckets;
    } else if (repair.from != 0 && group.replica.epoch == repair.epoch && group.role == Role::backup &&
               group.replica.complete) {
      Checking& c = sides_[i].checking;
      c.from = c.epoch == repair.epoch ? std::min(c.from, repair.from) : repair.from;
      c.buckets = c.epoch == repair.epoch ? c.buckets | repair.buckets : repair.buckets;
      c.epoch = repair.epoch;
      c.at = 0;
    }
  }
}

void Audit::begin_repair(const Group& group, Telling& telling) {
  telling.epoch = group.stream.epoch;
  telling.buckets = telling.asked_for;
  telling.asked_for.reset();
  telling.from = parts_.sender.next_sequence();
  telling.walking = true;
  telling.at = 0;
}

/// Flows of these buckets get in line again.
void Audit::walk(std::size_t group, Time now) {
  Telling& t = sides_[group].telling;
  std::size_t looked_at = 0;
  for (; t.at < parts_.store.table.end(); ++t.at) {
    if (++looked_at > kRepairSlice) return;
    const Entry& e = parts_.store[t.at];
    if (!e.used() || e.is(entry::gone | entry::sentinel | entry::withheld) || e.group != group) continue;
    if (!t.buckets.test(bucket_of(key_of(parts_.store.table.record(t.at))))) continue;
    parts_.sender.again(t.at, now);
    ++parts_.store.counters[Counter::audit_sent_again];
  }
  t.walking = false;
  t.mark = parts_.sender.mark();
}

/// What the peer has not named while it sent these buckets again. Where something of what it sent was not understood,
/// nobody knows what it has named: then nothing is removed, and the buckets, if they still differ, are asked for again.
void Audit::sweep(std::size_t index) {
  Checking& c = sides_[index].checking;
  Store& store = parts_.store;
  const bool understood = parts_.receiver.understood_since(c.from);
  std::size_t looked_at = 0;
  for (; understood && c.at < store.table.end(); ++c.at) {
    if (++looked_at > kRepairSlice) return;
    const Entry& e = store[c.at];
    if (!e.used() || e.is(entry::gone | entry::sentinel) || e.group != index) continue;
    // Of an older generation is what was found here while the replica came to be: no flow of the master's.
    if (e.generation == store.groups[index].generation && e.version >= c.from) continue;
    if (!c.buckets.test(bucket_of(key_of(store.table.record(c.at))))) continue;
    ++store.counters[Counter::audit_removed];
    store.unqueue(c.at);
    parts_.commit.ended(c.at);
    store.release(c.at);
  }
  if (understood) parts_.receiver.forget_kept_out(index, c.buckets, c.from);
  store.counters[Counter::audit_repaired] += c.buckets.count();
  c.tried |= c.buckets;
  c.epoch = 0;
}

// --- time
// -------------------------------------------------------------------------------------------------------------

void Audit::log(const Group& group, Checking& c, Time now, Actions& out) const {
  if (c.in_vain && !c.in_vain_logged) {
    c.in_vain_logged = true;
    out.push_back(Log{Log::Level::error, "replica_stays_different",
                      group.name + ": connections of the peer differ here although they were fetched again: "
                                   "`natctl sync verify` on either router names them"});
  }
  if (c.logged_at && *c.logged_at + kAuditLogEvery > now) return;
  c.logged_at = now;
  out.push_back(Log{Log::Level::warning, "replica_differs",
                    fmt::format("{}: {} of {} parts of the peer's connections are not the same here: they are fetched "
                                "again",
                                group.name, c.to_log, kBuckets)});
}

void Audit::advance(bool may_say, Time now, Actions& out) {
  sides_.resize(parts_.store.groups.size());
  bool any = false;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    Group& group = parts_.store.groups[i];
    auto& [telling, checking] = sides_[i];
    const bool tells = may_tell(group);
    any = any || tells;
    if (telling.epoch != 0 && (!tells || telling.epoch != group.stream.epoch)) {
      parts_.sender.forget(telling.mark);
      telling = {.cursor = telling.cursor, .in_round = telling.in_round};
    }
    if (!tells) {
      telling.in_round = false;
      telling.blocks_left = 0;
      telling.asked_for.reset();
    }
    if (tells && telling.epoch == 0 && telling.asked_for.any()) begin_repair(group, telling);
    if (telling.walking) walk(i, now);
    const bool follows = group.role == Role::backup && group.replica.epoch != 0 && group.replica.complete;
    if (!follows) checking = {};
    if (checking.epoch != 0 && checking.epoch != group.replica.epoch) checking.epoch = 0;
    if (checking.epoch != 0) sweep(i);
    if (std::exchange(checking.to_log, 0) != 0) log(group, checking, now, out);
  }
  if (any && may_say && mark_ == 0 && next_at_ <= now) begin_round(now);
}

bool Audit::working() const {
  return std::ranges::any_of(sides_, [](const Side& s) {
    return s.telling.walking || s.checking.epoch != 0 || (s.telling.epoch == 0 && s.telling.asked_for.any());
  });
}

bool Audit::has_to_say() const {
  return std::ranges::any_of(
      sides_, [](const Side& s) { return s.telling.blocks_left > 0 || s.telling.repaired || s.checking.to_ask.any(); });
}

void Audit::say(FrameWriter& frame) {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    Group& group = parts_.store.groups[i];
    auto& [telling, checking] = sides_[i];
    if (checking.to_ask.any()) {
      frame.repair({.epoch = group.replica.epoch, .from = 0, .buckets = std::exchange(checking.to_ask, {})});
      return;
    }
    if (telling.repaired) {
      frame.repair({.epoch = telling.epoch, .from = telling.from, .buckets = telling.buckets});
      telling.repaired = false;
      telling.epoch = 0;
      return;
    }
    DigestBlock block;
    while (telling.blocks_left > 0)
      if (fill(group, telling, block)) return frame.digests(block);
  }
}

common::Deadline Audit::deadline() const {
  if (mark_ != 0) return std::nullopt;
  for (const Group& group : parts_.store.groups)
    if (may_tell(group)) return next_at_;
  return std::nullopt;
}

}  // namespace syncd
