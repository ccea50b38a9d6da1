#pragma once
// Reads typed values out of the tree of settings and says what is wrong with them. Every reader leaves its
// target alone when the value is wrong, so that reading can go on and find the next mistake.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/address.hpp"
#include "common/settings.hpp"
#include "common/time.hpp"

namespace common {

/// The words that a key may have, and what they mean.
template <typename T>
using Choices = std::initializer_list<std::pair<std::string_view, T>>;

/// One value and how messages call it.
struct Reader {
  const Setting& value;
  std::string name;  ///< "vrrp.groups.MAIN-GW.preempt"
  Diagnostics& out;

  bool text(std::string& into) const;  ///< any scalar that is not empty
  bool integer(int& into, int lowest, int highest) const;
  bool boolean(bool& into) const;
  bool duration(Duration& into, Duration lowest, Duration highest) const;
  bool address(IpAddress& into) const;
  bool prefix(Prefix& into) const;   ///< host bits allowed
  bool network(Prefix& into) const;  ///< host bits are cleared, with a warning
  bool interface_name(std::string& into) const;
  bool path(std::string& into) const;  ///< absolute
  /// A name of a person's choice: letters, digits, '-', '_', '.'.
  static bool is_name(std::string_view text);
  /// A mistake unless the key is such a name; `what` says of what.
  static void check_name(const SettingEntry& entry, std::string_view what, Diagnostics& out);

  template <typename T>
  bool choice(T& into, Choices<T> choices) const {
    std::string word;
    if (!text(word)) return false;
    std::vector<std::string_view> words;
    for (const auto& [known, meaning] : choices) {
      if (known == word) {
        into = meaning;
        return true;
      }
      words.push_back(known);
    }
    wrong_word(word, words);
    return false;
  }

  /// The items of a list; a mistake and none when it is something else.
  std::span<const Setting> list() const;
  /// The items of a list, or the one scalar that stands in its place.
  std::span<const Setting> list_or_one() const;
  /// The entries of a map; a mistake and none when it is something else.
  std::span<const SettingEntry> map() const;
  /// The same, and a mistake with this text when there are none.
  std::span<const SettingEntry> filled_map(std::string_view otherwise) const;
  Reader item(const Setting& of_list) const { return {of_list, name, out}; }
  Reader entry(const SettingEntry& of_map) const { return {of_map.value, name + "." + printable(of_map.key), out}; }

  void error(std::string text) const { out.error(value.at, name + ": " + std::move(text)); }
  void warning(std::string text) const { out.warning(value.at, name + ": " + std::move(text)); }

 private:
  void wrong_word(std::string_view word, const std::vector<std::string_view>& known) const;
};

/// A map with known keys. Ask for all of them, then finish(): what was never asked for is unknown to us.
class Section {
 public:
  Section(const Setting& map, std::string name, Diagnostics& out);

  /// The value of the key, or none.
  const Setting* find(std::string_view key);
  /// The same, and a mistake when it is missing.
  const Setting* require(std::string_view key);
  Reader reader(const Setting& value, std::string_view key) const;
  bool has(std::string_view key) const { return map_.find(key) != nullptr; }
  Position at() const { return map_.at; }
  const std::string& name() const { return name_; }
  Diagnostics& out() { return out_; }
  void finish();

  /// Calls `read(Reader)` when the key is there.
  template <typename Read>
  void with(std::string_view key, Read read) {
    if (const Setting* value = find(key)) read(reader(*value, key));
  }
  template <typename Read>
  void with_required(std::string_view key, Read read) {
    if (const Setting* value = require(key)) read(reader(*value, key));
  }
  void integer(std::string_view key, int& into, int lowest, int highest);
  void boolean(std::string_view key, bool& into);
  void duration(std::string_view key, Duration& into, Duration lowest, Duration highest);
  void text(std::string_view key, std::string& into);
  void path(std::string_view key, std::string& into);

 private:
  const Setting& map_;
  std::string name_;
  Diagnostics& out_;
  std::vector<std::string_view> known_;
};

/// "40.95s" in nanoseconds; none when it is no duration.
std::optional<Duration> parse_duration(std::string_view text);
/// In the largest unit that gives a whole number: "1s", "1500ms".
std::string to_string(Duration duration);

}  // namespace common
