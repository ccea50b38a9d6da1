#pragma once
// VRRP advertisements, version 3 for IPv4 and IPv6 (RFC 9568 5.2) and version 2 for IPv4 (RFC 3768 5.1, with the
// simple password of RFC 2338): bytes to value and back. Seconds and centiseconds exist only in here.
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
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
/// RFC 2338 5.3.10: eight bytes.
inline constexpr std::size_t kLongestPassword = 8;

/// 224.0.0.18 (5.1.1.2), ff02::12 (5.1.2.2).
common::IpAddress vrrp_multicast(common::Family family = common::Family::ipv4);

enum class Version : std::uint8_t { v2 = 2, v3 = 3 };

/// Over what the checksum of a VRRPv3 advert for IPv4 is computed. RFC 9568 5.2.8 says the message alone; RFC 5798 was
/// read the other way by keepalived and FRR, which put the IPv4 pseudo-header in front. IPv6 always has one, and
/// VRRPv2 never: there the form says nothing.
enum class ChecksumForm : std::uint8_t { rfc5798, rfc9568 };

/// Why a packet was dropped, in the order of RFC 9568 7.1 (and of RFC 3768 7.1, which puts the authentication behind
/// the VRID): a packet with several faults is counted by the first one. `length` covers both too short and too long:
/// behind the address list there is nothing (in VRRPv2: eight bytes), and what the checksum does not describe must
/// not be guessed at.
enum class DecodeError : std::uint8_t {
  ttl,
  version,
  type,
  length,
  checksum,
  vrid,
  authentication,  ///< VRRPv2: another type than ours, or another password
  interval,        ///< 0, or in VRRPv2 not ours
  count,
  link_local,  ///< the first IPv6 address is none
  errors
};

std::string_view to_string(DecodeError error);  ///< "drop_ttl", ...: the names of the counters
std::string_view to_string(ChecksumForm form);

struct Advert {
  std::uint8_t vrid = 0;
  std::uint8_t priority = 0;                 ///< 0: the sender leaves
  common::Duration interval{};               ///< a multiple of 10 ms; in VRRPv2 of 1 s
  std::vector<common::IpAddress> addresses;  ///< at most kMostAddresses, of the family of the packet
  Version version = Version::v3;
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
  ChecksumForm form = ChecksumForm::rfc5798;  ///< in which the checksum was right
};

/// What an instance accepts.
struct Acceptance {
  common::Checksum checksum = common::Checksum::automatic;
  std::optional<std::uint8_t> vrid;  ///< the one that is configured on the receiving interface; none: no one
  bool v2 = false, v3 = true;
  /// VRRPv2: RFC 3768 7.1 demands the receiver's own; none: any will do, as when both versions are spoken.
  std::optional<common::Duration> v2_interval;
  std::string password;                  ///< VRRPv2; empty: authentication type 0
  std::uint8_t lowest_ttl = kAdvertTtl;  ///< less only between unicast peers with routers between them
};

std::expected<Decoded, DecodeError> decode(const RawAdvert& packet, const Acceptance& accepted);

/// The VRID of a packet that may be anything: only to choose who decodes it.
std::optional<std::uint8_t> peek_vrid(common::ByteView payload);

/// The interval is rounded to the nearest centisecond (VRRPv2: up to a whole second) within its limits. `form` matters
/// to VRRPv3 for IPv4, `password` to VRRPv2 only.
common::Bytes encode(const Advert& advert, const common::IpAddress& source, const common::IpAddress& destination,
                     ChecksumForm form, std::string_view password = {});

}  // namespace vrrpd
