#include "natctl/sync_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "natctl/cut_short.hpp"
#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

/// Counters by what they are about; the first heading whose beginnings or names fit is theirs.
struct Heading {
  std::string_view title;
  std::vector<std::string_view> names;  ///< whole
  std::vector<std::string_view> beginnings;
};

const std::vector<Heading>& headings() {
  static const std::vector<Heading> kHeadings{
      {"not replicated",
       {"flows_excluded", "mixed_families", "table_full", "io_ctnetlink_directional_zone",
        "io_ctnetlink_unsupported_family", "io_ctnetlink_unsupported_expectation", "expectations_left_out"},
       {"excluded_", "filtered_"}},
      {"not taken from the peer",
       {"foreign_claims", "own_address_flows", "older_version", "stale_stream", "stale_term", "adoptions_refused",
        "translations_kept"},
       {"record_"}},
      {"not committed",
       {"kernel_refusals", "kernel_full", "commit_failed", "reply_clashes", "prepares_failed", "expectations_refused"},
       {"io_kernel_refused", "io_kernel_labels", "io_kernel_untied", "io_kernel_answers", "io_kernel_status"}},
      {"link",
       {"bytes_sent", "bytes_received", "duplicates", "too_early", "retransmit_timeouts", "paths_narrowed",
        "foreign_source", "beside_group", "sessions", "peer_restarts", "unknown_blocks"},
       {"datagram", "hello_", "frame_", "io_link"}},
      {"compared with the peer", {"verify_runs"}, {"audit_"}},
      {"everything else", {}, {""}},
  };
  return kHeadings;
}

bool belongs(const Heading& heading, std::string_view counter) {
  return std::ranges::find(heading.names, counter) != heading.names.end() ||
         std::ranges::any_of(heading.beginnings, [&](std::string_view b) { return counter.starts_with(b); });
}

const Heading& heading_of(std::string_view counter) {
  return *std::ranges::find_if(headings(), [&](const Heading& h) { return belongs(h, counter); });
}

/// Every counter, also those at 0: that something did not happen is an answer, too.
std::string statistics(const Json& counters) {
  std::string out;
  if (!counters.is_object()) return out;
  for (const Heading& heading : headings()) {
    std::string lines;
    for (const auto& [name, value] : counters.items())
      if (&heading_of(name) == &heading) lines += fmt::format("  {:<34}  {}\n", name, dump(value, -1));
    if (!lines.empty()) out += fmt::format("{}\n{}", heading.title, lines);
  }
  return out;
}

/// The fields of that name, and the counters that the view is about.
Json part(const Json& status, std::span<const std::string_view> fields, bool (*wanted)(std::string_view)) {
  Json out = Json::object();
  for (const std::string_view name : fields) out[std::string(name)] = field(status, name);
  Json counters = Json::object();
  if (const Json& all = field(status, "counters"); all.is_object())
    for (const auto& [name, value] : all.items())
      if (wanted(name)) counters[name] = value;
  if (!counters.empty()) out["counters"] = std::move(counters);
  return out;
}

Json narrowed(const Json& status, const std::string& view) {
  constexpr std::array<std::string_view, 7> kLink{"link",   "peer",           "links",  "state",
                                                  "lag_ms", "config_differs", "reasons"};
  constexpr std::array<std::string_view, 4> kQueue{"backlog", "lag_ms", "link", "state"};
  if (view == "link") return part(status, kLink, [](std::string_view n) { return heading_of(n).title == "link"; });
  if (view == "queue")
    return part(status, kQueue, [](std::string_view n) {
      return n == "flows_sent" || n == "endings_sent" || n == "datagrams_lost" || n == "retransmit_timeouts" ||
             n == "kernel_writes" || n == "io_event_overruns";
    });
  Json out = status;
  if (view == "status") out.erase("counters");
  return out;
}

}  // namespace

SyncQuestion sync_question(const std::vector<std::string>& words) {
  constexpr std::array<std::string_view, 5> kViews{"status", "statistics", "link", "queue", "cache"};
  constexpr std::array<std::string_view, 2> kCaches{"internal", "external"};
  if (words.empty()) return {};
  const std::string first = written_out(words.front(), kViews);
  if (first == "cache") {
    const std::string whose = words.size() > 1 ? written_out(words[1], kCaches) : "";
    if (whose != "internal" && whose != "external")
      return {.mistake = "show sync cache: say internal (this router's connections) or external (the peer's)"};
    std::vector<std::string> filter{whose == "internal" ? "own" : "peer"};
    filter.insert(filter.end(), words.begin() + 2, words.end());
    return {.filter = std::move(filter)};
  }
  if (std::ranges::find(kViews, first) == kViews.end())
    return {.mistake = fmt::format("show sync: {} is none of status, statistics, link, queue and cache", first)};
  if (words.size() > 1) return {.mistake = fmt::format("show sync {}: takes no more words", first)};
  return {.view = first};
}

std::string sync_view(const std::string& body, const std::string& view, bool as_json) {
  const Json status = parse_json(body);
  if (!status.is_object() || view.empty()) return as_json ? indented(body) : sync_details(body);
  if (view == "statistics") {
    const Json& counters = field(status, "counters");
    return as_json ? indented(dump(Json{{"counters", counters}}, -1)) : statistics(counters);
  }
  const std::string text = dump(narrowed(status, view), -1);
  return as_json ? indented(text) : sync_details(text);
}

}  // namespace natctl
