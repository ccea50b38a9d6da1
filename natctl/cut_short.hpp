#pragma once
// Words that were cut short, where CLI11 does not know them: they may be names, too.
#include <span>
#include <string>
#include <string_view>

namespace natctl {

/// The one of `words` that begins as `typed` does; `typed` itself when it is one of them, or none or several do.
inline std::string written_out(std::string_view typed, std::span<const std::string_view> words) {
  std::string_view found;
  for (const std::string_view word : words) {
    if (word == typed || (word.starts_with(typed) && !found.empty())) return std::string(typed);
    if (word.starts_with(typed)) found = word;
  }
  return std::string(found.empty() ? typed : found);
}

}  // namespace natctl
