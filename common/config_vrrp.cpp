#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// RFC 9568 5.2.7: 12 bits of centiseconds.
constexpr Duration kCentisecond = 10ms;
constexpr Duration kLongestInterval = 4095 * kCentisecond;
/// Beyond this a wait is a mistake rather than a wish; it also keeps sums of durations far from overflow.
constexpr Duration kLongestWait = std::chrono::hours(1);

void read_preempt_without_sync(const Reader& reader, GroupConfig& group) {
  if (reader.value.text == "never") {
    group.preempt_without_sync = PreemptWithoutSync::never;
    return;
  }
  if (reader.value.is(Setting::Kind::scalar) && !parse_duration(reader.value.text)) {
    reader.error(fmt::format("expected never or a duration such as 60s, found {}", quoted(reader.value.text)));
    return;
  }
  if (reader.duration(group.preempt_without_sync_after, 0s, kLongestWait))
    group.preempt_without_sync = PreemptWithoutSync::after;
}

void read_timing(Section& section, GroupConfig& group) {
  section.with("advertise_interval", [&](const Reader& r) { read_interval(r, group.advertise_interval); });
  section.boolean("preempt", group.preempt);
  section.duration("preempt_delay", group.preempt_delay, 0s, kLongestWait);
  section.duration("startup_delay", group.startup_delay, 0s, kLongestWait);
  section.with("preempt_without_sync", [&](const Reader& r) { read_preempt_without_sync(r, group); });
  section.duration("prepare_timeout", group.prepare_timeout, 10ms, 60s);
  section.duration("gate_timeout", group.gate_timeout, 10ms, kLongestWait);
  section.duration("heal_hold", group.heal_hold, 0s, 60s);
  section.duration("witness_hold", group.witness_hold, 0s, kLongestWait);
  section.with("address_lifetime", [&](const Reader& r) {
    if (r.duration(group.address_lifetime, 1s, 60s) && group.address_lifetime % 1s != 0s)
      r.error(fmt::format("{} is not in whole seconds, the kernel's unit of lifetimes", printable(r.value.text)));
  });
  section.duration("link_up_delay", group.link_up_delay, 0s, kLongestWait);
  // A router that does not believe that its carrier is lost hears nothing meanwhile, and must not take that for the
  // master's death.
  section.duration("link_down_delay", group.link_down_delay, 0s, 2 * group.advertise_interval);
  if (group.gate_timeout < group.prepare_timeout)
    section.out().error(section.at(),
                        fmt::format("{}: gate_timeout ({}) is shorter than prepare_timeout ({})", section.name(),
                                    to_string(group.gate_timeout), to_string(group.prepare_timeout)));
}

void read_group(const SettingEntry& entry, const std::string& parent, Draft& draft, SeenInstances& seen,
                Diagnostics& out) {
  GroupConfig group;
  group.name = entry.key;
  draft.group_at[group.name] = entry.at;
  Reader::check_name(entry, "a group", out);
  Section section(entry.value, fmt::format("{}.{}", parent, printable(entry.key)), out);
  section.with("priority", [&](const Reader& r) { read_priorities(r, draft, draft.group_priorities[group.name]); });
  read_timing(section, group);
  section.with("garp", [&](const Reader& r) { read_garp(r, group.garp); });
  section.with_required("instances", [&](const Reader& r) { read_instances(r, draft, group, seen); });
  section.with("protects", [&](const Reader& r) {
    for (const Setting& item : r.list()) {
      Prefix network;
      if (!r.item(item).network(network)) continue;
      group.protects.push_back(network);
      draft.protects.push_back({group.name, network, item.at});
    }
  });
  section.with("hooks", [&](const Reader& r) { read_hooks(r, group.hooks); });
  section.with("track", [&](const Reader& r) { read_tracks(r, draft, group); });
  section.finish();
  draft.config.vrrp->groups.push_back(std::move(group));
}

}  // namespace

void read_hooks(const Reader& reader, HooksConfig& hooks) {
  Section section(reader.value, reader.name, reader.out);
  section.path("notify", hooks.notify);
  section.path("master", hooks.master);
  section.path("backup", hooks.backup);
  section.path("fault", hooks.fault);
  section.path("stop", hooks.stop);
  section.text("user", hooks.user);
  section.duration("timeout", hooks.timeout, 100ms, kLongestWait);
  section.finish();
}

void read_garp(const Reader& reader, GarpConfig& garp) {
  // Switches learn from one; a hundred per address would be a storm.
  constexpr int kMostGarps = 100;
  Section section(reader.value, reader.name, reader.out);
  section.integer("count", garp.count, 1, kMostGarps);
  section.duration("repeat_after", garp.repeat_after, 0s, kLongestWait);
  section.duration("refresh", garp.refresh, 0s, kLongestWait);
  section.finish();
}

void read_interval(const Reader& reader, Duration& into) {
  if (reader.duration(into, kCentisecond, kLongestInterval) && into % kCentisecond != 0s)
    reader.error(fmt::format("{} is not a multiple of 10ms, the unit of adverts", printable(reader.value.text)));
}

void read_priorities(const Reader& reader, const Draft& draft, Draft::Priorities& into) {
  if (reader.value.is(Setting::Kind::scalar)) {
    reader.error(fmt::format("one number for both routers would be a tie; write {{ {}: {} }} or leave it to the nodes",
                             draft.config.nodes.empty() ? "R1" : draft.config.nodes.front().name,
                             printable(reader.value.text)));
    return;
  }
  const std::vector<std::string_view> nodes = draft.node_names();
  for (const SettingEntry& entry : reader.map()) {
    if (std::ranges::find(nodes, entry.key) == nodes.end()) {
      reader.out.error(entry.at, fmt::format("{}: no node is called {}{}", reader.name, quoted(entry.key),
                                             did_you_mean(entry.key, nodes)));
      continue;
    }
    int priority = 0;
    read_priority(reader.entry(entry), priority);
    if (priority != 0) into[entry.key] = priority;
  }
}

void read_vrrp(Section& root, Draft& draft) {
  root.with("vrrp", [&](const Reader& r) {
    draft.config.vrrp.emplace();
    Section section(r.value, r.name, r.out);
    section.with_required("groups", [&](const Reader& groups) {
      SeenInstances seen;
      for (const SettingEntry& entry : groups.filled_map("at least one group is needed"))
        read_group(entry, groups.name, draft, seen, groups.out);
    });
    section.finish();
  });
}

}  // namespace common
