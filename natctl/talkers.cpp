#include "natctl/talkers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <tuple>

#include "common/traffic.hpp"

namespace natctl {
namespace {

/// The original direction names a connection.
using Key = std::tuple<std::uint8_t, common::IpAddress, std::uint16_t, common::IpAddress, std::uint16_t>;

Key key_of(const Conversation& talk) {
  return {talk.protocol, talk.source, talk.source_port, talk.destination, talk.destination_port};
}

std::string end_text(const common::IpAddress& address, std::uint16_t port) {
  if (port == 0) return address.to_string();
  if (address.is_v4()) return fmt::format("{}:{}", address.to_string(), port);
  return fmt::format("[{}]:{}", address.to_string(), port);
}

/// "tcp 192.168.100.10:40000 -> 203.0.113.5:443 as 10.10.0.101:1025": who really talks with whom, and behind what.
std::string conversation_text(const Conversation& talk) {
  std::string text =
      fmt::format("{} {} -> {}", common::protocol_name(talk.protocol), end_text(talk.source, talk.source_port),
                  end_text(talk.reply_source, talk.reply_source_port));
  if (talk.source != talk.reply_destination || talk.source_port != talk.reply_destination_port)
    text += " as " + end_text(talk.reply_destination, talk.reply_destination_port);
  if (talk.destination != talk.reply_source || talk.destination_port != talk.reply_source_port)
    text += " at " + end_text(talk.destination, talk.destination_port);
  return text;
}

std::vector<std::string> by_bytes(const std::vector<Conversation>& now, const std::vector<Conversation>& before,
                                  double seconds, std::size_t most) {
  std::map<Key, std::uint64_t> earlier;
  for (const Conversation& talk : before)
    if (talk.translated() && talk.bytes) earlier[key_of(talk)] = *talk.bytes;
  std::vector<std::pair<std::uint64_t, const Conversation*>> grown;
  for (const Conversation& talk : now) {
    if (!talk.translated() || !talk.bytes) continue;
    // One that was not there has carried all since; one that has less now is another of the same name.
    const auto known = earlier.find(key_of(talk));
    const std::uint64_t base = known != earlier.end() && known->second <= *talk.bytes ? known->second : 0;
    if (*talk.bytes > base) grown.emplace_back(*talk.bytes - base, &talk);
  }
  const auto shown = grown.begin() + static_cast<std::ptrdiff_t>(std::min(most, grown.size()));
  std::ranges::partial_sort(grown, shown, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : key_of(*a.second) < key_of(*b.second);
  });
  std::vector<std::string> lines;
  for (auto each = grown.begin(); each != shown; ++each)
    lines.push_back(fmt::format("{:>10}  {}", rate_text(static_cast<double>(each->first) / seconds),
                                conversation_text(*each->second)));
  return lines;
}

std::vector<std::string> by_number(const std::vector<Conversation>& now, std::size_t most) {
  std::map<common::IpAddress, std::size_t> hosts;
  for (const Conversation& talk : now)
    if (talk.translated()) ++hosts[talk.source];
  std::vector<std::pair<std::size_t, common::IpAddress>> order;
  for (const auto& [host, number] : hosts) order.emplace_back(number, host);
  std::ranges::sort(
      order, [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  if (order.size() > most) order.resize(most);
  std::vector<std::string> lines;
  for (const auto& [number, host] : order) lines.push_back(fmt::format("{:>10}  {}", number, host.to_string()));
  return lines;
}

}  // namespace

std::string rate_text(double bytes_per_second) {
  constexpr std::array<const char*, 5> kUnits{"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
  constexpr double kStep = 1000;
  std::size_t unit = 0;
  double value = bytes_per_second;
  // 999.95 would be written as 1000.0.
  for (; value >= kStep - 0.05 && unit + 1 < kUnits.size(); ++unit) value /= kStep;
  return unit == 0 ? fmt::format("{:.0f} {}", value, kUnits[unit]) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

bool has_bytes(const std::vector<Conversation>& conversations) {
  return std::ranges::any_of(conversations, [](const Conversation& talk) { return talk.bytes.has_value(); });
}

std::vector<std::string> top_talkers(const std::vector<Conversation>& now, const std::vector<Conversation>& before,
                                     common::Duration between, std::size_t most) {
  if (!has_bytes(now)) return by_number(now, most);
  const double seconds = std::chrono::duration<double>(between).count();
  return seconds > 0 ? by_bytes(now, before, seconds, most) : std::vector<std::string>{};
}

}  // namespace natctl
