// What instances and groups of keepalived track.
#include "natctl/import_track.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace natctl::importer {
namespace {

/// What ours takes off a priority at most.
constexpr int kMostWeight = 253;
/// What only a shell understands: its work is a script's.
constexpr std::string_view kForShells = "\"'`$|&;<>\\*?";

const Statement* find(const Statement& in, std::string_view name) {
  const auto found = std::ranges::find_if(in.block, [&](const Statement& each) { return each.name() == name; });
  if (found == in.block.end()) return nullptr;
  found->used = true;
  return &*found;
}

std::optional<int> number_of(std::string_view text, int lowest, int highest) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool all = error == std::errc() && end == text.data() + text.size();
  return all && number >= lowest && number <= highest ? std::optional(number) : std::nullopt;
}

std::vector<std::string> words_of(const Statement& statement) {
  std::vector<std::string> result;
  for (std::size_t i = 1; i < statement.words.size(); ++i) {
    std::string_view text = statement.words[i].text;
    while (!text.empty()) {
      const std::size_t space = text.find(' ');
      if (space != 0) result.emplace_back(text.substr(0, space));
      text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
  }
  return result;
}

void add_field(Track& track, std::string key, std::string value) {
  track.fields.push_back({std::move(key), {std::move(value)}, false});
}

/// None, and a warning with its reason, where ours has nothing like it.
bool add_weight(Track& track, Diagnostics& out) {
  const Word* weight = std::exchange(track.weight, nullptr);
  if (weight == nullptr) return true;
  const auto number = number_of(weight->text, -kMostWeight, kMostWeight);
  if (!number) {
    out.warning(weight->at, fmt::format("not taken over: {}: its weight {} is not -{} to {}", track.name,
                                        common::printable(weight->text), kMostWeight, kMostWeight));
    return false;
  }
  if (*number == 0) return true;  // a fault, as with us where there is none
  if (*number > 0)
    out.warning(weight->at, fmt::format("{} adds {} to the priority there while it is well; here it takes {} off while "
                                        "it fails, which is the same between the two routers",
                                        track.name, *number, *number));
  add_field(track, "weight", std::to_string(*number > 0 ? *number : -*number));
  return true;
}

void read_weight(const Statement& in, Track& track) {
  const Statement* weight = find(in, "weight");
  if (weight && weight->words.size() > 1) track.weight = &weight->words[1];
}

void add_count(Track& track, const Statement& in, const char* key, const char* ours, std::string_view unit, int highest,
               Diagnostics& out) {
  const Statement* statement = find(in, key);
  if (!statement) return;
  const auto number = number_of(statement->value(), 1, highest);
  if (!number)
    out.warning(statement->at(), fmt::format("not taken over: {} {} of {} is not 1 to {}", key,
                                             common::printable(statement->value()), track.name, highest));
  else if (*number != 1 || !unit.empty())
    add_field(track, ours, fmt::format("{}{}", *number, unit));
}

bool read_script(const Statement& in, Track& track, Diagnostics& out) {
  const Statement* script = find(in, "script");
  const std::vector<std::string> words = script ? words_of(*script) : std::vector<std::string>();
  const bool plain = std::ranges::none_of(
      words, [](const std::string& each) { return each.find_first_of(kForShells) != std::string::npos; });
  if (words.empty() || !words.front().starts_with('/') || !plain) {
    out.warning(in.at(), fmt::format("not taken over: vrrp_script {}: ours is the absolute path of a program, and its "
                                     "arguments as they are; write a script that does the rest",
                                     track.name));
    return false;
  }
  add_field(track, "script", words.front());
  track.fields.push_back({"arguments", {words.begin() + 1, words.end()}, true});
  constexpr int kLongest = 3600;
  add_count(track, in, "interval", "interval", "s", kLongest, out);
  const Statement *timeout = find(in, "timeout"), *interval = find(in, "interval");
  const int every = interval ? number_of(interval->value(), 1, kLongest).value_or(1) : 1;
  if (timeout && number_of(timeout->value(), 1, kLongest).value_or(1) > every)
    out.warning(timeout->at(), fmt::format("not taken over: timeout {} of {}: with us at most the interval",
                                           common::printable(timeout->value()), track.name));
  else if (timeout)
    add_count(track, in, "timeout", "timeout", "s", kLongest, out);
  else if (every > 1)
    add_field(track, "timeout", fmt::format("{}s", every));  // ours is never longer than a second unless said
  add_count(track, in, "rise", "rise", "", 255, out);
  add_count(track, in, "fall", "fall", "", 255, out);
  if (const Statement* user = find(in, "user"); user && !user->value().empty())
    add_field(track, "user", std::string(user->value()));
  read_weight(in, track);
  find(in, "init_fail");  // nothing fails before it has been looked at
  return true;
}

bool read_file(const Statement& in, Track& track, Diagnostics& out) {
  const Statement *file = find(in, "file"), *weight = find(in, "weight");
  if (!file || !file->value().starts_with('/') || (weight && weight->value() != "1")) {
    out.warning(in.at(), fmt::format("not taken over: {} {}: ours is the absolute path of a file with the number that "
                                     "is added to the priority itself",
                                     in.name(), track.name));
    return false;
  }
  find(in, "init_file");  // one that is not there is a 0
  out.warning(in.at(), fmt::format("{}: a fault is the word `fault` in the file here, not -254", track.name));
  add_field(track, "file", std::string(file->value()));
  return true;
}

bool read_process(const Statement& in, Track& track, Diagnostics& out) {
  constexpr std::size_t kLongestName = 15;
  const Statement* process = find(in, "process");
  const std::vector<std::string> words = process ? words_of(*process) : std::vector<std::string>();
  std::string name = words.empty() ? std::string() : words.front();
  name.erase(0, name.rfind('/') == std::string::npos ? 0 : name.rfind('/') + 1);
  if (name.empty() || words.size() != 1) {
    out.warning(in.at(), fmt::format("not taken over: {} {}: ours is the name of a process without its arguments",
                                     in.name(), track.name));
    return false;
  }
  read_weight(in, track);
  add_field(track, "process", name.substr(0, kLongestName));
  return true;
}

/// "NAME weight -20", and "reverse", which ours has not.
const Word* weight_in(const Statement& line, Diagnostics& out) {
  const Word* weight = nullptr;
  for (std::size_t i = 1; i < line.words.size(); ++i) {
    if (line.words[i].text == "weight" && i + 1 < line.words.size())
      weight = &line.words[++i];
    else
      out.warning(line.words[i].at, fmt::format("not taken over: {} of {}", common::printable(line.words[i].text),
                                                common::printable(line.name())));
  }
  return weight;
}

}  // namespace

