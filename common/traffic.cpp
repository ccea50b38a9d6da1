#include "common/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace common {
namespace {

IpAddress from_bytes(bool v4, const std::array<std::byte, 16>& bytes) {
  return v4 ? IpAddress::v4(std::span(bytes).first<4>()) : IpAddress::v6(std::span<const std::byte, 16>(bytes));
}

template <typename Range>
std::vector<Range> merge(std::vector<Range> ranges) {
  std::ranges::sort(ranges);
  std::vector<Range> out;
  for (const Range& range : ranges) {
    if (!out.empty() && range.first <= out.back().last)
      out.back().last = std::max(out.back().last, range.last);
    else
      out.push_back(range);
  }
  return out;
}

template <typename Range, typename Value>
bool within(const std::vector<Range>& ranges, const Value& value) {
  return std::ranges::any_of(ranges, [&](const Range& range) { return range.contains(value); });
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool name_matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

struct Named {
  std::string_view name;
  std::uint8_t number;
};

constexpr Named kProtocols[] = {
    {"icmp", protocols::icmp},
    {"igmp", 2},
    {"ipip", 4},
    {"tcp", protocols::tcp},
    {"egp", 8},
    {"igp", 9},
    {"udp", protocols::udp},
    {"dccp", protocols::dccp},
    {"ipv6", 41},
    {"rsvp", 46},
    {"gre", 47},
    {"esp", 50},
    {"ah", 51},
    {"icmpv6", protocols::icmpv6},
    {"eigrp", 88},
    {"ospf", 89},
    {"pim", 103},
    {"vrrp", protocols::vrrp},
    {"l2tp", 115},
    {"sctp", protocols::sctp},
    {"udplite", protocols::udplite},
    {"ipv6-icmp", protocols::icmpv6},
};

constexpr Named kIcmp[] = {
    {"echo-reply", 0},         {"destination-unreachable", 3}, {"source-quench", 4},        {"redirect", 5},
    {"echo-request", 8},       {"router-advertisement", 9},    {"router-solicitation", 10}, {"time-exceeded", 11},
    {"parameter-problem", 12}, {"timestamp-request", 13},      {"timestamp-reply", 14},     {"info-request", 15},
    {"info-reply", 16},        {"address-mask-request", 17},   {"address-mask-reply", 18},
};

constexpr Named kIcmpv6[] = {
    {"destination-unreachable", 1}, {"packet-too-big", 2},        {"time-exceeded", 3},
    {"parameter-problem", 4},       {"echo-request", 128},        {"echo-reply", 129},
    {"mld-listener-query", 130},    {"mld-listener-report", 131}, {"mld-listener-done", 132},
    {"nd-router-solicit", 133},     {"nd-router-advert", 134},    {"nd-neighbor-solicit", 135},
    {"nd-neighbor-advert", 136},    {"nd-redirect", 137},         {"mld2-listener-report", 143},
};

constexpr std::string_view kTcpFlags[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"};

std::span<const Named> icmp_names(Family family) {
  return family == Family::ipv4 ? std::span<const Named>(kIcmp) : std::span<const Named>(kIcmpv6);
}

std::vector<std::string_view> names_of(std::span<const Named> table) {
  std::vector<std::string_view> names;
  for (const Named& each : table) names.push_back(each.name);
  return names;
}

}  // namespace

std::string_view to_string(ConnectionState state) {
  switch (state) {
    case ConnectionState::fresh:
      return "new";
    case ConnectionState::established:
      return "established";
    case ConnectionState::related:
      return "related";
    case ConnectionState::invalid:
      return "invalid";
  }
  return "invalid";
}

AddressRange AddressRange::of(const Prefix& network) {
  const IpAddress first = network.network();
  std::array<std::byte, 16> bytes{};
  std::ranges::copy(first.bytes(), bytes.begin());
  for (std::size_t i = network.length; i < first.bytes().size() * 8; ++i)
    bytes[i / 8] |= static_cast<std::byte>(0x80u >> i % 8);
  return {first, from_bytes(first.is_v4(), bytes)};
}

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto network = Prefix::parse(text);
    return network ? std::optional(of(*network)) : std::nullopt;
  }
  const auto first = IpAddress::parse(text.substr(0, dash)), last = IpAddress::parse(text.substr(dash + 1));
  if (!first || !last || first->family() != last->family() || *first > *last) return std::nullopt;
  return AddressRange{*first, *last};
}

