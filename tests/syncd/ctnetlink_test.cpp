// The codec on bytes that a kernel (6.18) sent, and on what libnetfilter_conntrack makes of ours.
#include "syncd/ctnetlink.hpp"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <string_view>

using namespace syncd;
using namespace syncd::ctnetlink;

namespace {

common::Bytes from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  common::Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(digit(text[i]) << 4 | digit(text[i + 1])));
  return out;
}

common::IpAddress address(const char* text) {
  return *common::IpAddress::parse(text);
}

// A connection 127.0.0.2:5555 -> 127.0.0.1:8080, translated to 127.0.0.3:40088: its first packet, ...
const char* const kTcpNew =
    "c400000000010006000000000000000002000000340001801400018008000100"
    "7f000002080002007f0000011c00028005000100060000000600020015b30000"
    "060003001f9000003400028014000180080001007f000001080002007f000003"
    "1c0002800500010006000000060002001f900000060003009c98000008000c00"
    "0a620f0e08000300000001980800070000000078300004802c00018005000100"
    "01000000050002000a0000000500030000000000060004000300000006000500"
    "00000000";
// ... the packet that made it ESTABLISHED, ...
const char* const kTcpEstablished =
    "c400000000010000000000000000000002000000340001801400018008000100"
    "7f000002080002007f0000011c00028005000100060000000600020015b30000"
    "060003001f9000003400028014000180080001007f000001080002007f000003"
    "1c0002800500010006000000060002001f900000060003009c98000008000c00"
    "0a620f0e080003000000019e0800070000069780300004802c00018005000100"
    "03000000050002000a000000050003000a000000060004002300000006000500"
    "23000000";
// ... and its end, by `conntrack -F`: the state alone is left of TCP.
const char* const kTcpDestroyed =
    "a40000000201000000000000cf33000002000000340001801400018008000100"
    "7f000002080002007f0000011c00028005000100060000000600020015b30000"
    "060003001f9000003400028014000180080001007f000001080002007f000003"
    "1c0002800500010006000000060002001f900000060003009c98000008000c00"
    "0a620f0e080003000000039e0800070000000077100004800c00018005000100"
    "07000000";
// An ICMP echo that was answered, id 0x33cb.
const char* const kIcmpUpdated =
    "a4000000000100000000000000000000020000003c0001801400018008000100"
    "7f000002080002007f0000012400028005000100010000000600040033cb0000"
    "050005000800000005000600000000003c00028014000180080001007f000001"
    "080002007f0000032400028005000100010000000600040033cb000005000500"
    "00000000050006000000000008000c002955624a080003000000019a08000700"
    "0000001e";
// A datagram of a dump: a UDP entry and a TCP entry, then the end mark of the next datagram.
const char* const kDumped =
    "a40000000001020001000000"
    "91342bc0020000003400018014000180080001007f000002080002007f000001"
    "1c0002800500010011000000060002001a0a0000060003000035000034000280"
    "14000180080001007f000001080002007f0000031c0002800500010011000000"
    "0600020000350000060003009c9e0000080003000000019808000800"
    "0000000008000c009dffc06608000b000000000108000700"
    "0000001d"
    "14000000030002000100000091342bc000000000";

Message only(common::ByteView bytes) {
  const auto message = next_message(bytes);
  REQUIRE(message);
  CHECK(bytes.empty());
  return *message;
}

Flow tcp_flow() {
  Flow flow;
  flow.key.protocol = IPPROTO_TCP;
  flow.key.zone = 5;
  flow.key.original = {address("192.168.100.5"), address("203.0.113.9"), 1000, 80};
  flow.reply = {address("10.0.0.7"), address("10.10.0.101"), 8080, 40000};
  flow.status = status_bits::seen_reply | status_bits::assured | status_bits::src_nat | status_bits::dst_nat;
  flow.timeout = 600;
  flow.mark = 9;
  flow.has_tcp = true;
  flow.tcp = {.state = 3, .flags_original = 0x2b, .flags_reply = 0x1f, .scale_original = 7, .scale_reply = 9};
  return flow;
}

struct Free {
  void operator()(nf_conntrack* ct) const { nfct_destroy(ct); }
};
/// The second opinion on a message of ours.
std::unique_ptr<nf_conntrack, Free> parse(const common::Bytes& bytes) {
  std::unique_ptr<nf_conntrack, Free> ct(nfct_new());
  common::Bytes aligned = bytes;
  REQUIRE(nfct_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(aligned.data()), ct.get()) == 0);
  return ct;
}

}  // namespace

