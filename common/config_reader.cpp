#include "common/config_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace common {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Decimal without sign, leading zero (YAML 1.1 would make it octal) or anything behind it.
std::optional<int> parse_integer(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!is_digit(text.front()) || (text.front() == '0' && text.size() > 1)) return std::nullopt;
  return number;
}

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
constexpr Unit kUnits[] = {{"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}};

std::string_view kind_of(const Setting& value) {
  switch (value.kind) {
    case Setting::Kind::null:
      return "nothing";
    case Setting::Kind::scalar:
      return "a single value";
    case Setting::Kind::list:
      return "a list";
    case Setting::Kind::map:
      return "a map";
  }
  return "";
}

/// "a", "a or b", "a, b or c"
std::string enumerate(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += std::string(i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
  return out;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  const auto number_end = std::ranges::find_if(text, [](char c) { return !is_digit(c) && c != '.'; });
  std::string_view number = text.substr(0, static_cast<std::size_t>(number_end - text.begin()));
  const auto unit = std::ranges::find(kUnits, text.substr(number.size()), &Unit::name);
  // Nine digits of any unit fit into 64 bits of nanoseconds with room to spare.
  constexpr std::size_t kDigits = 8;
  if (unit == std::end(kUnits) || number.empty() || !is_digit(number.front()) || !is_digit(number.back()))
    return std::nullopt;
  const std::string_view whole = number.substr(0, number.find('.'));
  const std::string_view fraction = whole.size() == number.size() ? "" : number.substr(whole.size() + 1);
  if (whole.size() > kDigits || fraction.size() > kDigits || fraction.find('.') != fraction.npos) return std::nullopt;
  std::int64_t result = 0;
  for (const char c : whole) result = result * 10 + (c - '0');
  result *= unit->nanoseconds;
  std::int64_t digit_worth = unit->nanoseconds;
  for (const char c : fraction) {
    if (digit_worth % 10 != 0 && c != '0') return std::nullopt;  // finer than a nanosecond
    digit_worth /= 10;
    result += (c - '0') * digit_worth;
  }
  return Duration(result);
}

std::string to_string(Duration duration) {
  const std::int64_t nanoseconds = duration.count();
  for (const Unit& unit : {kUnits[2], kUnits[1], kUnits[0]})
    if (nanoseconds != 0 && nanoseconds % unit.nanoseconds == 0)
      return fmt::format("{}{}", nanoseconds / unit.nanoseconds, unit.name);
  return nanoseconds == 0 ? "0s" : fmt::format("{}ms", milliseconds(duration));
}

bool Reader::text(std::string& into) const {
  if (!value.is(Setting::Kind::scalar)) {
    error(fmt::format("expected a single value, found {}", kind_of(value)));
    return false;
  }
  if (value.text.empty()) {
    error("must not be empty");
    return false;
  }
  into = value.text;
  return true;
}

bool Reader::integer(int& into, int lowest, int highest) const {
  std::string word;
  if (!text(word)) return false;
  const std::optional<int> number = parse_integer(word);
  if (!number || *number < lowest || *number > highest) {
    error(fmt::format("expected a number from {} to {}, found {}", lowest, highest, quoted(word)));
    return false;
  }
  into = *number;
  return true;
}

bool Reader::boolean(bool& into) const {
  return choice<bool>(into, {{"true", true}, {"false", false}});
}

bool Reader::duration(Duration& into, Duration lowest, Duration highest) const {
  std::string word;
  if (!text(word)) return false;
  const std::optional<Duration> parsed = parse_duration(word);
  if (!parsed) {
    const bool bare = std::ranges::all_of(word, [](char c) { return is_digit(c) || c == '.'; });
    error(bare ? fmt::format("a duration needs a unit; write {0}s, {0}ms or {0}min", word)
               : fmt::format("expected a duration such as 100ms, 1s or 2min, found {}", quoted(word)));
    return false;
  }
  if (*parsed < lowest || *parsed > highest) {
    error(fmt::format("{} is out of range; it may be {} to {}", word, to_string(lowest), to_string(highest)));
    return false;
  }
  into = *parsed;
  return true;
}

bool Reader::address(IpAddress& into) const {
  std::string word;
  if (!text(word)) return false;
  const std::optional<IpAddress> parsed = IpAddress::parse(word);
  if (!parsed) {
    error(Prefix::parse(word) ? fmt::format("expected an address without a prefix length, found {}", quoted(word))
                              : fmt::format("{} is not an IP address", quoted(word)));
    return false;
  }
  into = *parsed;
  return true;
}

bool Reader::prefix(Prefix& into) const {
  std::string word;
  if (!text(word)) return false;
  const std::optional<Prefix> parsed = Prefix::parse(word);
  if (!parsed) {
    error(fmt::format("{} is not an IP address with or without a prefix length", quoted(word)));
    return false;
  }
  into = *parsed;
  return true;
}

bool Reader::network(Prefix& into) const {
  Prefix parsed;
  if (!prefix(parsed)) return false;
  if (parsed.has_host_bits()) {
    const Prefix meant{parsed.network(), parsed.length};
    warning(fmt::format("{} has bits set behind the prefix length; it is taken as {}", parsed.to_string(),
                        meant.to_string()));
    parsed = meant;
  }
  into = parsed;
  return true;
}

bool Reader::interface_name(std::string& into) const {
  // The kernel's IFNAMSIZ less the terminating zero.
  constexpr std::size_t kLongest = 15;
  std::string word;
  if (!text(word)) return false;
  const bool bad_byte = std::ranges::any_of(word, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || c == '/' || c == ':' || c == '"' || c == '\\' || c == '*';
  });
  if (bad_byte || word.size() > kLongest || word == "." || word == "..") {
    error(
        fmt::format("{} cannot be the name of an interface (at most {} printable characters, without spaces "
                    "or any of /:\"\\*)",
                    quoted(word), kLongest));
    return false;
  }
  into = word;
  return true;
}

bool Reader::path(std::string& into) const {
  std::string word;
  if (!text(word)) return false;
  if (word.front() != '/') {
    error(fmt::format("{} is not an absolute path", quoted(word)));
    return false;
  }
  into = word;
  return true;
}

bool Reader::is_name(std::string_view text) {
  constexpr std::size_t kLongest = 63;  // a host name's label, which node names usually are
  return !text.empty() && text.size() <= kLongest && text.front() != '-' && text.front() != '.' &&
         std::ranges::all_of(text, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
         });
}

std::span<const Setting> Reader::list() const {
  if (value.is(Setting::Kind::list)) return value.items;
  if (value.is(Setting::Kind::scalar)) {
    error(fmt::format("expected a list; write [{}]", printable(value.text)));
  } else {
    error(fmt::format("expected a list, found {}", kind_of(value)));
  }
  return {};
}

std::span<const Setting> Reader::list_or_one() const {
  return value.is(Setting::Kind::scalar) ? std::span(&value, 1) : list();
}

std::span<const SettingEntry> Reader::map() const {
  if (!value.is(Setting::Kind::map) && !value.is(Setting::Kind::null))
    error(fmt::format("expected a map, found {}", kind_of(value)));
  return value.entries;
}

std::span<const SettingEntry> Reader::filled_map(std::string_view otherwise) const {
  if (value.is(Setting::Kind::null) || (value.is(Setting::Kind::map) && value.entries.empty()))
    error(std::string(otherwise));
  return map();
}

void Reader::check_name(const SettingEntry& entry, std::string_view what, Diagnostics& out) {
  if (!is_name(entry.key))
    out.error(entry.at, fmt::format("{} cannot be the name of {}; use at most 63 letters, digits, '-', '_' and '.'",
                                    quoted(entry.key), what));
}

void Reader::wrong_word(std::string_view word, const std::vector<std::string_view>& known) const {
  const std::string guess = did_you_mean(word, known);
  error(fmt::format("expected {}, found {}{}", enumerate(known), quoted(word), guess));
}

Section::Section(const Setting& map, std::string name, Diagnostics& out)
    : map_(map), name_(std::move(name)), out_(out) {
  if (map.is(Setting::Kind::map) || map.is(Setting::Kind::null)) return;
  out_.error(map.at, fmt::format("{}expected a map, found {}", name_.empty() ? "" : name_ + ": ", kind_of(map)));
}

const Setting* Section::find(std::string_view key) {
  known_.push_back(key);
  const SettingEntry* entry = map_.find(key);
  return entry ? &entry->value : nullptr;
}

const Setting* Section::require(std::string_view key) {
  const Setting* value = find(key);
  // What is no map at all has been reported already.
  if (!value && (map_.is(Setting::Kind::map) || map_.is(Setting::Kind::null)))
    out_.error(map_.at, name_.empty() ? fmt::format("{} is missing", quoted(key))
                                      : fmt::format("{}: {} is missing", name_, quoted(key)));
  return value;
}

Reader Section::reader(const Setting& value, std::string_view key) const {
  return {value, name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key), out_};
}

