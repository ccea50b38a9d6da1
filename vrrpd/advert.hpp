#pragma once
// VRRPv3 advertisements for IPv4 (RFC 9568 5.2): bytes to value and back. Centiseconds exist only in here.
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "common/address.hpp"
#include "common/bytes.hpp"
#include "common/config.hpp"
#include "common/time.hpp"

namespace vrrpd {

/// 5.1.1.3: what was forwarded by any router cannot arrive with 255, so nobody outside the segment can forge one.
inline constexpr std::uint8_t kAdvertTtl = 255;
inline constexpr std::uint8_t kVrrpProtocol = 112;
/// The count field has eight bits.
inline constexpr std::size_t kMostAddresses = 255;
/// 5.2.7: twelve bits of centiseconds.
inline constexpr common::Duration kShortestInterval = std::chrono::milliseconds(10);
inline constexpr common::Duration kLongestInterval = std::chrono::milliseconds(40950);

/// 224.0.0.18 (5.1.1.2).
common::IpAddress vrrp_multicast();

/// Over what an IPv4 checksum is computed. RFC 9568 5.2.8 says the message alone; RFC 5798 was read the other way by
/// keepalived and FRR, which put the IPv4 pseudo-header in front.
enum class ChecksumForm : std::uint8_t { rfc5798, rfc9568 };

/// Why a packet was dropped, in the order of RFC 9568 7.1: a packet with several faults is counted by the first one.
/// `length` covers both too short and too long: behind the address list there is nothing in VRRPv3, and what the
/// checksum does not describe must not be guessed at.
enum class DecodeError : std::uint8_t { ttl, version, type, length, checksum, vrid, interval, count, errors };

std::string_view to_string(DecodeError error);  ///< "drop_ttl", ...: the names of the counters
std::string_view to_string(ChecksumForm form);

struct Advert {
  std::uint8_t vrid = 0;
  std::uint8_t priority = 0;                   ///< 0: the sender leaves
  common::Duration interval{};                 ///< a multiple of 10 ms
  std::vector<common::IpAddress> addresses;    ///< at most kMostAddresses
  bool operator==(const Advert&) const = default;
};

/// A packet as it arrived; `payload` is what stood behind the IP header.
struct RawAdvert {
  common::IpAddress source, destination;
  std::uint8_t ttl = 0;
  common::ByteView payload;
};

struct Decoded {
  Advert advert;
  ChecksumForm form = ChecksumForm::rfc5798;   ///< in which the checksum was right
};

/// `vrid`: the one that is configured on the receiving interface; none: no one.
std::expected<Decoded, DecodeError> decode(const RawAdvert& packet, common::Checksum accepted,
                                           std::optional<std::uint8_t> vrid);

/// The VRID of a packet that may be anything: only to choose who decodes it.
std::optional<std::uint8_t> peek_vrid(common::ByteView payload);

/// The interval is rounded to the nearest centisecond within its limits.
common::Bytes encode(const Advert& advert, const common::IpAddress& source, const common::IpAddress& destination,
                     ChecksumForm form);

}  // namespace vrrpd