struct Trackers::Form {
  const char* statement;  ///< at the top
  const char* used_by;    ///< in an instance or a group
  bool (*read)(const Statement& in, Track& track, Diagnostics& out);
};

Trackers::Trackers(const std::vector<Statement>& top) {
  static constexpr Form kForms[] = {{"vrrp_script", "track_script", read_script},
                                    {"vrrp_track_file", "track_file", read_file},
                                    {"track_file", "track_file", read_file},
                                    {"vrrp_track_process", "track_process", read_process},
                                    {"track_process", "track_process", read_process}};
  for (const Statement& statement : top)
    for (const Form& form : kForms)
      if (statement.name() == form.statement && statement.has_block)
        known_[{form.used_by, std::string(statement.value())}] = {&statement, &form, {}};
}

/// Its own words are the same for all that use it: what is wrong with them is said once.
const Track* Trackers::find(const std::string& used_by, const std::string& name, Diagnostics& out) {
  const auto found = known_.find({used_by, name});
  if (found == known_.end()) return nullptr;
  Known& known = found->second;
  if (!std::exchange(known.statement->used, true)) {
    Track track{safe_name(name), known.statement->at(), {}, nullptr};
    if (known.form->read(*known.statement, track, out)) known.track = std::move(track);
  }
  return known.track ? &*known.track : nullptr;
}

void Trackers::read(const std::vector<Statement>& block, std::vector<Track>& into, Diagnostics& out) {
  for (const Statement& list : block) {
    const bool interfaces = list.name() == "track_interface";
    if (!interfaces && list.name() != "track_script" && list.name() != "track_file" && list.name() != "track_process")
      continue;
    list.used = true;
    for (const Statement& line : list.block) {
      line.used = true;
      Track track{safe_name(line.name()), line.at(), {}, nullptr};
      if (interfaces && !is_interface(line.name())) {
        out.warning(line.at(),
                    fmt::format("not taken over: {} is no name of an interface", common::quoted(line.name())));
        continue;
      }
      if (interfaces) {
        add_field(track, "interface", line.name());
      } else if (const Track* known = find(list.name(), line.name(), out)) {
        track = *known;
        track.at = line.at();
      } else {
        if (!known_.contains({list.name(), line.name()}))
          out.warning(line.at(), fmt::format("not taken over: {} {}: there is none of this name", list.name(),
                                             common::printable(line.name())));
        continue;
      }
      if (const Word* weight = weight_in(line, out)) track.weight = weight;
      if (!add_weight(track, out)) continue;
      into.push_back(std::move(track));
    }
  }
}

}  // namespace natctl::importer
