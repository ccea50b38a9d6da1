#include "common/redact.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace common {
namespace {

constexpr std::array<std::string_view, 6> kWords{"password", "passphrase", "passwd", "secret", "token", "key"};
constexpr std::string_view kLeftOut = " (left out)";

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
}

/// Where the value begins that `line` gives to one of the words; npos: nowhere. The line is in lower case.
std::size_t value_at(std::string_view line) {
  std::size_t first = std::string_view::npos;
  for (const std::string_view word : kWords) {
    for (std::size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
      std::size_t end = at + word.size();
      if (end < line.size() && in_word(line[end])) continue;                                            // password_file
      if (word == "key" && at > 0 && std::isalpha(static_cast<unsigned char>(line[at - 1]))) continue;  // monkey
      while (end < line.size() && (line[end] == '"' || line[end] == '\'' || line[end] == ' ')) ++end;
      if (end < line.size() && (line[end] == ':' || line[end] == '=')) first = std::min(first, end + 1);
    }
  }
  return first;
}

}  // namespace

std::string without_secrets(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    std::string lower(line);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (const std::size_t at = value_at(lower); at == std::string_view::npos)
      out += line;
    else
      out.append(line.substr(0, at)).append(kLeftOut);
    if (length < text.size()) out += '\n';
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return out;
}

}  // namespace common
