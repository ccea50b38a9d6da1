#include "vrrpd/group.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace vrrpd {

using common::GroupState;

namespace {

/// How long interfaces and the agent may take to appear after the start before their absence counts as a fault: a boot
/// in any order of the daemons shall not call the fault hook.
constexpr common::Duration kFirstLook = std::chrono::seconds(1);
/// After a stop of this process shorter than a down interval: the time in which the shell reads what waits in its
/// sockets. Adverts may be among it.
constexpr common::Duration kCatchUp = std::chrono::milliseconds(5);
/// A review that has not come to rest after this many moves never would.
constexpr int kMostMoves = 8;

}  // namespace

Group::Group(common::GroupConfig config, GroupSettings settings, Inherited inherited, Time now)
    : config_(std::move(config)),
      settings_(std::move(settings)),
      tracker_(config_),
      started_(now),
      since_(now),
      held_(inherited.held) {
  if (inherited.term.believable())
    term_ = mastered_ = std::move(inherited.term);
  else
    ++counters_["term_refused"];
  for (const common::InstanceConfig& instance : config_.instances) members_.emplace_back(instance, config_);
  timers_.set(Timer::start, now + kFirstLook);
}

bool Group::masters() const {
  switch (stage_) {
    case Stage::claiming:
    case Stage::master:
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::doubting:
      return true;
    case Stage::initialize:
    case Stage::backup:
    case Stage::fault:
    case Stage::stopped:
      break;
  }
  return false;
}

// --- events --------------------------------------------------------------------------------------------------------

void Group::on_link(const LinkChanged& link, Context& ctx) {
  for (Instance& member : members_) {
    if (member.config().interface != link.interface) continue;
    // Another MAC, and everybody knows the old one.
    if (member.on_link(link, ctx.now) && stage_ == Stage::master) member.presence().announce(ctx.now, ctx.out);
  }
  tracker_.on_link(link, ctx.now);
  for (Instance& newcomer : newcomers_)
    if (newcomer.config().interface == link.interface) newcomer.on_link(link, ctx.now);
  review(ctx);
}

bool Group::on_advert(const AdvertReceived& packet, Context& ctx) {
  const auto vrid = peek_vrid(packet.payload);
  const auto found = std::ranges::find_if(members_, [&](const Instance& member) {
    const common::InstanceConfig& its = member.config();
    return its.interface == packet.interface && its.vrid == vrid && its.family() == packet.source.family();
  });
  if (found == members_.end()) return false;
  const auto heard = found->receive(packet, priority(*found, ctx), ctx.now, ctx.out);
  if (!heard) return true;
  if (heard->rank != Rank::leaving) met_by_advert_ = true;
  if (stage_ == Stage::backup)
    advert_as_backup(*found, *heard, ctx);
  else if (masters())
    advert_as_master(*found, *heard, ctx);
  review(ctx);
  return true;
}

void Group::on_peer(Context& ctx) {
  if (ctx.peer.linked()) linked_ = linked_ || masters();
  if (settings_.replicated) note_term(ctx.peer.newest(name()), ctx);
  review(ctx);
}

void Group::on_ready(const common::Ready& ready, common::Role from, Context& ctx) {
  // The one place where an answer to an older term is dropped.
  if (!masters() || ready.term != term_) {
    ++counters_["stale_answer"];
    return;
  }
  const bool syncd = from == common::Role::syncd;
  Answer& answer = syncd ? syncd_ : agent_;
  const Answer given = ready.ok ? Answer::good : Answer::bad;
  if (answer == Answer::absent || answer == given) return;  // not asked, or said before
  answer = given;
  mark(fmt::format("ready {}", common::to_string(from)), ctx);
  if (!ready.ok)
    log(Log::Level::warning, "not_ready",
        fmt::format("{} could not prepare: {}", common::to_string(from), ready.detail), ctx);
  review(ctx);
}

void Group::on_gate_shut(const common::GateShut& shut, Context& ctx) {
  if (!masters() || shut.term != term_) {
    ++counters_["stale_answer"];
    return;
  }
  if (!timers_.running(Timer::shut)) return;  // of a doubt, or late
  mark("gate shut", ctx);
  begin_drain(ctx);
}

void Group::on_drained(const common::Drained& drained, Context& ctx) {
  if (!masters() || drained.term != term_) {
    ++counters_["stale_answer"];
    return;
  }
  if (!drained_) {
    drained_ = drained.confirmed;
    mark(drained.confirmed ? "drained" : "not drained: " + drained.detail, ctx);
  }
  review(ctx);
}

