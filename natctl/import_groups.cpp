// Groups: which instances move together, whose networks they protect, and which rules are theirs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "natctl/import_write.hpp"

namespace natctl::importer {
namespace {

using common::AddressRange;
using common::Prefix;

/// A connection needs both its sides on one router: instances that no group holds together go into one.
void collect(const Router& router, PlanOfGroups& plan, Diagnostics& out) {
  const bool none_grouped =
      std::ranges::all_of(router.instances, [](const Instance& each) { return each.group.empty(); });
  for (std::size_t i = 0; i < router.instances.size(); ++i) {
    const Instance& instance = router.instances[i];
    const std::string name = !instance.group.empty() ? safe_name(instance.group)
                             : none_grouped          ? "MAIN"
                                                     : instance.name;
    const auto found = std::ranges::find(plan.groups, name, &PlannedGroup::name);
    if (found == plan.groups.end())
      plan.groups.push_back({name, {i}, {}, {}, {}, {}});
    else
      found->instances.push_back(i);
  }
  if (none_grouped && router.instances.size() > 1)
    out.warning(router.instances.front().at,
                "the instances moved one by one there; here they are one group, MAIN, because a connection needs both "
                "of its sides on one router");
}

/// Adverts, preempting and the delay are the group's with us.
void check_alike(const Router& router, const PlannedGroup& group, Diagnostics& out) {
  const Instance& head = router.instances[group.instances.front()];
  for (const std::size_t index : group.instances) {
    const Instance& each = router.instances[index];
    if (each.interval != head.interval || each.preempt != head.preempt || each.preempt_delay != head.preempt_delay)
      out.warning(each.at,
                  fmt::format("{} has another interval, preempt or preempt delay than {}, with which it moves; "
                              "that of the latter is taken",
                              each.name, head.name));
    if (each.priority != head.priority)
      out.warning(each.at, fmt::format("{} has priority {}, and {}, with which it moves, has {}: the latter is taken",
                                       each.name, each.priority, head.name, head.priority));
  }
}

int priority_in(const Router& router, const Pair& pair, const PlannedGroup& group) {
  const Instance& head = pair.first.instances[group.instances.front()];
  const auto same = std::ranges::find(router.instances, head.name, &Instance::name);
  return same == router.instances.end() ? 100 : same->priority;
}

void settle_priorities(const Pair& pair, PlanOfGroups& plan) {
  const auto of = [&](const Router& router, std::optional<int>& node) {
    std::set<int> all;
    for (const PlannedGroup& group : plan.groups) all.insert(priority_in(router, pair, group));
    if (all.size() == 1) node = *all.begin();
    if (all.size() > 1)
      for (PlannedGroup& group : plan.groups) group.priorities[router.name] = priority_in(router, pair, group);
  };
  of(pair.first, plan.first_priority);
  if (pair.second) of(*pair.second, plan.second_priority);
}

void settle_hooks(const Pair& pair, PlannedGroup& group, Diagnostics& out) {
  const auto add = [&](const Hook& hook) {
    const auto same = std::ranges::find(group.hooks, hook.key, &Hook::key);
    if (same == group.hooks.end())
      group.hooks.push_back(hook);
    else if (same->path != hook.path)
      out.warning(hook.at, fmt::format("not taken over: {}: group {} has a hook for that already, {}", hook.path,
                                       group.name, same->path));
  };
  for (const auto& [name, hook] : pair.first.group_hooks)
    if (safe_name(name) == group.name) add(hook);
  for (const std::size_t index : group.instances)
    for (const Hook& hook : pair.first.instances[index].hooks) add(hook);
}

/// What the instances of a router track is the group's: they move together. Their own interfaces are tracked anyway.
std::vector<Track> tracks_of(const Router& router, const std::string& name, const std::vector<std::string>& members) {
  std::vector<Track> result;
  const auto is_member = [&](const Instance& each) { return std::ranges::find(members, each.name) != members.end(); };
  const auto add = [&](const Track& track) {
    const bool own = std::ranges::any_of(router.instances, [&](const Instance& each) {
      return is_member(each) && track.fields == std::vector<Field>{{"interface", {each.interface}, false}};
    });
    if (!own && std::ranges::find(result, track) == result.end()) result.push_back(track);
  };
  for (const auto& [group, track] : router.group_tracks)
    if (safe_name(group) == name) add(track);
  for (const Instance& instance : router.instances)
    if (is_member(instance)) std::ranges::for_each(instance.tracks, add);
  return result;
}

void settle_tracks(const Pair& pair, PlannedGroup& group, Diagnostics& out) {
  std::vector<std::string> members;
  for (const std::size_t index : group.instances) members.push_back(pair.first.instances[index].name);
  for (const Track& track : tracks_of(pair.first, group.name, members)) {
    if (std::ranges::find(group.tracks, track.name, &Track::name) == group.tracks.end())
      group.tracks.push_back(track);
    else
      out.warning(track.at, fmt::format("not taken over: {}: group {} tracks it with other values already", track.name,
                                        group.name));
  }
  if (!pair.second) return;
  const std::vector<Track> theirs = tracks_of(*pair.second, group.name, members);
  for (const Track& track : group.tracks)
    if (std::ranges::find(theirs, track) == theirs.end())
      out.warning(track.at, fmt::format("{} is not tracked with these values in {}; both routers get it", track.name,
                                        pair.second->file));
  for (const Track& track : theirs)
    if (std::ranges::find(group.tracks, track.name, &Track::name) == group.tracks.end()) {
      out.warning({1, 1}, fmt::format("{} is tracked in {} only; both routers get it", track.name, pair.second->file));
      group.tracks.push_back(track);
    }
}

bool is_outer(const Router& router, const std::string& interface) {
  return std::ranges::any_of(router.source, [&](const Rule& rule) {
    const Field* outbound = rule.find("outbound_interface");
    return outbound && std::ranges::find(outbound->items, interface) != outbound->items.end();
  });
}

/// With several groups each has its inner networks: those of its interfaces that nothing is translated towards.
void settle_protects(const Pair& pair, PlanOfGroups& plan, Diagnostics& out) {
  std::vector<std::pair<Prefix, std::string>> all;
  for (PlannedGroup& group : plan.groups) {
    for (const std::size_t index : group.instances) {
      const Instance& instance = pair.first.instances[index];
      if (is_outer(pair.first, instance.interface)) continue;
      for (const InterfaceAddress& own : pair.first.addresses) {
        const auto prefix = Prefix::parse(own.address);
        if (own.interface != instance.interface || !prefix || prefix->address.is_link_local()) continue;
        const Prefix network{prefix->network(), prefix->length};
        const auto overlaps = std::ranges::find_if(all, [&](const auto& each) {
          return each.first.contains(network.address) || network.contains(each.first.address);
        });
        if (overlaps != all.end()) {
          if (overlaps->second != group.name)
            out.warning(instance.at, fmt::format("{} is in groups {} and {}: complete `protects`, so that a connection "
                                                 "belongs to one of them",
                                                 network.to_string(), overlaps->second, group.name));
          continue;
        }
        all.emplace_back(network, group.name);
        group.protects.push_back(network.to_string());
      }
    }
    if (group.protects.empty())
      out.warning(pair.first.instances[group.instances.front()].at,
                  fmt::format("no inner network of group {} is known: complete `protects`", group.name));
  }
}

/// One of its virtual addresses: 2. One of its inner networks: 1.
int relation(const PlannedGroup& group, const Router& router, const Rule& rule) {
  int best = 0;
  for (const char* key : {"translate_to", "destination_address", "outside_address", "source_address", "inside_address"})
    if (const Field* field = rule.find(key))
      for (const std::string& item : field->items) {
        const auto range = AddressRange::parse(item);
        if (!range) continue;
        for (const std::size_t index : group.instances)
          for (const auto* words : {&router.instances[index].addresses, &router.instances[index].excluded})
            for (const Word& word : *words)
              if (range->single() && range->first == Prefix::parse(word.text)->address) best = 2;
        for (const std::string& network : group.protects)
          if (range->overlaps(AddressRange::of(*Prefix::parse(network)))) best = std::max(best, 1);
      }
  return best;
}

void give_group(Rule& rule, const PlanOfGroups& plan, const Router& router, Diagnostics& out) {
  const auto nearest = std::ranges::max_element(
      plan.groups, {}, [&](const PlannedGroup& group) { return relation(group, router, rule); });
  if (relation(*nearest, router, rule) == 0)
    out.warning(rule.at,
                fmt::format("which group rule {} belongs to is not clear; it gets {}", rule.number, nearest->name));
  rule.add("group", nearest->name);
}

void settle_sync(const Pair& pair, PlanOfGroups& plan, Diagnostics& out) {
  const auto known = [](const Router& router) {
    return !router.links.empty() &&
           std::ranges::none_of(router.links, [](const SyncLinkModel& link) { return link.local.empty(); });
  };
  plan.links =
      pair.second && known(pair.first) && known(*pair.second) && pair.first.links.size() == pair.second->links.size();
  for (const std::string& name : pair.first.sync_groups) {
    const std::string ours = safe_name(name);
    if (std::ranges::find(plan.groups, ours, &PlannedGroup::name) == plan.groups.end())
      out.warning({1, 1}, fmt::format("connections are replicated for sync-group {}, which no instance is in", name));
    else
      plan.sync_groups.push_back(ours);
  }
  if (plan.sync_groups.size() == plan.groups.size()) plan.sync_groups.clear();
  if (plan.links && plan.groups.empty())
    out.warning({1, 1}, "a link without VRRP: add the groups, or give the VRRP configuration as well");
}

}  // namespace

PlanOfGroups plan_groups(Pair& pair, Diagnostics& out) {
  PlanOfGroups plan;
  Router& router = pair.first;
  collect(router, plan, out);
  for (PlannedGroup& group : plan.groups) {
    check_alike(router, group, out);
    settle_hooks(pair, group, out);
    settle_tracks(pair, group, out);
  }
  settle_priorities(pair, plan);
  settle_sync(pair, plan, out);
  if (plan.groups.size() > 1) {
    settle_protects(pair, plan, out);
    for (auto* rules : {&router.source, &router.destination, &router.one_to_one})
      for (Rule& rule : *rules) give_group(rule, plan, router, out);
  }
  return plan;
}

}  // namespace natctl::importer
