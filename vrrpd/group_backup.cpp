// The group in backup: what it hears, when it claims, and when it asks for the group.
#include <fmt/core.h>

#include <algorithm>

#include "vrrpd/group.hpp"

namespace vrrpd {

using common::GroupState;
using common::Phase;

namespace {

/// An advert counts as overdue when it is this late; syncd then commits in advance. At long intervals the jitter of
/// the sender is a smaller part of the interval, and more time is won by noticing early.
common::Duration overdue_after(common::Duration interval) {
  constexpr common::Duration kLongInterval = std::chrono::seconds(1);
  return interval < kLongInterval ? interval * 3 / 2 : interval * 6 / 5;
}

/// The second sign for a priority 0 that has come on some members only: the next advert on the others stays away. One
/// interval, and an eighth for the jitter of the sender.
common::Duration missing_after(common::Duration interval) {
  return interval * 9 / 8;
}

}  // namespace

void Group::enter_backup(const std::string& cause, Context& ctx) {
  for (Instance& member : members_) member.become(RouterState::backup, priority(member, ctx), ctx.now);
  zero_at_.reset();
  lower_since_.reset();
  wish_since_.reset();
  leaving_since_.reset();
  waiting_why_.clear();
  log(Log::Level::info, "backup", cause, ctx);
  tell(cause, true, ctx);
}

void Group::leave_backup(Context& ctx) {
  if (ticket_ && !by_operator_) reply(false, "the peer did not take over", ctx);
  for (const Timer timer : {Timer::again, Timer::anticipate, Timer::wish}) timers_.stop(timer);
  requesting_ = by_operator_ = false;
  leaving_since_.reset();
  listening_until_.reset();
  // Whatever comes next says what is to be done; what was done in advance need not be undone for it.
  anticipating_ = false;
}

void Group::advert_as_backup(Instance& member, const Heard& heard, Context& ctx) {
  switch (heard.rank) {
    case Rank::leaving:
      // A second one must not start the skew anew, or whoever repeats it keeps the group without a master.
      if (member.leaving_heard()) return;
      member.shorten(priority(member, ctx), ctx.now);
      if (!zero_at_) zero_at_ = ctx.now + member.skew(priority(member, ctx));
      return;
    case Rank::higher:
      lower_since_.reset();
      break;
    case Rank::lower:
      // 6.4.2 (460): discarded, so that the timer runs out and we preempt.
      if (!accepts_lower(ctx)) return;
      break;
  }
  const common::GroupReport* peer = said(ctx);
  member.accept(priority(member, ctx), ctx.now, peer != nullptr && !claims_mastery(*peer));
  forget_inherited_addresses(ctx);
  if (ticket_ && !by_operator_) reply(true, {}, ctx);  // who was asked to take over has done so
  const bool doubtful =
      std::any_of(members_.begin(), members_.end(), [](const Instance& m) { return m.leaving_heard(); });
  if (!doubtful) zero_at_.reset();
  // A master that advertises has not left, whatever it said before.
  if (peer == nullptr || peer->phase != Phase::leaving) leaving_since_.reset();
}

/// Whether the adverts of a lower router keep us in backup.
bool Group::accepts_lower(Context& ctx) {
  if (owner()) return false;  // 6.1 Preempt_Mode: the owner preempts always
  if (!config_.preempt) return true;
  if (!lower_since_) lower_since_ = ctx.now;
  if (settings_.replicated) {
    const common::GroupReport* peer = said(ctx);
    // Our own peer is never preempted by timer: that would break what is not replicated yet. We ask for the group.
    if (peer != nullptr && claims_mastery(*peer)) return true;
    // Linked, but its vrrpd has not spoken yet: it will.
    if (peer == nullptr && ctx.peer.linked()) return true;
    if (peer == nullptr) {
      if (config_.preempt_without_sync == common::PreemptWithoutSync::never) return true;
      const Time since = std::max(*lower_since_, ctx.peer.unlinked_since().value_or(started_));
      return ctx.now < since + config_.preempt_without_sync_after;
    }
    // The peer is not master, so these adverts are a foreign router's.
  }
  return ctx.now < *lower_since_ + config_.preempt_delay;
}

Facts Group::facts(const Context& ctx) const {
  Facts f;
  f.now = ctx.now;
  f.term = term_;
  f.was_master = term_.valid() && term_ == mastered_ && term_.node == settings_.node;
  f.replicated = settings_.replicated;
  f.complete = complete(ctx);
  f.yielded = yielded_;
  f.started = started_;
  f.listening_until = listening_until_;
  f.linked = ctx.peer.linked();
  f.ever_met = ctx.peer.ever_met() || met_by_advert_;
  f.said = said(ctx);
  f.leaving_since = leaving_since_;
  f.zero_at = zero_at_;
  f.zero_everywhere = true;
  f.silent_at = started_;
  f.overdue_at = started_;
  for (const Instance& member : members_) {
    f.silent_at = std::max(f.silent_at, member.down_at().value_or(ctx.now));
    f.hearing = f.hearing || (!member.leaving_heard() && member.hears_active(ctx.now));
    if (member.leaving_heard()) continue;
    f.zero_everywhere = false;
    if (member.last_advert())
      f.overdue_at = std::max(f.overdue_at, *member.last_advert() + missing_after(member.active_interval()));
  }
  f.down_interval = down_interval(ctx);
  f.skew = members_.front().skew(priority(members_.front(), ctx));
  f.silent_at = std::max(f.silent_at, started_ + config_.startup_delay);
  f.witness_hold = config_.witness_hold;
  return f;
}

void Group::review_backup(Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  if (peer != nullptr && claims_mastery(*peer)) {
    forget_inherited_addresses(ctx);
    if (ticket_ && !by_operator_) reply(true, {}, ctx);  // who was asked to take over has done so
  }
  // Noted until it is master again: that it goes on to say "fault" or "backup" does not make it less gone.
  if (peer != nullptr && peer->phase == Phase::leaving && !leaving_since_) leaving_since_ = ctx.now;
  if (peer != nullptr && claims_mastery(*peer) && peer->phase != Phase::leaving) leaving_since_.reset();
  const Verdict verdict = decide(facts(ctx));
  timers_.stop(Timer::again);
  if (verdict.again) timers_.set(Timer::again, *verdict.again);
  switch (verdict.decision) {
    case Decision::claim:
      transition(Stage::claiming, Farewell::silent, std::string(verdict.why), ctx);
      return;
    case Decision::disbelieve:
      ++counters_["stray_priority_zero"];
      log(Log::Level::warning, "stray_priority_zero",
          "a priority 0 was heard, but the link says that the peer is master: it is stray or forged", ctx);
      for (Instance& member : members_)
        if (member.leaving_heard()) member.restore(priority(member, ctx), ctx.now);
      zero_at_.reset();
      timers_.set(Timer::again, ctx.now);  // look once more, without it
      break;
    case Decision::stay:
      if (verdict.why != waiting_why_ && !verdict.why.empty())
        log(Log::Level::error, "witness_hold", std::string(verdict.why), ctx);
      waiting_why_ = verdict.why;
      break;
  }
  review_anticipation(ctx);
  review_wish(ctx);
}

void Group::review_anticipation(Context& ctx) {
  timers_.stop(Timer::anticipate);
  if (!settings_.replicated) return;
  common::Deadline overdue;
  for (const Instance& member : members_)
    if (member.last_advert()) {
      const Time at = *member.last_advert() + overdue_after(member.active_interval());
      overdue = overdue ? std::max(*overdue, at) : at;  // one member that still hears the master is enough
    }
  if (!overdue) return;
  const bool on = ctx.now >= *overdue;
  if (on != anticipating_) {
    anticipating_ = on;
    ctx.participants.send(common::Role::syncd, common::Anticipate{name(), on}, ctx.out);
  }
  if (!on) timers_.set(Timer::anticipate, *overdue);
}

/// Failback, or an operator's wish: asks the master for the group as soon as nothing is lost by it.
void Group::review_wish(Context& ctx) {
  timers_.stop(Timer::wish);
  if (by_operator_) return;  // until answered, or until its time is up
  const common::GroupReport* peer = said(ctx);
  const bool wanted = config_.preempt && !held_ && peer != nullptr && claims_mastery(*peer) &&
                      priority(ctx) > peer->priority && complete(ctx) &&
                      !(listening_until_ && ctx.now < *listening_until_);
  if (!wanted) {
    wish_since_.reset();
    requesting_ = false;
    return;
  }
  if (!wish_since_) wish_since_ = ctx.now;
  const Time at = *wish_since_ + config_.preempt_delay;
  if (ctx.now < at)
    timers_.set(Timer::wish, at);
  else
    requesting_ = true;
}

std::string Group::why_not_requested(const Context& ctx) const {
  const common::GroupReport* peer = said(ctx);
  if (!settings_.replicated) return "this group is not replicated, so only its master can be told to hand over";
  if (!ctx.peer.linked()) return "the sync link is down";
  if (peer == nullptr) return "the peer's vrrpd does not answer";
  if (peer->state != GroupState::master) return "the peer is not master of the group either";
  if (!complete(ctx)) return "the connections of the peer are not all here yet; see `natctl status`";
  return {};
}

/// A predecessor of this process that was killed left its addresses on. Once somebody else is master they go at once;
/// until then they stay, as we may be the one who takes back. (The shell removes only what it knows to be ours.)
void Group::forget_inherited_addresses(Context& ctx) {
  if (!inherited_addresses_) return;
  inherited_addresses_ = false;
  withdraw(ctx);
}

}  // namespace vrrpd
