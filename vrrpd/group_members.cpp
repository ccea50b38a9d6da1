// What the group is by its members and by whom it has around it: fit or not, of which priority, how quick.
#include <algorithm>

#include "vrrpd/group.hpp"

namespace vrrpd {

using common::kOwnerPriority;

namespace {

/// Taken off the priority for a participant that is configured but not there, or far behind: enough to let a healthy
/// equal go first, and little enough that the operator's order of the two nodes usually stands.
constexpr int kPenalty = 10;

}  // namespace

std::string Group::obstacle(const Context& ctx) const {
  for (const Instance& member : members_)
    if (!member.usable()) return member.trouble();
  if (settings_.gated && !ctx.table_loaded)
    return "the nftables table has not been loaded since boot; start `natctl agent`";
  return tracker_.fault();
}

int Group::adjustment(const Context& ctx) const {
  int result = tracker_.adjustment();
  if (settings_.replicated && !syncd_keeps_up(ctx)) result -= kPenalty;
  if (settings_.gated && !ctx.participants.present(common::Role::agent)) result -= kPenalty;
  return result;
}

/// As a backup: with all connections of a peer that can still be asked for them. What a master lacks, nobody has.
bool Group::syncd_keeps_up(const Context& ctx) const {
  if (!ctx.participants.present(common::Role::syncd) || ctx.peer.silent(ctx.now)) return false;
  return !ctx.peer.linked() || complete(ctx);
}

int Group::priority(const Context& ctx) const {
  return owner() ? kOwnerPriority : std::clamp(config_.priority + adjustment(ctx), 1, kOwnerPriority - 1);
}

int Group::priority(const Instance& member, const Context& ctx) const {
  return owner() ? kOwnerPriority
                 : std::clamp(config_.priority_of(member.config()) + adjustment(ctx), 1, kOwnerPriority - 1);
}

/// All members or none, as the check of the configuration sees to.
bool Group::owner() const {
  return config_.owns(config_.instances.front());
}

common::Duration Group::interval() const {
  common::Duration result{};
  for (const Instance& member : members_) result = std::max(result, member.interval());
  return result;
}

common::Duration Group::down_interval(const Context& ctx) const {
  common::Duration result{};
  for (const Instance& member : members_) result = std::max(result, member.down_interval(priority(member, ctx)));
  return result;
}

const common::GroupReport* Group::said(const Context& ctx) const {
  return settings_.replicated ? ctx.peer.statement(name()) : nullptr;
}

bool Group::complete(const Context& ctx) const {
  if (!settings_.replicated || masters()) return true;
  // The last master holds what there is: nobody has made connections since.
  if (term_.valid() && term_ == mastered_ && term_.node == settings_.node &&
      ctx.participants.present(common::Role::syncd))
    return true;
  return ctx.peer.complete(name());
}

bool Group::peer_alive(const Context& ctx) const {
  if (settings_.replicated && ctx.peer.linked()) return true;
  return std::any_of(members_.begin(), members_.end(), [&](const Instance& m) { return m.hears_active(ctx.now); });
}

}  // namespace vrrpd
