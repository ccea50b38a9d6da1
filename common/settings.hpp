#pragma once
// A YAML text as a tree that remembers where each part stands. Stricter than YAML: a key twice in one map,
// anchors, aliases, tags and a second document are mistakes. All mistakes that can be found are reported, not
// only the first.
#include <string>
#include <string_view>
#include <vector>

#include "common/config.hpp"

namespace common {

/// Longer texts are refused: a pair of routers needs a few kilobytes, 10,000 rules take one megabyte, and what is
/// longer is some other file.
inline constexpr std::size_t kSettingsMaxSize = 4 << 20;

struct SettingEntry;

struct Setting {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  Position at{1, 1};
  std::string text;                   ///< of a scalar
  bool quoted = false;                ///< a scalar in quotes is a word, whatever it looks like
  std::vector<Setting> items;         ///< of a list
  std::vector<SettingEntry> entries;  ///< of a map, in the order of the file

  bool is(Kind wanted) const { return kind == wanted; }
  const SettingEntry* find(std::string_view key) const;
};

struct SettingEntry {
  std::string key;
  Position at;  ///< of the key
  Setting value;
};

/// Collects what is to be said of one file.
class Diagnostics {
 public:
  explicit Diagnostics(std::string_view file) : file_(file) {}
  void error(Position at, std::string text);
  void warning(Position at, std::string text);
  bool failed() const { return failed_; }
  /// In the order of the file; what stands at one place in the order of its discovery.
  std::vector<Diagnostic> take_sorted();

 private:
  void add(Diagnostic::Severity severity, Position at, std::string text);
  std::string file_;
  std::vector<Diagnostic> all_;
  bool failed_ = false;
};

/// The only document of the text. An empty text is a null. With errors the tree holds what could be
/// understood.
Setting parse_settings(std::string_view text, Diagnostics& out);

/// The same for two texts that differ only in comments, white space, quotes or the order of keys in maps:
/// hexadecimal.
std::string digest_of(const Setting& root);

/// The candidate that `word` was probably meant to be, or empty: at most a third of its letters are wrong,
/// swapped, missing or too many.
std::string_view closest(std::string_view word, const std::vector<std::string_view>& candidates);
/// "; did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);
/// The text in single quotes as it may be shown: shortened, and bytes that a terminal would obey written as
/// \xNN.
std::string quoted(std::string_view text);
/// The same without the quotes.
std::string printable(std::string_view text);

}  // namespace common
