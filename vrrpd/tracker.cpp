#include "vrrpd/tracker.hpp"

#include <algorithm>
#include <utility>

namespace vrrpd {

namespace {

std::string_view kind_name(common::TrackConfig::Kind kind) {
  switch (kind) {
    case common::TrackConfig::Kind::interface:
      return "interface";
    case common::TrackConfig::Kind::script:
      return "script";
    case common::TrackConfig::Kind::file:
      return "file";
    case common::TrackConfig::Kind::process:
      break;
  }
  return "process";
}

}  // namespace

Tracker::Tracker(const common::GroupConfig& group)
    : down_delay_(group.link_down_delay), up_delay_(group.link_up_delay) {
  for (const common::TrackConfig& each : group.tracks) items_.push_back({.config = each});
}

void Tracker::reconfigure(const common::GroupConfig& group) {
  down_delay_ = group.link_down_delay;
  up_delay_ = group.link_up_delay;
  const std::vector<Item> before = std::exchange(items_, {});
  for (const common::TrackConfig& each : group.tracks) {
    const auto same = std::ranges::find_if(
        before, [&](const Item& item) { return item.config.kind == each.kind && item.config.target == each.target; });
    Item item = same == before.end() ? Item{} : *same;
    item.config = each;
    items_.push_back(std::move(item));
  }
}

bool Tracker::on_look(const Tracked& look) {
  const auto item = std::ranges::find_if(items_, [&](const Item& each) { return each.config.name == look.name; });
  return item != items_.end() && judge(*item, look.good, look.value);
}

bool Tracker::on_link(const LinkChanged& link, common::Time now) {
  bool changed = false;
  for (Item& item : items_) {
    if (item.config.kind != common::TrackConfig::Kind::interface || item.config.target != link.interface) continue;
    const bool good = link.exists && link.running;
    const bool flips = std::exchange(item.existed, link.exists) && link.exists && good != item.good;
    const bool same_report = std::exchange(item.carrier, good) == good;
    const common::Duration delay = good ? up_delay_ : down_delay_;
    if (!flips || delay == common::Duration{}) {
      item.settles_at.reset();
      changed |= judge(item, good, 0);
    } else if (!same_report || !item.settles_at) {
      item.settles_at = now + delay;
    }
  }
  return changed;
}

common::Deadline Tracker::settles_at() const {
  common::Deadline result;
  for (const Item& item : items_) result = common::earliest(result, item.settles_at);
  return result;
}

bool Tracker::settle(common::Time now) {
  bool changed = false;
  for (Item& item : items_) {
    if (!item.settles_at || now < *item.settles_at) continue;
    item.settles_at.reset();
    changed |= judge(item, item.carrier, 0);
  }
  return changed;
}

bool Tracker::judge(Item& item, bool good, int value) {
  const bool other_value = good && std::exchange(item.value, good ? value : item.value) != value;
  if (good == item.good) {
    item.streak = 0;
    return other_value;
  }
  if (++item.streak < (good ? item.config.rise : item.config.fall)) return other_value;
  item.good = good;
  item.streak = 0;
  return true;
}

std::string Tracker::fault() const {
  for (const Item& item : items_)
    if (!item.good && !item.config.weight)
      return std::string(kind_name(item.config.kind)) + " " + item.config.target + ", which is tracked as " +
             item.config.name + ", fails";
  return {};
}

int Tracker::adjustment() const {
  int result = 0;
  for (const Item& item : items_) result += item.good ? item.value : -item.config.weight.value_or(0);
  return result;
}

std::vector<TrackStatus> Tracker::status() const {
  std::vector<TrackStatus> result;
  for (const Item& item : items_)
    result.push_back({item.config.name, std::string(kind_name(item.config.kind)), item.config.target, item.good,
                      item.good ? item.value : -item.config.weight.value_or(0)});
  return result;
}

}  // namespace vrrpd
