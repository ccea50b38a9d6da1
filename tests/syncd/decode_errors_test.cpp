// Each way in which what comes in can be wrong, as a table: a value of an error without a row fails, and so does a row
// that does not lead to its error.
#include <catch2/catch.hpp>
#include <map>

#include "syncd/ctnetlink.hpp"
#include "syncd/frame.hpp"
#include "syncd/record.hpp"
#include "syncd/session.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

common::Bytes raw(std::initializer_list<unsigned> values) {
  common::Bytes out;
  for (const unsigned v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

common::Bytes joined(common::Bytes a, const common::Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// `bytes_of` each value: at least one row, and each row is refused with just this value.
template <typename Error, typename Refused>
void require_rows(std::size_t values, const std::multimap<Error, common::Bytes>& table, Refused refused) {
  for (std::size_t i = 0; i < values; ++i) {
    const auto error = static_cast<Error>(i);
    INFO(to_string(error));
    CHECK(!to_string(error).empty());
    CHECK(table.contains(error));
  }
  for (const auto& [error, bytes] : table) {
    INFO(to_string(error) << ", a row of " << bytes.size() << " bytes");
    const std::optional<Error> said = refused(bytes);
    REQUIRE(said);
    CHECK(to_string(*said) == to_string(error));
  }
}

template <typename Result>
auto error_in(const Result& result) {
  using Error = std::decay_t<decltype(result.error())>;
  return result ? std::optional<Error>() : std::optional<Error>(result.error());
}

}  // namespace

TEST_CASE("records: a row for every error") {
  // UDP 10.0.0.1:1 -> 10.0.0.2:2, SCTP and TCP between the same; then status and what follows it.
  const common::Bytes ends = raw({10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2});
  const common::Bytes udp = joined(raw({0x04}), ends), tcp = joined(raw({0x02}), ends);
  const common::Bytes sctp = joined(raw({0x00, 132}), ends);
  const std::multimap<RecordError, common::Bytes> table = {
      {RecordError::truncated, {}},
      {RecordError::truncated, udp},
      {RecordError::truncated, joined(udp, raw({0x80}))},
      {RecordError::truncated, joined(udp, raw({0x80, 0x10}))},
      {RecordError::truncated, joined(udp, raw({0x80, 0x10, 4, 4, 2, 'h'}))},
      {RecordError::truncated, joined(udp, raw({0, 1, 0x02, 1}))},
      {RecordError::reserved_bits, joined(raw({0x12}), ends)},
      {RecordError::reserved_bits, joined(udp, raw({0x80, 0x40, 0}))},
      {RecordError::reserved_bits, joined(tcp, raw({0x20, 3, 0x40, 0, 0}))},
      {RecordError::protocol_form, joined(raw({0x00, 6}), ends)},
      {RecordError::zone_form, joined(raw({0x0c, 0, 0}), ends)},
      {RecordError::reply_form, joined(udp, raw({0x80, 0, 0}))},
      {RecordError::reply_form, joined(udp, raw({0x80, 8, 0, 1, 0}))},
      {RecordError::tcp_form, joined(udp, raw({0x20, 3, 0, 0, 0}))},
      {RecordError::mark_form, joined(udp, raw({0x40, 0, 0, 0, 0, 0}))},
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 0, 0}))},
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 200, 0}))},
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 1, 4, 0}))},
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 2, 4, 0, 0}))},        // a helper without a name
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 3, 6, 1, 0}))},        // an expectation that ends early
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 4, 9, 0, 9, 0, 0}))},  // one type twice
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 4, 9, 0, 8, 0, 0}))},  // out of order
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 3, 9, 5, 0, 0}))},     // longer than all
      {RecordError::extras_form, joined(udp, raw({0x80, 0x10, 11, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))},  // not SCTP
      {RecordError::extras_form, joined(sctp, raw({0x80, 0x10, 3, 1, 1, 0, 0}))},
      {RecordError::master_form, joined(udp, joined(raw({0, 1}), joined(raw({0x82}), ends)))},
      {RecordError::master_form, joined(udp, joined(raw({0, 1}), joined(raw({0x12}), ends)))},
      {RecordError::timeout_form, joined(udp, raw({0, 0x80, 0}))},
      {RecordError::timeout_form, joined(udp, raw({0, 0xff, 0xff, 0xff, 0xff, 0xff, 0}))},
      {RecordError::timeout_form, joined(udp, raw({0, 0xff, 0xff, 0xff, 0xff, 0x7f}))},
  };
  require_rows(kRecordErrors, table, [](const common::Bytes& bytes) { return error_in(inspect(bytes)); });
}

