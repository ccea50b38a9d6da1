// The other dialects: VRRPv3 for IPv6, VRRPv2, both versions at once; the owner of its addresses; a slow start.
#include <catch2/catch.hpp>

#include "bench.hpp"
#include "common/prng.hpp"

using namespace bench;
using common::VrrpVersion;
using vrrpd::Acceptance;
using vrrpd::Advert;
using vrrpd::ChecksumForm;
using vrrpd::DecodeError;
using vrrpd::SendAdvert;
using vrrpd::Version;

namespace {

common::Bytes bytes(std::string_view hex) {
  common::Bytes result;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    result.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return result;
}

// As keepalived 2.2.7 sends them: VRID 10, priority 100, 1 s; 10.0.0.254 from 10.0.0.2, fe80::254 and 2001:db8::254
// from fe80::2.
const common::Bytes kV2 = bytes("210a640100016ff50a0000fe0000000000000000");
const common::Bytes kV2Password = bytes("210a640101010a8f0a0000fe3132333400000000");
const common::Bytes kV6 = bytes(
    "310a640200643b7d"
    "fe800000000000000000000000000254"
    "20010db8000000000000000000000254");

const Advert kSecond{10, 100, 1s, {ip("10.0.0.254")}, Version::v2};
const Advert kSix{10, 100, 1s, {ip("fe80::254"), ip("2001:db8::254")}};

auto try_v2(common::Bytes payload, Acceptance accepted = {}) {
  accepted.vrid = 10;
  accepted.v2 = true;
  return vrrpd::decode({ip("10.0.0.2"), vrrpd::vrrp_multicast(), 255, payload}, accepted);
}

auto try_v6(common::Bytes payload, std::string_view from = "fe80::2", Acceptance accepted = {}) {
  accepted.vrid = 10;
  return vrrpd::decode({ip(from), ip("ff02::12"), 255, payload}, accepted);
}

/// A byte of a VRRPv2 packet changed, and its checksum made right again.
common::Bytes v2_with(std::size_t at, std::uint8_t value, common::Bytes packet = kV2) {
  packet.at(at) = static_cast<std::byte>(value);
  packet[6] = packet[7] = std::byte{0};
  const std::uint16_t sum = common::checksum_finish(common::checksum_add(0, packet));
  packet[6] = static_cast<std::byte>(sum >> 8);
  packet[7] = static_cast<std::byte>(sum & 0xff);
  return packet;
}

common::Config with_version(VrrpVersion version, Duration interval = 1s) {
  common::Config config = plain();
  config.vrrp->groups[0].advertise_interval = interval;
  config.vrrp->groups[0].instances[0].version = version;
  return config;
}

common::Config six() {
  common::Config config = plain();
  config.vrrp->groups[0].instances[0].virtual_addresses = {{ip("fe80::254"), 64}, {ip("2001:db8::254"), 64}};
  return config;
}

std::vector<int> sent_versions(const Bench& b) {
  std::vector<int> result;
  for (const auto& advert : b.got<SendAdvert>()) result.push_back(std::to_integer<int>(advert.payload[0] >> 4));
  return result;
}

}  // namespace

TEST_CASE("3768 5.1: golden adverts of version 2, without and with a password", "[advert]") {
  const auto plain = try_v2(kV2);
  REQUIRE(plain.has_value());
  CHECK(plain->advert == kSecond);
  const auto secret = try_v2(kV2Password, {.password = "1234"});
  REQUIRE(secret.has_value());
  CHECK(secret->advert == kSecond);
  const auto encoded = [](std::string_view password) {
    return encode(kSecond, ip("10.0.0.2"), vrrpd::vrrp_multicast(), ChecksumForm::rfc5798, password);
  };
  CHECK(encoded("") == kV2);
  CHECK(encoded("1234") == kV2Password);
}

TEST_CASE("9568 5.2: a golden advert for IPv6, its checksum over the pseudo-header", "[advert]") {
  const auto decoded = try_v6(kV6);
  REQUIRE(decoded.has_value());
  CHECK(decoded->advert == kSix);
  CHECK(encode(kSix, ip("fe80::2"), ip("ff02::12"), ChecksumForm::rfc9568) == kV6);  // the dialects are IPv4's
  CHECK(try_v6(kV6, "fe80::3").error() == DecodeError::checksum);                    // of another source
}

