// Adverts from the wire, whoever sent them. The first byte chooses the surroundings, the rest is the packet.
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/result.hpp"
#include "vrrpd/advert.hpp"

namespace {

using common::Checksum;

constexpr unsigned kIpv6 = 1, kV2 = 2, kNotV3 = 4, kPassword = 8, kMakeChecksumRight = 16, kUnicast = 32;
constexpr Checksum kChecksums[] = {Checksum::automatic, Checksum::rfc5798, Checksum::rfc9568, Checksum::automatic};

common::IpAddress ip(const char* text) {
  return *common::IpAddress::parse(text);
}

/// Or nearly no input would ever pass it. Without the pseudo header.
void make_checksum_right(common::Bytes& payload) {
  if (payload.size() < 8) return;
  payload[6] = payload[7] = std::byte{0};
  const std::uint16_t sum = common::checksum_finish(common::checksum_add(0, payload));
  payload[6] = static_cast<std::byte>(sum >> 8);
  payload[7] = static_cast<std::byte>(sum & 0xff);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  common::Bytes payload(rest.begin(), rest.end());
  if ((choice & kMakeChecksumRight) != 0) make_checksum_right(payload);
  const bool v6 = (choice & kIpv6) != 0;
  const common::IpAddress from = ip(v6 ? "fe80::3" : "10.0.0.3");
  const common::IpAddress to =
      (choice & kUnicast) != 0 ? ip(v6 ? "fe80::2" : "10.0.0.2") : vrrpd::vrrp_multicast(from.family());
  vrrpd::Acceptance accepted;
  accepted.checksum = kChecksums[choice >> 6];
  accepted.v2 = (choice & kV2) != 0;
  accepted.v3 = (choice & kNotV3) == 0;
  if ((choice & kPassword) != 0) accepted.password = "1234";
  accepted.vrid = vrrpd::peek_vrid(payload);
  const auto decoded = vrrpd::decode({from, to, 255, payload}, accepted);
  if (!decoded) {
    common::check(!vrrpd::to_string(decoded.error()).empty(), "every error has a name");
    return 0;
  }
  // What was understood is said again, and understood in the same way.
  const vrrpd::Advert& advert = decoded->advert;
  common::check(!advert.addresses.empty() && advert.interval > common::Duration{}, "what 7.1 refuses is refused");
  const auto again = vrrpd::encode(advert, from, to, decoded->form, accepted.password);
  const auto twice = vrrpd::decode({from, to, 255, again}, accepted);
  common::check(twice && twice->advert == advert, "an advert survives being sent on");
  return 0;
}
