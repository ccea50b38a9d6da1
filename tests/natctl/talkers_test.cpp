#include "natctl/talkers.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace natctl;
using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

common::IpAddress address(const char* text) {
  return *common::IpAddress::parse(text);
}

/// A TCP connection of a host behind the pair, as 10.10.0.101.
Conversation talk(const char* source, std::uint16_t port, std::optional<std::uint64_t> bytes) {
  return {.protocol = 6,
          .source = address(source),
          .destination = address("203.0.113.5"),
          .reply_source = address("203.0.113.5"),
          .reply_destination = address("10.10.0.101"),
          .source_port = port,
          .destination_port = 443,
          .reply_source_port = 443,
          .reply_destination_port = static_cast<std::uint16_t>(port + 1),
          .bytes = bytes};
}

}  // namespace

TEST_CASE("the connections that carried most, with both their faces") {
  const std::vector<Conversation> before{talk("192.168.100.10", 1000, 500), talk("192.168.100.11", 1000, 100),
                                         talk("192.168.100.12", 1000, 9'000'000), talk("192.168.100.13", 1, 7)};
  std::vector<Conversation> now{talk("192.168.100.10", 1000, 2500), talk("192.168.100.11", 1000, 3'000'100),
                                talk("192.168.100.12", 1000, 1000), talk("192.168.100.13", 1, 7)};
  now.push_back(talk("192.168.100.14", 2000, 600'000));           // new
  Conversation plain = talk("192.168.100.15", 3000, 90'000'000);  // not translated
  plain.reply_destination = plain.source;
  plain.reply_destination_port = plain.source_port;
  now.push_back(plain);
  CHECK(top_talkers(now, before, 2s, 10) ==
        Lines{"  1.5 MB/s  tcp 192.168.100.11:1000 -> 203.0.113.5:443 as 10.10.0.101:1001",
              "300.0 kB/s  tcp 192.168.100.14:2000 -> 203.0.113.5:443 as 10.10.0.101:2001",
              "  1.0 kB/s  tcp 192.168.100.10:1000 -> 203.0.113.5:443 as 10.10.0.101:1001",
              "   500 B/s  tcp 192.168.100.12:1000 -> 203.0.113.5:443 as 10.10.0.101:1001"});
  CHECK(top_talkers(now, before, 2s, 1).size() == 1);
  CHECK(top_talkers(now, before, 0s, 10).empty());
  CHECK(top_talkers({}, before, 2s, 10).empty());
}

TEST_CASE("destination translation and IPv6 and what has no ports") {
  Conversation in = talk("203.0.113.9", 5000, 1000);
  in.destination = address("10.10.0.101");
  in.destination_port = 80;
  in.reply_source = address("192.168.100.5");
  in.reply_source_port = 8080;
  in.reply_destination = in.source;
  in.reply_destination_port = in.source_port;
  Conversation six = talk("203.0.113.9", 0, 500);
  six.protocol = 58;
  six.source = address("fd00::1");
  six.destination = six.reply_source = address("2001:db8::1");
  six.destination_port = six.reply_source_port = six.reply_destination_port = 0;
  six.reply_destination = address("2001:db8::101");
  CHECK(top_talkers({in, six}, {}, 1s, 10) ==
        Lines{"  1.0 kB/s  tcp 203.0.113.9:5000 -> 192.168.100.5:8080 at 10.10.0.101:80",
              "   500 B/s  icmpv6 fd00::1 -> 2001:db8::1 as 2001:db8::101"});
}

TEST_CASE("where bytes are not counted, hosts by their connections") {
  const std::vector<Conversation> now{talk("192.168.100.11", 1, std::nullopt), talk("192.168.100.10", 1, std::nullopt),
                                      talk("192.168.100.11", 2, std::nullopt)};
  CHECK_FALSE(has_bytes(now));
  CHECK(top_talkers(now, {}, 0s, 10) == Lines{"         2  192.168.100.11", "         1  192.168.100.10"});
  CHECK(top_talkers(now, {}, 0s, 1) == Lines{"         2  192.168.100.11"});
}

TEST_CASE("rates keep their width") {
  CHECK(rate_text(0) == "0 B/s");
  CHECK(rate_text(999) == "999 B/s");
  CHECK(rate_text(1000) == "1.0 kB/s");
  CHECK(rate_text(999'940) == "999.9 kB/s");
  CHECK(rate_text(999'960) == "1.0 MB/s");
  CHECK(rate_text(2.5e13) == "25.0 TB/s");
}
