// sync.filter: what is read, and what is said about mistakes.
#include "tests/common/config_diagnosis.hpp"

namespace {

using namespace common;
using namespace diagnosis;

/// The filter stands in line 10 and begins at column 63.
std::string file_with(const std::string& filter) {
  return kHead + kGroup + "sync: { links: [{ interface: eth1 }], security: none, filter: " + filter + " }\n";
}

SyncFilter filter_of(const std::string& filter) {
  const LoadedConfig loaded = parse_config(file_with(filter), "f", "R1");
  REQUIRE(loaded.config.has_value());
  return loaded.config->sync->filter;
}

}  // namespace

TEST_CASE("every key of the filter arrives") {
  const SyncFilter filter = filter_of(
      "{ replicate_after: 1500ms, include: [ { translated: snat }, { translated: none } ], exclude: [ { protocol: "
      "tcp_udp, "
      "destination_ports: [53, 1000-2000], source_ports: not 80, address: 10.0.0.0/8, source_address: 10.1.0.0/16, "
      "destination_address: not 10.2.0.1, mark: 0x10/0xf0, zone: [0, 65535] }, { tcp_state: [time_wait, close], "
      "translated: dnat, mark: 4294967295, zone: 3, protocol: tcp } ] }");
  CHECK(filter.replicate_after == 1500ms);
  REQUIRE(filter.include.size() == 2);
  CHECK(filter.include[0].translated == Translation::snat);
  CHECK(filter.include[1].translated == Translation::none);
  REQUIRE(filter.exclude.size() == 2);
  const SyncMatch& first = filter.exclude[0];
  CHECK(first.packet.protocol.any == std::vector<std::uint8_t>{6, 17});
  CHECK(first.packet.destination_ports.any == std::vector<PortRange>{{53, 53}, {1000, 2000}});
  CHECK(first.packet.source_ports.none == std::vector<PortRange>{{80, 80}});
  CHECK(first.address == AddressSet::of(*Prefix::parse("10.0.0.0/8")));
  CHECK(first.packet.source == AddressSet::of(*Prefix::parse("10.1.0.0/16")));
  CHECK(first.packet.destination.none.size() == 1);
  CHECK(first.mark == SyncMatch::Mark{0x10, 0xf0});
  CHECK(first.zones == std::vector<std::uint16_t>{0, 65535});
  CHECK(!first.translated);
  const SyncMatch& second = filter.exclude[1];
  CHECK(second.tcp_states == std::vector<std::uint8_t>{7, 8});
  CHECK(second.mark == SyncMatch::Mark{0xffffffff, 0xffffffff});
  CHECK(second.translated == Translation::dnat);
}

TEST_CASE("without a filter nothing is left out") {
  const LoadedConfig loaded =
      parse_config(kHead + kGroup + "sync: { links: [{ interface: eth1 }], security: none }\n", "f", "R1");
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->sync->filter == SyncFilter{});
}

TEST_CASE("a filter may refer to groups of addresses and ports, wherever they stand") {
  const std::string text = file_with("{ exclude: [ { address: lab, protocol: udp, destination_ports: names } ] }") +
                           "address_groups: { lab: [10.9.0.0/16] }\nport_groups: { names: [53, 5353] }\n";
  const LoadedConfig loaded = parse_config(text, "f", "R1");
  REQUIRE(loaded.config.has_value());
  const SyncMatch& match = loaded.config->sync->filter.exclude.at(0);
  CHECK(match.address.matches(*IpAddress::parse("10.9.1.1")));
  CHECK(match.packet.destination_ports.matches(5353));
}

TEST_CASE("the filter is part of what both routers must have in common") {
  const auto digest = [](const std::string& filter) {
    return parse_config(file_with(filter), "f", "R1").config->digest;
  };
  CHECK(digest("{ replicate_after: 1s }") != digest("{ replicate_after: 2s }"));
}

