#pragma once
// What a rule of NAT or of the firewall may say about a packet. Each part is a list of what is meant and a list of
// what is not; a part that is empty holds for every packet.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.hpp"

namespace common {

enum class ConnectionState { fresh, established, related, invalid };
std::string_view to_string(ConnectionState state);  ///< as the file and nft call it: "new", "established", ...

/// Addresses of one family, first to last, both included.
struct AddressRange {
  IpAddress first, last;

  static AddressRange of(const IpAddress& address) { return {address, address}; }
  static AddressRange of(const Prefix& network);  ///< from its network address to its last
  /// "10.0.0.1", "10.0.0.0/8" (host bits are cleared) or "10.0.0.1-10.0.0.9".
  static std::optional<AddressRange> parse(std::string_view text);
  Family family() const { return first.family(); }
  bool single() const { return first == last; }
  bool contains(const IpAddress& address) const { return first <= address && address <= last; }
  bool contains(const AddressRange& other) const { return first <= other.first && other.last <= last; }
  bool overlaps(const AddressRange& other) const { return first <= other.last && other.first <= last; }
  /// The network that has exactly these addresses; none when there is no such network.
  std::optional<Prefix> network() const;
  std::string to_string() const;  ///< as an address, else as a network, else as a range
  auto operator<=>(const AddressRange&) const = default;
};
/// Sorted, and no two of them overlap.
std::vector<AddressRange> merged(std::vector<AddressRange> ranges);

struct PortRange {
  std::uint16_t first = 0, last = 0;
  static std::optional<PortRange> parse(std::string_view text);  ///< "80", "1024-65535"; 1 to 65535
  bool single() const { return first == last; }
  bool contains(std::uint16_t port) const { return first <= port && port <= last; }
  std::size_t size() const { return static_cast<std::size_t>(last) - first + 1; }
  std::string to_string() const;
  auto operator<=>(const PortRange&) const = default;
};
std::vector<PortRange> merged(std::vector<PortRange> ranges);

struct AddressSet {
  std::vector<AddressRange> any, none;  ///< merged
  /// The group of the file whose members these are, when they are just that: a rule then refers to it by name.
  std::string any_group, none_group;

  static AddressSet of(const Prefix& network) { return {{AddressRange::of(network)}, {}, {}, {}}; }
  static AddressSet of(const AddressRange& range) { return {{range}, {}, {}, {}}; }
  bool empty() const { return any.empty() && none.empty(); }
  std::optional<Family> family() const;  ///< none: both, for it is empty
  bool matches(const IpAddress& address) const;
  bool operator==(const AddressSet&) const = default;
};

struct PortSet {
  std::vector<PortRange> any, none;
  std::string any_group, none_group;

  bool empty() const { return any.empty() && none.empty(); }
  bool matches(std::uint16_t port) const;
  bool operator==(const PortSet&) const = default;
};

/// Names of interfaces; one that ends with an asterisk stands for all that begin with the rest.
struct InterfaceSet {
  std::vector<std::string> any, none;
  bool empty() const { return any.empty() && none.empty(); }
  bool matches(std::string_view name) const;
  bool operator==(const InterfaceSet&) const = default;
};

struct ProtocolSet {
  std::vector<std::uint8_t> any, none;  ///< numbers of IP protocols
  bool empty() const { return any.empty() && none.empty(); }
  bool matches(std::uint8_t protocol) const;
  bool operator==(const ProtocolSet&) const = default;
};

namespace protocols {
inline constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17, dccp = 33, icmpv6 = 58, vrrp = 112, sctp = 132,
                              udplite = 136;
}
/// Numbers of a protocol's name ("tcp", "tcp_udp", "89", "all"); none when it is unknown. A table of our own: that of
/// the operating system is missing on a minimal installation, where a rule with "tcp" would then not load.
std::optional<std::vector<std::uint8_t>> protocol_numbers(std::string_view name);
/// "tcp", or the number as text.
std::string protocol_name(std::uint8_t number);
/// The names that protocol_numbers() knows, for a hint.
std::vector<std::string_view> protocol_names();
bool has_ports(std::uint8_t protocol);

/// The number of an ICMP type's name ("echo-request") in the family; none when it has none of that name.
std::optional<std::uint8_t> icmp_type_number(Family family, std::string_view name);
std::vector<std::string_view> icmp_type_names(Family family);

/// The states of a TCP connection in the kernel, in the order of its numbers: "none", "syn_sent", "syn_recv", ...
std::span<const std::string_view> tcp_state_names();

/// Of those flags that are looked at, just these are set; bits as in the header, FIN = 1.
struct TcpFlags {
  std::uint8_t looked_at = 0, set = 0;
  bool operator==(const TcpFlags&) const = default;
};
/// The bit of "fin", "syn", "rst", "psh", "ack", "urg", "ecn" or "cwr".
std::optional<std::uint8_t> tcp_flag(std::string_view name);
std::string_view tcp_flag_name(int bit);

/// So many packets in a unit of time, and a burst above it.
struct RateLimit {
  int rate = 0;
  std::string unit;  ///< second, minute, hour, day
  int burst = 5;     ///< nft's own default
  bool operator==(const RateLimit&) const = default;
};

struct TrafficMatch {
  InterfaceSet inbound, outbound;
  AddressSet source, destination;
  ProtocolSet protocol;
  PortSet source_ports, destination_ports;
  std::vector<ConnectionState> states;
  std::vector<std::uint8_t> icmp_types;  ///< of the family that the protocol says
  std::optional<std::uint8_t> icmp_code;
  TcpFlags tcp_flags;
  std::optional<MacAddress> source_mac;
  std::optional<RateLimit> limit;
  /// Of its addresses, or of the address that it translates to; none: both.
  std::optional<Family> family;
  bool operator==(const TrafficMatch&) const = default;
};

}  // namespace common
