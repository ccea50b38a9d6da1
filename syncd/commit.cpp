#include "syncd/commit.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace syncd {
namespace {

using common::Time;

constexpr std::uint8_t kTcp = 6, kGre = 47;
/// Entries looked at in one poll of a walk: bounds its time when there is little to write.
constexpr std::size_t kLookAt = 16384;

std::uint32_t seconds_of(Time now) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}

std::uint32_t later(std::uint32_t a, std::uint32_t b) {
  return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

bool is_tcp(common::ByteView record) {
  return (std::to_integer<unsigned>(record[0]) >> 1 & 3) == 1;
}

std::uint32_t full_timeout(common::ByteView record) {
  const auto layout = inspect(record);
  return layout ? timeout_of(record, *layout) : 0;
}

/// No slot has these.
constexpr std::uint64_t kExpectationToken = UINT64_MAX, kRemovalToken = UINT64_MAX - 1;

std::uint64_t token_of(Slot slot, const Entry& e) {
  return std::uint64_t{e.hash} << 32 | slot;
}

}  // namespace

std::string refusal_text(int code) {
  if (code == ENOMEM || code == ENOSPC) return "its table is full, or memory is short";
  if (code == EEXIST) return "a connection of this router has the same addresses and ports";
  return std::strerror(code);
}

/// What stands in the table already comes by no record, and a takeover relies on all of it being in the kernel.
void Commit::set_policy(common::CommitPolicy policy) {
  if (std::exchange(policy_, policy) == policy || policy != common::CommitPolicy::continuous) return;
  for (Group& group : store_.groups)
    if (group.replicated && group.role == Role::backup) start_walk(group);
}

bool Commit::writes_at_once(const Group& group) const {
  return group.role == Role::backup && (policy_ == common::CommitPolicy::continuous || group.anticipated);
}

/// Would a takeover now find the kernel's entry missing, wrong or about to run out?
bool Commit::lacks(Slot slot, Time now) const {
  const Entry& e = store_.table[slot];
  if (e.is(entry::refused)) return false;
  if (!e.is(entry::in_kernel) || e.is(entry::behind | entry::rebind)) return true;
  const common::ByteView record = store_.table.record(slot);
  if (is_tcp(record) && !e.is(entry::liberal)) return true;
  if (is_closed(record)) return false;  // it is to run out
  const std::uint32_t wanted =
      policy_ == common::CommitPolicy::continuous ? kLeaseRenew : std::max(full_timeout(record) / 2, 1u);
  return e.lease_until < later(seconds_of(now), wanted);
}

void Commit::stored(Slot slot, Difference difference, Time now) {
  Entry& e = store_[slot];
  if (difference != Difference::none) {
    store_.set_refused(e, false);
    e.clear(entry::retried);
    note_end(slot, now);
  }
  if (e.is(entry::in_kernel) && difference == Difference::binding) e.set(entry::rebind);
  if (e.is(entry::in_kernel) && difference == Difference::state) e.set(entry::behind);
  if (writes_at_once(store_.group_of(e)) && lacks(slot, now)) store_.queue_write(slot);
}

/// Of a connection that is told to have closed.
void Commit::note_end(Slot slot, Time now) {
  const common::ByteView record = store_.table.record(slot);
  if (is_closed(record)) store_[slot].lease_until = later(seconds_of(now), full_timeout(record));
}

void Commit::adopted(Slot slot, Difference difference, Time now) {
  Entry& e = store_[slot];
  if (store_.group_of(e).role != Role::master) return stored(slot, difference, now);
  note_end(slot, now);
  if (e.is(entry::in_kernel)) e.set(difference == Difference::binding ? entry::rebind : entry::behind);
  store_.queue_write(slot);
}

void Commit::ended(Slot slot) {
  store_.end(slot);
  if (store_[slot].is(entry::in_kernel))
    store_.queue_write(slot);
  else
    store_.unqueue_write(slot);
}

void Commit::vanished(Slot slot) {
  Entry& e = store_[slot];
  const Group& group = store_.group_of(e);
  store_.set_in_kernel(e, false);
  if (e.is(entry::gone)) {
    store_.unqueue_write(slot);
    return store_.release(slot);
  }
  const bool told_of = e.generation == group.generation || group.replica.epoch == 0;
  if (e.is(entry::found) || !told_of) {
    store_.unqueue(slot);
    store_.unqueue_write(slot);
    store_.end(slot);
    return store_.release(slot);
  }
  if (!writes_at_once(group)) return;
  ++store_.counters[Counter::recreated];
  store_.queue_write(slot);
}