TEST_CASE("an event of a new connection gives all of it") {
  const auto bytes = from_hex(kTcpNew);
  const Message message = only(bytes);
  CHECK(kind_of(message) == MessageKind::created);
  CHECK(message.port == 0);
  const auto flow = decode_flow(message);
  REQUIRE(flow);
  CHECK(flow->key.protocol == IPPROTO_TCP);
  CHECK(flow->key.zone == 0);
  CHECK(flow->key.original == Tuple{address("127.0.0.2"), address("127.0.0.1"), 5555, 8080});
  CHECK(flow->reply == Tuple{address("127.0.0.1"), address("127.0.0.3"), 8080, 40088});
  CHECK(flow->status == 0x198);
  CHECK(flow->timeout == 120);
  CHECK(flow->mark == 0);
  CHECK(flow->has_tcp);
  CHECK(flow->tcp == TcpState{.state = 1, .flags_original = 3, .flags_reply = 0, .scale_original = 10});
}

TEST_CASE("an update gives window scales and flags of both directions") {
  const auto bytes = from_hex(kTcpEstablished);
  const Message message = only(bytes);
  CHECK(kind_of(message) == MessageKind::updated);
  const auto flow = decode_flow(message);
  REQUIRE(flow);
  CHECK(flow->status == 0x19e);
  CHECK(flow->timeout == 432000);
  CHECK(flow->tcp ==
        TcpState{.state = 3, .flags_original = 0x23, .flags_reply = 0x23, .scale_original = 10, .scale_reply = 10});
}

TEST_CASE("the end of a connection has its key, its cause, and no TCP state that could be written anywhere") {
  const auto bytes = from_hex(kTcpDestroyed);
  const Message message = only(bytes);
  CHECK(kind_of(message) == MessageKind::destroyed);
  CHECK(message.port == 0x33cf);
  const auto flow = decode_flow(message);
  REQUIRE(flow);
  CHECK(flow->key.original.source_port == 5555);
  CHECK((flow->status & status_bits::dying) != 0);
  CHECK_FALSE(flow->has_tcp);
}

TEST_CASE("ICMP: the id is the source port, type and code are the destination port") {
  const auto bytes = from_hex(kIcmpUpdated);
  const auto flow = decode_flow(only(bytes));
  REQUIRE(flow);
  CHECK(flow->key.protocol == IPPROTO_ICMP);
  CHECK(flow->key.original == Tuple{address("127.0.0.2"), address("127.0.0.1"), 0x33cb, 8 << 8});
  CHECK(flow->reply == Tuple{address("127.0.0.1"), address("127.0.0.3"), 0x33cb, 0});
  CHECK(untranslated_reply(*flow) == Tuple{address("127.0.0.1"), address("127.0.0.2"), 0x33cb, 0});
}

TEST_CASE("a dump is entries and an end mark; the flag of an interrupted one is seen") {
  const auto bytes = from_hex(kDumped);
  common::ByteView left = bytes;
  const auto first = next_message(left);
  REQUIRE(first);
  CHECK(kind_of(*first) == MessageKind::updated);
  CHECK_FALSE(dump_interrupted(*first));
  const auto flow = decode_flow(*first);
  REQUIRE(flow);
  CHECK(flow->key.protocol == IPPROTO_UDP);
  CHECK(flow->reply.destination_port == 40094);
  CHECK_FALSE(flow->has_tcp);
  const auto second = next_message(left);
  REQUIRE(second);
  CHECK(kind_of(*second) == MessageKind::done);
  CHECK(error_code(*second) == 0);
  CHECK_FALSE(next_message(left));
  Message interrupted = *first;
  interrupted.flags |= 0x10;
  CHECK(dump_interrupted(interrupted));
}

TEST_CASE("an error names its code") {
  const auto bytes = from_hex("24000000020000012a00000001000000efffffff140000000100050600000000000000000");
  const Message message = only(bytes);
  CHECK(kind_of(message) == MessageKind::error);
  CHECK(message.sequence == 42);
  CHECK(error_code(message) == EEXIST);
  for (const char* none : {"01000000", "00f0ffff", "00000080"}) {
    Message other = message;
    const auto payload = from_hex(none);
    other.payload = payload;
    CHECK(error_code(other) == EBADMSG);
  }
}

