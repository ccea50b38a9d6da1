// The group in mastership, and somebody else who says that it is master: rivals and doubts.
#include <fmt/core.h>

#include <algorithm>

#include "vrrpd/group.hpp"

namespace vrrpd {

/// Of two masters of ours one must go; see common::stays().
bool Group::outranks(const common::GroupReport& peer, const Context& ctx) const {
  if (!claims_mastery(peer)) return false;
  const common::Standing ours{ctx.peer.made_apart(name()), ctx.peer.served_apart(name()), term_};
  return !common::stays(ours, {peer.made_apart, peer.served_apart, peer.term});
}

/// The peer is master, and stays. What passed here until now may be known to us alone, so the gate shuts first and
/// syncd tells the peer: packets wait for that instead of being reset by a router that has never heard of them.
void Group::evict(const common::GroupReport& peer, Context& ctx) {
  const std::string cause = "the peer is master in term " + common::to_string(peer.term) + " and stays";
  evicted_ = true;
  if (stage_ == Stage::master || stage_ == Stage::doubting)
    transition(Stage::leaving, Farewell::silent, cause, ctx);
  else if (stage_ == Stage::claiming)
    transition(Stage::backup, Farewell::silent, cause, ctx);
}

/// The link was up in this mastership and has been silent since for as long as the peer needs to claim: it may hold a
/// newer term. A master that claimed because the peer was silent, and has not met it since, knows that its own is
/// newer.
bool Group::suspect(const Context& ctx) const {
  if (!settings_.replicated || !linked_ || !ctx.peer.unlinked_since()) return false;
  return ctx.now >= *ctx.peer.unlinked_since() + shortest_down();
}

void Group::advert_as_master(Instance& member, const Heard& heard, Context& ctx) {
  if (heard.rank == Rank::leaving) {
    // 6.4.3 (610): whoever leaves is told at once that somebody is there. Not in doubt: then nothing is certain.
    if (stage_ == Stage::claiming || stage_ == Stage::master) member.advertise(priority(member, ctx), ctx.now, ctx.out);
    return;
  }
  // An interval without rivals ends what went before: a forged advert an hour must not add up to a lost election.
  if (rival_last_ && ctx.now > *rival_last_ + 2 * shortest_down()) rival_since_.reset();
  rival_last_ = ctx.now;
  switch (stage_) {
    case Stage::claiming:
    case Stage::master:
      contested_ = true;
      if (stage_ == Stage::master && suspect(ctx)) {
        transition(Stage::doubting, Farewell::silent, "the peer is back after a long silence", ctx);
        return;
      }
      if (heard.rank == Rank::higher)
        rival(member, heard, ctx);
      else
        member.answer(priority(member, ctx), ctx.now, ctx.out);
      return;
    case Stage::doubting:
      heard_in_doubt_ = true;  // it is real: the link may take heal_hold to say who is newer
      timers_.set(Timer::doubt, std::max(ctx.now, doubt_since_ + config_.heal_hold));
      return;
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::initialize:
    case Stage::backup:
    case Stage::fault:
    case Stage::stopped:
      return;
  }
}

/// A higher advert. RFC 9568 6.4.3 (645) says: yield. Between two nodes of ours the terms decide, through the link; for
/// heal_hold we wait for its word. A foreign router is obeyed at once.
void Group::rival(Instance& member, const Heard& heard, Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  if (!rival_since_) rival_since_ = ctx.now;
  // What the peer sent just before it handed over may arrive after our claim.
  const bool straggler = ctx.now < claimed_at_ + interval();
  const bool foreign = peer != nullptr && !claims_mastery(*peer) && !straggler;
  const bool hold = settings_.replicated && !foreign && ctx.now < *rival_since_ + config_.heal_hold;
  if (hold) {
    member.count("held_against_higher");
    return;
  }
  transition(Stage::backup, Farewell::silent,
             fmt::format("{} advertises priority {}, ours is {}", heard.source.to_string(), heard.priority,
                         priority(member, ctx)),
             ctx);
  member.accept(priority(member, ctx), ctx.now, foreign);
}

void Group::enter_doubting(const std::string& cause, Context& ctx) {
  log(Log::Level::warning, "doubt", cause + ": comparing terms before anything else is sent", ctx);
  ++counters_["doubts"];
  shut(cause, ctx);
  for (Instance& member : members_)
    member.become(RouterState::active, priority(member, ctx), ctx.now);  // plans no advert
  doubt_since_ = ctx.now;
  heard_in_doubt_ = false;
  // As known before the contact: in its first moments connections may pass here that prove nothing.
  served_apart_ = ctx.peer.served_apart(name()) > 0;
  // A master would be heard again within an interval. If none is, the advert was stray or forged, and we go on before
  // the silence makes the peer's down timer (three intervals and more since our last advert) run out.
  timers_.set(Timer::doubt, ctx.now + interval() * 7 / 4);
  ctx.probe = true;
}

void Group::review_doubt(Context& ctx) {
  const common::GroupReport* peer = said(ctx);
  const std::string trouble = obstacle(ctx);
  if (stopping_)
    transition(Stage::stopped, Farewell::silent, "stopped", ctx);
  else if (!trouble.empty())
    transition(Stage::fault, Farewell::silent, trouble, ctx);
  else if (peer != nullptr && outranks(*peer, ctx))
    evict(*peer, ctx);
  else if (peer != nullptr)
    transition(Stage::master, Farewell::silent, "the peer yields, or is no master", ctx);
  else if (timers_.running(Timer::doubt))
    return;
  // Without a word from the link: whoever still advertises has claimed after us, when it lost us. If traffic
  // passed here since, it was the one that was cut off, and we stay; else it was us.
  else if (heard_in_doubt_ && !served_apart_)
    transition(Stage::backup, Farewell::silent,
               "another master is there, and the link does not say whose term is newer", ctx);
  else {
    if (heard_in_doubt_) linked_ = false;  // settled: the next advert of the same router is no new doubt
    transition(Stage::master, Farewell::silent,
               heard_in_doubt_ ? "traffic passed here while the peer was away" : "nobody else is there", ctx);
  }
}

}  // namespace vrrpd
