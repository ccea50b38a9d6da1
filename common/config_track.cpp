// What a group tracks.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// A look at a file or at the list of processes costs something; a script costs a process.
constexpr Duration kShortestLook = 50ms, kLongestLook = std::chrono::hours(1);
constexpr int kMostLooks = 255;
/// Nobody types more; and no command line of the kernel is too short for these.
constexpr std::size_t kMostArguments = 64;
/// The highest that is left for a priority between 1 and 254.
constexpr int kHighestWeight = 253;
/// The kernel's TASK_COMM_LEN less the terminating zero.
constexpr std::size_t kLongestProcess = 15;

struct Target {
  const char* key;
  TrackConfig::Kind kind;
};
constexpr std::array<Target, 4> kTargets{{{"interface", TrackConfig::Kind::interface},
                                          {"script", TrackConfig::Kind::script},
                                          {"file", TrackConfig::Kind::file},
                                          {"process", TrackConfig::Kind::process}}};

void read_process(const Reader& reader, std::string& into) {
  if (!reader.text(into)) return;
  if (into.size() > kLongestProcess)
    reader.error(fmt::format("{} is longer than the {} characters that the kernel keeps of a name, see `ps -o comm`",
                             quoted(into), kLongestProcess));
}

void read_target(Section& section, Draft& draft, TrackConfig& track) {
  const auto given = std::ranges::count_if(kTargets, [&](const Target& each) { return section.has(each.key); });
  if (given != 1)
    section.out().error(section.at(), fmt::format("{}: give one of interface, script, file, process", section.name()));
  section.with("interface", [&](const Reader& r) { read_interface(r, draft, track.target); });
  section.path("script", track.target);
  section.path("file", track.target);
  section.with("process", [&](const Reader& r) { read_process(r, track.target); });
  for (const Target& each : kTargets)
    if (section.has(each.key)) track.kind = each.kind;
}

void read_arguments(const Reader& reader, TrackConfig& track) {
  std::vector<std::string> words;
  for (const Setting& each : reader.list()) {
    const Reader item = reader.item(each);
    if (words.size() == kMostArguments)
      return item.error(fmt::format("more than {} arguments; let a script of your own give them", kMostArguments));
    std::string word;
    if (!item.text(word)) return;
    words.push_back(std::move(word));
  }
  track.arguments = std::move(words);
}

void check_fits(Section& section, const TrackConfig& track) {
  const auto only = [&](const char* key, bool fits, std::string_view what) {
    if (section.has(key) && !fits)
      section.out().error(section.at(), fmt::format("{}: {} is for {}", section.name(), key, what));
  };
  using Kind = TrackConfig::Kind;
  const bool script = track.kind == Kind::script, interface = track.kind == Kind::interface;
  only("timeout", script, "scripts");
  only("user", script, "scripts");
  only("arguments", script, "scripts");
  only("interval", !interface, "what must be looked at: an interface tells by itself");
  only("rise", !interface, "what must be looked at: an interface tells by itself");
  only("fall", !interface, "what must be looked at: an interface tells by itself");
  only("weight", track.kind != Kind::file, "what is well or fails: a file holds the number itself");
  if (script && track.timeout > track.interval)
    section.out().error(section.at(), fmt::format("{}: timeout ({}) is longer than interval ({})", section.name(),
                                                  to_string(track.timeout), to_string(track.interval)));
}

}  // namespace

void read_tracks(const Reader& reader, Draft& draft, GroupConfig& group) {
  for (const SettingEntry& entry : reader.map()) {
    TrackConfig track;
    track.name = entry.key;
    Reader::check_name(entry, "what is tracked", reader.out);
    Section section(entry.value, fmt::format("{}.{}", reader.name, printable(entry.key)), reader.out);
    read_target(section, draft, track);
    int weight = 0;
    section.integer("weight", weight, 1, kHighestWeight);
    if (weight != 0) track.weight = weight;
    section.duration("interval", track.interval, kShortestLook, kLongestLook);
    if (!section.has("timeout")) track.timeout = std::min(track.timeout, track.interval);
    section.duration("timeout", track.timeout, kShortestLook, kLongestLook);
    section.integer("rise", track.rise, 1, kMostLooks);
    section.integer("fall", track.fall, 1, kMostLooks);
    section.text("user", track.user);
    section.with("arguments", [&](const Reader& r) { read_arguments(r, track); });
    check_fits(section, track);
    section.finish();
    group.tracks.push_back(std::move(track));
  }
}

}  // namespace common
