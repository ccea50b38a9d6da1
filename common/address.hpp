#pragma once
// Addresses as values: they parse, print, compare and hash themselves, so that no logic calls inet_ntop.
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace common {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

/// An IPv4 or IPv6 address in network byte order. IPv4 uses the first four bytes; the rest is zero.
class IpAddress {
 public:
  IpAddress() = default;  ///< 0.0.0.0
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress v4(std::span<const std::byte, 4> bytes);
  static IpAddress v6(std::span<const std::byte, 16> bytes);
  static std::optional<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::ipv4; }
  /// 4 or 16 bytes, network order.
  std::span<const std::byte> bytes() const { return {bytes_.data(), is_v4() ? 4u : 16u}; }
  /// Host order; only of an IPv4 address.
  std::uint32_t v4_value() const;
  bool is_unspecified() const;
  bool is_multicast() const;
  bool is_link_local() const;  ///< 169.254/16 or fe80::/10
  std::string to_string() const;

  /// Family first, then unsigned network order: the order that RFC 9568 6.4.3 breaks ties with.
  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::ipv4;
  std::array<std::byte, 16> bytes_{};
};

/// An address with a prefix length. Host bits are kept: 10.0.0.5/24 is an interface address as well as a network.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  /// "10.0.0.0/24"; a bare address is /32 or /128.
  static std::optional<Prefix> parse(std::string_view text);
  bool contains(const IpAddress& other) const;
  IpAddress network() const;  ///< the address with its host bits cleared
  bool has_host_bits() const { return network() != address; }
  std::string to_string() const;
  auto operator<=>(const Prefix&) const = default;
};

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  static std::optional<MacAddress> parse(std::string_view text);
  std::string to_string() const;
  auto operator<=>(const MacAddress&) const = default;
};

}  // namespace common
