#include "syncd/sender.hpp"

#include <algorithm>
#include <utility>

namespace syncd {
namespace {

using common::Duration;
using common::Time;

}  // namespace

// --- the line
// ---------------------------------------------------------------------------------------------------------

void Sender::changed(Slot slot, Time now) {
  Entry& e = store_[slot];
  if (e.is(entry::withheld)) return;
  Group& group = store_.group_of(e);
  group.stream.drained = false;
  if (!may_send(group)) return;
  // What the walk has not reached, it will take along.
  if (group.stream.walking && slot >= group.stream.cursor && e.generation != group.generation) return;
  store_.enqueue(slot, Queue::changes);
  note_waiting(now);
}

void Sender::ended(Slot slot, Time now) {
  store_.group_of(store_[slot]).stream.drained = false;
  store_.end(slot);
  withdrawn(slot, now);
}

void Sender::withdrawn(Slot slot, Time now) {
  Entry& e = store_[slot];
  Group& group = store_.group_of(e);
  if (!may_send(group) || e.generation != group.generation) {
    // The peer was not told of it in this stream: what it may have from before goes when the walk has ended.
    store_.unqueue(slot);
    if (e.is(entry::in_flight)) {
      e.clear(entry::in_flight);
      --unresolved_;
    }
    return store_.release(slot);
  }
  group.stream.drained = false;
  store_.enqueue(slot, Queue::endings);
  note_waiting(now);
}

void Sender::again(Slot slot, Time now) {
  if (!may_send(store_.group_of(store_[slot]))) return;
  store_.enqueue(slot, Queue::changes);
  note_waiting(now);
}

void Sender::note_waiting(Time now) {
  if (!waiting_since_) waiting_since_ = now;
}

/// Of a group that is not streamed (any more).
void Sender::drop_unsent(Slot slot) {
  store_.unqueue(slot);
  store_.release(slot);
}

void Sender::begin_stream(Group& group, StreamKind kind, bool everything) {
  forget(group.stream.mark);
  group.stream = {};
  group.stream.epoch = ++last_epoch_;
  group.stream.kind = kind;
  group.stream.everything = everything;
  if (kind == StreamKind::mastership) group.buckets.restart_clock();
}

void Sender::end_stream(Group& group) {
  forget(group.stream.mark);
  group.stream = {};
  // Its entries may soon carry the peer's versions: nothing of ours may wait for them.
  suspend();
}

void Sender::peer_follows(Group& group, std::uint32_t epoch, std::uint32_t released) {
  Group::Stream& stream = group.stream;
  if (stream.epoch == 0) return;
  // It let go: what it missed, nobody knows.
  if ((stream.followed && epoch != stream.epoch) || stream.epoch <= released)
    return begin_stream(group, stream.kind, stream.everything);
  if (stream.followed || epoch != stream.epoch) return;
  stream.followed = stream.walking = true;
  if (stream.kind == StreamKind::mastership) group.lacking = false;  // it has had, or has refused, its say
  stream.cursor = 0;
  ++group.generation;
  ++store_.counters[Counter::bulks_sent];
}

void Sender::reset() {
  for (Flight& flight : flying_) resolve(flight, false);
  flying_.clear();
  check_marks();
  for (Group& group : store_.groups)
    if (group.stream.epoch != 0) begin_stream(group, group.stream.kind, group.stream.everything);
  // Endings that nobody is to be told of any more. Changes stay in line: they are skipped, or sent by a new stream.
  for (Slot slot = store_.endings.head; slot != kNoSlot; slot = store_.endings.head) drop_unsent(slot);
  smooth_rtt_ = {};
  timeout_ = kMinRetransmit * 4;
  window_ = kFirstWindow;
  note_wide();
}

void Sender::suspend() {
  for (Flight& flight : flying_) resolve(flight, false);
  flying_.clear();
  check_marks();
  window_ = kFirstWindow;
  note_wide();  // what was lost with the link says nothing of its size
}

// --- packing
// ----------------------------------------------------------------------------------------------------------

/// A walk stays open at its end while the table may lack what the kernel has (a syncd that was restarted beside a
/// working master): the peer would take the end of the walk for leave to sweep what it has and we have not read yet.
bool Sender::walk_has_work(const Group& group) const {
  return group.stream.walking && (group.stream.cursor < store_.table.end() || store_.whole);
}

bool Sender::has_work() const {
  if (!store_.endings.empty() || !store_.changes.empty()) return true;
  return std::ranges::any_of(store_.groups, [this](const Group& g) { return walk_has_work(g); });
}

bool Sender::ready(Time now) const {
  if (flying_.size() >= window_ || !has_work()) return false;
  // Enough for a datagram, somebody waits for a mark, or gathered for long enough.
  constexpr std::size_t kAboutADatagram = 48;
  if (store_.changes.size + store_.endings.size >= kAboutADatagram || !marks_.empty()) return true;
  if (std::ranges::any_of(store_.groups, [this](const Group& g) { return walk_has_work(g); })) return true;
  return now >= last_sent_ + kGather;
}

bool Sender::pack_one(Slot slot, FrameWriter& frame, std::size_t limit, Flight& flight) {
  Entry& e = store_[slot];
  Group& group = store_.group_of(e);
  const bool gone = e.is(entry::gone | entry::withheld);
  common::ByteView record = store_.table.record(slot);
  if (e.is(entry::withheld)) record = record.first(inspect(record)->key_end);
  constexpr std::size_t kBlockHead = 7;
  const bool other_block = section_ != group.stream.epoch;
  if (frame.size() + record.size() + (other_block ? kBlockHead : 0) > limit) return false;
  if (other_block) {
    if (section_ != 0) frame.end_flows();
    frame.begin_flows(group.stream.epoch);
    section_ = group.stream.epoch;
  }
  frame.record(record, gone);
  ++store_.counters[gone ? Counter::endings_sent : Counter::flows_sent];
  store_.unqueue(slot);
  if (!e.is(entry::in_flight)) ++unresolved_;
  e.set(entry::in_flight);
  e.version = flight.sequence;
  e.generation = group.generation;
  flight.slots.push_back(slot);
  return true;
}

/// False: the datagram is full.
bool Sender::pack_queue(SlotList& queue, FrameWriter& frame, std::size_t limit, Flight& flight) {
  while (!queue.empty()) {
    const Slot slot = queue.head;
    if (store_[slot].is(entry::sentinel)) {
      reach(slot);
      continue;
    }
    if (!may_send(store_.group_of(store_[slot]))) {
      drop_unsent(slot);
      continue;
    }
    if (!pack_one(slot, frame, limit, flight)) return false;
  }
  return true;
}

bool Sender::pack_walks(FrameWriter& frame, std::size_t limit, Flight& flight) {
  std::size_t looked_at = 0;
  for (std::size_t i = 0; i < store_.groups.size(); ++i) {
    Group& group = store_.groups[i];
    Group::Stream& stream = group.stream;
    for (; stream.walking && stream.cursor < store_.table.end(); ++stream.cursor) {
      if (++looked_at > kWalkSlice) return true;
      const Entry& e = store_[stream.cursor];
      if (!e.used() || e.is(entry::gone | entry::sentinel | entry::withheld) || e.group != i ||
          e.generation == group.generation)
        continue;
      if (!stream.everything && !e.is(entry::unshared)) continue;
      if (!pack_one(stream.cursor, frame, limit, flight)) return false;
      ++stream.sent;
    }
    if (!stream.walking || stream.cursor < store_.table.end() || !store_.whole) continue;
    stream.walking = false;
    stream.mark = mark();
  }
  return true;
}

bool Sender::pack(FrameWriter& frame, std::size_t limit, Time now) {
  Flight flight{.sequence = next_, .sent = now, .acked = false, .large = false, .slots = {}};
  if (!wide_ && now < widen_at_) limit = std::min(limit, kLeastPayload);
  if (!spare_.empty()) {
    flight.slots = std::move(spare_.back());
    spare_.pop_back();
  }
  section_ = 0;
  if (pack_queue(store_.endings, frame, limit, flight) && pack_queue(store_.changes, frame, limit, flight))
    pack_walks(frame, limit, flight);
  if (section_ != 0) frame.end_flows();
  if (store_.endings.empty() && store_.changes.empty()) waiting_since_.reset();
  const bool any = !flight.slots.empty();
  if (any) {
    flight.large = frame.size() > kLeastPayload;
    if (flight.large && !wide_) widen_at_ = now + kWidenAfter;
    flying_.push_back(std::move(flight));
    ++next_;
    last_sent_ = now;
  } else {
    for (Marked& marked : marks_)
      if (marked.sentinel == kNoSlot) marked.sequence = std::min(marked.sequence, next_ - 1);
  }
  check_marks();
  return any;
}

// --- acknowledgement
// --------------------------------------------------------------------------------------------------

/// The entry still is as this datagram brought it, or is at least the flow that it brought.
bool Sender::mine(Slot slot, const Flight& flight) {
  const Entry& e = store_[slot];
  return e.used() && e.is(entry::in_flight) && e.version == flight.sequence;
}

void Sender::resolve(Flight& flight, bool acked) {
  for (const Slot slot : flight.slots) {
    if (!mine(slot, flight)) continue;
    Entry& e = store_[slot];
    e.clear(entry::in_flight);
    --unresolved_;
    const bool current = e.generation == store_.group_of(e).generation && may_send(store_.group_of(e));
    if (acked && current) store_.set_unshared(e, false);
    if (!acked && current && e.queue == Queue::none)
      store_.enqueue(slot, e.is(entry::gone | entry::withheld) ? Queue::endings : Queue::changes, true);
    else
      store_.release(slot);
    // Nothing more is to be told of it, not even its end.
    if (acked && current && e.is(entry::withheld) && e.queue == Queue::none) --e.generation;
  }
  if (!acked) {
    ++store_.counters[Counter::datagrams_lost];
    if (has_work()) note_waiting(flight.sent);
    for (Marked& marked : marks_)
      if (marked.sentinel == kNoSlot && marked.sequence >= flight.sequence) line_up(marked);
  }
  flight.slots.clear();
  if (spare_.size() < kMaxWindow) spare_.push_back(std::move(flight.slots));
}

void Sender::on_ack(const Ack& ack, Time now) {
  std::uint64_t highest = 0;
  std::size_t fresh = 0;
  for (Flight& flight : flying_) {
    const std::uint64_t beyond = flight.sequence - ack.base - 1;
    const bool here = flight.sequence <= ack.base || (beyond < kAckBits && ack.beyond.test(beyond));
    if (!here || flight.acked) continue;
    flight.acked = true;
    highest = flight.sequence;
    ++fresh;
    if (highest + 1 == next_ || &flight == &flying_.back() || fresh == 1) {
      const Duration rtt = now - flight.sent;
      const Duration off = rtt > smooth_rtt_ ? rtt - smooth_rtt_ : smooth_rtt_ - rtt;
      rtt_deviation_ = smooth_rtt_ == Duration{} ? rtt / 2 : (rtt_deviation_ * 3 + off) / 4;
      smooth_rtt_ = smooth_rtt_ == Duration{} ? rtt : (smooth_rtt_ * 7 + rtt) / 8;
    }
    if (flight.large) {
      note_wide();
      large_acked_ = std::max(large_acked_, flight.sequence);
    }
    resolve(flight, true);
  }
  if (fresh == 0) return;
  // Double what was measured, at least: the other side may gather acknowledgements, and both are not real-time.
  timeout_ = std::clamp(smooth_rtt_ * 2 + rtt_deviation_ * 4, kMinRetransmit, kMaxRetransmit);
  window_ = std::min(window_ + fresh, kMaxWindow);
  bool lost = false;
  for (Flight& flight : flying_) {
    if (flight.acked || flight.sequence + kReorder > highest) continue;
    flight.acked = lost = true;
    if (newest_large(flight)) note_large_lost(1, now);
    resolve(flight, false);
  }
  if (lost) window_ = std::max(window_ / 2, kMinWindow);
  trim();
  check_marks();
}

void Sender::note_large_lost(unsigned count, Time now) {
  if (!wide_ || (large_lost_ += count) < kBlackHole) return;
  wide_ = false;
  widen_at_ = now + kWidenAfter;
  ++store_.counters[Counter::paths_narrowed];
}

void Sender::note_wide() {
  wide_ = true;
  large_lost_ = 0;
}

void Sender::trim() {
  while (!flying_.empty() && flying_.front().acked) flying_.pop_front();
}

void Sender::tick(Time now) {
  bool lost = false, large = false;
  for (Flight& flight : flying_) {
    if (flight.acked || flight.sent + timeout_ > now) continue;
    flight.acked = lost = true;
    large = large || newest_large(flight);
    resolve(flight, false);
  }
  if (!lost) return;
  if (large) note_large_lost(kTimeoutCounts, now);  // however many: one acknowledgement may have been lost
  ++store_.counters[Counter::retransmit_timeouts];
  timeout_ = std::min(timeout_ * 2, kMaxRetransmit);
  window_ = kMinWindow;
  trim();
  check_marks();
}

// --- marks
// ------------------------------------------------------------------------------------------------------------

void Sender::line_up(Marked& marked) {
  marked.sentinel = store_.table.insert_sentinel();
  // A full table has no place for a mark; the end of what is under way is the next best, and checked again on loss.
  if (marked.sentinel == kNoSlot)
    marked.sequence = next_ - 1;
  else
    store_.enqueue(marked.sentinel, Queue::changes);
}

Sender::Mark Sender::mark() {
  Marked marked{.mark = ++last_mark_, .sentinel = kNoSlot, .sequence = 0};
  line_up(marked);
  marks_.push_back(marked);
  return last_mark_;
}

void Sender::forget(Mark mark) {
  if (mark == 0) return;
  for (Marked& marked : marks_) {
    if (marked.mark != mark || marked.sentinel == kNoSlot) continue;
    store_.unqueue(marked.sentinel);
    store_.table.erase(marked.sentinel);
  }
  std::erase_if(marks_, [mark](const Marked& m) { return m.mark == mark; });
}

void Sender::reach(Slot sentinel) {
  store_.unqueue(sentinel);
  store_.table.erase(sentinel);
  for (Marked& marked : marks_) {
    if (marked.sentinel != sentinel) continue;
    marked.sentinel = kNoSlot;
    marked.sequence = next_;  // the datagram that is being packed, should it come to be
  }
}

void Sender::check_marks() {
  const std::uint64_t settled = low() - 1;
  std::erase_if(marks_, [&](const Marked& m) {
    if (m.sentinel != kNoSlot || m.sequence > settled) return false;
    const auto walked = std::ranges::find(store_.groups, m.mark, [](const Group& g) { return g.stream.mark; });
    if (walked != store_.groups.end()) {
      walked->stream.all_sent = news_ = true;
      if (walked->stream.everything) walked->inherited = false;
    } else
      passed_.push_back(m.mark);
    return true;
  });
}

std::vector<Sender::Mark> Sender::take_passed() {
  return std::exchange(passed_, {});
}

// --- figures
// ----------------------------------------------------------------------------------------------------------

common::Deadline Sender::deadline() const {
  if (news_ || !passed_.empty()) return Time{};  // somebody waits for it
  common::Deadline at;
  for (const Flight& flight : flying_)
    if (!flight.acked) {
      at = flight.sent + timeout_;
      break;
    }
  if (has_work() && flying_.size() < window_) at = common::earliest(at, last_sent_ + kGather);
  return at;
}

std::uint64_t Sender::backlog() const {
  std::uint64_t walking = 0;
  for (const Group& g : store_.groups)
    if (g.role == Role::master && g.stream.epoch != 0 && (!g.stream.followed || g.stream.walking))
      walking += g.flows - std::min(g.flows, g.stream.sent + g.withheld);
  const auto places = std::ranges::count_if(marks_, [](const Marked& m) { return m.sentinel != kNoSlot; });
  return unresolved_ + store_.changes.size + store_.endings.size - static_cast<std::uint64_t>(places) + walking;
}

Duration Sender::lag(Time now) const {
  Duration lag{};
  if (waiting_since_) lag = now - *waiting_since_;
  if (!flying_.empty()) lag = std::max(lag, now - flying_.front().sent);
  return lag;
}

}  // namespace syncd
