// The screens of `natctl show vrrp`: a table, or one part of what vrrpd says.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "natctl/cut_short.hpp"
#include "natctl/json_reader.hpp"
#include "natctl/report.hpp"

namespace natctl {
namespace {

using Row = std::vector<std::string>;

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}", row[i], widths[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string joined(const Json& list) {
  std::string out;
  for (const Json& item : list)
    if (item.is_string()) out += (out.empty() ? "" : " ") + item.get<std::string>();
  return out;
}

/// Group or instance; no word is all of them.
bool is_meant(const Json& group, const Json& instance, const std::string& name) {
  return name.empty() || text_of(group, "name") == name || text_of(instance, "name") == name;
}

std::string brief(const Json& json) {
  std::vector<Row> rows{{"GROUP", "INSTANCE", "INTERFACE", "VRID", "STATE", "PRIORITY", "MASTER", "ADDRESSES"}};
  for (const Json& group : array_of(json, "groups"))
    for (const Json& instance : array_of(group, "instances")) {
      const std::string master = text_of(instance, "master");
      rows.push_back({text_of(group, "name"), text_of(instance, "name"), text_of(instance, "interface"),
                      fmt::format("{:.0f}", number_of(instance, "vrid")), upper(text_of(instance, "state")),
                      fmt::format("{:.0f}", number_of(instance, "priority")), master.empty() ? "-" : master,
                      joined(array_of(instance, "virtual_addresses"))});
    }
  return table(rows);
}

void add_counters(std::vector<Row>& rows, const std::string& what, const Json& counters) {
  if (!counters.is_object()) return;
  for (const auto& [name, value] : counters.items())
    if (value.is_number()) rows.push_back({what, name, fmt::format("{:.0f}", value.get<double>())});
}

std::string statistics(const Json& json, const std::string& name) {
  std::vector<Row> rows{{"OF", "COUNTER", "VALUE"}};
  for (const Json& group : array_of(json, "groups")) {
    const std::string group_name = text_of(group, "name");
    if (name.empty() || name == group_name) add_counters(rows, "group " + group_name, field(group, "counters"));
    for (const Json& instance : array_of(group, "instances"))
      if (is_meant(group, instance, name))
        add_counters(rows, "instance " + text_of(instance, "name"), field(instance, "counters"));
  }
  if (name.empty()) add_counters(rows, "vrrpd", field(json, "counters"));
  return table(rows);
}

/// What vrrpd says, with the groups and instances that are meant only.
Json narrowed(const Json& json, const std::string& name) {
  Json result = json;
  Json groups = Json::array();
  for (const Json& group : array_of(json, "groups")) {
    Json instances = Json::array();
    for (const Json& instance : array_of(group, "instances"))
      if (is_meant(group, instance, name)) instances.push_back(instance);
    if (instances.empty()) continue;
    Json kept = group;
    kept["instances"] = std::move(instances);
    groups.push_back(std::move(kept));
  }
  result["groups"] = std::move(groups);
  return result;
}

std::string names(const Json& json) {
  std::string out;
  for (const Json& group : array_of(json, "groups")) {
    out += (out.empty() ? "" : ", ") + text_of(group, "name");
    for (const Json& instance : array_of(group, "instances")) out += ", " + text_of(instance, "name");
  }
  return out;
}

}  // namespace

Verdict vrrp_view(const std::string& body, const std::vector<std::string>& words, bool as_json) {
  constexpr std::array<std::string_view, 3> kViews{"detail", "statistics", "events"};
  const Json json = parse_json(body);
  if (!json.is_object()) return {body + "\n", 1};
  std::string view, name;
  for (const std::string& typed : words) {
    // A name is never taken for a word that was cut short.
    const Json called = narrowed(json, typed);
    const bool named = !array_of(called, "groups").empty();
    const std::string word = named ? typed : written_out(typed, kViews);
    std::string& into = std::ranges::find(kViews, word) != kViews.end() ? view : name;
    if (!into.empty()) return {fmt::format("natctl show vrrp: {} and {}: one is enough\n", into, word), 2};
    into = word;
  }
  const Json meant = name.empty() ? json : narrowed(json, name);
  if (!name.empty() && array_of(meant, "groups").empty())
    return {fmt::format("there is no group or instance {}; there are: {}\n", name, names(json)), 1};
  const std::string meant_body = dump(meant, -1);
  if (as_json) return {view == "events" ? events_json(meant_body) : indented(meant_body), 0};
  if (view == "events") return {event_list(meant_body), 0};
  if (view == "statistics") return {statistics(json, name), 0};
  if (view == "detail" || !name.empty()) return {vrrp_details(meant_body), 0};
  return {brief(json), 0};
}

}  // namespace natctl
