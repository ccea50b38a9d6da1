#include "common/settings.hpp"

#include <fmt/format.h>
#include <sodium.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "common/bytes.hpp"

namespace common {
namespace {

/// yaml-cpp counts from 0, and knows no place in an empty text.
Position position_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {1, 1};
  return {mark.line + 1, mark.column + 1};
}

/// Builds the tree from yaml-cpp's events: its own tree forgets duplicate keys and follows aliases.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, Diagnostics& out) : text_(text), out_(out) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    // The parser takes a sign in the wrong place for the start of another document, and does not get past it.
    const auto at = static_cast<std::size_t>(mark.pos);
    const char first = at < text_.size() ? text_[at] : ' ';
    if (std::string_view("{}[],:").find(first) != std::string_view::npos) {
      out_.error(position_of(mark), fmt::format("not valid YAML: unexpected {}", quoted({&first, 1})));
    } else {
      out_.error(position_of(mark), "a second document begins here; the file must hold only one");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Setting::Kind::null, mark, "?", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    out_.error(position_of(mark), "aliases (*name) are not supported; write the value out");
    Setting nothing;
    nothing.at = position_of(mark);
    add(std::move(nothing));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Setting scalar = make(Setting::Kind::scalar, mark, tag, anchor);
    scalar.text = value;
    scalar.quoted = tag == "!";
    add(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({make(Setting::Kind::list, mark, tag, anchor), {}, {}, false});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({make(Setting::Kind::map, mark, tag, anchor), {}, {}, false});
  }
  void OnMapEnd() override { close(); }

  Setting take_root() { return std::move(root_); }

 private:
  struct Open {
    Setting setting;
    std::string key;
    Position key_at;
    bool has_key = false;
    std::unordered_map<std::string, int> lines = {};  ///< of the keys so far: a map may hold ten thousand rules
  };

  Setting make(Setting::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    Setting setting;
    setting.kind = kind;
    setting.at = position_of(mark);
    if (anchor != YAML::NullAnchor) out_.error(setting.at, "anchors (&name) are not supported");
    if (!tag.empty() && tag != "?" && tag != "!") out_.error(setting.at, "tags (!type) are not supported");
    return setting;
  }

  void close() {
    Setting done = std::move(open_.back().setting);
    open_.pop_back();
    add(std::move(done));
  }

  void add(Setting setting) {
    if (open_.empty()) {
      if (documents_ <= 1) root_ = std::move(setting);
      return;
    }
    Open& parent = open_.back();
    if (parent.setting.is(Setting::Kind::list)) {
      parent.setting.items.push_back(std::move(setting));
    } else if (!parent.has_key) {
      if (!setting.is(Setting::Kind::scalar)) out_.error(setting.at, "a key must be a single word");
      parent.key = std::move(setting.text);
      parent.key_at = setting.at;
      parent.has_key = true;
    } else {
      parent.has_key = false;
      if (setting.is(Setting::Kind::null)) setting.at = parent.key_at;  // the parser notices only at the next key
      const auto [first, fresh] = parent.lines.try_emplace(parent.key, parent.key_at.line);
      if (!fresh) {
        out_.error(parent.key_at,
                   fmt::format("duplicate key {}, first given in line {}", quoted(parent.key), first->second));
        return;
      }
      parent.setting.entries.push_back({std::move(parent.key), parent.key_at, std::move(setting)});
    }
  }

  std::string_view text_;
  Diagnostics& out_;
  Setting root_;
  std::vector<Open> open_;
  int documents_ = 0;
};

/// Each part with its length before it, so that no two different trees give the same text.
void write_canonical(const Setting& setting, std::string& out) {
  switch (setting.kind) {
    case Setting::Kind::null:
      out += "n;";
      return;
    case Setting::Kind::scalar:
      out += fmt::format("s{}:{};", setting.text.size(), setting.text);
      return;
    case Setting::Kind::list:
      out += fmt::format("l{}:", setting.items.size());
      for (const Setting& item : setting.items) write_canonical(item, out);
      return;
    case Setting::Kind::map: {
      std::vector<const SettingEntry*> sorted;
      for (const SettingEntry& entry : setting.entries) sorted.push_back(&entry);
      std::ranges::sort(sorted, {}, [](const SettingEntry* entry) { return std::string_view(entry->key); });
      out += fmt::format("m{}:", sorted.size());
      for (const SettingEntry* entry : sorted) {
        out += fmt::format("{}:{}=", entry->key.size(), entry->key);
        write_canonical(entry->value, out);
      }
      return;
    }
  }
}

/// Steps of one letter that turn one word into the other; a swap of neighbours is one step, as fingers make
/// it.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// The table of the edit distance grows with the product of both lengths; no name of ours is longer.
constexpr std::size_t kGuessMaxLength = 64;

}  // namespace

const SettingEntry* Setting::find(std::string_view key) const {
  const auto found = std::ranges::find(entries, key, &SettingEntry::key);
  return found == entries.end() ? nullptr : &*found;
}

void Diagnostics::error(Position at, std::string text) {
  failed_ = true;
  add(Diagnostic::Severity::error, at, std::move(text));
}

void Diagnostics::warning(Position at, std::string text) {
  add(Diagnostic::Severity::warning, at, std::move(text));
}

void Diagnostics::add(Diagnostic::Severity severity, Position at, std::string text) {
  all_.push_back({severity, file_, at, std::move(text)});
}

std::vector<Diagnostic> Diagnostics::take_sorted() {
  std::ranges::stable_sort(all_, [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  return std::move(all_);
}

Setting parse_settings(std::string_view text, Diagnostics& out) {
  if (text.size() > kSettingsMaxSize) {
    out.error({1, 1}, fmt::format("the file is longer than {} bytes", kSettingsMaxSize));
    return {};
  }
  TreeBuilder builder(text, out);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    // The second call is for the message; what follows is of no interest, and may never end.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::DeepRecursion& e) {
    out.error(position_of(e.mark), "maps and lists are nested too deeply");
  } catch (const YAML::Exception& e) {
    out.error(position_of(e.mark), "not valid YAML: " + printable(e.msg));
  }
  return builder.take_root();
}

std::string digest_of(const Setting& root) {
  // 128 bits: the two files of one pair are compared, and nobody gains by a collision that he makes himself.
  constexpr std::size_t kDigestBytes = 16;
  std::string canonical;
  write_canonical(root, canonical);
  unsigned char hash[kDigestBytes];
  crypto_generichash(hash, sizeof hash, reinterpret_cast<const unsigned char*>(canonical.data()), canonical.size(),
                     nullptr, 0);
  std::string hex;
  for (const unsigned char byte : hash) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string_view closest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > kGuessMaxLength) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.empty() || candidate.size() > kGuessMaxLength || candidate == word) continue;
    const std::size_t distance = edit_distance(word, candidate);
    // A one-letter name is one step from every other one: that is no guess.
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view guess = closest(word, candidates);
  return guess.empty() ? std::string() : fmt::format("; did you mean {}?", quoted(guess));
}

std::string printable(std::string_view text) {
  constexpr std::size_t kShown = 60;  // a line of a message stays a line
  std::string out;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return text.size() > kShown ? out + "..." : out;
}

std::string quoted(std::string_view text) {
  return "'" + printable(text) + "'";
}

}  // namespace common
