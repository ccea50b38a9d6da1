#include "natctl/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "common/overload.hpp"
#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

using Lines = std::vector<std::string>;

std::string state_text(common::GroupState state, common::Phase phase) {
  std::string text(common::to_string(state));
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return phase == common::Phase::idle ? text : fmt::format("{} ({})", text, common::to_string(phase));
}

std::string term_text(const common::Term& term) {
  return fmt::format("term {}@{}", term.counter, term.node);
}

/// Names and causes may come from outside: no line of theirs may look like one of ours, nor move the cursor.
std::string printable(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

std::vector<std::string> monitor_lines(const common::NotifyMessage& message) {
  Lines lines = std::visit(
      common::Overload{
          [](const common::Welcome& m) {
            Lines out;
            for (const auto& g : m.groups)
              out.push_back(fmt::format("{}  is {}, {}", g.group, state_text(g.state, g.phase), term_text(g.term)));
            return out;
          },
          [](const common::Anticipate& m) {
            return Lines{m.group + (m.on ? "  an advert is overdue" : "  adverts are heard again")};
          },
          [](const common::Prepare& m) { return Lines{fmt::format("{}  takes over, {}", m.group, term_text(m.term))}; },
          [](const common::Open& m) {
            return Lines{
                fmt::format("{}  opens the gate ({}), {}", m.group, common::to_string(m.reason), term_text(m.term))};
          },
          [](const common::Shut& m) {
            return Lines{fmt::format("{}  shuts the gate, {}: {}", m.group, term_text(m.term), m.cause)};
          },
          [](const common::Drain& m) { return Lines{fmt::format("{}  drains, {}", m.group, term_text(m.term))}; },
          [](const common::Entered& m) {
            return Lines{fmt::format("{}  is {}, {}, priority {}: {}", m.group, state_text(m.state, m.phase),
                                     term_text(m.term), m.priority, m.cause)};
          },
          [](const auto&) { return Lines{}; },
      },
      message);
  for (std::string& line : lines) line = printable(std::move(line));
  return lines;
}

std::vector<std::string> Readiness::look(const Report& report) {
  const Json json = parse_json(report.json);
  Lines lines{flag_of(json, "failover_ready") ? "ready to fail over" : "NOT ready to fail over"};
  for (const Json& reason : array_of(json, "reasons"))
    if (reason.is_string()) lines.push_back("  - " + printable(reason.get<std::string>()));
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  if (all == last_) return {};
  last_ = std::move(all);
  return lines;
}

}  // namespace natctl
