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

Tracker::Tracker(std::vector<common::TrackConfig> tracks) {
  for (common::TrackConfig& each : tracks) items_.push_back({.config = std::move(each)});
}

void Tracker::reconfigure(std::vector<common::TrackConfig> tracks) {
  const std::vector<Item> before = std::exchange(items_, {});
  for (common::TrackConfig& each : tracks) {
    const auto same = std::ranges::find_if(
        before, [&](const Item& item) { return item.config.kind == each.kind && item.config.target == each.target; });
    Item item = same == before.end() ? Item{} : *same;
    item.config = std::move(each);
    items_.push_back(std::move(item));
  }
}

bool Tracker::on_look(const Tracked& look) {
  const auto item = std::ranges::find_if(items_, [&](const Item& each) { return each.config.name == look.name; });
  return item != items_.end() && judge(*item, look.good, look.value);
}

bool Tracker::on_link(const LinkChanged& link) {
  bool changed = false;
  for (Item& item : items_)
    if (item.config.kind == common::TrackConfig::Kind::interface && item.config.target == link.interface)
      changed |= judge(item, link.exists && link.running, 0);
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