void Section::finish() {
  for (const SettingEntry& entry : map_.entries) {
    if (std::ranges::find(known_, entry.key) != known_.end()) continue;
    // A key that is there already is not what was meant.
    std::vector<std::string_view> missing;
    for (const std::string_view key : known_)
      if (!map_.find(key)) missing.push_back(key);
    std::string hint = did_you_mean(entry.key, missing);
    if (hint.empty()) hint = did_you_mean(entry.key, known_);
    if (hint.empty()) hint = fmt::format("; known keys: {}", fmt::join(known_, ", "));
    out_.error(entry.at,
               fmt::format("unknown key {}{}{}", quoted(entry.key), name_.empty() ? "" : " in " + name_, hint));
  }
}

void Section::integer(std::string_view key, int& into, int lowest, int highest) {
  with(key, [&](const Reader& r) { r.integer(into, lowest, highest); });
}
void Section::boolean(std::string_view key, bool& into) {
  with(key, [&](const Reader& r) { r.boolean(into); });
}
void Section::duration(std::string_view key, Duration& into, Duration lowest, Duration highest) {
  with(key, [&](const Reader& r) { r.duration(into, lowest, highest); });
}
void Section::text(std::string_view key, std::string& into) {
  with(key, [&](const Reader& r) { r.text(into); });
}
void Section::path(std::string_view key, std::string& into) {
  with(key, [&](const Reader& r) { r.path(into); });
}

}  // namespace common
