#include "syncd/frame.hpp"

#include <catch2/catch.hpp>

#include "common/prng.hpp"
#include "syncd/papers.hpp"
#include "syncd/session.hpp"
#include "syncd/verify.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

const Names kNames{"R1", "R2"};
const syncd::DigestBlock kDigests = [] {
  syncd::DigestBlock block{.epoch = 5, .sequence = 300, .first = 128};
  block.settled = 0x8000000000000005;
  block.sums[0] = 1, block.sums[2] = UINT64_MAX, block.sums[63] = 7;
  return block;
}();
const syncd::RepairBlock kRepair = [] {
  syncd::RepairBlock block{.epoch = 6, .from = 70};
  block.buckets.set(0), block.buckets.set(63), block.buckets.set(64), block.buckets.set(kBuckets - 1);
  return block;
}();

syncd::GroupState some_group(common::Prng& prng) {
  const auto term = [&prng] {
    const char* nodes[] = {"", "R1", "R2", "formerly-another-router"};
    return common::Term{prng.next() >> prng.below(64), nodes[prng.below(4)]};
  };
  syncd::GroupState g;
  g.group = prng.next();
  g.following = static_cast<std::uint32_t>(prng.below(3));
  g.released = static_cast<std::uint32_t>(prng.next() >> (32 + prng.below(32)));
  if (prng.chance(0.5)) {
    g.epoch = static_cast<std::uint32_t>(1 + prng.below(100));
    g.term = term();
    g.all_sent = prng.chance(0.5);
    g.drained = prng.chance(0.5);
    g.kind = static_cast<syncd::StreamKind>(prng.below(3));
  }
  g.lacking = prng.chance(0.3);
  g.compares = prng.chance(0.3);
  if (prng.chance(0.7)) g.holds = prng.chance(0.5) ? g.term : term();
  if (!g.holds.valid()) g.holds = {};
  if (prng.chance(0.7)) {
    common::GroupReport r;
    r.state = static_cast<common::GroupState>(prng.below(4));
    r.phase = static_cast<common::Phase>(prng.below(6));
    r.term = prng.chance(0.5) ? g.holds : term();
    r.complete = prng.chance(0.5);
    r.held = prng.chance(0.5);
    r.by_operator = prng.chance(0.5);
    r.priority = static_cast<int>(prng.below(256));
    g.report = r;
  }
  return g;
}

common::Bytes some_frame(common::Prng& prng, PeerState& state, Ack& ack) {
  common::Bytes out;
  FrameWriter w(out, kNames);
  w.ack_now();
  ack.base = prng.next() >> prng.below(60);
  for (int i = 0; i < 5; ++i) ack.beyond.set(prng.below(kAckBits));
  w.ack(ack);
  w.data(1000, 990);
  state.serial = prng.next() >> 20;
  state.config = prng.next();
  state.keepalive = std::chrono::milliseconds(prng.below(65536));
  for (std::uint64_t n = prng.below(5); n > 0; --n) state.groups.push_back(some_group(prng));
  if (prng.below(2) != 0) state.table = {prng.next() >> prng.below(64), prng.next() >> prng.below(64), prng.below(9)};
  w.state(state);
  w.verify_ask({7, 8, 9});
  w.begin_flows(3);
  Record r;
  encode(flow(1), nullptr, r);
  w.record(r.view(), false);
  w.record(r.key(), true);
  w.end_flows();
  w.verify_part({7, 1, 2, r.view()});
  w.papers_ask({10, 11, 12});
  w.papers_part({10, 0, 3, r.view()});
  w.digests(kDigests);
  w.repair(kRepair);
  return out;
}

FrameError error_of(common::Bytes bytes) {
  const auto frame = decode_frame(bytes, kNames);
  REQUIRE(!frame);
  return frame.error();
}

