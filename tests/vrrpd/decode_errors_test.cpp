// Every reason to drop an advert and the bytes that lead to it: an error without a row is a failure, and so is one that
// no instance counts.
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "bench.hpp"

using namespace bench;
using vrrpd::Acceptance;
using vrrpd::DecodeError;

namespace {

struct Row {
  DecodeError error;
  const char* why;
  const char* hex;
  Acceptance accepted = {};  ///< of VRID 10
  std::uint8_t ttl = 255;
  const char* from = "10.0.0.2";
  const char* to = "224.0.0.18";
};

const Acceptance kBoth{.vrid = 10, .v2 = true}, kSecondOnly{.vrid = 10, .v2 = true, .v3 = false};
const Acceptance kThird{.vrid = 10};

/// Checksums are right in all but those that are about it, so that each is refused for its own reason alone.
const std::vector<Row> kRows{
    {DecodeError::ttl, "a router has forwarded it", "310a6401006475010a0000fe", kThird, 254},
    {DecodeError::ttl,
     "fewer hops than unicast peers are apart",
     "310a6401006475010a0000fe",
     {.vrid = 10, .lowest_ttl = 253},
     252},
    {DecodeError::version, "nothing at all", "", kThird},
    {DecodeError::version, "version 2 where 3 is spoken", "210a640100016ff50a0000fe0000000000000000", kThird},
    {DecodeError::version, "version 3 where 2 is spoken", "310a640100645f920a0000fe", kSecondOnly},
    {DecodeError::version, "version 4", "410a640100644f920a0000fe", kBoth},
    {DecodeError::version, "version 2 over IPv6", "210a640100016ff50a0000fe0000000000000000", kBoth, 255, "fe80::2",
     "ff02::12"},
    {DecodeError::type, "type 2", "320a640100645e920a0000fe", kThird},
    {DecodeError::length, "cut within the header", "310a64", kThird},
    {DecodeError::length, "less than its count", "310a640200645f910a0000fe", kThird},
    {DecodeError::length, "more than its count", "310a640100645f920a0000fe00000000", kThird},
    {DecodeError::length, "version 2 without its eight bytes", "210a640100016ff50a0000fe", kBoth},
    {DecodeError::checksum, "one bit", "310a6401006475000a0000fe", kThird},
    {DecodeError::checksum,
     "the other dialect",
     "310a6401006475010a0000fe",
     {.checksum = common::Checksum::rfc9568, .vrid = 10}},
    {DecodeError::checksum, "version 2, one bit", "210a640100016ff40a0000fe0000000000000000", kBoth},
    {DecodeError::checksum, "of another source of IPv6",
     "310a640200643b7dfe80000000000000000000000000025420010db8"
     "000000000000000000000254",
     kThird, 255, "fe80::3", "ff02::12"},
    {DecodeError::vrid, "VRID 11", "310b640100645f910a0000fe", kThird},
    {DecodeError::vrid, "there is no VRID on this interface", "310a640100645f920a0000fe", {}},
    {DecodeError::authentication, "a password where there is none", "210a640101010a8f0a0000fe3132333400000000", kBoth},
    {DecodeError::authentication,
     "none where there is one",
     "210a640100016ff50a0000fe0000000000000000",
     {.vrid = 10, .v2 = true, .password = "1234"}},
    {DecodeError::authentication,
     "another one",
     "210a640101010a8f0a0000fe3132333400000000",
     {.vrid = 10, .v2 = true, .password = "1235"}},
    {DecodeError::authentication, "AH of RFC 2338", "210a640102016df50a0000fe0000000000000000", kBoth},
    {DecodeError::interval, "0: every backup would claim", "310a640100005ff60a0000fe", kThird},
    {DecodeError::interval, "version 2, 0", "210a640100006ff60a0000fe0000000000000000", kBoth},
    {DecodeError::interval,
     "version 2, not ours",
     "210a640100016ff50a0000fe0000000000000000",
     {.vrid = 10, .v2 = true, .v2_interval = 2s}},
    {DecodeError::count, "no address", "310a640000646a91", kThird},
    {DecodeError::count, "version 2, no address", "210a640000017af40000000000000000", kBoth},
    {DecodeError::link_local, "IPv6, a global address first", "", kThird, 255, "fe80::2", "ff02::12"},
};

common::Bytes payload_of(const Row& row) {
  // The one whose checksum is over addresses: made as a sender that knows no better would.
  if (row.error == DecodeError::link_local)
    return encode({10, 100, 1s, {ip("2001:db8::254"), ip("fe80::254")}}, ip(row.from), ip(row.to),
                  vrrpd::ChecksumForm::rfc9568);
  common::Bytes result;
  const std::string_view hex = row.hex;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    result.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return result;
}

}  // namespace

TEST_CASE("9568 7.1: every decode error is reached, by bytes that have this fault alone", "[advert]") {
  std::set<DecodeError> reached;
  for (const Row& row : kRows) {
    INFO(to_string(row.error) << ": " << row.why);
    const common::Bytes payload = payload_of(row);
    const auto decoded = vrrpd::decode({ip(row.from), ip(row.to), row.ttl, payload}, row.accepted);
    REQUIRE_FALSE(decoded.has_value());
    CHECK(to_string(decoded.error()) == to_string(row.error));
    reached.insert(decoded.error());
  }
  std::set<std::string_view> names;
  for (int i = 0; i < static_cast<int>(DecodeError::errors); ++i) {
    const auto error = static_cast<DecodeError>(i);
    INFO(to_string(error) << " has no row");
    CHECK(reached.contains(error));
    names.insert(to_string(error));
  }
  CHECK(names.size() == static_cast<std::size_t>(DecodeError::errors));
  CHECK_FALSE(names.contains(to_string(DecodeError::errors)));
}

/// A router that accepts what the row says.
common::Config config_of(const Row& row) {
  common::Config config = plain();
  common::GroupConfig& group = config.vrrp->groups[0];
  common::InstanceConfig& instance = group.instances[0];
  instance.vrid = row.accepted.vrid.value_or(11);
  if (row.accepted.v2) instance.version = common::VrrpVersion::both;
  if (!row.accepted.v3 || row.accepted.v2_interval) instance.version = common::VrrpVersion::v2;
  group.advertise_interval = row.accepted.v2_interval.value_or(1s);
  instance.checksum = row.accepted.checksum;
  instance.password = row.accepted.password;
  if (row.accepted.lowest_ttl != vrrpd::kAdvertTtl)
    instance.unicast = common::UnicastConfig{Bench::own("wan"), {ip("10.0.0.3")}, row.accepted.lowest_ttl};
  if (!ip(row.from).is_v4()) instance.virtual_addresses = {{ip("fe80::254"), 64}};
  return config;
}

TEST_CASE("9568 7.1: every decode error becomes its own counter, and nothing else", "[advert]") {
  for (const Row& row : kRows) {
    INFO(to_string(row.error) << ": " << row.why);
    Bench b(config_of(row));
    b.links_up();
    b.feed(vrrpd::AdvertReceived{"wan", ip(row.from), ip(row.to), row.ttl, payload_of(row)});
    std::map<std::string, std::uint64_t> counted;
    // What no instance would take (another VRID, or no whole header) is counted by the engine.
    for (const auto& counters : {b.group().instances.at(0).counters, b.engine.status(b.now).counters})
      for (const auto& [name, count] : counters)
        if (name.starts_with("drop") || name.starts_with("received")) counted[name] += count;
    CHECK(counted == std::map<std::string, std::uint64_t>{{std::string(to_string(row.error)), 1}});
    CHECK(b.group().instances.at(0).master.is_unspecified());
  }
}
