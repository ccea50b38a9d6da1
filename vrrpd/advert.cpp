#include "vrrpd/advert.hpp"

#include <algorithm>
#include <array>

namespace vrrpd {

namespace {

// Version 3, RFC 9568 5.2:
//  0: version 3 (4 bits), type 1 (4)   1: VRID   2: priority   3: count of addresses
//  4: reserve (4 bits, sent 0, ignored), maximum advertise interval in centiseconds (12)   6: checksum
//  8: addresses, 4 or 16 bytes each
// Version 2, RFC 3768 5.1:
//  0: version 2 (4 bits), type 1 (4)   1: VRID   2: priority   3: count of addresses
//  4: authentication type   5: advertisement interval in seconds   6: checksum
//  8: addresses, 4 bytes each; then 8 bytes of authentication data
constexpr std::size_t kHeader = 8;
constexpr std::size_t kAuthentication = 8;
constexpr std::uint8_t kTypeAdvertisement = 1;
constexpr common::Duration kCentisecond = std::chrono::milliseconds(10);
constexpr common::Duration kSecond = std::chrono::seconds(1);
constexpr std::uint16_t kIntervalMask = 0x0fff;
constexpr std::uint8_t kNoAuthentication = 0, kSimplePassword = 1;
/// RFC 3768 5.3.7: eight bits of seconds.
constexpr int kLongestSeconds = 255;

std::size_t width(const common::IpAddress& of_packet) {
  return of_packet.bytes().size();
}

/// RFC 8200 8.1 has the length in 32 bits and the protocol behind zeroes, IPv4 has 16 and 8: their sums are the same.
std::uint64_t pseudo_header(const common::IpAddress& source, const common::IpAddress& destination, std::size_t length) {
  const std::uint64_t sum = common::checksum_add(0, source.bytes());
  return common::checksum_add(sum, destination.bytes()) + kVrrpProtocol + length;
}

/// The checksum of a message that carries its checksum is zero when it is right.
bool right(const RawAdvert& packet, bool with_pseudo_header) {
  std::uint64_t sum = 0;
  if (with_pseudo_header) sum = pseudo_header(packet.source, packet.destination, packet.payload.size());
  return common::checksum_finish(common::checksum_add(sum, packet.payload)) == 0;
}

std::optional<ChecksumForm> matching_form(const RawAdvert& packet, Version version, common::Checksum accepted) {
  using enum ChecksumForm;
  if (version == Version::v2) return right(packet, false) ? std::optional(rfc9568) : std::nullopt;
  if (!packet.source.is_v4()) return right(packet, true) ? std::optional(rfc5798) : std::nullopt;
  if (accepted != common::Checksum::rfc9568 && right(packet, true)) return rfc5798;
  if (accepted != common::Checksum::rfc5798 && right(packet, false)) return rfc9568;
  return std::nullopt;
}

std::array<std::byte, kAuthentication> padded(std::string_view password) {
  std::array<std::byte, kAuthentication> data{};
  const std::size_t size = std::min(password.size(), kLongestPassword);
  std::transform(password.begin(), password.begin() + static_cast<std::ptrdiff_t>(size), data.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return data;
}

bool authentic(std::uint8_t type, common::ByteView data, const std::string& password) {
  // Type 0: what the eight bytes say is not looked at (RFC 3768 5.3.10).
  if (password.empty()) return type == kNoAuthentication;
  return type == kSimplePassword && std::ranges::equal(data, padded(password));
}

common::IpAddress read_address(common::ByteReader& in, std::size_t size) {
  const common::ByteView bytes = in.view(size);
  return size == 4 ? common::IpAddress::v4(bytes.first<4>()) : common::IpAddress::v6(bytes.first<16>());
}

std::optional<Version> known_version(std::uint8_t number, const RawAdvert& packet, const Acceptance& accepted) {
  if (number == 3 && accepted.v3) return Version::v3;
  if (number == 2 && accepted.v2 && packet.source.is_v4()) return Version::v2;
  return std::nullopt;
}

/// Bytes 4 and 5 and what else the versions do not share.
std::optional<DecodeError> read_interval(std::uint16_t field, common::ByteView tail, const Acceptance& accepted,
                                         Advert& advert) {
  if (advert.version == Version::v3) {
    // Erratum 8301. An interval of 0 would make the down interval 0: one forged packet, and every backup claims.
    if ((field & kIntervalMask) == 0) return DecodeError::interval;
    advert.interval = (field & kIntervalMask) * kCentisecond;
    return std::nullopt;
  }
  if (!authentic(static_cast<std::uint8_t>(field >> 8), tail, accepted.password)) return DecodeError::authentication;
  advert.interval = (field & 0xff) * kSecond;
  if (advert.interval == common::Duration{}) return DecodeError::interval;
  if (accepted.v2_interval && advert.interval != *accepted.v2_interval) return DecodeError::interval;
  return std::nullopt;
}

}  // namespace

common::IpAddress vrrp_multicast(common::Family family) {
  if (family == common::Family::ipv4) return common::IpAddress::v4(0xe0000012);
  std::array<std::byte, 16> bytes{};
  bytes[0] = std::byte{0xff};
  bytes[1] = std::byte{0x02};
  bytes[15] = std::byte{0x12};
  return common::IpAddress::v6(bytes);
}

std::string_view to_string(DecodeError error) {
  switch (error) {
    case DecodeError::ttl:
      return "drop_ttl";
    case DecodeError::version:
      return "drop_version";
    case DecodeError::type:
      return "drop_type";
    case DecodeError::length:
      return "drop_length";
    case DecodeError::checksum:
      return "drop_checksum";
    case DecodeError::vrid:
      return "drop_vrid";
    case DecodeError::authentication:
      return "drop_authentication";
    case DecodeError::interval:
      return "drop_interval";
    case DecodeError::count:
      return "drop_count";
    case DecodeError::link_local:
      return "drop_link_local";
    case DecodeError::errors:
      break;
  }
  return "drop";
}

std::string_view to_string(ChecksumForm form) {
  return form == ChecksumForm::rfc5798 ? "rfc5798" : "rfc9568";
}

std::optional<std::uint8_t> peek_vrid(common::ByteView payload) {
  if (payload.size() < 2) return std::nullopt;
  return std::to_integer<std::uint8_t>(payload[1]);
}

std::expected<Decoded, DecodeError> decode(const RawAdvert& packet, const Acceptance& accepted) {
  if (packet.ttl < accepted.lowest_ttl) return std::unexpected(DecodeError::ttl);

  common::ByteReader in(packet.payload);
  const std::uint8_t version_and_type = in.u8();
  const auto version = known_version(version_and_type >> 4, packet, accepted);
  if (in.failed() || !version) return std::unexpected(DecodeError::version);
  if ((version_and_type & 0x0f) != kTypeAdvertisement) return std::unexpected(DecodeError::type);

  Decoded result;
  Advert& advert = result.advert;
  advert.version = *version;
  advert.vrid = in.u8();
  advert.priority = in.u8();
  const std::size_t count = in.u8(), size = width(packet.source);
  const std::uint16_t interval = in.u16();
  in.u16();  // checksum: summed with the rest
  const std::size_t tail = *version == Version::v2 ? kAuthentication : 0;
  if (in.failed() || in.left() != count * size + tail) return std::unexpected(DecodeError::length);

  const auto form = matching_form(packet, *version, accepted.checksum);
  if (!form) return std::unexpected(DecodeError::checksum);
  result.form = *form;
  if (advert.vrid != accepted.vrid) return std::unexpected(DecodeError::vrid);
  if (const auto wrong = read_interval(interval, packet.payload.last(tail), accepted, advert))
    return std::unexpected(*wrong);
  if (count == 0) return std::unexpected(DecodeError::count);  // erratum 8299

  advert.addresses.reserve(count);
  for (std::size_t i = 0; i < count; ++i) advert.addresses.push_back(read_address(in, size));
  // Erratum 8300.
  if (!packet.source.is_v4() && !advert.addresses.front().is_link_local())
    return std::unexpected(DecodeError::link_local);
  return result;
}

common::Bytes encode(const Advert& advert, const common::IpAddress& source, const common::IpAddress& destination,
                     ChecksumForm form, std::string_view password) {
  const common::Duration interval = std::clamp(advert.interval, kShortestInterval, kLongestInterval);
  const std::size_t count = std::min(advert.addresses.size(), kMostAddresses);
  const bool v2 = advert.version == Version::v2;
  common::Bytes bytes;
  bytes.reserve(kHeader + count * width(source) + kAuthentication);
  common::ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(advert.version) << 4 | kTypeAdvertisement));
  out.u8(advert.vrid);
  out.u8(advert.priority);
  out.u8(static_cast<std::uint8_t>(count));
  if (v2) {
    const auto seconds = (advert.interval + kSecond - common::Duration(1)) / kSecond;
    out.u8(password.empty() ? kNoAuthentication : kSimplePassword);
    out.u8(static_cast<std::uint8_t>(std::clamp<std::int64_t>(seconds, 1, kLongestSeconds)));
  } else {
    out.u16(static_cast<std::uint16_t>((interval + kCentisecond / 2) / kCentisecond));
  }
  out.u16(0);
  for (std::size_t i = 0; i < count; ++i) out.view(advert.addresses[i].bytes());
  if (v2) out.view(padded(password));

  const bool pseudo = !v2 && (!source.is_v4() || form == ChecksumForm::rfc5798);
  std::uint64_t sum = 0;
  if (pseudo) sum = pseudo_header(source, destination, bytes.size());
  const std::uint16_t checksum = common::checksum_finish(common::checksum_add(sum, bytes));
  bytes[6] = static_cast<std::byte>(checksum >> 8);
  bytes[7] = static_cast<std::byte>(checksum & 0xff);
  return bytes;
}

}  // namespace vrrpd
