// What the kernel does not take, and what it has that it should not.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;

TEST_CASE("what the kernel refuses for good makes ready not ok, and says why") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  p.box[1].kernel.refuse.insert(flow(3).key);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(!ready(p, 1).ok);
  CHECK(ready(p, 1).detail == "the kernel refused 1 connections: Invalid argument");
  CHECK(p.box[1].kernel.entries.size() == 9);
}

TEST_CASE("what the kernel has refused is tried again by the takeover, and status says so until then") {
  Pair p(CommitPolicy::continuous);
  p.start_both();
  p.box[1].kernel.refuse = {flow(3).key, flow(4).key};
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  CHECK(p.box[1].kernel.entries.size() == 8);
  const auto reasons = [&] { return p.box[1].engine->status(p.now).reasons; };
  REQUIRE(reasons().size() == 1);
  CHECK(reasons()[0] ==
        "MAIN-GW: the kernel refuses 2 of R1's connections, which a failover would break: Invalid argument");
  const auto told = [](const std::string& line) {
    return line.starts_with("kernel_refuses: the kernel does not take ");
  };
  CHECK(std::ranges::count_if(p.box[1].logs, told) == 1);
  p.box[1].kernel.refuse = {flow(3).key};
  p.kill(0);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(ready(p, 1).detail == "the kernel refused 1 connections: Invalid argument");
  CHECK(p.box[1].kernel.entries.size() == 9);
}

TEST_CASE("a standby that is to commit continuously from now on is complete when a takeover is") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 5000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  REQUIRE(p.box[1].kernel.entries.empty());
  auto config = p.box[1].config;
  config.sync->commit = CommitPolicy::continuous;
  const bool at_once = GENERATE(true, false);
  p.step(1, Reload{config, {}});
  if (!at_once) {
    p.run(1s);
    CHECK(p.same_kernels());
  }
  p.kill(0);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  while (p.box[1].messages<common::Ready>().empty()) p.run(1ms);
  CHECK(ready(p, 1).ok);
  CHECK(p.same_kernels());
}

TEST_CASE("a commit that an operator asks for is answered when it is done, with what the kernel has") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  p.box[1].kernel.refuse = {flow(3).key};
  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  const common::Request commit{.id = 7, .verb = "sync.commit", .arguments = {}};
  p.step(1, RequestReceived{1, commit});
  p.run(1s);
  REQUIRE(p.box[1].replies.size() == 1);
  CHECK(p.box[1].replies[0].body == R"({"connections":3000,"in_kernel":2999,"refused":1})");
  CHECK(p.box[1].kernel.entries.size() == 2999);
  p.step(0, RequestReceived{1, commit});
  REQUIRE(p.box[0].replies.size() == 1);
  CHECK_FALSE(p.box[0].replies[0].ok);
}

TEST_CASE("what only the standby's kernel has is named by verify, and removed") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  p.box[1].kernel.put(flow(500), p.now, true);
  const int asked = GENERATE(0, 1);
  const auto verify = [&] {
    p.box[asked].replies.clear();
    p.step(asked, RequestReceived{1, {.id = 7, .verb = "sync.verify", .arguments = {}}});
    p.run(5s);
    REQUIRE(p.box[asked].replies.size() == 1);
    return p.box[asked].replies[0].body.substr(0, 12);
  };
  CHECK(verify() == R"({"differ":1,)");
  CHECK_FALSE(p.box[1].kernel.entries.contains(flow(500).key));
  CHECK(p.counter(1, "strays_removed") == 1);
  CHECK(verify() == R"({"differ":0,)");
}

TEST_CASE("what is asked for again is not asked for in vain") {
  Pair p;
  p.start_both();
  p.network.cut = true;
  p.run(2s);
  p.step(1, RequestReceived{1, {.id = 7, .verb = "sync.resync", .arguments = {}}});
  REQUIRE(p.box[1].replies.size() == 1);
  CHECK(p.box[1].replies[0].error == "R1 is not heard on the sync link: nothing could be fetched");
}
