#include "common/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/result.hpp"

namespace common {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress a;
  for (int i = 0; i < 4; ++i)
    a.bytes_[static_cast<std::size_t>(i)] = static_cast<std::byte>(host_order >> (24 - 8 * i));
  return a;
}

IpAddress IpAddress::v4(std::span<const std::byte, 4> bytes) {
  IpAddress a;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

IpAddress IpAddress::v6(std::span<const std::byte, 16> bytes) {
  IpAddress a;
  a.family_ = Family::ipv6;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);  // inet_pton wants a terminator, and must not take one for the end that is none
  if (copy.find('\0') != std::string::npos) return std::nullopt;
  IpAddress a;
  if (inet_pton(AF_INET, copy.c_str(), a.bytes_.data()) == 1) return a;
  a.family_ = Family::ipv6;
  if (inet_pton(AF_INET6, copy.c_str(), a.bytes_.data()) == 1) return a;
  return std::nullopt;
}

std::uint32_t IpAddress::v4_value() const {
  check(is_v4(), "v4_value of an IPv6 address");
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes_[i]);
  return value;
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes(), [](std::byte b) { return b == std::byte{0}; });
}

bool IpAddress::is_multicast() const {
  const auto first = std::to_integer<unsigned>(bytes_[0]);
  return is_v4() ? first >= 224 && first < 240 : first == 0xff;
}

bool IpAddress::is_link_local() const {
  const auto first = std::to_integer<unsigned>(bytes_[0]);
  const auto second = std::to_integer<unsigned>(bytes_[1]);
  return is_v4() ? first == 169 && second == 254 : first == 0xfe && (second & 0xc0) == 0x80;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

namespace {

bool parse_number(std::string_view text, unsigned limit, int base, unsigned& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size() && out <= limit;
}

bool bit(std::span<const std::byte> bytes, unsigned index) {
  return (std::to_integer<unsigned>(bytes[index / 8]) >> (7 - index % 8) & 1) != 0;
}

}  // namespace

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned length = address->is_v4() ? 32 : 128;
  if (slash != std::string_view::npos && !parse_number(text.substr(slash + 1), length, 10, length)) return std::nullopt;
  return Prefix{*address, static_cast<std::uint8_t>(length)};
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.family() != address.family()) return false;
  for (unsigned i = 0; i < length; ++i)
    if (bit(address.bytes(), i) != bit(other.bytes(), i)) return false;
  return true;
}

IpAddress Prefix::network() const {
  std::array<std::byte, 16> bytes{};
  std::ranges::copy(address.bytes(), bytes.begin());
  for (std::size_t i = length; i < address.bytes().size() * 8; ++i)
    bytes[i / 8] &= ~static_cast<std::byte>(0x80u >> i % 8);
  return address.is_v4() ? IpAddress::v4(std::span(bytes).first<4>())
                         : IpAddress::v6(std::span<const std::byte, 16>(bytes));
}

std::string Prefix::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < 6; ++i) {
    unsigned value = 0;
    if (i > 0 && text[i * 3 - 1] != ':') return std::nullopt;
    if (!parse_number(text.substr(i * 3, 2), 255, 16, value)) return std::nullopt;
    mac.bytes[i] = static_cast<std::uint8_t>(value);
  }
  return mac;
}

std::string MacAddress::to_string() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t b : bytes) {
    if (!out.empty()) out += ':';
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
  return out;
}

}  // namespace common
