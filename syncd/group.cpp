#include "syncd/group.hpp"

#include <algorithm>

#include "syncd/frame.hpp"

namespace syncd {

/// FNV-1a: names are the operator's, nobody chooses them to collide.
std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return h;
}

void Groups::configure(const common::Config& config) {
  for (Group& g : all_) g.replicated = false;
  if (!config.vrrp || !config.sync) return;
  for (const common::GroupConfig& wanted : config.vrrp->groups) {
    const auto& names = config.sync->groups;
    const bool replicated = names.empty() || std::ranges::find(names, wanted.name) != names.end();
    Group* known = find(wanted.name);
    if (known == nullptr && all_.size() < kMaxGroups) {
      Group fresh;
      fresh.name = wanted.name;
      fresh.id = stable_hash(wanted.name);
      all_.push_back(fresh);
      known = &all_.back();
    }
    if (known != nullptr) known->replicated = replicated;
  }
}

Group* Groups::find(std::string_view name) {
  const auto it = std::ranges::find(all_, name, &Group::name);
  return it == all_.end() ? nullptr : &*it;
}

Group* Groups::find(std::uint64_t id) {
  const auto it = std::ranges::find(all_, id, &Group::id);
  return it == all_.end() ? nullptr : &*it;
}

Group* Groups::follower_of(std::uint32_t epoch) {
  for (Group& g : all_)
    if (g.replica.epoch == epoch) return &g;
  return nullptr;
}

Group* Groups::adopter_of(std::uint32_t epoch) {
  for (Group& g : all_)
    if (g.adoption.epoch == epoch) return &g;
  return nullptr;
}

Group* Groups::told_of(std::uint32_t epoch) {
  for (Group& g : all_)
    if (g.told_epoch == epoch) return &g;
  return nullptr;
}

}  // namespace syncd
