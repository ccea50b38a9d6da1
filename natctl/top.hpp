#pragma once
// `natctl top`: what the two routers do at this moment, as a screen of any size or as one line. Pure: samples come in.
#include <string>
#include <vector>

#include "common/time.hpp"
#include "natctl/conversation.hpp"
#include "natctl/report.hpp"

namespace natctl {

/// The state at one moment.
struct TopSample {
  common::Time at;
  std::string clock;  ///< the same for people: "21:00:00"
  Answers answers;
  std::vector<Conversation> conversations;  ///< of the kernel's table
  std::string why_no_conversations;         ///< one line, when they could not be had
};

struct TopLine {
  enum class Tone { plain, head, good, bad } tone = Tone::plain;
  std::string text;
  bool operator==(const TopLine&) const = default;
};

struct TopSize {
  int columns = 80, rows = 24;
};

/// Never more lines than rows, none wider than columns; what matters most comes first. Rates are those since `before`.
std::vector<TopLine> top_screen(const TopSample& now, const TopSample* before, TopSize size);
/// The same in one line, for what is no terminal.
std::string top_line(const TopSample& now, const TopSample* before);
/// One object on one line: the status, and the rates.
std::string top_json(const TopSample& now, const TopSample* before);

}  // namespace natctl
