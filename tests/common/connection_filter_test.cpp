#include "common/connection_filter.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "common/traffic.hpp"

namespace {

using namespace common;

const std::array kAddresses{*IpAddress::parse("192.168.100.10"), *IpAddress::parse("10.10.0.1"),
                            *IpAddress::parse("10.10.0.1"), *IpAddress::parse("10.10.0.101")};
constexpr std::array<std::uint16_t, 4> kPorts{40000, 443, 443, 1025};

bool wants(const std::vector<std::string>& words) {
  const auto filter = ConnectionFilter::parse(words);
  REQUIRE(filter);
  return filter->wants(protocols::tcp, kAddresses, kPorts);
}

}  // namespace

TEST_CASE("each word narrows the connections that are wanted") {
  for (const auto& words : std::vector<std::vector<std::string>>{{},
                                                                 {"tcp"},
                                                                 {"tcp_udp"},
                                                                 {"443"},
                                                                 {"1025", "443"},
                                                                 {"192.168.100.0/24", "10.10.0.101"},
                                                                 {"own", "tcp", "0.0.0.0/0"}})
    CHECK(wants(words));
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"udp"}, {"444"}, {"443", "444"}, {"192.168.101.0/24"}, {"tcp", "10.10.0.2"}, {"::/0"}})
    CHECK_FALSE(wants(words));
}

TEST_CASE("whose connections") {
  CHECK(ConnectionFilter::parse({"own"})->own() == true);
  CHECK(ConnectionFilter::parse({"tcp", "peer"})->own() == false);
  CHECK_FALSE(ConnectionFilter::parse({"tcp"})->own());
}

TEST_CASE("words that leave nothing over are refused, the same word twice is not") {
  CHECK(ConnectionFilter::parse({"tcp", "443", "udp"}).error().text ==
        "\"tcp\" and \"udp\": a connection has one protocol: name one (\"tcp_udp\" is both of those)");
  CHECK(ConnectionFilter::parse({"own", "tcp", "peer"}).error().text ==
        "\"own\" and \"peer\": a connection has one owner: name one, or none for those of both routers");
  CHECK(ConnectionFilter::parse({"own", "tcp", "own", "tcp"})->own() == true);
  CHECK(wants({"tcp", "tcp"}));
  CHECK(wants({"tcp_udp"}));
}

TEST_CASE("what is no word of a filter is named") {
  for (const char* word : {"", "0", "65536", "TCP", "http", "10.0.0.0/33", "-1"}) {
    const auto filter = ConnectionFilter::parse({"tcp", word});
    REQUIRE_FALSE(filter);
    CHECK(filter.error().text ==
          "\"" + std::string(word) + "\" is no protocol, address, prefix, port, \"own\" or \"peer\"");
  }
}
