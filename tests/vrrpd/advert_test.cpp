#include "vrrpd/advert.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "common/prng.hpp"

using namespace vrrpd;
using common::Checksum;
using namespace std::chrono_literals;

namespace {

common::Bytes bytes(std::string_view hex) {
  common::Bytes result;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    result.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return result;
}

common::IpAddress ip(std::string_view text) {
  return *common::IpAddress::parse(text);
}

const common::IpAddress kSource = ip("10.0.0.2");

// As keepalived 2.2.7 sends them: VRID 10, priority 100, 1 s, 10.0.0.254, from 10.0.0.2.
constexpr std::string_view kPseudo = "310a6401006475010a0000fe";
constexpr std::string_view kPlain = "310a640100645f920a0000fe";
constexpr std::string_view kLeaving = "310a00010064d9010a0000fe";

auto try_decode(const common::Bytes& payload, Checksum accepted = Checksum::automatic, std::uint8_t ttl = 255,
                std::optional<std::uint8_t> vrid = 10) {
  return decode({kSource, vrrp_multicast(), ttl, payload}, {.checksum = accepted, .vrid = vrid});
}

/// The golden packet with one byte changed, and its checksum made right again.
common::Bytes with(std::size_t at, std::uint8_t value, std::size_t size = 12) {
  common::Bytes packet = bytes(kPlain);
  packet.resize(size);
  packet.at(at) = static_cast<std::byte>(value);
  packet[6] = packet[7] = std::byte{0};
  const std::uint16_t sum = common::checksum_finish(common::checksum_add(0, packet));
  packet[6] = static_cast<std::byte>(sum >> 8);
  packet[7] = static_cast<std::byte>(sum & 0xff);
  return packet;
}

}  // namespace

TEST_CASE("9568 5.2: golden adverts decode", "[advert]") {
  const auto pseudo = try_decode(bytes(kPseudo));
  REQUIRE(pseudo.has_value());
  CHECK(pseudo->advert == Advert{10, 100, 1s, {ip("10.0.0.254")}});
  CHECK(pseudo->form == ChecksumForm::rfc5798);
  const auto plain = try_decode(bytes(kPlain));
  REQUIRE(plain.has_value());
  CHECK(plain->form == ChecksumForm::rfc9568);
  const auto leaving = try_decode(bytes(kLeaving));
  REQUIRE(leaving.has_value());
  CHECK(leaving->advert.priority == 0);
}

TEST_CASE("9568 5.2: golden adverts are what we send", "[advert]") {
  const Advert advert{10, 100, 1s, {ip("10.0.0.254")}};
  CHECK(encode(advert, kSource, vrrp_multicast(), ChecksumForm::rfc5798) == bytes(kPseudo));
  CHECK(encode(advert, kSource, vrrp_multicast(), ChecksumForm::rfc9568) == bytes(kPlain));
  const Advert leaving{10, 0, 1s, {ip("10.0.0.254")}};
  CHECK(encode(leaving, kSource, vrrp_multicast(), ChecksumForm::rfc5798) == bytes(kLeaving));
  // A unicast destination is part of the pseudo-header.
  CHECK(encode(advert, kSource, ip("10.0.0.1"), ChecksumForm::rfc5798) == bytes("310a640100644b130a0000fe"));
}

TEST_CASE("5.2.8: each dialect is refused where only the other is accepted", "[advert]") {
  CHECK(try_decode(bytes(kPseudo), Checksum::rfc9568).error() == DecodeError::checksum);
  CHECK(try_decode(bytes(kPlain), Checksum::rfc5798).error() == DecodeError::checksum);
  CHECK(try_decode(bytes(kPseudo), Checksum::rfc5798).has_value());
  CHECK(try_decode(bytes(kPlain), Checksum::rfc9568).has_value());
}