void Commit::start_walk(Group& group) {
  const std::size_t index = store_.groups.index(group);
  std::erase_if(walks_, [index](const Walk& w) { return w.group == index; });
  walks_.push_back({index, 0});
}

bool Commit::walks(const Group& group) const {
  return std::ranges::find(walks_, store_.groups.index(group), &Walk::group) != walks_.end();
}

void Commit::queue_expectations(Group& group) {
  const std::size_t index = store_.groups.index(group);
  for (const Slot slot : store_.expecting)
    if (store_[slot].group == index) announcing_.push_back(slot);
}

void Commit::anticipate(Group& group, bool on) {
  if (group.role == Role::master || group.anticipated == on) return;
  group.anticipated = on;
  if (on && policy_ == common::CommitPolicy::on_takeover) start_walk(group);
}

void Commit::take_over(Group& group, bool whole, Time now) {
  group.anticipated = false;
  if (policy_ == common::CommitPolicy::on_takeover || !whole || walks(group) || group.refused > 0) start_walk(group);
  queue_expectations(group);
  settling_.push_back({store_.groups.index(group), 0});
  settle_at_ = now + kSettleAfter;
}

void Commit::step_down(Group& group) {
  const auto of_group = [index = store_.groups.index(group)](const Walk& w) { return w.group == index; };
  group.anticipated = false;
  std::erase_if(walks_, of_group);
  std::erase_if(announcing_, [&](Slot slot) { return &store_.group_of(store_[slot]) == &group; });
  std::erase_if(settling_, of_group);
  if (settling_.empty()) settle_at_.reset();  // or it stays in the past, and the shell has nothing but timers to serve
}

void Commit::commit_all(Group& group) {
  start_walk(group);
  queue_expectations(group);
}

// --- writing
// ----------------------------------------------------------------------------------------------------------

/// What is left for a connection that is closed, on a standby with some grace: the master's entry is to end first.
std::uint32_t Commit::closed_timeout(const Entry& e, bool standby, Time now) {
  const std::uint32_t second = seconds_of(now);
  const std::uint32_t left = e.lease_until > second ? e.lease_until - second : 0;
  return standby ? left + kClosedGrace : std::max(left, 1u);
}

/// A whole entry for the kernel; notes in the table what the kernel will have then.
void Commit::fill(Slot slot, Time now, KernelWrite& out) {
  Entry& e = store_[slot];
  const bool standby = store_.group_of(e).role != Role::master && policy_ == common::CommitPolicy::continuous;
  out.op = e.is(entry::rebind)      ? KernelWrite::Op::replace
           : e.is(entry::in_kernel) ? KernelWrite::Op::update
                                    : KernelWrite::Op::create_or_update;
  out.flow = decode(store_.table.record(slot));
  const std::uint32_t own = out.flow.timeout;
  const bool tunnel = out.flow.key.protocol == kGre, closed = is_closed(store_.table.record(slot));
  if (tunnel)
    out.flow.timeout = std::max(own, kTunnelTimeout);
  else if (closed)
    out.flow.timeout = closed_timeout(e, standby, now);
  else if (standby)
    out.flow.timeout = std::max(own, kLease);
  if (out.flow.key.protocol == kTcp && out.flow.has_tcp) {
    out.flow.tcp.flags_original |= tcp_flags::be_liberal;
    out.flow.tcp.flags_reply |= tcp_flags::be_liberal;
  }
  store_.set_in_kernel(e, true);
  e.clear(entry::behind | entry::rebind | entry::retime | entry::leased);
  if (out.flow.key.protocol == kTcp) e.set(entry::liberal);
  if (closed ? standby : out.flow.timeout != own && !tunnel) e.set(entry::leased);
  if (!closed) e.lease_until = later(seconds_of(now), out.flow.timeout);
  e.seen = store_.dump_number;
}

/// An expected flow can be tied to its master only when it is made, and only if that is there.
void Commit::write_master_of(Slot slot, Time now, std::vector<KernelWrite>& out) {
  const auto key = master_of(store_.table.record(slot));
  if (!key) return;
  Record record;
  encode_key(*key, record);
  const Slot master = store_.table.find(record.key());
  if (master == kNoSlot || master == slot) return;
  const Entry& e = store_[master];
  if (e.is(entry::gone | entry::in_kernel | entry::refused) || e.group != store_[slot].group) return;
  store_.unqueue_write(master);
  KernelWrite w;
  w.token = token_of(master, e);
  fill(master, now, w);
  ++store_.counters[Counter::kernel_writes];
  out.push_back(std::move(w));
}

