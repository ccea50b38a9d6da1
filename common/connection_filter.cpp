#include "common/connection_filter.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "common/settings.hpp"
#include "common/traffic.hpp"

namespace common {
namespace {

std::optional<std::uint16_t> port_of(const std::string& word) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
  if (error != std::errc{} || end != word.data() + word.size() || port == 0) return std::nullopt;
  return port;
}

/// By name only: a number is a port.
std::vector<std::uint8_t> protocol_of(const std::string& word) {
  if (word.empty() || word.front() < 'a' || word.front() > 'z') return {};
  return protocol_numbers(word).value_or(std::vector<std::uint8_t>{});
}

}  // namespace

Result<ConnectionFilter> ConnectionFilter::parse(const std::vector<std::string>& words) {
  ConnectionFilter filter;
  std::string protocol, owner;
  for (const std::string& word : words) {
    if (const auto port = port_of(word)) {
      filter.ports_.push_back(*port);
    } else if (word == "own" || word == "peer") {
      if (!owner.empty() && owner != word)
        return fail(R"("own" and "peer": a connection has one owner: name one, or none for those of both routers)");
      owner = word;
      filter.own_ = word == "own";
    } else if (const auto protocols = protocol_of(word); !protocols.empty()) {
      if (!protocol.empty() && protocol != word)
        return fail(
            fmt::format("\"{}\" and \"{}\": a connection has one protocol: name one (\"tcp_udp\" is both of those)",
                        protocol, word));
      protocol = word;
      filter.protocols_ = protocols;
    } else if (const auto network = Prefix::parse(word)) {
      filter.networks_.push_back(*network);
    } else {
      return fail(fmt::format("\"{}\" is no protocol, address, prefix, port, \"own\" or \"peer\"", printable(word)));
    }
  }
  return filter;
}

bool ConnectionFilter::wants(std::uint8_t protocol, std::span<const IpAddress> addresses,
                             std::span<const std::uint16_t> ports) const {
  if (!protocols_.empty() && std::ranges::find(protocols_, protocol) == protocols_.end()) return false;
  const auto has_network = [&](const Prefix& network) {
    return std::ranges::any_of(addresses, [&](const IpAddress& address) { return network.contains(address); });
  };
  const auto has_port = [&](std::uint16_t port) { return std::ranges::find(ports, port) != ports.end(); };
  return std::ranges::all_of(networks_, has_network) && std::ranges::all_of(ports_, has_port);
}

}  // namespace common