void Group::on_joined(common::Role role, const common::Hello& hello, Context& ctx) {
  bool knows_term = false;
  for (const common::Hello::Seen& seen : hello.terms) {
    if (seen.group != name()) continue;
    knows_term = knows_term || seen.term == term_;
    note_term(seen.term, ctx);
  }
  const bool wanted = role == common::Role::syncd ? settings_.replicated : settings_.gated;
  if (wanted && (stage_ == Stage::claiming || stage_ == Stage::master)) {
    if (stage_ == Stage::claiming || !opened_) {
      ask(role, ctx);
    } else if (role == common::Role::agent && knows_term) {
      // It was here before, in this very term: its rules are in force, and shutting the gate to ask would cost packets.
      agent_ = Answer::good;
      ctx.participants.send(role, common::Open{name(), term_, common::OpenReason::ready}, ctx.out);
    } else if (role == common::Role::agent) {
      opened_ = false;
      ask(role, ctx);
      prepare_until_ = ctx.now + config_.prepare_timeout;
      timers_.set(Timer::gate, ctx.now + config_.gate_timeout);
    }
  }
  review(ctx);
}

void Group::on_lost(common::Role role, Context& ctx) {
  Answer& answer = role == common::Role::syncd ? syncd_ : agent_;
  if (answer == Answer::waiting) ++counters_["absent_participant"];
  answer = Answer::absent;
  if (role == common::Role::agent && timers_.running(Timer::shut)) begin_drain(ctx);
  if (role == common::Role::syncd && timers_.running(Timer::drain) && !drained_) drained_ = false;
  review(ctx);
}

void Group::on_change(Context& ctx) {
  review(ctx);
}

void Group::on_address_result(const AddressResult& result, Context& ctx) {
  constexpr int kExists = 17;  // EEXIST: it is there, which is what was asked for
  if (!result.added || result.code == 0 || result.code == kExists) return;
  for (const Instance& member : members_) {
    if (!member.presence().has(result.interface, result.address)) continue;
    // Not a fault by itself: an interface that is gone says so with LinkChanged, and the renewal tries again soon.
    if (counters_["address_failed"]++ == 0)
      log(Log::Level::error, "address_failed",
          fmt::format("cannot add {} to {}: error {}; trying again", result.address.to_string(), result.interface,
                      result.code),
          ctx);
    return;
  }
}

void Group::on_tracked(const Tracked& look, Context& ctx) {
  if (tracker_.on_look(look))
    log(Log::Level::warning, "tracked",
        fmt::format("{} {}; the priority is {}", look.name, look.good ? "is well" : "fails", priority(ctx)), ctx);
  review(ctx);
}

void Group::on_disturbed(const Disturbed& event, Context& ctx) {
  for (Instance& member : members_) {
    // An interface that cannot be used is left anyway.
    if (member.presence().device() != event.device || !member.usable()) continue;
    const auto at = member.presence().disturbed(ctx.now);
    if (!at) continue;
    member.count("repaired");
    log(Log::Level::warning, "disturbed",
        *at == ctx.now ? fmt::format("another program has taken {} from {}: put back", event.what, event.device)
                       : fmt::format("another program takes {} from {} again and again: put back in {:.0f} ms",
                                     event.what, event.device, common::milliseconds(*at - ctx.now)),
        ctx);
    member.presence().tick(ctx.now, stage_ == Stage::master, ctx.out);
  }
  review(ctx);  // it may be the first that is heard after a long sleep
}

void Group::on_overslept(common::Duration lateness, Context& ctx) {
  // Whoever hears nothing for three intervals may take over, so after that long our own state says nothing any more,
  // and what waits in our sockets is as old as the sleep: nothing is sent before a down interval has been listened to.
  const bool long_sleep = lateness > shortest_down();
  const common::Duration pause = long_sleep ? down_interval(ctx) : kCatchUp;
  const Time until = ctx.now + pause;
  if (!listening_until_ || *listening_until_ < until) listening_until_ = until;
  if (!long_sleep) return;
  ++counters_["overslept"];
  log(Log::Level::warning, "overslept",
      fmt::format("this process did not run for {:.0f} ms; listening before anything is sent",
                  common::milliseconds(lateness)),
      ctx);
  if (masters()) transition(Stage::backup, Farewell::silent, "this process was stopped", ctx);
}