TEST_CASE("frames: a row for every error") {
  const std::multimap<FrameError, common::Bytes> table = {
      {FrameError::truncated, {}},
      {FrameError::truncated, raw({0x10, 5})},
      {FrameError::truncated, raw({0x20, 5})},
      {FrameError::truncated, raw({0, 1, 0, 200})},
      {FrameError::truncated, raw({0, 1, 0, 2, 0, 0})},
      {FrameError::ack_form, raw({0x10, 5, 1, 0})},
      {FrameError::ack_form, joined(raw({0x10, 5, 65}), common::Bytes(65, std::byte{1}))},
      {FrameError::data_form, raw({0x20, 0, 0})},
      {FrameError::data_form, raw({0x20, 5, 5})},
      {FrameError::state_form, raw({0, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 200})},
      {FrameError::flows_form, raw({0, 2, 0, 4, 0, 0, 0, 1})},
      {FrameError::flows_form, raw({0x20, 5, 0, 2, 0, 2, 0, 0})},
      {FrameError::flows_form, raw({0x20, 5, 0, 2, 0, 4, 0, 0, 0, 0})},
      {FrameError::audit_form, raw({0, 7, 0, 1, 0})},
      {FrameError::audit_form, raw({0, 7, 0, 15, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})},  // not a first bucket
      {FrameError::audit_form, raw({0, 8, 0, 6, 0, 0, 0, 1, 0, 0})},
      {FrameError::verify_form, raw({0, 3, 0, 1, 0})},
      {FrameError::verify_form, raw({0, 4, 0, 1, 0})},
      {FrameError::verify_form, raw({0, 4, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1})},
  };
  const Names names{"R1", "R2"};
  require_rows(kFrameErrors, table, [&](const common::Bytes& bytes) { return error_in(decode_frame(bytes, names)); });
}

TEST_CASE("ctnetlink: a row for every error") {
  using ctnetlink::DecodeError;
  // nfgenmsg, and attributes: length and type in the order of a little-endian host, as the kernel writes them.
  const common::Bytes v4 = raw({2, 0, 0, 0});
  const auto attribute = [](unsigned type, const common::Bytes& value) {
    common::Bytes out = raw({static_cast<unsigned>(value.size()) + 4, 0, type, 0});
    out = joined(out, value);
    out.resize((out.size() + 3) / 4 * 4);
    return out;
  };
  const common::Bytes ip = attribute(1, joined(attribute(1, raw({10, 0, 0, 1})), attribute(2, raw({10, 0, 0, 2}))));
  const common::Bytes proto = attribute(2, attribute(1, raw({17})));
  const common::Bytes tuple = joined(ip, proto);
  const common::Bytes both = joined(attribute(1, tuple), attribute(2, tuple));
  const common::Bytes zoned = joined(tuple, attribute(3, raw({0, 5})));
  const auto flow = [&](const common::Bytes& attributes) { return joined(v4, attributes); };
  const std::multimap<DecodeError, common::Bytes> table = {
      {DecodeError::truncated, {}},
      {DecodeError::truncated, raw({2, 0, 0})},
      {DecodeError::bad_attribute, flow(raw({40, 0, 1, 0}))},
      {DecodeError::bad_attribute, flow(joined(both, attribute(3, raw({0}))))},            // a status of one byte
      {DecodeError::bad_attribute, flow(joined(both, attribute(22, common::Bytes(17))))},  // labels of 17
      {DecodeError::bad_attribute, flow(joined(both, attribute(5, raw({9, 0, 1, 0}))))},   // a helper that overruns
      {DecodeError::missing_tuple, flow({})},
      {DecodeError::missing_tuple, flow(attribute(1, tuple))},
      {DecodeError::missing_tuple, flow(joined(attribute(1, proto), attribute(2, proto)))},
      {DecodeError::unsupported_family, joined(raw({7, 0, 0, 0}), both)},
      {DecodeError::directional_zone, flow(joined(attribute(1, zoned), attribute(2, tuple)))},
  };
  // Of an expectation another decoder speaks.
  const auto master_refused = [](const common::Bytes& bytes) {
    return error_in(ctnetlink::decode_master({.payload = bytes}));
  };
  CHECK(master_refused(flow({})) == DecodeError::missing_master);
  CHECK(master_refused(raw({2})) == DecodeError::truncated);
  CHECK(master_refused(flow(raw({40, 0, 1, 0}))) == DecodeError::bad_attribute);
  CHECK(master_refused(flow(attribute(1, proto))) == DecodeError::missing_tuple);
  CHECK_FALSE(master_refused(flow(attribute(1, tuple))));
  const auto expectation_refused = [](const common::Bytes& bytes) {
    return error_in(ctnetlink::decode_expectation({.payload = bytes}));
  };
  const common::Bytes expected = joined(attribute(1, tuple), attribute(2, tuple));
  const auto mask = [&](const common::Bytes& source) {
    return attribute(
        3, joined(attribute(1, joined(attribute(1, source), attribute(2, raw({255, 255, 255, 255})))), proto));
  };
  CHECK(expectation_refused(flow({})) == DecodeError::missing_master);
  CHECK(expectation_refused(flow(attribute(1, tuple))) == DecodeError::missing_tuple);
  CHECK(expectation_refused(flow(joined(attribute(1, tuple), joined(attribute(2, proto), mask(raw({0, 0, 0, 0})))))) ==
        DecodeError::missing_tuple);
  CHECK_FALSE(expectation_refused(flow(joined(expected, mask(raw({255, 0, 0, 0}))))));
  CHECK(expectation_refused(flow(joined(expected, mask(raw({255, 0, 255, 0}))))) ==
        DecodeError::unsupported_expectation);
  REQUIRE(ctnetlink::decode_flow({.payload = flow(both)}));
  const auto rows = static_cast<std::size_t>(DecodeError::missing_master);  // the last two, seen above
  REQUIRE(rows + 2 == static_cast<std::size_t>(DecodeError::count));
  require_rows(rows, table,
               [](const common::Bytes& bytes) { return error_in(ctnetlink::decode_flow({.payload = bytes})); });
}
