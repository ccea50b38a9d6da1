// When syncd listens to what packets do, and when it reads the kernel's table instead.
#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;

TEST_CASE("the kernel reports packets to a master; to a standby no more than it must, and again before it is ready") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const bool waits = GENERATE(true, false);
  Pair p(policy);
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  CHECK(p.box[0].kernel.hears_packets);
  CHECK_FALSE(p.box[1].kernel.hears_packets);
  p.kill(0);
  p.run(300ms);
  CHECK_FALSE(p.box[1].kernel.hears_packets);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  CHECK_FALSE(p.box[1].kernel.hears_packets);
  if (!waits) {
    p.run(60us);  // what was reported is read, the writing is not at its end
    p.entered(1, common::GroupState::master, {2, "R2"});
    CHECK(p.box[1].kernel.hears_packets);
  }
  p.run(20ms);
  CHECK(ready(p, 1).ok);
  CHECK(p.box[1].heard_at_ready);
  if (waits) p.entered(1, common::GroupState::master, {2, "R2"});
  p.box[1].kernel.put(flow(2000), p.now);
  p.box[0].kernel = {};
  p.start(0);
  CHECK(p.box[0].kernel.hears_packets);
  p.welcome(0, common::GroupState::backup, {});
  p.run(1s);
  CHECK(p.box[0].engine->status(p.now).peer_flows == 101);
  CHECK_FALSE(p.box[0].kernel.hears_packets);
  CHECK(p.box[1].kernel.hears_packets);
}

TEST_CASE("a master that is asked to prepare anew goes on to hear of packets") {
  Pair p(GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover));
  p.start_both();
  p.notify(0, common::Prepare{"MAIN-GW", {2, "R1"}, 1000});
  for (int i = 0; i < 100; ++i) {
    p.run(10us);
    REQUIRE(p.box[0].kernel.hears_packets);
  }
  CHECK(ready(p, 0).ok);
}

TEST_CASE("a takeover that takes long is not shared with the reading of the kernel's table, which follows it") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.kill(0);
  const auto before = p.counter(1, "dumps");
  p.box[1].takes_no_writes = true;
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.run(10s);
  CHECK(p.box[1].kernel.entries.empty());
  CHECK(p.counter(1, "dumps") == before);
  p.box[1].takes_no_writes = false;
  p.run(1s);
  CHECK(p.box[1].kernel.entries.size() == 100);
  CHECK(p.counter(1, "dumps") == before + 1);
}