TEST_CASE("3768 7.1: every reason to drop an advert of version 2", "[advert]") {
  CHECK(try_v2(v2_with(0, 0x22)).error() == DecodeError::type);
  CHECK(try_v2(v2_with(3, 2)).error() == DecodeError::length);
  common::Bytes packet = kV2;
  packet.resize(packet.size() - 8);  // without the authentication data
  CHECK(try_v2(packet).error() == DecodeError::length);
  packet = kV2;
  packet.push_back(std::byte{0});
  CHECK(try_v2(packet).error() == DecodeError::length);
  packet = kV2;
  packet[7] ^= std::byte{1};
  CHECK(try_v2(packet).error() == DecodeError::checksum);
  CHECK(try_v2(v2_with(1, 11)).error() == DecodeError::vrid);
  CHECK(try_v2(v2_with(4, 1)).error() == DecodeError::authentication);
  CHECK(try_v2(kV2Password).error() == DecodeError::authentication);
  CHECK(try_v2(kV2, {.password = "1234"}).error() == DecodeError::authentication);
  CHECK(try_v2(kV2Password, {.password = "12345"}).error() == DecodeError::authentication);
  CHECK(try_v2(v2_with(4, 2)).error() == DecodeError::authentication);  // AH of RFC 2338
  CHECK(try_v2(v2_with(5, 0)).error() == DecodeError::interval);
  CHECK(try_v2(kV2, {.v2_interval = 2s}).error() == DecodeError::interval);
  CHECK(try_v2(kV2, {.v2_interval = 1s}).has_value());
  common::Bytes empty = bytes("210a6400000100000000000000000000");
  CHECK(try_v2(v2_with(3, 0, empty)).error() == DecodeError::count);
  // What is not spoken here, and what version 2 cannot be: IPv6.
  CHECK(vrrpd::decode({ip("10.0.0.2"), vrrpd::vrrp_multicast(), 255, kV2}, {.vrid = 10}).error() ==
        DecodeError::version);
  CHECK(try_v6(kV2, "fe80::2", {.v2 = true}).error() == DecodeError::version);
  CHECK(try_v2(kV2, {.v3 = false}).has_value());
  CHECK(try_v2(bytes("310a640100645f920a0000fe"), {.v3 = false}).error() == DecodeError::version);
}

TEST_CASE("9568 7.1: reasons to drop an advert for IPv6", "[advert]") {
  common::Bytes packet = kV6;
  packet[7] ^= std::byte{1};
  CHECK(try_v6(packet).error() == DecodeError::checksum);
  packet.resize(packet.size() - 4);
  CHECK(try_v6(packet).error() == DecodeError::length);
  const Advert wrong{10, 100, 1s, {ip("2001:db8::254"), ip("fe80::254")}};
  const common::Bytes global_first = encode(wrong, ip("fe80::2"), ip("ff02::12"), ChecksumForm::rfc5798);
  CHECK(try_v6(global_first).error() == DecodeError::link_local);  // erratum 8300
}

TEST_CASE("what is encoded decodes to the same: version 2, IPv6", "[advert]") {
  common::Prng random(3);
  const auto passwords = std::array<std::string, 3>{"", "x", "12345678"};
  for (int i = 0; i < 1000; ++i) {
    const bool v2 = random.chance(0.5);
    Advert advert{static_cast<std::uint8_t>(1 + random.below(255)),
                  static_cast<std::uint8_t>(random.below(256)),
                  (v2 ? Duration(1s) : Duration(10ms)) * static_cast<int>(1 + random.below(40)),
                  {},
                  v2 ? Version::v2 : Version::v3};
    for (std::uint64_t n = 1 + random.below(vrrpd::kMostAddresses); n > 0; --n) {
      std::array<std::byte, 16> raw{std::byte{0xfe}, std::byte{0x80}};
      for (std::size_t at = 8; at < 16; ++at) raw[at] = static_cast<std::byte>(random.below(256));
      advert.addresses.push_back(v2 ? common::IpAddress::v4(static_cast<std::uint32_t>(random.next()))
                                    : common::IpAddress::v6(raw));
    }
    const auto from = ip(v2 ? "10.0.0.2" : "fe80::2"), to = vrrpd::vrrp_multicast(from.family());
    const std::string& password = passwords[random.below(3)];
    const common::Bytes packet = encode(advert, from, to, ChecksumForm::rfc5798, password);
    const auto decoded = vrrpd::decode({from, to, 255, packet},
                                       {.vrid = advert.vrid, .v2 = true, .password = v2 ? password : std::string()});
    REQUIRE(decoded.has_value());
    REQUIRE(decoded->advert == advert);
  }
}