TEST_CASE("mistakes in the filter") {
  check_all({
      {file_with("{ exclude: [ { protokol: udp } ] }"),
       {"f:10:78: error: unknown key 'protokol' in sync.filter.exclude; did you mean 'protocol'?"}},
      {file_with("{ exclude: [ {} ] }"),
       {"f:10:76: error: sync.filter.exclude: say which connections are meant; `{}` would be all of them"}},
      {file_with("{ include: [] }"), {"f:10:74: error: sync.filter.include: must not be empty; leave the key out"}},
      {file_with("{ include: { protocol: udp } }"),
       {"f:10:74: error: sync.filter.include: expected a list, found a map"}},
      {file_with("{ exclude: [ { tcp_state: [etsablished, LISTEN] } ] }"),
       {"f:10:90: error: sync.filter.exclude.tcp_state: no state of TCP is called 'etsablished'; did you mean "
        "'established'?",
        "f:10:103: error: sync.filter.exclude.tcp_state: no state of TCP is called 'LISTEN'; there are syn_sent, "
        "syn_recv, established, fin_wait, close_wait, last_ack, time_wait, close, syn_sent2"}},
      {file_with("{ exclude: [ { tcp_state: close, protocol: udp } ] }"),
       {"f:10:76: error: sync.filter.exclude: tcp_state needs TCP among the protocols"}},
      {file_with("{ exclude: [ { zone: 65536 } ] }"),
       {"f:10:84: error: sync.filter.exclude.zone: expected a number from 0 to 65535, found '65536'"}},
      {file_with("{ exclude: [ { mark: 0x1g } ] }"),
       {"f:10:84: error: sync.filter.exclude.mark: expected a number, or value/mask such as 0x10/0xf0, each of 32 "
        "bits; found '0x1g'"}},
      {file_with("{ exclude: [ { mark: 1/0 } ] }"),
       {"f:10:84: error: sync.filter.exclude.mark: the mask is 0, so that every mark would fit; leave the key out"}},
      {file_with("{ exclude: [ { mark: 0x11/0x10 } ] }"),
       {"f:10:84: error: sync.filter.exclude.mark: no mark fits: 0x11 has bits that the mask 0x10 leaves out"}},
      {file_with("{ exclude: [ { translated: yes } ] }"),
       {"f:10:90: error: sync.filter.exclude.translated: expected any, snat, dnat or none, found 'yes'"}},
      {file_with("{ exclude: [ { destination_ports: 53 } ] }"),
       {"f:10:76: error: sync.filter.exclude: ports need a protocol that has them; add `protocol: tcp`, udp or "
        "tcp_udp"}},
      {file_with("{ replicate_after: 61min }"),
       {"f:10:82: error: sync.filter.replicate_after: 61min is out of range; it may be 0s to 60min"}},
  });
}

TEST_CASE("masks of marks and labels") {
  const auto masks_of = [](const std::string& line) {
    const std::string text = kHead + kGroup + "sync: { links: [{ interface: eth1 }], security: none" + line + " }\n";
    const LoadedConfig loaded = parse_config(text, "f", "R1");
    REQUIRE(loaded.config.has_value());
    return loaded.config->sync->masks;
  };
  CHECK(masks_of("") == SyncMasks{});
  CHECK(masks_of(", mark_mask: 0xff00").mark == 0xff00);
  CHECK(masks_of(", mark_mask: 0").mark == 0);
  CHECK(masks_of(", labels: [0, 127]").labels.count() == 2);
  CHECK(masks_of(", labels: 5").labels.test(5));
  CHECK(masks_of(", labels: []").labels.none());
  CHECK(masks_of(", mark_mask: 0xf0, filter: { exclude: [ { mark: 0x10/0x30 } ] }").mark == 0xf0);
}

TEST_CASE("mistakes in the masks") {
  const auto with = [](const std::string& line) {
    return kHead + kGroup + "sync: { links: [{ interface: eth1 }], security: none, " + line + " }\n";
  };
  check_all({
      {with("mark_mask: 0x1ffffffff"),
       {"f:10:66: error: sync.mark_mask: expected a number of 32 bits, such as 0xff; found '0x1ffffffff'"}},
      {with("labels: [3, 128]"), {"f:10:67: error: sync.labels: expected a number from 0 to 127, found '128'"}},
      {with("mark_mask: 0xff, filter: { include: [ { mark: 7 } ] }"),
       {"f:10:80: error: sync.filter: asks for bits of the mark that sync.mark_mask (0xff) leaves out"}},
  });
}