TEST_CASE("broken messages are refused by name, and never read beyond their end") {
  const auto whole = from_hex(kTcpNew);
  SECTION("cut at any length") {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const common::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      common::ByteView view = cut;
      CHECK_FALSE(next_message(view));
      if (size >= 16)
        CHECK_FALSE(decode_flow({.type = 0x100, .payload = common::ByteView(cut).subspan(16)}) ==
                    decode_flow(only(whole)));
    }
  }
  SECTION("any byte changed") {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
        common::Bytes changed = whole;
        changed[at] = static_cast<std::byte>(value);
        common::ByteView view = changed;
        while (const auto message = next_message(view)) (void)decode_flow(*message);
      }
    }
  }
  SECTION("no payload, another family, no tuples, wrong size") {
    Message message = only(whole);
    CHECK(decode_flow({.payload = message.payload.first(2)}).error() == DecodeError::truncated);
    auto other = whole;
    other[16] = std::byte{7};
    CHECK(decode_flow(only(other)).error() == DecodeError::unsupported_family);
    CHECK(decode_flow({.payload = message.payload.first(4)}).error() == DecodeError::missing_tuple);
    CHECK(decode_flow({.payload = message.payload.first(6)}).error() == DecodeError::bad_attribute);
    CHECK(to_string(DecodeError::bad_attribute) == "bad_attribute");
  }
  SECTION("a zone of one direction only") {
    auto zoned = from_hex(kTcpNew);
    // The attribute type of CTA_TUPLE_PROTO in the original tuple becomes CTA_TUPLE_ZONE.
    REQUIRE(zoned[46] == std::byte{2});
    zoned[46] = std::byte{3};
    CHECK(decode_flow(only(zoned)).error() == DecodeError::directional_zone);
  }
}

TEST_CASE("a create request as libnetfilter_conntrack reads it") {
  common::Bytes bytes;
  encode_request(bytes, RequestKind::create, tcp_flow(), 7);
  const Message message = only(bytes);
  CHECK(kind_of(message) == MessageKind::created);
  CHECK(message.sequence == 7);
  CHECK((message.flags & 0x601) == 0x601);
  const auto ct = parse(bytes);
  CHECK(ntohl(nfct_get_attr_u32(ct.get(), ATTR_ORIG_IPV4_SRC)) == address("192.168.100.5").v4_value());
  CHECK(ntohl(nfct_get_attr_u32(ct.get(), ATTR_ORIG_IPV4_DST)) == address("203.0.113.9").v4_value());
  CHECK(ntohs(nfct_get_attr_u16(ct.get(), ATTR_ORIG_PORT_SRC)) == 1000);
  CHECK(ntohs(nfct_get_attr_u16(ct.get(), ATTR_ORIG_PORT_DST)) == 80);
  // Untranslated: the kernel makes the translated one of it.
  CHECK(ntohl(nfct_get_attr_u32(ct.get(), ATTR_REPL_IPV4_SRC)) == address("203.0.113.9").v4_value());
  CHECK(ntohl(nfct_get_attr_u32(ct.get(), ATTR_REPL_IPV4_DST)) == address("192.168.100.5").v4_value());
  CHECK(ntohs(nfct_get_attr_u16(ct.get(), ATTR_REPL_PORT_SRC)) == 80);
  CHECK(ntohs(nfct_get_attr_u16(ct.get(), ATTR_REPL_PORT_DST)) == 1000);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_L4PROTO) == IPPROTO_TCP);
  CHECK(nfct_get_attr_u16(ct.get(), ATTR_ZONE) == 5);
  CHECK(nfct_get_attr_u32(ct.get(), ATTR_STATUS) == 0xe);
  CHECK(nfct_get_attr_u32(ct.get(), ATTR_TIMEOUT) == 600);
  CHECK(nfct_get_attr_u32(ct.get(), ATTR_MARK) == 9);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_STATE) == 3);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_FLAGS_ORIG) == 0x0b);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_FLAGS_REPL) == 0x0f);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_MASK_ORIG) == 0x0f);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_WSCALE_ORIG) == 7);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_WSCALE_REPL) == 9);
}