/// An ordinary replacement would also remove another flow of ours that has the same translation.
void Commit::make_way(Slot slot, std::vector<KernelWrite>& out) {
  Entry& e = store_[slot];
  KernelWrite w{.op = KernelWrite::Op::remove, .flow = {}, .token = kRemovalToken};
  w.flow.key = decode_key(store_.table.record(slot));
  w.flow.reply = inverted(w.flow.key);
  store_.set_in_kernel(e, false);
  e.clear(entry::rebind);
  ++store_.counters[Counter::kernel_writes];
  out.push_back(std::move(w));
}

void Commit::write(Slot slot, Time now, std::vector<KernelWrite>& out) {
  Entry& e = store_[slot];
  if (!e.is(entry::gone | entry::in_kernel)) write_master_of(slot, now, out);
  if (e.is(entry::adopted) && e.is(entry::rebind) && store_.group_of(e).role == Role::master) make_way(slot, out);
  KernelWrite w;
  w.token = token_of(slot, e);
  if (e.is(entry::gone)) {
    if (!e.is(entry::in_kernel)) return store_.release(slot);
    w.op = KernelWrite::Op::remove;
    w.flow.key = decode_key(store_.table.record(slot));
    w.flow.reply = inverted(w.flow.key);
    store_.set_in_kernel(e, false);
    store_.release(slot);
  } else if (e.is(entry::retime) && e.is(entry::in_kernel) && !e.is(entry::behind | entry::rebind)) {
    fill(slot, now, w);
    w.op = KernelWrite::Op::set_timeout;
  } else {
    fill(slot, now, w);
  }
  ++store_.counters[Counter::kernel_writes];
  out.push_back(std::move(w));
}

void Commit::walk(Time now, std::size_t most, std::vector<KernelWrite>& out) {
  std::size_t looked_at = 0;
  Walk& w = walks_.front();
  for (; w.cursor < store_.table.end() && out.size() < most; ++w.cursor) {
    if (++looked_at > kLookAt) return;
    Entry& e = store_[w.cursor];
    if (!e.used() || e.is(entry::gone | entry::sentinel) || e.group != w.group) continue;
    if (e.is(entry::refused)) try_again(e);
    if (!lacks(w.cursor, now)) continue;
    store_.unqueue_write(w.cursor);
    write(w.cursor, now, out);
  }
  if (w.cursor >= store_.table.end()) walks_.erase(walks_.begin());
}

/// Of a flow that is in the kernel: without its master there is nothing to expect.
void Commit::expect(std::vector<KernelWrite>& out) {
  const Slot slot = announcing_.back();
  announcing_.pop_back();
  const Entry& e = store_[slot];
  if (!store_.expecting.contains(slot) || !e.is(entry::in_kernel)) return;
  KernelWrite w{.op = KernelWrite::Op::expect, .flow = decode(store_.table.record(slot)), .token = kExpectationToken};
  ++store_.counters[Counter::expectations_written];
  out.push_back(std::move(w));
}

void Commit::poll(Time now, std::size_t most, std::vector<KernelWrite>& out) {
  const std::size_t begin = out.size(), end = begin + most;
  while (!store_.writes.empty() && out.size() < end) {
    const Slot slot = store_.writes.head;
    store_.unqueue_write(slot);
    write(slot, now, out);
  }
  // A slice with nothing to write must not look like the end of the work.
  const std::size_t before = out.size();
  while (!walks_.empty() && out.size() < end && out.size() == before) walk(now, end, out);
  // In portions of their own: by then the kernel has all masters that it takes.
  if (out.size() != begin || !store_.writes.empty() || !walks_.empty()) return;
  while (!announcing_.empty() && out.size() < end) expect(out);
}

/// The kernel may have room by now, or what stood in the way may be gone.
void Commit::try_again(Entry& e) {
  store_.set_refused(e, false);
  e.clear(entry::retried);
}

void Commit::give_up(Slot slot, int code) {
  if (!refusals_) refusals_ = {.first = decode_key(store_.table.record(slot)), .code = code, .count = 0};
  ++refusals_->count;
  store_.set_refused(store_[slot], true);
  ++failures_;
  last_failure_ = code;
  ++store_.counters[Counter::commit_failed];
}

