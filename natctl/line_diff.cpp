#include "natctl/line_diff.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace natctl {
namespace {

using Lines = std::vector<std::string_view>;

/// Above this the exact comparison takes gigabytes: what is in the middle is shown as replaced as a whole.
constexpr std::size_t kMostCells = 64u << 20;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// Lines with their signs; the heads above them are said once.
class Shown {
 public:
  void same(std::string_view line) {
    const auto words = line.find_first_not_of(" \t");
    if (words != std::string_view::npos && words <= 1 + line.find('\t') + 4 && line.ends_with("{")) head_ = line;
  }
  void changed(char sign, std::string_view line) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) return;
    if (!head_.empty()) text_ += "  " + std::string(head_) + "\n";
    head_ = {};
    text_ += sign;
    text_ += " " + std::string(line) + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::string_view head_;
};

/// Lengths of the longest common subsequence of what follows each pair of places.
std::vector<std::uint32_t> common_lengths(const Lines& a, const Lines& b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::uint32_t> cells((a.size() + 1) * width);
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      cells[i * width + j] = a[i] == b[j] ? cells[(i + 1) * width + j + 1] + 1
                                          : std::max(cells[(i + 1) * width + j], cells[i * width + j + 1]);
  return cells;
}

void compare(const Lines& a, const Lines& b, Shown& out) {
  if ((a.size() + 1) * (b.size() + 1) > kMostCells) {
    for (const auto line : a) out.changed('-', line);
    for (const auto line : b) out.changed('+', line);
    return;
  }
  const std::vector<std::uint32_t> cells = common_lengths(a, b);
  const std::size_t width = b.size() + 1;
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      out.same(a[i]);
      ++i, ++j;
    } else if (i < a.size() && (j == b.size() || cells[(i + 1) * width + j] >= cells[i * width + j + 1])) {
      out.changed('-', a[i++]);
    } else {
      out.changed('+', b[j++]);
    }
  }
}

}  // namespace

std::string line_diff(std::string_view before, std::string_view after) {
  Lines a = lines_of(before), b = lines_of(after);
  Shown out;
  // What is equal at both ends needs no comparison.
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) out.same(a[head++]);
  a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(head));
  b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(head));
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    a.pop_back();
    b.pop_back();
  }
  compare(a, b, out);
  return out.take();
}

}  // namespace natctl