TEST_CASE("a window scale is sent only where both directions have one") {
  Flow flow = tcp_flow();
  flow.tcp.flags_reply = syncd::tcp_flags::be_liberal;
  common::Bytes bytes;
  encode_request(bytes, RequestKind::create, flow, 1);
  const auto ct = parse(bytes);
  CHECK(nfct_attr_is_set(ct.get(), ATTR_TCP_WSCALE_ORIG) <= 0);
  CHECK(nfct_get_attr_u8(ct.get(), ATTR_TCP_FLAGS_REPL) == syncd::tcp_flags::be_liberal);
}

TEST_CASE("no request goes without a tuple: the kernel would take a delete without one for all entries") {
  for (const RequestKind kind : {RequestKind::create, RequestKind::create_untied, RequestKind::update,
                                 RequestKind::update_untied, RequestKind::update_but_status, RequestKind::set_timeout,
                                 RequestKind::remove_by_key, RequestKind::remove_by_reply, RequestKind::get}) {
    common::Bytes bytes;
    encode_request(bytes, kind, tcp_flow(), 1);
    const auto ct = parse(bytes);
    const bool reply = kind == RequestKind::remove_by_reply;
    CHECK(nfct_attr_is_set(ct.get(), reply ? ATTR_REPL_PORT_DST : ATTR_ORIG_PORT_SRC) == 1);
    if (reply) CHECK(ntohs(nfct_get_attr_u16(ct.get(), ATTR_REPL_PORT_DST)) == 40000);
    CHECK(nfct_get_attr_u16(ct.get(), ATTR_ZONE) == 5);
  }
}

TEST_CASE("requests follow each other in one buffer") {
  common::Bytes bytes;
  for (std::uint32_t i = 0; i < 64; ++i) encode_request(bytes, RequestKind::set_timeout, tcp_flow(), 100 + i);
  common::ByteView left = bytes;
  std::uint32_t sequence = 100;
  while (const auto message = next_message(left)) CHECK(message->sequence == sequence++);
  CHECK(sequence == 164);
  CHECK(left.empty());
}

TEST_CASE("extras stand in a request as they do in a report; ties only where an entry is made") {
  Flow flow = tcp_flow();
  Extras extras{.shifts = std::array{SequenceShift{1000, 0, 0xfffffffd}, SequenceShift{}},
                .labels = Labels{std::byte{1}, std::byte{2}},
                .helper = "ftp",
                .synproxy = SynproxyState{1, 2, 3},
                .master = flow.key};
  extras.master->original.source_port = 999;
  flow.extras = extras;
  const auto sent = [&](RequestKind kind) {
    common::Bytes bytes;
    encode_request(bytes, kind, flow, 1);
    if (kind == RequestKind::update || kind == RequestKind::update_untied || kind == RequestKind::update_but_status) {
      // An update has no reply tuple; as a report it would be refused.
      common::Bytes whole;
      encode_request(whole, RequestKind::create, flow, 1);
      CHECK(bytes.size() < whole.size());
    }
    return decode_flow(only(bytes));
  };
  CHECK(*sent(RequestKind::create)->extras == extras);
  Extras untied = extras;
  untied.helper.clear();
  untied.master.reset();
  CHECK(*sent(RequestKind::create_untied)->extras == untied);
  CHECK(sent(RequestKind::update).error() == DecodeError::missing_tuple);
  flow.key.protocol = IPPROTO_SCTP;
  flow.has_tcp = false;
  flow.extras = Extras{.sctp = SctpState{4, 0x11111111, 0x22222222}};
  CHECK(sent(RequestKind::create)->extras == flow.extras);
}

TEST_CASE("an update of an expected flow says so, for the kernel refuses any other") {
  Flow flow = tcp_flow();
  flow.extras = Extras{.master = flow.key};
  const auto status = [&](RequestKind kind) {
    common::Bytes bytes;
    encode_request(bytes, kind, flow, 1);
    const auto ct = parse(bytes);
    return nfct_attr_is_set(ct.get(), ATTR_STATUS) > 0 ? nfct_get_attr_u32(ct.get(), ATTR_STATUS) : 0;
  };
  CHECK((status(RequestKind::update) & status_bits::expected) != 0);
  CHECK((status(RequestKind::update_untied) & status_bits::expected) == 0);
  CHECK((status(RequestKind::create) & status_bits::expected) == 0);
  CHECK(status(RequestKind::update_but_status) == 0);
  flow.key.protocol = IPPROTO_GRE;
  CHECK((status(RequestKind::create) & status_bits::fixed_timeout) != 0);
}
