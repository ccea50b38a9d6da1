// Reads back what nft lists of our table.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "natctl/nft.hpp"
#include "natctl/nft_parts.hpp"

namespace natctl {

namespace {

std::optional<common::Term> read_term(std::string_view comment) {
  constexpr std::string_view kHead = "term ";
  if (!comment.starts_with(kHead)) return std::nullopt;
  comment.remove_prefix(kHead.size());
  common::Term term;
  const auto [end, failure] = std::from_chars(comment.data(), comment.data() + comment.size(), term.counter);
  if (failure != std::errc{} || end == comment.data() + comment.size() || *end != ' ') return std::nullopt;
  comment.remove_prefix(static_cast<std::size_t>(end - comment.data()) + 1);
  term.node = decode_name(comment);
  return term;
}

/// A string of an object; empty when it has none.
std::string text_of(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::optional<std::string> group_of(const std::string& chain, std::string_view prefix) {
  if (!chain.starts_with(prefix)) return std::nullopt;
  return decode_name(std::string_view(chain).substr(prefix.size()));
}

}  // namespace

std::optional<GateStates> read_gates(std::string_view json) {
  const auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_object() || !list.contains("nftables") || !list["nftables"].is_array()) return std::nullopt;
  GateStates gates;
  // A group is one of ours by its strict_ chain, a name that starts no other chain's.
  for (const auto& item : list["nftables"])
    if (item.is_object() && item.contains("chain"))
      if (const auto group = group_of(text_of(item["chain"], "name"), kSwitch[2])) gates[*group].open = true;
  for (const auto& item : list["nftables"]) {
    if (!item.is_object() || !item.contains("rule")) continue;
    const auto& rule = item["rule"];
    const std::string chain = text_of(rule, "chain");
    for (auto& [group, gate] : gates) {
      const std::string name = encode_name(group);
      if (chain == std::string(kSwitch[0]) + name) gate.open = false;
      if (chain != std::string(kSwitch[2]) + name) continue;
      if (const auto term = read_term(text_of(rule, "comment"))) gate.term = *term;
      if (rule.contains("expr"))
        for (const auto& expression : rule["expr"])
          gate.complete |= expression.is_object() && expression.contains("reject");
    }
  }
  return gates;
}

std::map<std::string, std::uint64_t> sum_counters(const CountsByKey& counts) {
  std::map<std::string, std::uint64_t> result;
  for (const std::string_view name : kCounters) {
    std::uint64_t& sum = result[std::string(name) + "_packets"];
    for (const auto& [counter, count] : counts)
      if (group_of(counter, std::string(name) + "_")) sum += count.packets;
  }
  return result;
}

namespace {

/// What stands behind the last # of a comment, with its sign; empty when there is none.
std::string_view mark_of(std::string_view comment) {
  const auto at = comment.rfind('#');
  return at == std::string_view::npos ? std::string_view() : comment.substr(at);
}

}  // namespace

std::string counts_key(std::string_view comment) {
  const std::string_view mark = mark_of(comment);
  if (mark.empty()) return {};
  return std::string(comment.substr(0, std::min(comment.find(':'), comment.find(" #")))) + std::string(mark);
}

namespace {

std::string counts_text(const Counts& counts) {
  return fmt::format("packets {} bytes {}", counts.packets, counts.bytes);
}

/// One line of the table as we write it, with its counts.
std::string with_counts(std::string_view line, const CountsByKey& known) {
  constexpr std::string_view kNamed = "counter ", kEmpty = " { }", kRule = "counter ", kComment = " comment \"";
  const std::size_t indentation = std::min(line.find_first_not_of(' '), line.size());
  const std::string_view words = line.substr(indentation);
  if (words.starts_with(kNamed) && words.ends_with(kEmpty)) {
    const auto counts = known.find(words.substr(kNamed.size(), words.size() - kNamed.size() - kEmpty.size()));
    if (counts == known.end()) return std::string(line);
    return fmt::format("{} {{ {} }}", line.substr(0, line.size() - kEmpty.size()), counts_text(counts->second));
  }
  const auto comment = line.rfind(kComment);
  if (comment == std::string_view::npos || !line.ends_with('"')) return std::string(line);
  std::string_view text = line.substr(comment + kComment.size());
  text.remove_suffix(1);
  const std::string key = counts_key(text);
  if (key.empty()) return std::string(line);
  const auto counts = known.find(key);
  // Of a name in quotes that is spelt like this, the quotation mark stands before it.
  const auto at = words.starts_with(kRule) ? indentation : line.find(" counter ") + 1;
  if (counts == known.end() || at == 0 || at > comment) return std::string(line);
  return fmt::format("{}counter {} {}", line.substr(0, at), counts_text(counts->second),
                     line.substr(at + kRule.size()));
}

}  // namespace

std::string keep_counters(std::string_view table, const CountsByKey& known) {
  if (known.empty()) return std::string(table);
  std::string result;
  result.reserve(table.size() + table.size() / 4);
  while (!table.empty()) {
    const auto end = std::min(table.find('\n'), table.size());
    result += with_counts(table.substr(0, end), known);
    result += '\n';
    table.remove_prefix(std::min(end + 1, table.size()));
  }
  return result;
}

}  // namespace natctl
