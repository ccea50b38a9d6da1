#include "natctl/fit.hpp"

#include <algorithm>
#include <regex>

namespace natctl {
namespace {

/// Of the lines that a long one goes on in, beyond its own.
constexpr std::size_t kIndent = 6;
/// With less room there is no use in folding.
constexpr std::size_t kNarrowest = 20;

template <typename See>
void each_line(std::string_view text, See see) {
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    see(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
}

bool fits(std::string_view text, std::size_t columns) {
  bool all = true;
  each_line(text, [&](std::string_view line) { all = all && line.size() <= columns; });
  return all;
}

/// Where to go on in the next line; npos: nowhere. What stands before it has at most `room` columns.
std::size_t fold_at(std::string_view line, std::size_t room) {
  const auto last = [&](std::string_view mark, std::size_t kept) {
    const std::size_t at = line.rfind(mark, room - kept);
    return at == std::string_view::npos || at < line.find_first_not_of(' ') ? std::string_view::npos : at + kept;
  };
  for (const std::size_t at : {last(", ", 1), last("  ", 0)})
    if (at != std::string_view::npos && at > room / 2) return at;
  if (const std::size_t at = last(" ", 0); at != std::string_view::npos) return at;
  const std::size_t first = line.find_first_not_of(' ');
  return first == std::string_view::npos ? first : line.find(' ', first);
}

void fold(std::string_view line, std::size_t columns, std::string& out) {
  const std::size_t indent = std::min(line.find_first_not_of(' '), line.size()) + kIndent;
  std::string rest(line);
  while (rest.size() > columns) {
    const std::size_t at = fold_at(rest, columns);
    if (at == std::string::npos) break;
    out += rest.substr(0, at) + "\n";
    const std::size_t next = rest.find_first_not_of(' ', at);
    if (next == std::string::npos) return;
    rest = std::string(indent, ' ') + rest.substr(next);
  }
  out += rest + "\n";
}

std::string without_insides(const std::string& text) {
  static const std::regex kInsides(" flags [0-9a-f]+/[0-9a-f]+ scale [0-9]+/[0-9]+|, status 0x[0-9a-f]+");
  return std::regex_replace(text, kInsides, "");
}

/// "a -> b, answered b -> c" is "a -> b, as c", and nothing when c is a: not translated.
std::string without_answers(const std::string& text) {
  static const std::regex kBack("(\\S+) -> (\\S+), answered \\2 -> \\1(?=[,\\n])");
  static const std::regex kSource("-> (\\S+), answered \\1 -> ");
  return std::regex_replace(std::regex_replace(text, kBack, "$1 -> $2"), kSource, "-> $1, as ");
}

}  // namespace

std::string folded(std::string_view text, Columns columns) {
  if (!columns || *columns < kNarrowest || fits(text, *columns)) return std::string(text);
  std::string out;
  each_line(text, [&](std::string_view line) { fold(line, *columns, out); });
  return out;
}

std::string fitted_connections(std::string text, Columns columns) {
  if (!columns) return text;
  if (!fits(text, *columns)) text = without_insides(text);
  if (!fits(text, *columns)) text = without_answers(text);
  return folded(text, columns);
}

}  // namespace natctl
