#include "vrrpd/advert.hpp"

#include <algorithm>

namespace vrrpd {

namespace {

//  0: version 3 (4 bits), type 1 (4)   1: VRID   2: priority   3: count of addresses
//  4: reserve (4 bits, sent 0, ignored), maximum advertise interval in centiseconds (12)   6: checksum
//  8: addresses, 4 bytes each
constexpr std::size_t kHeader = 8;
constexpr std::size_t kAddress = 4;
constexpr std::uint8_t kVersion = 3;
constexpr std::uint8_t kTypeAdvertisement = 1;
constexpr common::Duration kCentisecond = std::chrono::milliseconds(10);
constexpr std::uint16_t kIntervalMask = 0x0fff;

std::uint64_t pseudo_header(const common::IpAddress& source, const common::IpAddress& destination, std::size_t length) {
  const std::uint64_t sum = common::checksum_add(0, source.bytes());
  return common::checksum_add(sum, destination.bytes()) + kVrrpProtocol + length;
}

/// The checksum of a message that carries its checksum is zero when it is right.
bool right(const RawAdvert& packet, ChecksumForm form) {
  std::uint64_t sum = 0;
  if (form == ChecksumForm::rfc5798) sum = pseudo_header(packet.source, packet.destination, packet.payload.size());
  return common::checksum_finish(common::checksum_add(sum, packet.payload)) == 0;
}

std::optional<ChecksumForm> matching_form(const RawAdvert& packet, common::Checksum accepted) {
  if (accepted != common::Checksum::rfc9568 && right(packet, ChecksumForm::rfc5798)) return ChecksumForm::rfc5798;
  if (accepted != common::Checksum::rfc5798 && right(packet, ChecksumForm::rfc9568)) return ChecksumForm::rfc9568;
  return std::nullopt;
}

}  // namespace

common::IpAddress vrrp_multicast() { return common::IpAddress::v4(0xe0000012); }

std::string_view to_string(DecodeError error) {
  switch (error) {
    case DecodeError::ttl: return "drop_ttl";
    case DecodeError::version: return "drop_version";
    case DecodeError::type: return "drop_type";
    case DecodeError::length: return "drop_length";
    case DecodeError::checksum: return "drop_checksum";
    case DecodeError::vrid: return "drop_vrid";
    case DecodeError::interval: return "drop_interval";
    case DecodeError::count: return "drop_count";
    case DecodeError::errors: break;
  }
  return "drop";
}

std::string_view to_string(ChecksumForm form) { return form == ChecksumForm::rfc5798 ? "rfc5798" : "rfc9568"; }

std::optional<std::uint8_t> peek_vrid(common::ByteView payload) {
  if (payload.size() < 2) return std::nullopt;
  return std::to_integer<std::uint8_t>(payload[1]);
}

std::expected<Decoded, DecodeError> decode(const RawAdvert& packet, common::Checksum accepted,
                                           std::optional<std::uint8_t> vrid) {
  if (packet.ttl != kAdvertTtl) return std::unexpected(DecodeError::ttl);

  common::ByteReader in(packet.payload);
  const std::uint8_t version_and_type = in.u8();
  if (in.failed() || version_and_type >> 4 != kVersion) return std::unexpected(DecodeError::version);
  if ((version_and_type & 0x0f) != kTypeAdvertisement) return std::unexpected(DecodeError::type);

  Decoded result;
  Advert& advert = result.advert;
  advert.vrid = in.u8();
  advert.priority = in.u8();
  const std::size_t count = in.u8();
  const std::uint16_t centiseconds = in.u16() & kIntervalMask;
  in.u16();  // checksum: summed with the rest
  if (in.failed() || in.left() != count * kAddress) return std::unexpected(DecodeError::length);

  const auto form = matching_form(packet, accepted);
  if (!form) return std::unexpected(DecodeError::checksum);
  if (advert.vrid != vrid) return std::unexpected(DecodeError::vrid);
  // Errata 8301 and 8299. An interval of 0 would make the down interval 0: one forged packet, and every backup claims.
  if (centiseconds == 0) return std::unexpected(DecodeError::interval);
  if (count == 0) return std::unexpected(DecodeError::count);

  result.form = *form;
  advert.interval = centiseconds * kCentisecond;
  advert.addresses.reserve(count);
  for (std::size_t i = 0; i < count; ++i) advert.addresses.push_back(common::IpAddress::v4(in.u32()));
  return result;
}

common::Bytes encode(const Advert& advert, const common::IpAddress& source, const common::IpAddress& destination,
                     ChecksumForm form) {
  const common::Duration interval = std::clamp(advert.interval, kShortestInterval, kLongestInterval);
  const std::size_t count = std::min(advert.addresses.size(), kMostAddresses);
  common::Bytes bytes;
  bytes.reserve(kHeader + count * kAddress);
  common::ByteWriter out(bytes);
  out.u8(kVersion << 4 | kTypeAdvertisement);
  out.u8(advert.vrid);
  out.u8(advert.priority);
  out.u8(static_cast<std::uint8_t>(count));
  out.u16(static_cast<std::uint16_t>((interval + kCentisecond / 2) / kCentisecond));
  out.u16(0);
  for (std::size_t i = 0; i < count; ++i) out.view(advert.addresses[i].bytes());

  std::uint64_t sum = 0;
  if (form == ChecksumForm::rfc5798) sum = pseudo_header(source, destination, bytes.size());
  const std::uint16_t checksum = common::checksum_finish(common::checksum_add(sum, bytes));
  bytes[6] = static_cast<std::byte>(checksum >> 8);
  bytes[7] = static_cast<std::byte>(checksum & 0xff);
  return bytes;
}

}  // namespace vrrpd
