// The group under another configuration: it goes on in the state that it is in, and so do its instances.
#include <algorithm>
#include <utility>

#include "vrrpd/group.hpp"
#include "vrrpd/reload.hpp"

namespace vrrpd {

void Group::reconfigure(common::GroupConfig config, GroupSettings settings, Context& ctx) {
  config_ = std::move(config);
  settings_ = std::move(settings);
  tracker_.reconfigure(config_);
  std::vector<Instance> before = std::exchange(members_, {});
  std::vector<Instance> waiting = std::exchange(newcomers_, {});
  for (const common::InstanceConfig& wanted : config_.instances) {
    const auto is_wanted = [&](const Instance& member) { return same_router(member.config(), wanted); };
    if (const auto kept = std::ranges::find_if(before, is_wanted); kept != before.end()) {
      kept->reconfigure(wanted, config_, ctx.now, stage_ == Stage::master, ctx.out);
      members_.push_back(std::move(*kept));
      before.erase(kept);
    } else if (const auto known = std::ranges::find_if(waiting, is_wanted); known != waiting.end()) {
      known->reconfigure(wanted, config_, ctx.now, false, ctx.out);
      newcomers_.push_back(std::move(*known));
    } else {
      newcomers_.emplace_back(wanted, config_);
    }
  }
  for (Instance& member : before) part(member, ctx);
  review(ctx);
}

/// A member that a live group has not had before must not make it leave: neither by an interface that is not there yet,
/// nor by adverts that nobody has sent so far.
void Group::admit(Context& ctx) {
  switch (stage_) {
    case Stage::backup:
    case Stage::claiming:
    case Stage::master:
      break;
    case Stage::initialize:
    case Stage::handing_over:
    case Stage::leaving:
    case Stage::doubting:
    case Stage::fault:
    case Stage::stopped:
      return;  // soon, or with the next master or backup
  }
  for (auto it = newcomers_.begin(); it != newcomers_.end();) {
    if (!it->usable()) {
      ++it;
      continue;
    }
    Instance newcomer = std::move(*it);
    it = newcomers_.erase(it);
    join(std::move(newcomer), ctx);
  }
}

void Group::join(Instance member, Context& ctx) {
  const bool active = stage_ != Stage::backup;
  member.become(active ? RouterState::active : RouterState::backup, priority(member, ctx), ctx.now);
  if (active) member.advertise(priority(member, ctx), ctx.now, ctx.out);
  if (live_) {
    member.presence().appear(ctx.now, {}, ctx.out);
    if (stage_ == Stage::master) member.presence().announce(ctx.now, ctx.out);
  }
  log(Log::Level::info, "joined", "instance " + member.config().name + " is one of the group now", ctx);
  members_.push_back(std::move(member));
}

/// Not in the configuration any more.
void Group::part(Instance& member, Context& ctx) {
  member.presence().withdraw(ctx.out);
  if (masters() && stage_ != Stage::doubting) member.say_goodbye(ctx.out);
  log(Log::Level::info, "parted", "instance " + member.config().name + " is none of the group any more", ctx);
}

}  // namespace vrrpd
