// Which connections are replicated: sync.filter.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// What is younger than this is hardly "short-lived"; and ages are kept in 32 bits of milliseconds.
constexpr Duration kLongestDelay = std::chrono::hours(1);
constexpr int kHighestZone = std::numeric_limits<std::uint16_t>::max();

/// "7" or "0x7"; none when it is something else.
std::optional<std::uint32_t> parse_word32(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void read_mark(const Reader& reader, SyncMatch& match) {
  std::string word;
  if (!reader.text(word)) return;
  const std::string_view text = word;
  const std::size_t slash = text.find('/');
  const auto value = parse_word32(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? std::optional(std::numeric_limits<std::uint32_t>::max())
                                                    : parse_word32(text.substr(slash + 1));
  if (!value || !mask)
    return reader.error(
        fmt::format("expected a number, or value/mask such as 0x10/0xf0, each of 32 bits; found {}", quoted(word)));
  if (*mask == 0) return reader.error("the mask is 0, so that every mark would fit; leave the key out");
  if ((*value & ~*mask) != 0)
    return reader.error(fmt::format("no mark fits: {:#x} has bits that the mask {:#x} leaves out", *value, *mask));
  match.mark = {*value, *mask};
}

void read_zones(const Reader& reader, SyncMatch& match) {
  const std::span<const Setting> items = reader.list_or_one();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty");
  for (const Setting& item : items)
    if (int zone = 0; reader.item(item).integer(zone, 0, kHighestZone))
      match.zones.push_back(static_cast<std::uint16_t>(zone));
}

void read_tcp_states(const Reader& reader, SyncMatch& match) {
  const auto all = tcp_state_names().subspan(1);  // the first is that of no state
  const std::span<const Setting> items = reader.list_or_one();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty");
  for (const Setting& item : items) {
    std::string word;
    if (!reader.item(item).text(word)) continue;
    const auto found = std::ranges::find(all, word);
    if (found == all.end()) {
      const std::string hint = did_you_mean(word, {all.begin(), all.end()});
      reader.item(item).error(
          fmt::format("no state of TCP is called {}{}", quoted(word),
                      hint.empty() ? "; there are " + fmt::format("{}", fmt::join(all, ", ")) : hint));
      continue;
    }
    match.tcp_states.push_back(static_cast<std::uint8_t>(found - all.begin() + 1));
  }
}

void check_states_are_of_tcp(Section& section, const SyncMatch& match) {
  if (match.tcp_states.empty() || match.packet.protocol.matches(protocols::tcp)) return;
  section.out().error(section.at(), section.name() + ": tcp_state needs TCP among the protocols");
}

SyncMatch read_sync_match(const Reader& reader, const Draft& draft) {
  SyncMatch match;
  Section section(reader.value, reader.name, reader.out);
  read_match(section, draft, match.packet);
  section.with("address", [&](const Reader& each) { read_addresses(each, draft, match.address); });
  section.with("tcp_state", [&](const Reader& each) { read_tcp_states(each, match); });
  section.with("zone", [&](const Reader& each) { read_zones(each, match); });
  section.with("mark", [&](const Reader& each) { read_mark(each, match); });
  section.with("translated", [&](const Reader& each) {
    Translation kind{};
    if (each.choice<Translation>(kind, {{"any", Translation::any},
                                        {"snat", Translation::snat},
                                        {"dnat", Translation::dnat},
                                        {"none", Translation::none}}))
      match.translated = kind;
  });
  section.finish();
  check_states_are_of_tcp(section, match);
  if (reader.value.is(Setting::Kind::map) && reader.value.entries.empty())
    reader.error("say which connections are meant; `{}` would be all of them");
  return match;
}

void read_sync_matches(const Reader& reader, const Draft& draft, std::vector<SyncMatch>& into) {
  const std::span<const Setting> items = reader.list();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("must not be empty; leave the key out");
  for (const Setting& item : items) into.push_back(read_sync_match(reader.item(item), draft));
}

/// A filter sees no more of a mark than what is replicated.
void check_marks(const Reader& reader, const SyncFilter& filter, const SyncMasks& masks) {
  const auto left_out = [&](const SyncMatch& match) { return match.mark && (match.mark->mask & ~masks.mark) != 0; };
  if (std::ranges::any_of(filter.include, left_out) || std::ranges::any_of(filter.exclude, left_out))
    reader.error(fmt::format("asks for bits of the mark that sync.mark_mask ({:#x}) leaves out", masks.mark));
}

}  // namespace

void read_sync_masks(Section& section, SyncMasks& masks) {
  section.with("mark_mask", [&](const Reader& each) {
    std::string word;
    if (!each.text(word)) return;
    if (const auto mask = parse_word32(word))
      masks.mark = *mask;
    else
      each.error(fmt::format("expected a number of 32 bits, such as 0xff; found {}", quoted(word)));
  });
  section.with("labels", [&](const Reader& each) {
    masks.labels.reset();
    for (const Setting& item : each.list_or_one())
      if (int number = 0; each.item(item).integer(number, 0, static_cast<int>(masks.labels.size()) - 1))
        masks.labels.set(static_cast<std::size_t>(number));
  });
}

void read_sync_filter(const Reader& reader, const Draft& draft, const SyncMasks& masks, SyncFilter& filter) {
  Section section(reader.value, reader.name, reader.out);
  section.with("include", [&](const Reader& each) { read_sync_matches(each, draft, filter.include); });
  section.with("exclude", [&](const Reader& each) { read_sync_matches(each, draft, filter.exclude); });
  section.duration("replicate_after", filter.replicate_after, 0s, kLongestDelay);
  section.finish();
  check_marks(reader, filter, masks);
}

}  // namespace common