void Group::on_tick(Context& ctx) {
  for (Instance& member : members_) member.settle(ctx.now);
  for (Instance& newcomer : newcomers_) newcomer.settle(ctx.now);
  tracker_.settle(ctx.now);
  for (Instance& member : members_)
    if (member.advert_at() && *member.advert_at() <= ctx.now) member.advertise(priority(member, ctx), ctx.now, ctx.out);
  for (Instance& member : members_) member.presence().tick(ctx.now, stage_ == Stage::master, ctx.out);
  expire_timers(ctx);
  review(ctx);
}

void Group::expire_timers(Context& ctx) {
  while (const auto timer = timers_.take_expired(ctx.now)) {
    switch (*timer) {
      case Timer::ticket:
        reply(false, "the other router did not take over in time; see `natctl status` on both", ctx);
        requesting_ = by_operator_ = false;
        break;
      case Timer::gate:
        if (stage_ == Stage::master && !opened_) open(common::OpenReason::deadline, ctx);
        break;
      case Timer::shut:
        ++counters_["gate_shut_late"];
        begin_drain(ctx);
        break;
      case Timer::drain:
        if (!drained_) drained_ = false;
        break;
      // These only wake us: review() looks at the time itself.
      case Timer::start:
      case Timer::again:
      case Timer::anticipate:
      case Timer::wish:
      case Timer::prepare:
      case Timer::doubt:
      case Timer::quiet:
      case Timer::refuse:
      case Timer::linger:
      case Timer::count:
        break;
    }
  }
}

void Group::release(Ticket ticket, Context& ctx) {
  held_ = false;
  // A wish that still waits for the other router is withdrawn as well, or it would be granted later and hold that one.
  if (by_operator_) {
    reply(false, "withdrawn by natctl release", ctx);
    requesting_ = by_operator_ = false;
  }
  store(ctx);
  ticket_ = ticket;
  reply(true, {}, ctx);
  review(ctx);
}

void Group::stop(Context& ctx) {
  stopping_ = true;
  review(ctx);
}

void Group::reply(bool ok, const std::string& error, Context& ctx) {
  timers_.stop(Timer::ticket);
  if (!ticket_) return;
  ctx.out.push_back(SendMessage{ticket_->client, common::Reply{.id = ticket_->id, .ok = ok, .error = error}});
  ticket_.reset();
}

// --- the machine ---------------------------------------------------------------------------------------------------

void Group::review(Context& ctx) {
  admit(ctx);
  int moves = 0;
  while (review_once(ctx)) common::check(++moves < kMostMoves, "a sync group comes to rest");
}

bool Group::review_once(Context& ctx) {
  const Stage before = stage_;
  const std::string trouble = obstacle(ctx);
  switch (stage_) {
    case Stage::initialize:
      if (stopping_)
        transition(Stage::stopped, Farewell::silent, "stopped", ctx);
      else if (trouble.empty())
        transition(owner() ? Stage::claiming : Stage::backup, Farewell::silent, "started", ctx);
      else if (ctx.now >= started_ + kFirstLook)
        transition(Stage::fault, Farewell::silent, trouble, ctx);
      break;
    case Stage::backup:
      if (stopping_)
        transition(Stage::stopped, Farewell::silent, "stopped", ctx);
      else if (!trouble.empty())
        transition(Stage::fault, Farewell::silent, trouble, ctx);
      else
        review_backup(ctx);
      break;
    case Stage::claiming:
    case Stage::master:
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::doubting:
      review_mastery(ctx);
      break;
    case Stage::fault:
      if (stopping_)
        transition(Stage::stopped, Farewell::silent, "stopped", ctx);
      else if (trouble.empty())
        transition(owner() ? Stage::claiming : Stage::backup, Farewell::silent, "the fault is gone", ctx);
      break;
    case Stage::stopped:
      if (timers_.running(Timer::linger) && said(ctx) && claims_mastery(*said(ctx))) timers_.stop(Timer::linger);
      break;
  }
  return stage_ != before;
}

/// The only place that assigns stage_.
void Group::transition(Stage to, Farewell farewell, const std::string& cause, Context& ctx) {
  const Stage from = stage_;
  if (from == to) return;
  leave(from, to, farewell, ctx);
  const GroupState before = public_state();
  stage_ = to;
  const GroupState after = public_state();
  if (before != after) {
    since_ = ctx.now;
    ++counters_[fmt::format("became_{}", common::to_string(after))];
  }
  // A takeover is recorded from its claim on, a departure from its beginning: with all that came between.
  const bool recorded = to == Stage::master || from == Stage::handing_over || from == Stage::leaving;
  if (before != after && !recorded) record(before, after, cause, ctx);
  if (before != after && recorded) transitions_.back().to = after;
  enter(from, cause, ctx);
}

