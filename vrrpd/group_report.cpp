// What the group says of itself: to the peer, to participants, to people.
#include <fmt/core.h>

#include <algorithm>

#include "vrrpd/group.hpp"

namespace vrrpd {

using common::GroupState;
using common::Phase;

namespace {

/// More points than any takeover has; a record stays small whatever happens in its time.
constexpr std::size_t kMostPoints = 32;

}  // namespace

GroupState Group::public_state() const {
  switch (stage_) {
    case Stage::initialize:
    case Stage::stopped:
      return GroupState::initialize;
    case Stage::backup:
    case Stage::claiming:
      return GroupState::backup;
    case Stage::master:
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::doubting:
      return GroupState::master;
    case Stage::fault:
      break;
  }
  return GroupState::fault;
}

Phase Group::phase() const {
  switch (stage_) {
    case Stage::claiming:
      return Phase::claiming;
    case Stage::handing_over:
      return Phase::handing_over;
    case Stage::leaving:
      return Phase::leaving;
    case Stage::master:
    case Stage::doubting:
      return Phase::idle;
    case Stage::initialize:
    case Stage::backup:
    case Stage::fault:
    case Stage::stopped:
      break;
  }
  if (yielded_) return Phase::yielded;
  return requesting_ ? Phase::requesting : Phase::idle;
}

common::GroupReport Group::report(const Context& ctx) const {
  common::GroupReport result;
  result.group = name();
  result.state = public_state();
  // "initialize" is no statement, and the last word of a group that stops is one: who shall follow.
  if (stage_ == Stage::stopped && yielded_) result.state = GroupState::backup;
  result.phase = phase();
  result.term = term_;
  result.complete = complete(ctx);
  result.held = held_;
  result.by_operator = by_operator_;
  result.priority = priority(ctx);
  // It is repeated every interval; two may be late, and still it ends before the peer's down timer does.
  result.valid_for_ms = interval() * 5 / 2 / std::chrono::milliseconds(1);
  return result;
}

common::GroupSnapshot Group::snapshot() const {
  return {name(), public_state(), phase(), term_};
}

void Group::record(GroupState from, GroupState to, const std::string& cause, Context& ctx) {
  if (transitions_.size() == kTransitionsKept) transitions_.erase(transitions_.begin());
  transitions_.push_back(TransitionRecord{ctx.now, term_, from, to, cause, {}});
}

void Group::mark(std::string what, const Context& ctx) {
  if (transitions_.empty() || transitions_.back().timeline.size() == kMostPoints) return;
  TransitionRecord& last = transitions_.back();
  last.timeline.push_back({std::move(what), ctx.now - last.at});
}

void Group::log(Log::Level level, std::string name_of_event, const std::string& text, Context& ctx) const {
  ctx.out.push_back(Log{level, std::move(name_of_event), name() + ": " + text});
}

std::string Group::gate_text(const Context& ctx) const {
  if (!settings_.gated || !ctx.participants.present(common::Role::agent)) return {};
  return stage_ == Stage::master && opened_ ? "open" : "shut";
}

/// Why a failure of the master now would cost connections, or would not be survived.
std::vector<std::string> Group::reasons(const Context& ctx) const {
  std::vector<std::string> result;
  if (const std::string trouble = obstacle(ctx); !trouble.empty()) result.push_back(trouble);
  if (stage_ == Stage::doubting) result.push_back("two masters met; comparing terms");
  for (const Instance& newcomer : newcomers_)
    result.push_back("instance " + newcomer.config().name + " cannot join the group yet: " +
                     (newcomer.usable() ? "the group is on the move" : newcomer.trouble()));
  if (!waiting_why_.empty() && stage_ == Stage::backup) result.push_back(waiting_why_);
  if (settings_.gated && !ctx.participants.present(common::Role::agent))
    result.push_back("`natctl agent` is not connected");
  if (!settings_.replicated) {
    if (stage_ == Stage::backup && !peer_alive(ctx)) result.push_back("no master is heard");
    return result;
  }
  if (!ctx.participants.present(common::Role::syncd)) {
    result.push_back("syncd is not connected");
    return result;
  }
  if (ctx.peer.silent(ctx.now)) result.push_back("syncd is connected, but has said nothing for three seconds");
  const common::GroupReport* peer = said(ctx);
  switch (ctx.peer.link()) {
    case common::LinkState::up:
      break;
    case common::LinkState::refused:
      result.push_back("the sync link is heard, but its key is wrong");
      break;
    case common::LinkState::none:
    case common::LinkState::down:
      result.push_back("the sync link is down");
      break;
  }
  if (ctx.peer.config_differs()) result.push_back("the two routers have different configurations");
  if (!ctx.peer.linked()) return result;
  if (peer == nullptr)
    result.push_back("the peer's vrrpd does not answer");
  else if (peer->state == GroupState::fault)
    result.push_back("the peer is in fault");
  else if (masters() && peer->state == GroupState::master)
    result.push_back("both routers are master");
  else if (masters() && !peer->complete)
    result.push_back("the peer does not hold all connections yet");
  else if (stage_ == Stage::backup && !complete(ctx))
    result.push_back("not all connections of the peer are here yet");
  if (masters() && !opened_ && stage_ == Stage::master) result.push_back("the gate is not open yet");
  return result;
}

GroupStatus Group::status(const Context& ctx) const {
  GroupStatus result;
  result.name = name();
  result.state = public_state();
  result.phase = phase();
  result.term = term_;
  result.since = since_;
  result.priority = priority(ctx);
  result.held = held_;
  result.gate = gate_text(ctx);
  result.reasons = reasons(ctx);
  for (const Instance& member : members_)
    result.instances.push_back(member.status(result.state, priority(member, ctx)));
  for (const Instance& newcomer : newcomers_)
    result.instances.push_back(newcomer.status(GroupState::initialize, priority(newcomer, ctx)));
  result.tracks = tracker_.status();
  result.counters = counters_;
  result.transitions = transitions_;
  return result;
}

void Group::tell(const std::string& cause, bool with_hooks, Context& ctx) {
  ctx.participants.broadcast(common::Entered{name(), public_state(), phase(), term_, priority(ctx), cause}, ctx.out);
  if (with_hooks) run_hooks(ctx);
}

namespace {

/// What keepalived calls the state, and the hook that is for it alone.
std::pair<std::string, std::string> hook_of(GroupState state, const common::HooksConfig& hooks) {
  switch (state) {
    case GroupState::initialize:
      return {"STOP", hooks.stop};
    case GroupState::backup:
      return {"BACKUP", hooks.backup};
    case GroupState::master:
      return {"MASTER", hooks.master};
    case GroupState::fault:
      break;
  }
  return {"FAULT", hooks.fault};
}

}  // namespace

void Group::run_hooks(Context& ctx) {
  const auto run = [&](const common::HooksConfig& hooks, std::string kind, const std::string& its_name,
                       int its_priority) {
    const auto [word, special] = hook_of(public_state(), hooks);
    for (const std::string& path : {special, hooks.notify})
      if (!path.empty())
        ctx.hooks.push_back(
            RunHook{path, {kind, its_name, word, std::to_string(its_priority)}, hooks.user, hooks.timeout, name()});
  };
  // In keepalived's order: the members, and then the group as a whole.
  for (const Instance& member : members_)
    run(member.config().hooks, "INSTANCE", member.config().name, priority(member, ctx));
  run(config_.hooks, "GROUP", name(), priority(ctx));
}

}  // namespace vrrpd
