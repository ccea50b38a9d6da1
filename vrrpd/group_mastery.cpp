// The group in mastership: claim, prepare, go live, open; hand over and leave.
#include <fmt/core.h>

#include <algorithm>

#include "vrrpd/group.hpp"

namespace vrrpd {

using common::GroupState;
using common::Phase;

namespace {

/// For how long the drain may hold a departure up: longer, and the silence costs more than the last few updates.
constexpr common::Duration kDrainTime = std::chrono::milliseconds(100);
/// Of this, how long the agent may take to shut the gate. A transaction takes about a millisecond; an agent that needs
/// longer may hang, and the drain still gets half of the time.
constexpr common::Duration kShutTime = kDrainTime / 2;
/// After a handover that the peer did not confirm, so that the gate is not shut again and again.
constexpr common::Duration kFirstBackoff = std::chrono::seconds(1);
constexpr common::Duration kLongestBackoff = std::chrono::seconds(8);
/// Flows that the peer has not acknowledged: beyond this a drain of kDrainTime is not likely to succeed.
constexpr std::uint64_t kMostBacklog = 2000;
/// How long an operator's request may take, the backoff of a refused handover included.
constexpr common::Duration kTicketTime = std::chrono::seconds(10);

}  // namespace

// --- claiming ------------------------------------------------------------------------------------------------------

void Group::enter_claiming(const std::string& cause, Context& ctx) {
  mastered_ = term_ = common::Term{term_.counter + 1, settings_.node};
  higher_ = {};
  claimed_at_ = ctx.now;
  linked_ = ctx.peer.linked();
  held_ = yielded_ = live_ = opened_ = told_master_ = contested_ = forced_ = hold_after_ = evicted_ = false;
  store(ctx);
  rival_since_.reset();
  rival_last_.reset();
  announced_at_.reset();
  drained_.reset();
  inherited_addresses_ = false;
  record(GroupState::backup, GroupState::master, cause, ctx);
  log(Log::Level::info, "claim", fmt::format("claiming, term {}: {}", common::to_string(term_), cause), ctx);
  // On every member at once, before anything else: from here on nobody else runs out of patience.
  for (Instance& member : members_) {
    member.become(RouterState::active, priority(member, ctx), ctx.now);
    member.advertise(priority(member, ctx), ctx.now, ctx.out);
  }
  prepare(ctx);
}

void Group::prepare(Context& ctx) {
  opened_ = false;
  prepare_until_ = ctx.now + config_.prepare_timeout;
  timers_.set(Timer::prepare, prepare_until_);
  timers_.set(Timer::gate, ctx.now + config_.gate_timeout);
  mark("prepare", ctx);
  syncd_ = agent_ = Answer::absent;
  // Configured but absent: counted, not waited for. Nobody knows when it will come.
  if (settings_.replicated) ask(common::Role::syncd, ctx);
  if (settings_.gated) ask(common::Role::agent, ctx);
}

void Group::ask(common::Role role, Context& ctx) {
  if (!ctx.participants.present(role)) {
    ++counters_["absent_participant"];
    return;
  }
  (role == common::Role::syncd ? syncd_ : agent_) = Answer::waiting;
  ctx.participants.send(role, common::Prepare{name(), term_, config_.prepare_timeout / std::chrono::milliseconds(1)},
                        ctx.out);
}

bool Group::all_answered() const {
  return syncd_ != Answer::waiting && agent_ != Answer::waiting;
}

bool Group::all_good(const Context& ctx) const {
  if (!all_answered()) return false;
  // Where no peer has ever been there is nothing that could be missing.
  if (!ctx.peer.ever_met() && !met_by_advert_) return true;
  return syncd_ != Answer::bad && agent_ != Answer::bad;
}

void Group::review_claiming(Context& ctx) {
  const std::string trouble = obstacle(ctx);
  if (stopping_)
    transition(Stage::stopped, Farewell::priority_zero, "stopped", ctx);
  else if (!trouble.empty())
    transition(Stage::fault, Farewell::priority_zero, trouble, ctx);
  else if (all_answered())
    transition(Stage::master, Farewell::silent, "prepared", ctx);
  else if (ctx.now >= prepare_until_) {
    ++counters_["prepare_timeout"];
    log(Log::Level::error, "prepare_timeout",
        fmt::format("{} did not prepare in time: addresses go live, the gate stays shut",
                    syncd_ == Answer::waiting ? "syncd" : "the agent"),
        ctx);
    transition(Stage::master, Farewell::silent, "prepare timed out", ctx);
  }
}

// --- master --------------------------------------------------------------------------------------------------------

void Group::enter_master(Stage from, const std::string& cause, Context& ctx) {
  if (from == Stage::claiming) {
    live_ = true;
    appear(ctx);
    mark("addresses", ctx);
    announce(ctx);
    mark("announced", ctx);
    return;  // review_master() opens the gate
  }
  // A departure was called off, or a doubt is settled.
  log(Log::Level::warning, "stays_master", cause, ctx);
  transitions_.back().to = GroupState::master;
  mark("stays master: " + cause, ctx);
  for (Instance& member : members_) member.advertise(priority(member, ctx), ctx.now, ctx.out);
  drained_.reset();
  // The agent may have come anew meanwhile, and then its rules are not known to be in force.
  if (settings_.gated && ctx.participants.present(common::Role::agent) && agent_ != Answer::good)
    prepare(ctx);
  else
    open(common::OpenReason::aborted, ctx);
}

void Group::review_master(Context& ctx) {
  const std::string trouble = obstacle(ctx);
  if (stopping_ || !trouble.empty()) {
    transition(Stage::leaving, Farewell::silent, stopping_ ? "stopped" : trouble, ctx);
    return;
  }
  if (!opened_ && all_good(ctx))
    open(ctx.now < prepare_until_ ? common::OpenReason::ready : common::OpenReason::late_ready, ctx);
  review_rivalry(ctx);
  if (handover_wanted(ctx)) transition(Stage::handing_over, Farewell::silent, "the peer asks for the group", ctx);
}

/// Two answered ARP for a while. Once the other is gone, whoever learned its address must learn ours again.
void Group::review_rivalry(Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  if (peer != nullptr && peer->state == GroupState::master) {
    contested_ = true;
    rival_last_ = ctx.now;
  }
  if (!contested_ || !rival_last_) return;
  // The peer's own word ends it at once. Adverts end by staying away; and neither may be used to make us flood the
  // segment with announcements.
  const bool gone = peer != nullptr && peer->state != GroupState::master;
  Time at = gone ? ctx.now : *rival_last_ + shortest_down();
  if (announced_at_) at = std::max(at, *announced_at_ + shortest_down());
  if (ctx.now < at) {
    timers_.set(Timer::quiet, at);
    return;
  }
  contested_ = false;
  rival_since_.reset();
  announce(ctx);
  mark("announced again", ctx);
}

void Group::open(common::OpenReason reason, Context& ctx) {
  timers_.stop(Timer::gate);
  opened_ = true;
  switch (reason) {
    case common::OpenReason::ready:
    case common::OpenReason::aborted:
      break;
    case common::OpenReason::late_ready:
      ++counters_["late_ready"];
      break;
    case common::OpenReason::deadline:
      ++counters_["deadline_opened"];
      log(Log::Level::error, "deadline_opened",
          "the gate opens although not everything is known to be in place: connections may break", ctx);
      break;
  }
  ctx.participants.send(common::Role::agent, common::Open{name(), term_, reason}, ctx.out);
  mark(fmt::format("open {}", common::to_string(reason)), ctx);
  const bool first = !told_master_;
  told_master_ = true;
  if (first) {
    log(Log::Level::info, "master", fmt::format("master, term {}", common::to_string(term_)), ctx);
    reply(true, {}, ctx);
  }
  // Told again after an aborted departure: syncd has drained and must know that it goes on as the owner.
  tell(first ? "took over" : "stays master", first, ctx);
}

void Group::shut(const std::string& cause, Context& ctx) {
  timers_.stop(Timer::gate);
  opened_ = false;
  ctx.participants.send(common::Role::agent, common::Shut{name(), term_, cause}, ctx.out);
}

void Group::review_mastery(Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  const bool superseded = peer != nullptr && outranks(*peer, ctx);
  switch (stage_) {
    case Stage::claiming:
    case Stage::master:
      // The newer term stays, whatever the priority: the connections made since are there.
      if (superseded)
        evict(*peer, ctx);
      else if (higher_ > term_)
        renumber(ctx);
      else if (stage_ == Stage::claiming)
        review_claiming(ctx);
      else
        review_master(ctx);
      break;
    case Stage::handing_over:
      if (superseded) evict(*peer, ctx);
      review_departure(ctx);
      break;
    case Stage::leaving:
      review_departure(ctx);
      break;
    case Stage::doubting:
      review_doubt(ctx);
      break;
    case Stage::initialize:
    case Stage::backup:
    case Stage::fault:
    case Stage::stopped:
      break;
  }
}

/// Somebody knows of a term newer than ours, and its master is gone (we booted without memory of it). Messages of our
/// term would be ignored as stale for ever, so we take a newer one, without leaving: addresses stay where they are.
void Group::renumber(Context& ctx) {
  mastered_ = term_ = common::Term{higher_.counter + 1, settings_.node};
  higher_ = {};
  store(ctx);
  ++counters_["renumbered"];
  log(Log::Level::info, "renumbered", "a newer term was known: now " + common::to_string(term_), ctx);
  prepare(ctx);
}

// --- departures ----------------------------------------------------------------------------------------------------

bool Group::handover_wanted(const Context& ctx) const {
  const common::GroupReport* peer = said(ctx);
  if (peer == nullptr || peer->phase != Phase::requesting || !opened_ || !can_shut(ctx)) return false;
  // Complete in an older term means nothing: its replica of our flows is not what it speaks of.
  return peer->complete && peer->term == term_ && ctx.peer.backlog(name()) <= kMostBacklog &&
         !timers_.running(Timer::refuse);
}

/// Without the agent the gate stands as it stands: what begins while the group moves would be known to nobody but us.
bool Group::can_shut(const Context& ctx) const {
  return !settings_.gated || ctx.participants.present(common::Role::agent);
}

std::string Group::why_not_handed_over(const Context& ctx) const {
  const common::GroupReport* peer = said(ctx);
  if (!settings_.replicated) return peer_alive(ctx) ? "" : "connections of this group are not replicated; use --force";
  if (!ctx.peer.linked()) return "the sync link is down";
  if (peer == nullptr) return "the peer's vrrpd does not answer";
  if (peer->state == GroupState::fault) return "the peer is in fault";
  if (peer->state == GroupState::master) return "the peer says that it is master too";
  if (!peer->complete || peer->term != term_) return "the peer does not hold all connections yet; see `natctl status`";
  if (ctx.peer.backlog(name()) > kMostBacklog) return "the peer is too far behind; see `natctl status`";
  if (!opened_) return "this router has not finished its own takeover";
  if (!can_shut(ctx)) return "the agent is not there to shut the gate; start `natctl agent`";
  return {};
}

void Group::switchover(bool force, Ticket ticket, Context& ctx) {
  if (ticket_) reply(false, "replaced by a newer request", ctx);
  ticket_ = ticket;
  std::string refusal;
  if (stage_ == Stage::master)
    refusal = force ? std::string() : why_not_handed_over(ctx);
  else if (stage_ == Stage::backup)
    refusal = why_not_requested(ctx);
  else
    refusal = fmt::format("the group is in {}, not in master or backup", common::to_string(public_state()));
  if (!refusal.empty()) {
    reply(false, refusal, ctx);
    return;
  }
  timers_.set(Timer::ticket, ctx.now + kTicketTime);
  if (stage_ == Stage::backup) {
    held_ = false;
    store(ctx);
    requesting_ = by_operator_ = true;
    review(ctx);
    return;
  }
  forced_ = force;
  hold_after_ = true;
  transition(Stage::handing_over, Farewell::silent, "switchover by the operator", ctx);
  review(ctx);
}

void Group::enter_handing_over(const std::string& cause, Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  hold_after_ = hold_after_ || (peer != nullptr && peer->phase == Phase::requesting && peer->by_operator);
  record(GroupState::master, GroupState::backup, cause, ctx);
  log(Log::Level::info, "handing_over", cause, ctx);
  begin_departure(ctx);
}

void Group::enter_leaving(const std::string& cause, Context& ctx) {
  record(GroupState::master,
         evicted_    ? GroupState::backup
         : stopping_ ? GroupState::initialize
                     : GroupState::fault,
         cause, ctx);
  log(Log::Level::warning, "leaving", cause, ctx);
  begin_departure(ctx);
}

/// What passes the gate before it is shut in the kernel must be in the drain: connections that begin in that moment
/// would be known to nobody but us. So the drain begins when the agent says that the gate is shut.
void Group::begin_departure(Context& ctx) {
  shut(stage_ == Stage::leaving ? "leaving" : "handing over", ctx);
  drained_.reset();
  // Without a peer to confirm it a drain only prolongs the silence.
  if (!settings_.replicated || !ctx.participants.present(common::Role::syncd) || !ctx.peer.linked()) {
    drained_ = false;
    return;
  }
  timers_.set(Timer::drain, ctx.now + kDrainTime);
  if (settings_.gated && ctx.participants.present(common::Role::agent))
    timers_.set(Timer::shut, ctx.now + kShutTime);
  else
    begin_drain(ctx);
}

void Group::begin_drain(Context& ctx) {
  timers_.stop(Timer::shut);
  const common::Duration left = timers_.at(Timer::drain).value_or(ctx.now) - ctx.now;
  ctx.participants.send(common::Role::syncd, common::Drain{name(), term_, left / std::chrono::milliseconds(1)},
                        ctx.out);
}

void Group::review_departure(Context& ctx) {
  if (!drained_) return;
  const std::string trouble = obstacle(ctx);
  const bool must = stage_ == Stage::leaving || stopping_ || !trouble.empty() || forced_ || evicted_;
  yielded_ = *drained_ && !evicted_;  // nobody is invited by that: the peer is master
  if (!yielded_ && !must) {
    // Twice as long each time: every attempt shuts the gate for a moment.
    backoff_ = backoff_ == common::Duration{} ? kFirstBackoff : std::min(2 * backoff_, kLongestBackoff);
    timers_.set(Timer::refuse, ctx.now + backoff_);
    hold_after_ = false;
    ++counters_["handover_aborted"];
    reply(false, "the peer did not confirm that it holds everything; this router stays master", ctx);
    transition(Stage::master, Farewell::silent, "the peer did not confirm the drain", ctx);
    return;
  }
  backoff_ = {};
  held_ = hold_after_;
  if (held_) store(ctx);
  // A priority 0 would speak against the group's living master.
  const Farewell farewell = evicted_ ? Farewell::silent : Farewell::priority_zero;
  if (stopping_)
    transition(Stage::stopped, farewell, "stopped", ctx);
  else if (!trouble.empty())
    transition(Stage::fault, farewell, trouble, ctx);
  else
    transition(Stage::backup, farewell,
               evicted_   ? "the peer is master, and stays"
               : yielded_ ? "handed over"
                          : "left",
               ctx);
}

void Group::end_mastery(Stage from, Farewell farewell, Context& ctx) {
  for (const Timer timer : {Timer::prepare, Timer::gate, Timer::drain, Timer::doubt, Timer::quiet, Timer::refuse})
    timers_.stop(timer);
  const bool shut_already = from == Stage::handing_over || from == Stage::leaving || from == Stage::doubting;
  if (!shut_already) shut("not master any more", ctx);
  // Before the priority 0 and the report that name a successor: for no moment shall two answer for one address.
  if (live_) withdraw(ctx);
  live_ = opened_ = false;
  if (farewell == Farewell::priority_zero)
    for (Instance& member : members_) member.say_goodbye(ctx.out);
  // What somebody knew of while we were master is what is newest now.
  if (higher_ > term_) {
    term_ = higher_;
    yielded_ = false;
    store(ctx);
  }
  higher_ = {};
  forced_ = hold_after_ = false;
  syncd_ = agent_ = Answer::absent;
}

// --- addresses -----------------------------------------------------------------------------------------------------

void Group::appear(Context& ctx) {
  const auto count = static_cast<common::Duration::rep>(members_.size());
  for (common::Duration::rep i = 0; i < count; ++i)
    members_[static_cast<std::size_t>(i)].presence().appear(ctx.now, kRenewalSpread * i / count, ctx.out);
}

void Group::withdraw(Context& ctx) {
  for (Instance& member : members_) member.presence().withdraw(ctx.out);
}

void Group::announce(Context& ctx) {
  announced_at_ = ctx.now;
  for (Instance& member : members_) member.presence().announce(ctx.now, ctx.out);
}

}  // namespace vrrpd
