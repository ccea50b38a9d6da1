#include <catch2/catch.hpp>

#include "common/address.hpp"
#include "common/bytes.hpp"
#include "common/prng.hpp"
#include "common/term.hpp"
#include "common/timers.hpp"

using namespace common;

namespace {

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}
Prefix net(const char* text) {
  return Prefix::parse(text).value();
}

}  // namespace

TEST_CASE("addresses parse and print") {
  CHECK(ip("10.10.0.101").to_string() == "10.10.0.101");
  CHECK(ip("10.10.0.101").v4_value() == 0x0a0a0065);
  CHECK(IpAddress::v4(0x0a0a0065) == ip("10.10.0.101"));
  CHECK(ip("2001:DB8:0::1").to_string() == "2001:db8::1");
  CHECK(IpAddress::v6(std::span<const std::byte, 16>(ip("fe80::1").bytes())) == ip("fe80::1"));
  for (const char* text : {"", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", "10.0.0.0/8", "::g", "1:2", "eth0"})
    CHECK_FALSE(IpAddress::parse(text));
  CHECK_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0", 9)));
}

TEST_CASE("addresses are ordered as the RFC breaks ties") {
  CHECK(ip("10.0.0.2") > ip("10.0.0.1"));
  CHECK(ip("200.0.0.1") > ip("100.0.0.255"));
  CHECK(ip("::") > ip("255.255.255.255"));
}

TEST_CASE("kinds of addresses") {
  CHECK(ip("0.0.0.0").is_unspecified());
  CHECK(ip("::").is_unspecified());
  CHECK_FALSE(ip("0.0.0.1").is_unspecified());
  CHECK(ip("224.0.0.18").is_multicast());
  CHECK(ip("239.255.255.255").is_multicast());
  CHECK_FALSE(ip("240.0.0.0").is_multicast());
  CHECK(ip("ff02::12").is_multicast());
  CHECK(ip("169.254.1.1").is_link_local());
  CHECK(ip("fe80::1").is_link_local());
  CHECK(ip("febf::1").is_link_local());
  CHECK_FALSE(ip("fec0::1").is_link_local());
}

TEST_CASE("prefixes") {
  CHECK(net("10.0.0.5/24").to_string() == "10.0.0.5/24");
  CHECK(net("10.0.0.5/24").network() == ip("10.0.0.0"));
  CHECK(net("10.0.0.5/24").has_host_bits());
  CHECK_FALSE(net("10.0.0.0/24").has_host_bits());
  CHECK(net("10.0.0.5").length == 32);
  CHECK(net("::1").length == 128);
  CHECK(net("192.168.100.0/24").contains(ip("192.168.100.255")));
  CHECK_FALSE(net("192.168.100.0/24").contains(ip("192.168.101.0")));
  CHECK(net("10.128.0.0/9").contains(ip("10.255.0.1")));
  CHECK_FALSE(net("10.128.0.0/9").contains(ip("10.127.255.255")));
  CHECK(net("0.0.0.0/0").contains(ip("1.2.3.4")));
  CHECK_FALSE(net("0.0.0.0/0").contains(ip("::1")));
  CHECK(net("2001:db8::5/61").network() == ip("2001:db8::"));
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/24x", "/24", "::/129", "10.0.0.0/4294967297"})
    CHECK_FALSE(Prefix::parse(text));
}

TEST_CASE("hardware addresses") {
  CHECK(MacAddress::parse("00:00:5E:00:01:fF").value().to_string() == "00:00:5e:00:01:ff");
  for (const char* text :
       {"", "00:00:5e:00:01", "00:00:5e:00:01:0g", "00-00-5e-00-01-01", "00:00:5e:00:01:001", "00:00:5e:00:01: 1"})
    CHECK_FALSE(MacAddress::parse(text));
}

TEST_CASE("bytes are written and read back") {
  Bytes out;
  ByteWriter writer(out);
  writer.u8(1);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090a0b0c0d0e0f);
  for (const std::uint64_t v : {0ull, 127ull, 128ull, 300ull, ~0ull}) writer.varint(v);
  writer.text("abc");
  for (std::size_t i = 0; i < 15; ++i) CHECK(std::to_integer<int>(out[i]) == static_cast<int>(i) + 1);

  ByteReader reader(out);
  CHECK(reader.u8() == 1);
  CHECK(reader.u16() == 0x0203);
  CHECK(reader.u32() == 0x04050607);
  CHECK(reader.u64() == 0x08090a0b0c0d0e0f);
  for (const std::uint64_t v : {0ull, 127ull, 128ull, 300ull, ~0ull}) CHECK(reader.varint() == v);
  CHECK(reader.text(3) == "abc");
  CHECK(reader.left() == 0);
  CHECK_FALSE(reader.failed());
}

TEST_CASE("a read past the end fails, and so does every read after it") {
  const Bytes three(3, std::byte{0x11});
  ByteReader reader(three);
  CHECK(reader.u32() == 0);
  CHECK(reader.failed());
  CHECK(reader.u8() == 0);
  CHECK(reader.view(1).empty());
  CHECK(reader.text(0).empty());
  ByteReader huge(three);
  CHECK(huge.view(~std::size_t{0}).empty());
  CHECK(huge.failed());
}

TEST_CASE("a varint that is too long or too large fails") {
  const auto fails = [](Bytes bytes) {
    ByteReader reader(bytes);
    return reader.varint() == 0 && reader.failed();
  };
  Bytes eleven(10, std::byte{0x80});
  eleven.push_back(std::byte{0});
  CHECK(fails(eleven));
  Bytes large(9, std::byte{0xff});
  large.push_back(std::byte{2});
  CHECK(fails(large));
  CHECK(fails({std::byte{0x80}}));
  CHECK(fails({}));
}

TEST_CASE("the internet checksum") {
  // The example of RFC 1071 section 3: the sum of 0001 f203 f4f5 f6f7 is ddf2.
  Bytes data;
  for (const int b : {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}) data.push_back(static_cast<std::byte>(b));
  CHECK(checksum_finish(checksum_add(0, data)) == static_cast<std::uint16_t>(~0xddf2));
  data.push_back(std::byte{0x01});
  CHECK(checksum_finish(checksum_add(0, data)) == static_cast<std::uint16_t>(~0xdef2));
  CHECK(checksum_finish(checksum_add(0, {})) == 0xffff);
}

TEST_CASE("timers expire in the order of their instants") {
  enum class Timer { a, b, c, count };
  TimerTable<Timer> timers;
  CHECK_FALSE(timers.next());
  timers.set(Timer::a, Time(30ms));
  timers.set(Timer::b, Time(10ms));
  timers.set(Timer::c, Time(20ms));
  CHECK(timers.next() == Time(10ms));
  CHECK_FALSE(timers.take_expired(Time(9ms)));
  CHECK(timers.take_expired(Time(25ms)) == Timer::b);
  CHECK(timers.take_expired(Time(25ms)) == Timer::c);
  CHECK_FALSE(timers.take_expired(Time(25ms)));
  CHECK_FALSE(timers.running(Timer::b));
  timers.set(Timer::a, Time(50ms));
  CHECK(timers.at(Timer::a) == Time(50ms));
  timers.stop(Timer::a);
  CHECK_FALSE(timers.next());
}

TEST_CASE("random numbers are the same for the same seed, on every platform") {
  Prng a(0);
  CHECK(a.next() == 0xe220a8397b1dcdaf);
  CHECK(a.next() == 0x6e789e6aa1b965f4);
  CHECK(Prng(1).below(0) == 0);
  Prng b(3);
  for (int i = 0; i < 1000; ++i) CHECK(b.below(7) < 7);
  CHECK_FALSE(b.chance(0.0));
  CHECK(b.chance(1.0));
}

TEST_CASE("terms are compared by counter first") {
  CHECK(Term{2, "A"} > Term{1, "B"});
  CHECK(Term{2, "B"} > Term{2, "A"});
  CHECK_FALSE(Term{}.valid());
  CHECK(to_string(Term{3, "R1"}) == "3@R1");
  CHECK(to_string(Term{}) == "none");
}
