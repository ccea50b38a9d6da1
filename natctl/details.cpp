// The screens of `natctl show` and `natctl sync verify`.
#include <fmt/format.h>

#include <algorithm>

#include "natctl/json_reader.hpp"
#include "natctl/report.hpp"

namespace natctl {
namespace {

/// One value on one line, without the signs of JSON where it can do without.
std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (value.is_object() && value.contains("counter") && value.contains("node"))
    return fmt::format("{:.0f}@{}", number_of(value, "counter"), text_of(value, "node"));
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : "; ") + shown(item);
  } else if (value.is_object()) {
    for (const auto& [name, item] : value.items()) out += (out.empty() ? "" : ", ") + name + " " + shown(item);
  } else {
    return dump(value, -1);
  }
  return out.empty() ? "none" : out;
}

/// Counters that have counted something; the others would hide them.
std::string counter_lines(const Json& counters, std::string_view indentation) {
  std::string out;
  if (!counters.is_object()) return out;
  std::size_t width = 0, zeros = 0;
  for (const auto& [name, value] : counters.items()) width = std::max(width, name.size());
  for (const auto& [name, value] : counters.items()) {
    if (value == 0)
      ++zeros;
    else
      out += fmt::format("{}{:<{}}  {}\n", indentation, name, width, shown(value));
  }
  if (zeros != 0) out += fmt::format("{}(counters at 0: {})\n", indentation, zeros);
  return out;
}

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

/// Every field but those that have a place of their own, one a line; counters below.
std::string field_lines(const Json& object, std::string_view indentation) {
  std::string out;
  for (const auto& [name, value] : object.items()) {
    if (name == "name" || name == "counters" || name == "transitions" || name == "instances" || name == "groups")
      continue;
    if (is_list_of_objects(value)) {
      out += fmt::format("{}{}\n", indentation, name);
      for (Json item : value) {
        const std::string name_of_item = text_of(item, "name");
        item.erase("name");
        out += fmt::format("{}  {}: {}\n", indentation, name_of_item, shown(item));
      }
    } else {
      out += fmt::format("{}{:<18}  {}\n", indentation, name, value == "" ? "-" : shown(value));
    }
  }
  return out + counter_lines(field(object, "counters"), indentation);
}

/// One of syncd's links on one line: whether the other router can be heard over it.
std::string link_line(const Json& link) {
  std::string said = text_of(link, "trouble");
  const Json& heard = field(link, "heard_ms");
  constexpr double kMilli = 1000;
  if (said.empty() && heard.is_number()) said = fmt::format("heard {:.3f} s ago", heard.get<double>() / kMilli);
  return fmt::format("  {}: {}\n", text_of(link, "interface"), said.empty() ? "nothing heard yet" : said);
}

std::string whole(const std::string& body) {
  const Json json = parse_json(body);
  return json.is_object() ? field_lines(json, "") : body + "\n";
}

}  // namespace

std::string vrrp_details(const std::string& body) {
  const Json json = parse_json(body);
  if (!json.is_object()) return body + "\n";
  std::string out = field_lines(json, "");
  for (const Json& group : array_of(json, "groups")) {
    if (!group.is_object()) continue;
    out += fmt::format("\ngroup {}\n", text_of(group, "name")) + field_lines(group, "  ");
    for (const Json& instance : array_of(group, "instances"))
      if (instance.is_object())
        out += fmt::format("  instance {}\n", text_of(instance, "name")) + field_lines(instance, "    ");
  }
  return out;
}

std::string sync_details(const std::string& body) {
  Json json = parse_json(body);
  if (!json.is_object()) return body + "\n";
  std::string links;
  for (const Json& link : array_of(json, "links")) links += link_line(link);
  const Json counters = field(json, "counters");
  if (const Json& lag = field(json, "lag_ms"); lag.is_number())
    json["lag_ms"] = fmt::format("{:.1f}", lag.get<double>());
  json.erase("links");
  json.erase("counters");
  return field_lines(json, "") + (links.empty() ? "" : "links\n" + links) + counter_lines(counters, "");
}

std::string nat_details(const std::string& body) {
  return whole(body);
}

std::string event_list(const std::string& body) {
  const Json json = parse_json(body);
  std::string out;
  for (const Json& group : array_of(json, "groups"))
    for (const Json& event : array_of(group, "transitions")) {
      out += fmt::format("{}  {}  {} -> {}  term {:.0f}  {}\n", text_of(event, "at"), text_of(group, "name"),
                         text_of(event, "from"), text_of(event, "to"), number_of(field(event, "term"), "counter"),
                         text_of(event, "cause"));
      for (const Json& point : array_of(event, "timeline"))
        out += fmt::format("    +{:9.3f} ms  {}\n", number_of(point, "after_ms"), text_of(point, "what"));
    }
  return out.empty() ? "no change of state so far\n" : out;
}

std::string events_json(const std::string& body) {
  const Json json = parse_json(body);
  Json groups = Json::array();
  for (const Json& group : array_of(json, "groups"))
    groups.push_back(Json{{"name", text_of(group, "name")}, {"transitions", array_of(group, "transitions")}});
  return dump(Json{{"groups", std::move(groups)}}, 2) + "\n";
}

std::string connection_list(const std::string& body) {
  const Json json = parse_json(body);
  if (!json.is_object()) return body + "\n";
  std::string out;
  for (const Json& item : array_of(json, "connections")) {
    const bool own = text_of(item, "owner") == "own";
    // Of our own connections all are in the kernel, or they would not be.
    const char* where = own || field(item, "in_kernel") == true ? "" : ", not in the kernel yet";
    if (field(item, "withheld") == true) where = ", not replicated";
    out +=
        fmt::format("{}  {:<4}  {}{}\n", text_of(item, "group"), text_of(item, "owner"), text_of(item, "flow"), where);
  }
  if (field(json, "more") == true) out += "and more: name a protocol, an address or a port to narrow it\n";
  return out.empty() ? "none\n" : out;
}

Verdict verify_result(const std::string& body) {
  const Json json = parse_json(body);
  if (!field(json, "differ").is_number()) return {body + "\n", 1};
  const double differ = number_of(json, "differ");
  std::string out = fmt::format("{:.0f} differ\n", differ);
  for (const auto& [name, value] : json.items()) {
    if (name == "differ") continue;
    if (value.is_array()) {
      for (const Json& flow : value) out += fmt::format("  {}\n", shown(flow));
      if (const double named = static_cast<double>(value.size()); named < differ)
        out += fmt::format("  and {:.0f} more, which are not named\n", differ - named);
    } else {
      out += fmt::format("  {}: {}\n", name, shown(value));
    }
  }
  return {out, differ == 0 ? 0 : 1};
}

Verdict commit_result(const std::string& body) {
  const Json json = parse_json(body);
  if (!field(json, "in_kernel").is_number()) return {body + "\n", 1};
  const double all = number_of(json, "connections"), there = number_of(json, "in_kernel");
  const double refused = number_of(json, "refused");
  std::string out = fmt::format("the kernel has {:.0f} of {:.0f} connections of the other router", there, all);
  if (refused > 0) out += fmt::format("; it refuses {:.0f}: `natctl show sync status` says why", refused);
  return {out + "\n", refused == 0 && there >= all ? 0 : 1};
}

std::string indented(const std::string& text) {
  const Json json = parse_json(text);
  return json.is_null() ? text + "\n" : dump(json, 2) + "\n";
}

}  // namespace natctl