void Group::leave(Stage from, Stage to, Farewell farewell, Context& ctx) {
  switch (from) {
    case Stage::initialize:
      timers_.stop(Timer::start);
      break;
    case Stage::backup:
      leave_backup(ctx);
      break;
    case Stage::claiming:
      timers_.stop(Timer::prepare);
      break;
    case Stage::master:
      timers_.stop(Timer::quiet);
      break;
    case Stage::handing_over:
    case Stage::leaving:
      timers_.stop(Timer::shut);
      timers_.stop(Timer::drain);
      break;
    case Stage::doubting:
      timers_.stop(Timer::doubt);
      break;
    case Stage::fault:
    case Stage::stopped:
      break;
  }
  switch (to) {
    case Stage::initialize:
    case Stage::backup:
    case Stage::fault:
    case Stage::stopped:
      if (masters()) end_mastery(from, farewell, ctx);
      break;
    case Stage::claiming:
    case Stage::master:
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::doubting:
      break;
  }
}

void Group::enter(Stage from, const std::string& cause, Context& ctx) {
  switch (stage_) {
    case Stage::initialize:
      break;
    case Stage::backup:
      enter_backup(cause, ctx);
      break;
    case Stage::claiming:
      enter_claiming(cause, ctx);
      break;
    case Stage::master:
      enter_master(from, cause, ctx);
      break;
    case Stage::handing_over:
      enter_handing_over(cause, ctx);
      break;
    case Stage::leaving:
      enter_leaving(cause, ctx);
      break;
    case Stage::doubting:
      enter_doubting(cause, ctx);
      break;
    case Stage::fault:
      enter_fault(cause, ctx);
      break;
    case Stage::stopped:
      enter_stopped(cause, ctx);
      break;
  }
}

void Group::enter_fault(const std::string& cause, Context& ctx) {
  for (Instance& member : members_) member.become(RouterState::initialize, priority(member, ctx), ctx.now);
  forget_inherited_addresses(ctx);
  log(Log::Level::error, "fault", cause, ctx);
  reply(false, cause, ctx);
  tell(cause, true, ctx);
}

void Group::enter_stopped(const std::string& cause, Context& ctx) {
  // "Yielded" must have reached the peer before syncd notices that we are gone and takes our statement back. Should it
  // be lost, the priority 0 still leads the peer on after the skew.
  constexpr common::Duration kLinger = std::chrono::milliseconds(50);
  if (yielded_) timers_.set(Timer::linger, ctx.now + kLinger);
  for (Instance& member : members_) member.become(RouterState::initialize, priority(member, ctx), ctx.now);
  reply(false, "vrrpd is stopping", ctx);
  tell(cause, true, ctx);
}

/// The one place that learns terms of others. In mastership term_ stays ours: review_mastery() compares.
void Group::note_term(const common::Term& term, Context& ctx) {
  if (!term.believable()) {
    ++counters_["term_refused"];
    return;
  }
  if (masters()) {
    if (term > term_) higher_ = std::max(higher_, term);
    return;
  }
  if (term <= term_) return;
  term_ = term;
  yielded_ = false;  // somebody has followed
  // A term of our own that others have to tell us is from before a reboot, and its connections are gone. It is not
  // stored, or a successor of this process would take it for one whose connections are here.
  if (term_.node != settings_.node) store(ctx);
  if (stage_ == Stage::backup || stage_ == Stage::fault) tell("a newer term: " + common::to_string(term_), false, ctx);
}

void Group::store(Context& ctx) const {
  ctx.out.push_back(StoreTerm{name(), term_, held_});
}

common::Deadline Group::deadline() const {
  common::Deadline result = common::earliest(timers_.next(), tracker_.settles_at());
  for (const Instance& member : members_) result = common::earliest(result, member.settles_at());
  for (const Instance& newcomer : newcomers_) result = common::earliest(result, newcomer.settles_at());
  if (masters())
    for (const Instance& member : members_)
      result = common::earliest(result, common::earliest(member.advert_at(), member.presence().deadline()));
  return result;
}

}  // namespace vrrpd
