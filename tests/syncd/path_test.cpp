// Datagrams as large as the path takes.
#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

void put(Pair& p, unsigned first, unsigned count) {
  for (unsigned n = first; n < first + count; ++n) p.box[0].kernel.put(flow(n), p.now);
}

/// The largest datagram of R1 since recording began.
std::size_t largest(const Pair& p) {
  std::size_t most = 0;
  for (const auto& [from, bytes] : p.recorded)
    if (from == 0) most = std::max(most, bytes.size());
  return most;
}

}  // namespace

TEST_CASE("datagrams are as large as the smallest interface of the links takes") {
  Pair p;
  p.recording = true;
  p.start(0), p.start(1);
  const std::size_t room = GENERATE(values<std::size_t>({kMaxDatagram, 1300, kLeastDatagram}));
  p.step(0, LinkChanged{.link = 0, .usable = true, .room = room});
  p.welcome(0, common::GroupState::master, {1, "R1"});
  p.welcome(1, common::GroupState::backup, {1, "R1"});
  put(p, 0, 3000);
  p.run(2s);
  CHECK(p.same_kernels());
  CHECK(largest(p) <= room);
  CHECK(largest(p) > room - 40);
  CHECK(p.counter(0, "paths_narrowed") == 0);
}

TEST_CASE("what takes no large datagrams is found out, and that it does again, too") {
  Pair p;
  p.network.mtu = kLeastDatagram;
  p.start_both();
  put(p, 0, 3000);
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "paths_narrowed") == 1);
  const auto lost = p.counter(0, "datagrams_lost");
  put(p, 3000, 3000);
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "datagrams_lost") == lost);
  p.run(kWidenAfter);
  put(p, 6000, 3000);  // the first of these tries in vain
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "datagrams_lost") == lost + 1);
  CHECK(p.counter(0, "paths_narrowed") == 1);
  p.network.mtu = kMaxDatagram;
  p.recording = true;
  put(p, 9000, 3000);
  p.run(1s);
  CHECK(largest(p) <= kLeastDatagram);
  p.run(kWidenAfter);
  put(p, 12000, 3000);
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(largest(p) > kLeastDatagram);
  CHECK(p.counter(0, "datagrams_lost") == lost + 1);
}

TEST_CASE("a path that shrinks while it is in use") {
  Pair p;
  p.start_both();
  put(p, 0, 3000);
  p.run(1s);
  p.network.mtu = kLeastDatagram;
  for (unsigned round = 1; round < 20; ++round) {
    put(p, 3000 * round, 300);
    p.run(20ms);
  }
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "paths_narrowed") == 1);
}

TEST_CASE("a comparison gets across the smallest path") {
  Pair p;
  p.network.mtu = kLeastDatagram;
  p.start_both();
  put(p, 0, 3000);
  p.run(1s);
  for (const int i : {0, 1}) {
    p.step(i, RequestReceived{1, {.id = 7, .verb = "sync.verify", .arguments = {}}});
    p.run(5s);
    REQUIRE(p.box[i].replies.size() == 1);
    CHECK(p.box[i].replies[0].body.starts_with(R"({"differ":0,"compared":3000)"));
  }
}

TEST_CASE("losses and cuts are not taken for a small path") {
  Pair p(common::CommitPolicy::continuous, GENERATE(range(1, 6)));
  p.start_both();
  p.network.loss = 0.05;
  for (unsigned round = 0; round < 30; ++round) {
    put(p, 1000 * round, 1000);
    p.run(50ms);
  }
  p.network.loss = 0;
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "paths_narrowed") == 0);
  put(p, 30000, 2000);
  p.network.cut = true;
  p.run(2s);
  p.network.cut = false;
  p.recording = true;
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(largest(p) > kLeastDatagram);
}