std::optional<Prefix> AddressRange::network() const {
  const int bits = first.is_v4() ? 32 : 128;
  for (int length = 0; length <= bits; ++length) {
    const Prefix candidate{first, static_cast<std::uint8_t>(length)};
    if (!candidate.has_host_bits() && of(candidate).last == last) return candidate;
  }
  return std::nullopt;
}

std::string AddressRange::to_string() const {
  if (single()) return first.to_string();
  if (const auto prefix = network()) return prefix->to_string();
  return first.to_string() + "-" + last.to_string();
}

std::vector<AddressRange> merged(std::vector<AddressRange> ranges) {
  return merge(std::move(ranges));
}

std::optional<PortRange> PortRange::parse(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::string PortRange::to_string() const {
  return single() ? std::to_string(first) : fmt::format("{}-{}", first, last);
}

std::vector<PortRange> merged(std::vector<PortRange> ranges) {
  return merge(std::move(ranges));
}

std::optional<Family> AddressSet::family() const {
  if (!any.empty()) return any.front().family();
  if (!none.empty()) return none.front().family();
  return std::nullopt;
}

bool AddressSet::matches(const IpAddress& address) const {
  return (any.empty() || within(any, address)) && !within(none, address) &&
         family().value_or(address.family()) == address.family();
}

bool PortSet::matches(std::uint16_t port) const {
  return (any.empty() || within(any, port)) && !within(none, port);
}

bool InterfaceSet::matches(std::string_view name) const {
  const auto one_of = [&](const std::vector<std::string>& list) {
    return std::ranges::any_of(list, [&](const std::string& pattern) { return name_matches(pattern, name); });
  };
  return (any.empty() || one_of(any)) && !one_of(none);
}

bool ProtocolSet::matches(std::uint8_t protocol) const {
  const auto one_of = [&](const std::vector<std::uint8_t>& list) {
    return std::ranges::find(list, protocol) != list.end();
  };
  return (any.empty() || one_of(any)) && !one_of(none);
}

std::optional<std::vector<std::uint8_t>> protocol_numbers(std::string_view name) {
  if (name.empty() || name == "all" || name == "any") return std::vector<std::uint8_t>{};
  if (name == "tcp_udp") return std::vector<std::uint8_t>{protocols::tcp, protocols::udp};
  for (const Named& known : kProtocols)
    if (name == known.name) return std::vector<std::uint8_t>{known.number};
  std::uint8_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return std::vector<std::uint8_t>{number};
}

std::string protocol_name(std::uint8_t number) {
  const auto known = std::ranges::find(kProtocols, number, &Named::number);
  return known == std::end(kProtocols) ? std::to_string(number) : std::string(known->name);
}

std::vector<std::string_view> protocol_names() {
  std::vector<std::string_view> names = names_of(kProtocols);
  names.emplace_back("tcp_udp");
  names.emplace_back("all");
  return names;
}

bool has_ports(std::uint8_t protocol) {
  using namespace protocols;
  return protocol == tcp || protocol == udp || protocol == sctp || protocol == dccp || protocol == udplite;
}

std::optional<std::uint8_t> icmp_type_number(Family family, std::string_view name) {
  for (const Named& known : icmp_names(family))
    if (known.name == name) return known.number;
  return std::nullopt;
}

std::vector<std::string_view> icmp_type_names(Family family) {
  return names_of(icmp_names(family));
}

std::optional<std::uint8_t> tcp_flag(std::string_view name) {
  const auto found = std::ranges::find(kTcpFlags, name);
  if (found == std::end(kTcpFlags)) return std::nullopt;
  return static_cast<std::uint8_t>(1u << (found - std::begin(kTcpFlags)));
}

std::string_view tcp_flag_name(int bit) {
  return kTcpFlags[bit];
}

std::span<const std::string_view> tcp_state_names() {
  // enum tcp_conntrack
  static constexpr std::array<std::string_view, 10> kNames{"none",     "syn_sent",   "syn_recv", "established",
                                                           "fin_wait", "close_wait", "last_ack", "time_wait",
                                                           "close",    "syn_sent2"};
  return kNames;
}

}  // namespace common