TEST_CASE("9568 7.1: every reason to drop, by name", "[advert]") {
  CHECK(try_decode(bytes(kPseudo), Checksum::automatic, 254).error() == DecodeError::ttl);
  CHECK(try_decode(with(0, 0x21)).error() == DecodeError::version);
  CHECK(try_decode({}).error() == DecodeError::version);
  CHECK(try_decode(with(0, 0x32)).error() == DecodeError::type);
  CHECK(try_decode(with(3, 2)).error() == DecodeError::length);         // one address of two
  CHECK(try_decode(with(0, 0x31, 16)).error() == DecodeError::length);  // four bytes too many
  CHECK(try_decode(bytes("310a64")).error() == DecodeError::length);
  CHECK(try_decode(bytes("310a640100647502"
                         "0a0000fe"))
            .error() == DecodeError::checksum);
  CHECK(try_decode(bytes(kPseudo), Checksum::automatic, 255, 11).error() == DecodeError::vrid);
  CHECK(try_decode(bytes(kPseudo), Checksum::automatic, 255, std::nullopt).error() == DecodeError::vrid);
  CHECK(try_decode(with(5, 0)).error() == DecodeError::interval);
  CHECK(try_decode(with(3, 0, 8)).error() == DecodeError::count);
}

TEST_CASE("9568 7.1: with several faults the first in the RFC's order is named", "[advert]") {
  common::Bytes packet = with(5, 0);
  CHECK(try_decode(packet, Checksum::automatic, 255, 11).error() == DecodeError::vrid);
  packet[7] ^= std::byte{1};
  CHECK(try_decode(packet, Checksum::automatic, 255, 11).error() == DecodeError::checksum);
  packet.push_back(std::byte{0});
  CHECK(try_decode(packet, Checksum::automatic, 255, 11).error() == DecodeError::length);
  packet[0] = std::byte{0x32};
  CHECK(try_decode(packet).error() == DecodeError::type);
  packet[0] = std::byte{0x22};
  CHECK(try_decode(packet).error() == DecodeError::version);
  CHECK(try_decode(packet, Checksum::automatic, 1).error() == DecodeError::ttl);
}

TEST_CASE("9568 5.2.6: the reserve bits are ignored", "[advert]") {
  const auto decoded = try_decode(with(4, 0xf0));
  REQUIRE(decoded.has_value());
  CHECK(decoded->advert.interval == 1s);
}

TEST_CASE("9568 5.2.7: the interval is rounded into its twelve bits", "[advert]") {
  const auto sent = [](common::Duration interval) {
    const Advert advert{10, 100, interval, {ip("10.0.0.254")}};
    return try_decode(encode(advert, kSource, vrrp_multicast(), ChecksumForm::rfc5798))->advert.interval;
  };
  CHECK(sent(10ms) == 10ms);
  CHECK(sent(0ms) == 10ms);
  CHECK(sent(104ms) == 100ms);
  CHECK(sent(40950ms) == 40950ms);
  CHECK(sent(1h) == 40950ms);
}

TEST_CASE("what is encoded decodes to the same, in both dialects", "[advert]") {
  common::Prng random(1);
  for (int i = 0; i < 2000; ++i) {
    Advert advert{static_cast<std::uint8_t>(1 + random.below(255)),
                  static_cast<std::uint8_t>(random.below(256)),
                  std::chrono::milliseconds(10 * (1 + random.below(4095))),
                  {}};
    for (std::uint64_t n = 1 + random.below(kMostAddresses); n > 0; --n)
      advert.addresses.push_back(common::IpAddress::v4(static_cast<std::uint32_t>(random.next())));
    const auto form = random.chance(0.5) ? ChecksumForm::rfc5798 : ChecksumForm::rfc9568;
    const auto accepted = form == ChecksumForm::rfc5798 ? Checksum::rfc5798 : Checksum::rfc9568;
    const auto decoded = try_decode(encode(advert, kSource, vrrp_multicast(), form), accepted, 255, advert.vrid);
    REQUIRE(decoded.has_value());
    REQUIRE(decoded->advert == advert);
    REQUIRE(decoded->form == form);
  }
}

TEST_CASE("any bytes decode to something or to an error", "[advert]") {
  common::Prng random(2);
  for (int i = 0; i < 20000; ++i) {
    common::Bytes packet(random.below(40));
    for (std::byte& b : packet) b = static_cast<std::byte>(random.next());
    if (!packet.empty() && random.chance(0.8)) packet[0] = std::byte{0x31};
    if (packet.size() > 8 && random.chance(0.8)) packet[3] = static_cast<std::byte>((packet.size() - 8) / 4);
    (void)try_decode(packet, Checksum::automatic, 255, peek_vrid(packet));
  }
  SUCCEED();
}