void Commit::refused(const KernelResult& result) {
  if (result.token == kExpectationToken) {
    ++store_.counters[Counter::expectations_refused];
    return;
  }
  if (result.token == kRemovalToken && result.code == ENOENT) return;  // it has run out by itself
  ++store_.counters[Counter::kernel_refusals];
  const Slot slot = static_cast<Slot>(result.token & 0xffffffffu);
  if (slot >= store_.table.end()) return;
  Entry& e = store_[slot];
  if (!e.used() || e.is(entry::gone | entry::sentinel) || e.hash != result.token >> 32) return;
  store_.set_in_kernel(e, false);
  const Group& group = store_.group_of(e);
  if (result.code == ENOENT) {
    // It ended while we wrote. As master we are told so by the kernel; as backup the peer still has it.
    if (group.role == Role::backup && writes_at_once(group)) store_.queue_write(slot);
    return;
  }
  if (result.code == ENOMEM || result.code == ENOSPC) {
    ++store_.counters[Counter::kernel_full];
    return give_up(slot, result.code);
  }
  // It may not displace a flow of ours: what passes here is alive, what the peer only remembers may not be.
  if (e.is(entry::adopted) && group.role == Role::master) {
    ++store_.counters[Counter::adoptions_refused];
    note_clash(slot);
    store_.end(slot);
    return store_.enqueue(slot, Queue::endings);
  }
  if (e.is(entry::retried)) return give_up(slot, result.code);
  if (result.code == EEXIST) ++store_.counters[Counter::reply_clashes];
  e.set(entry::retried | entry::rebind);
  store_.queue_write(slot);
}

// --- time
// -------------------------------------------------------------------------------------------------------------

void Commit::renew_leases(Time now) {
  const auto steps = static_cast<std::size_t>(kLeaseWalk / kLeaseStep);
  const Slot end = store_.table.end();
  for (std::size_t left = end / steps + 1; left > 0 && end > 0; --left, ++lease_cursor_) {
    if (lease_cursor_ >= end) {
      lease_cursor_ = 0;
      return;
    }
    Entry& e = store_[lease_cursor_];
    if (!e.used() || e.is(entry::gone | entry::sentinel | entry::found | entry::queued)) continue;
    const Group& group = store_.group_of(e);
    if (group.role != Role::backup || !group.replicated) continue;
    // What an earlier mastership left behind waits for the peer's walk, unless there is no peer that walks.
    if (e.generation != group.generation && group.replica.epoch != 0) continue;
    try_again(e);
    if (!lacks(lease_cursor_, now)) continue;
    const bool as_wanted =
        !e.is(entry::behind | entry::rebind) && (e.is(entry::liberal) || !is_tcp(store_.table.record(lease_cursor_)));
    if (e.is(entry::in_kernel) && as_wanted) {
      e.set(entry::retime);
      ++store_.counters[Counter::leases_renewed];
    }
    store_.queue_write(lease_cursor_);
  }
}

void Commit::settle(Time now) {
  const auto most = static_cast<std::size_t>(kSettlePerSecond * (kSettleStep / std::chrono::milliseconds(1)) / 1000);
  std::size_t looked_at = 0, queued = 0;
  Walk& w = settling_.front();
  for (; w.cursor < store_.table.end() && queued < most; ++w.cursor) {
    if (++looked_at > kLookAt) break;
    Entry& e = store_[w.cursor];
    if (!e.used() || e.is(entry::gone | entry::sentinel) || e.group != w.group) continue;
    if (!e.is(entry::leased) || !e.is(entry::in_kernel)) continue;
    e.set(entry::retime);
    store_.queue_write(w.cursor);
    ++store_.counters[Counter::timeouts_restored];
    ++queued;
  }
  if (w.cursor >= store_.table.end()) settling_.erase(settling_.begin());
  settle_at_.reset();
  if (!settling_.empty()) settle_at_ = now + kSettleStep;
}

void Commit::tick(Time now) {
  if (settle_at_ && *settle_at_ <= now && !settling_.empty()) settle(now);
  if (policy_ != common::CommitPolicy::continuous) return lease_at_.reset();
  if (!lease_at_) lease_at_ = now + kLeaseStep;
  if (*lease_at_ > now) return;
  renew_leases(now);
  lease_at_ = now + kLeaseStep;
}

std::optional<Commit::Refusals> Commit::take_refusals(Time now) {
  if (!refusals_ || (tell_refusals_at_ && now < *tell_refusals_at_)) return std::nullopt;
  tell_refusals_at_ = now + kTellRefusals;
  return std::exchange(refusals_, std::nullopt);
}

void Commit::note_clash(Slot slot) {
  if (!clashes_) clashes_ = {.first = decode_key(store_.table.record(slot)), .count = 0};
  ++clashes_->count;
}

std::optional<Commit::Clashes> Commit::take_clashes(Time now) {
  if (!clashes_ || (tell_clashes_at_ && now < *tell_clashes_at_)) return std::nullopt;
  tell_clashes_at_ = now + kTellRefusals;
  return std::exchange(clashes_, std::nullopt);
}

common::Deadline Commit::deadline() const {
  return common::earliest(settle_at_, lease_at_);
}

}  // namespace syncd
