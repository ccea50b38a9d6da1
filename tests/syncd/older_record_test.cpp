// What a peer of an older release is told and tells: the same connections without what it does not know.
#include "syncd/older_record.hpp"

#include <catch2/catch.hpp>

#include "common/prng.hpp"
#include "syncd/frame.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

Record encoded(const Flow& f) {
  Record r;
  encode(f, nullptr, r);
  return r;
}

common::Bytes bytes(std::initializer_list<unsigned> values) {
  common::Bytes out;
  for (const unsigned v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

Flow random_flow(common::Prng& prng) {
  Flow f = flow(static_cast<unsigned>(prng.below(100000)), prng.chance(0.5) ? 6 : 17);
  if (prng.chance(0.3)) f.reply = inverted(f.key);  // not translated
  if (prng.chance(0.3)) f.mark = static_cast<std::uint32_t>(prng.next());
  if (prng.chance(0.3)) f.key.zone = static_cast<std::uint16_t>(prng.next());
  f.timeout = static_cast<std::uint32_t>(prng.next() >> (32 + prng.below(32)));
  syncd::Extras extras;
  if (prng.chance(0.3)) extras.helper = "ftp";
  if (prng.chance(0.3)) extras.labels = syncd::Labels{std::byte{1}};
  if (prng.chance(0.3)) extras.master = flow(7).key;
  f.extras = extras;
  return f;
}

Flow plain(Flow f) {
  f.extras = {};
  return f;
}

}  // namespace

TEST_CASE("older records: the bytes are those of the release that knew no extras") {
  Flow f = flow(1, 17);
  f.extras = syncd::Extras{.helper = "tftp", .master = flow(2).key};
  f.timeout = 300;
  common::Bytes older;
  append_older(encoded(f).view(), older);
  // Head UDP, addresses, ports; status; which fields of the reply differ; address and port of the translation; timeout.
  CHECK(older == bytes({0x04, 192,  168, 100, 10, 203, 0,    113,  9,    0x27, 0x11, 0, 80,  //
                        0x87, 0x0a, 10,  10,  0,  101, 0x22, 0xef, 0xac, 0x02}));
  Flow untranslated = f;
  untranslated.reply = inverted(f.key);
  untranslated.status = status_bits::seen_reply;
  older.clear();
  append_older(encoded(untranslated).view(), older);  // only the extras needed the byte of the mask
  CHECK(older == bytes({0x04, 192, 168, 100, 10, 203, 0, 113, 9, 0x27, 0x11, 0, 80, 0x01, 0xac, 0x02}));
}

TEST_CASE("older records: there and back a flow loses its extras and nothing else") {
  common::Prng prng(1);
  for (int i = 0; i < 2000; ++i) {
    std::vector<Flow> flows;
    common::Bytes records, older, again;
    for (std::uint64_t n = prng.below(6); n > 0; --n) {
      flows.push_back(random_flow(prng));
      const Record r = encoded(flows.back());
      records.insert(records.end(), r.view().begin(), r.view().end());
    }
    append_older(records, older);
    REQUIRE(append_from_older(older, again));
    REQUIRE(again == without_extras(records));
    common::ByteView rest = again;
    for (const Flow& f : flows) {
      const auto layout = inspect(rest);
      REQUIRE(layout);
      REQUIRE(decode(rest.first(layout->size)) == plain(f));
      rest = rest.subspan(layout->size);
    }
    REQUIRE(rest.empty());
  }
}

TEST_CASE("older records: what is none is refused by name, and the ones before it count") {
  common::Bytes good;
  append_older(encoded(flow(1)).view(), good);
  const auto refused = [&](common::Bytes records) {
    common::Bytes out;
    const auto done = append_from_older(records, out);
    REQUIRE(!done);
    CHECK(out.size() < records.size() + good.size());
    return done.error();
  };
  for (std::size_t n = 1; n < good.size(); ++n)
    CHECK(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)}) == RecordError::truncated);
  const auto udp = [](std::initializer_list<unsigned> rest) {
    common::Bytes out = bytes({0x04, 192, 168, 100, 10, 203, 0, 113, 9, 0x27, 0x11, 0, 80});
    for (const unsigned v : rest) out.push_back(static_cast<std::byte>(v));
    return out;
  };
  CHECK(refused(udp({0x80, 0x10, 1})) == RecordError::reserved_bits);  // extras were not known
  CHECK(refused(udp({0x00, 0x80, 0x00})) == RecordError::timeout_form);
  CHECK(refused(udp({0x00, 0xff, 0xff, 0xff, 0xff, 0x10})) == RecordError::timeout_form);
  CHECK(refused(udp({0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00})) == RecordError::timeout_form);

  common::Bytes both = good, out;
  both.push_back(std::byte{0});
  CHECK(!append_from_older(both, out));
  const auto first = inspect(out);
  REQUIRE(first);
  CHECK(decode(common::ByteView(out).first(first->size)) == flow(1));
}

TEST_CASE("older records: damage does no harm, and what comes through is checked as any record") {
  common::Prng prng(2);
  common::Bytes good;
  for (unsigned n = 0; n < 4; ++n) append_older(encoded(flow(n, n % 2 ? 6 : 17)).view(), good);
  for (int i = 0; i < 20000; ++i) {
    common::Bytes damaged = good, out;
    for (std::uint64_t n = 1 + prng.below(4); n > 0; --n)
      damaged[prng.below(damaged.size())] = static_cast<std::byte>(prng.next());
    damaged.resize(prng.below(damaged.size() + 1));
    static_cast<void>(append_from_older(damaged, out));
    for (common::ByteView rest = out; !rest.empty();) {
      const auto layout = inspect(rest);
      if (!layout) break;
      rest = rest.subspan(layout->size);
    }
  }
}

TEST_CASE("a frame to an older peer has its records, and its frames have ours") {
  Flow ftp = flow(1);
  ftp.extras = syncd::Extras{.helper = "ftp"};
  const Record r = encoded(ftp);
  common::Bytes out, older;
  append_older(r.view(), older);
  const syncd::Names names{"R1", "R2", kOldestProtocol};
  FrameWriter w(out, names);
  w.data(2, 1);
  w.begin_flows(3);
  w.record(r.view(), false);
  w.record(r.key(), true);
  w.end_flows();
  w.verify_part({7, 1, 2, r.view()});
  const auto raw = decode_frame(out, {"R1", "R2"});
  REQUIRE(raw);
  CHECK(std::ranges::equal(raw->verify_part->bytes, older));
  CHECK(raw->flows.at(0).records.size() == older.size() + r.key_end);

  const auto frame = decode_frame(out, names);
  REQUIRE(frame);
  CHECK(frame->without_extras);
  CHECK(!frame->untranslatable);
  const common::ByteView records = frame->flows.at(0).records;
  const auto live = inspect(records);
  REQUIRE(live);
  CHECK(decode(records.first(live->size)) == plain(ftp));
  const auto gone = inspect(records.subspan(live->size));
  REQUIRE(gone);
  CHECK(gone->gone);
  CHECK(decode_key(records.subspan(live->size)) == ftp.key);
  CHECK(std::ranges::equal(frame->verify_part->bytes, without_extras(r.view())));

  out.pop_back();  // in the middle of the part's record
  common::ByteWriter(out).u8(0x80);
  const auto damaged = decode_frame(out, names);
  REQUIRE(damaged);
  CHECK(damaged->untranslatable);
}