common::Bytes raw(std::initializer_list<unsigned> values) {
  common::Bytes out;
  for (const unsigned v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

}  // namespace

TEST_CASE("a frame says what was written into it") {
  common::Prng prng(1);
  for (int i = 0; i < 500; ++i) {
    PeerState state;
    Ack ack;
    const common::Bytes bytes = some_frame(prng, state, ack);
    const auto frame = decode_frame(bytes, kNames);
    REQUIRE(frame);
    CHECK(frame->ack_now);
    CHECK(!frame->probe);
    REQUIRE(frame->ack == ack);
    CHECK(frame->sequence == 1000);
    CHECK(frame->low == 990);
    REQUIRE(frame->state == state);
    CHECK(frame->verify_ask == PartAsk{7, 8, 9});
    CHECK(frame->papers_ask == PartAsk{10, 11, 12});
    CHECK(frame->digests == kDigests);
    CHECK(frame->repair == kRepair);
    REQUIRE(frame->flows.size() == 1);
    CHECK(frame->flows[0].epoch == 3);
    REQUIRE(frame->verify_part.has_value());
    CHECK(frame->verify_part->chunks == 2);
    REQUIRE(frame->papers_part.has_value());
    CHECK(frame->papers_part->chunks == 3);
  }
}

TEST_CASE("what a newer peer adds to its state is passed over, and half a table size is an error") {
  PeerState state;
  state.serial = 5;
  state.table = {100, 200, 300};
  common::Bytes out;
  FrameWriter(out, kNames).state(state);
  const auto resized = [&](int by) {
    common::Bytes bytes = out;
    bytes.resize(out.size() + static_cast<std::size_t>(by), std::byte{0x7f});
    bytes[3] = static_cast<std::byte>(std::to_integer<int>(bytes[3]) + by);
    return bytes;
  };
  const auto longer = decode_frame(resized(4), kNames);
  REQUIRE(longer);
  CHECK(longer->state == state);
  CHECK(error_of(resized(-1)) == FrameError::truncated);
}

TEST_CASE("no cut or damaged frame does harm") {
  common::Prng prng(2);
  for (int i = 0; i < 200; ++i) {
    PeerState state;
    Ack ack;
    const common::Bytes bytes = some_frame(prng, state, ack);
    for (std::size_t n = 0; n < bytes.size(); ++n) decode_frame(common::ByteView(bytes).first(n), kNames);
    for (int k = 0; k < 200; ++k) {
      common::Bytes damaged = bytes;
      for (std::uint64_t n = 1 + prng.below(3); n > 0; --n)
        damaged[prng.below(damaged.size())] = static_cast<std::byte>(prng.next());
      decode_frame(damaged, kNames);
    }
  }
}

TEST_CASE("each way in which a frame can be wrong has its name") {
  CHECK(error_of({}) == FrameError::truncated);
  CHECK(error_of(raw({0x10, 5})) == FrameError::truncated);
  CHECK(error_of(raw({0x10, 5, 1, 0})) == FrameError::ack_form);
  common::Bytes long_ack = raw({0x10, 5, 65});
  long_ack.insert(long_ack.end(), 65, std::byte{1});
  CHECK(error_of(long_ack) == FrameError::ack_form);
  CHECK(error_of(raw({0x20, 0, 0})) == FrameError::data_form);
  CHECK(error_of(raw({0x20, 5, 5})) == FrameError::data_form);
  CHECK(error_of(raw({0, 1, 0, 200})) == FrameError::truncated);
  CHECK(error_of(raw({0, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 200})) == FrameError::state_form);
  CHECK(error_of(raw({0, 2, 0, 4, 0, 0, 0, 1})) == FrameError::flows_form);  // flows without a sequence
  CHECK(error_of(raw({0x20, 5, 0, 2, 0, 2, 0, 0})) == FrameError::flows_form);
  CHECK(error_of(raw({0, 3, 0, 1, 0})) == FrameError::verify_form);
  CHECK(error_of(raw({0, 4, 0, 1, 0})) == FrameError::verify_form);
  CHECK(error_of(raw({0, 5, 0, 1, 0})) == FrameError::verify_form);
  CHECK(error_of(raw({0, 6, 0, 1, 0})) == FrameError::verify_form);
  CHECK(decode_frame(raw({0, 99, 0, 1, 0}), kNames)->unknown_blocks == 1);  // a newer peer
}

TEST_CASE("the statements of all groups fit one datagram, however long the names of nodes are") {
  PeerState state;
  for (std::size_t i = 0; i < 40; ++i) {
    syncd::GroupState g{.group = i, .epoch = 1, .term = {UINT64_MAX, std::string(200, 'x')}};
    g.report = common::GroupReport{.term = {UINT64_MAX, std::string(200, 'y')}};
    state.groups.push_back(g);
  }
  common::Bytes out;
  FrameWriter w(out, kNames);
  Ack ack;
  ack.beyond.set();
  w.ack(ack);
  w.state(state);
  CHECK(out.size() <= kLeastPayload);
  REQUIRE(decode_frame(out, kNames));
  CHECK(decode_frame(out, kNames)->state->groups.size() >= 5);
  for (auto& g : state.groups) g.term = g.report->term = {UINT32_MAX, "R1"};  // a transition a second for a century
  FrameWriter again(out, kNames);
  again.ack(ack);
  again.state(state);
  CHECK(out.size() <= kLeastPayload);
  CHECK(decode_frame(out, kNames)->state->groups.size() >= 24);  // as many as a configuration may have
}

TEST_CASE("the longest parts fit the smallest datagram, with a question and a full acknowledgement beside them") {
  const common::Bytes bytes(std::max(kVerifyPart, kPapersPart));
  Ack ack{.base = UINT64_MAX};
  ack.beyond.set();
  for (const bool verify : {true, false}) {
    common::Bytes out;
    FrameWriter w(out, kNames);
    w.ack(ack);
    if (verify) {
      w.verify_ask({UINT64_MAX, 1, 2});
      w.verify_part({UINT64_MAX, 1, 2, bytes});
    } else {
      w.papers_ask({UINT64_MAX, 1, 2});
      w.papers_part({UINT64_MAX, 1, 2, bytes});
    }
    CHECK(out.size() <= kLeastPayload);
  }
}