TEST_CASE("IPv6: from the link-local address to ff02::12, and ties are broken by link-local addresses", "[rfc]") {
  Bench b(six());
  b.links_up().pass(3700ms);
  REQUIRE(b.got<SendAdvert>().size() == 1);
  CHECK(b.got<SendAdvert>()[0].source == ip("fe80::2"));
  CHECK(b.got<SendAdvert>()[0].destination == ip("ff02::12"));
  CHECK(b.got<SendAdvert>()[0].payload == kV6);
  CHECK(b.got<vrrpd::AddAddress>().size() == 2);
  CHECK(b.state() == GroupState::master);
  b.packet(kSix, "fe80::1");
  CHECK(b.state() == GroupState::master);
  CHECK(b.sent_priorities() == std::vector<int>{100});
  b.packet(kSix, "fe80::3");
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("IPv6: without a link-local address there is nothing to send from", "[rfc]") {
  Bench b(six());
  vrrpd::LinkChanged link = Bench::link("wan");
  link.link_local = {};
  b.feed(link).pass(1s);
  CHECK(b.state() == GroupState::fault);
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("link-local"));
  b.links_up();
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("the same VRID serves IPv4 and IPv6 on one interface", "[rfc]") {
  common::Config config = six();
  common::InstanceConfig other = plain().vrrp->groups[0].instances[0];
  other.name = "wan4";
  config.vrrp->groups[0].instances.push_back(other);
  Bench b(config);
  b.links_up().packet(kSix, "fe80::1").advert(200);
  CHECK(b.counter("received", 0) == 1);
  CHECK(b.counter("received", 1) == 1);
}

TEST_CASE("3768 6.1: version 2 counts its skew in parts of a second, at any interval", "[rfc]") {
  Bench b(with_version(VrrpVersion::v2, 10s));
  const Duration down = 30s + Duration(1s) * 156 / 256;
  b.links_up().pass(down - 1ns);
  CHECK(b.state() == GroupState::backup);
  b.pass(1ns);
  CHECK(b.state() == GroupState::master);
  CHECK(sent_versions(b) == std::vector<int>{2});
  CHECK(b.got<SendAdvert>()[0].payload[5] == std::byte{10});
}

TEST_CASE("3768 7.1: another interval or version is no sign of life to version 2", "[rfc]") {
  Bench b(with_version(VrrpVersion::v2));
  b.links_up();
  Advert advert = kSecond;
  advert.priority = 200;
  advert.interval = 2s;
  b.pass(3s).packet(advert).advert(200).pass(1s);
  CHECK(b.counter("drop_interval") == 1);
  CHECK(b.counter("drop_version") == 1);
  CHECK(b.state() == GroupState::master);
  advert.interval = 1s;
  b.packet(advert);
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("2338: an advert without the password is no sign of life", "[rfc]") {
  common::Config config = with_version(VrrpVersion::v2);
  config.vrrp->groups[0].instances[0].password = "1234";
  Bench b(config);
  Advert advert = kSecond;
  advert.priority = 200;
  b.links_up().pass(3s).packet(advert).pass(700ms);
  CHECK(b.counter("drop_authentication") == 1);
  CHECK(b.state() == GroupState::master);
  CHECK(b.got<SendAdvert>()[0].payload == kV2Password);
  b.packet(advert, "10.0.0.3", "1234");
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("9568 8.4.1: with both versions the active sends both, at its rate", "[rfc]") {
  Bench b(with_version(VrrpVersion::both, 100ms));
  b.links_up().pass(361ms);
  CHECK(b.state() == GroupState::master);
  CHECK(sent_versions(b) == std::vector<int>{3, 2});
  CHECK(b.got<SendAdvert>()[1].payload[5] == std::byte{1});  // the shortest that version 2 can say
  b.pass(1s);
  CHECK(sent_versions(b).size() == 20);
  b.feed(vrrpd::Stop{});
  CHECK(sent_versions(b) == std::vector<int>{3, 2});
}

TEST_CASE("9568 8.4.1: with both versions a backup times out at the rate of the active it hears", "[rfc]") {
  Bench b(with_version(VrrpVersion::both, 100ms));
  Advert old = kSecond;
  old.priority = 200;
  b.links_up().packet(old);
  b.pass(3s + Duration(1s) * 156 / 256 - 1ns);  // seconds, and their skew
  CHECK(b.state() == GroupState::backup);
  b.pass(1ns);
  CHECK(b.state() == GroupState::master);
  // Both from one router: only version 3 counts.
  Bench both(with_version(VrrpVersion::both, 100ms));
  Advert fresh{10, 200, 100ms, {ip("10.0.0.254")}};
  both.links_up().packet(fresh).packet(old);
  CHECK(both.counter("ignored_v2") == 1);
  CHECK(both.counter("interval_mismatch") == 0);
  both.pass(361ms);
  CHECK(both.state() == GroupState::master);
  // When it goes on in version 2 alone (a downgrade) that counts again.
  Bench down(with_version(VrrpVersion::both, 100ms));
  down.links_up().packet(fresh).pass(300ms).packet(old).pass(1s);
  CHECK(down.state() == GroupState::backup);
  CHECK(down.counter("ignored_v2") == 0);
}

TEST_CASE("9568 6.4.1: the owner is active from the start, and adds and removes nothing", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].priority = 255;
  Bench b(config);
  vrrpd::LinkChanged link = Bench::link("wan");
  b.feed(link).pass(1s);
  CHECK(b.state() == GroupState::fault);  // the address is not there
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("255"));
  link.addresses.push_back(ip("10.0.0.254"));
  b.feed(link);
  CHECK(b.state() == GroupState::master);
  CHECK(b.sent_priorities() == std::vector<int>{255});
  CHECK(b.got<vrrpd::Announce>().size() == 1);
  CHECK(b.got<vrrpd::AddAddress>().empty());
  b.advert(254);
  CHECK(b.state() == GroupState::master);
  b.advert(255, "10.0.0.3");  // two owners: a mistake that the addresses settle
  CHECK(b.state() == GroupState::backup);
  b.feed(vrrpd::Stop{});
  CHECK(b.got<vrrpd::RemoveAddress>().empty());
}

TEST_CASE("9568 6.1: without preemption the owner still preempts", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].priority = 255;
  config.vrrp->groups[0].preempt = false;
  Bench b(config);
  vrrpd::LinkChanged link = Bench::link("wan");
  link.addresses.push_back(ip("10.0.0.254"));
  b.feed(link).advert(255, "10.0.0.3");
  CHECK(b.state() == GroupState::backup);
  for (int i = 0; i < 4; ++i) b.pass(1s).advert(200);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("startup_delay: silence after a start is no reason to claim before", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].startup_delay = 30s;
  Bench b(config);
  b.links_up().pass(30s - 1ns);
  CHECK(b.state() == GroupState::backup);
  b.pass(1ns);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("an instance may have a priority and an interval of its own", "[rfc]") {
  common::Config config = plain(2);
  config.vrrp->groups[0].instances[1].priority = 200;
  config.vrrp->groups[0].instances[1].advertise_interval = 500ms;
  Bench b(config);
  b.links_up().pass(4s).pass(1s);
  std::map<std::string, std::vector<int>> sent;
  for (const auto& advert : b.got<SendAdvert>())
    sent[advert.interface].push_back(std::to_integer<int>(advert.payload[2]));
  CHECK(sent["wan"] == std::vector<int>{100});
  CHECK(sent["lan"] == std::vector<int>{200, 200});
  CHECK(b.group().instances[1].priority == 200);
}
