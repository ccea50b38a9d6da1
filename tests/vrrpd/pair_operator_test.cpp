// What operators, strangers and answers that do not come do to the pair.
#include <algorithm>
#include <catch2/catch.hpp>

#include "pair_checks.hpp"

using namespace pair;

namespace {

bool logged(const Node& node, const std::string& name) {
  return std::find(node.logs.begin(), node.logs.end(), name) != node.logs.end();
}

}  // namespace

TEST_CASE("natctl switchover on the master: stays for ten down intervals, until release", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  World world(interval);
  world.settle();
  world.r1().request("switchover");
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(world.longest_silence < 12ms);
  world.run(200ms);
  REQUIRE(world.r1().replies.size() == 1);
  CHECK(world.r1().replies[0].ok);
  world.run(10 * formula(world));
  check_healthy(world, world.r2(), world.r1());
  CHECK(world.r1().status().held);
  world.r1().request("release");
  REQUIRE(world.until([&] { return world.r1().serves(); }, 2s));
  CHECK(world.longest_silence < 12ms);
  world.run(5 * interval);
  check_healthy(world, world.r1(), world.r2());
}

TEST_CASE("natctl switchover on the backup: the old master is held", "[pair]") {
  World world;
  world.settle();
  world.r2().request("switchover", {"MAIN-GW"});
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  REQUIRE(world.r2().replies.size() == 1);
  CHECK(world.r2().replies[0].ok);
  world.run(10s);
  check_healthy(world, world.r2(), world.r1());
  CHECK(world.r1().status().held);

  SECTION("a vrrpd that is started anew still holds") {
    world.r1().kill();
    world.run(1s);
    world.r1().start();
    world.run(5s);
    CHECK(world.r2().serves());
    CHECK(world.r1().status().held);
    world.r1().request("release");
    REQUIRE(world.until([&] { return world.r1().serves(); }, 2s));
  }
  SECTION("the peer's death ends the hold") {
    world.r2().cut_power();
    REQUIRE(world.until([&] { return world.r1().serves(); }, 1s));
    CHECK_FALSE(world.r1().status().held);
  }
  SECTION("a switchover back ends it too") {
    world.r1().request("switchover");
    REQUIRE(world.until([&] { return world.r1().serves(); }, 1s));
    CHECK_FALSE(world.r1().status().held);
    CHECK(world.r2().status().held);
  }
}

TEST_CASE("natctl switchover is refused with the reason", "[pair]") {
  World world;
  world.settle();
  const auto refused = [&](const std::string& why) {
    world.r1().request("switchover");
    world.run(200ms);
    REQUIRE_FALSE(world.r1().replies.empty());
    CHECK_FALSE(world.r1().replies.back().ok);
    CHECK_THAT(world.r1().replies.back().error, Catch::Contains(why));
    CHECK(world.r1().serves());
  };
  SECTION("link down") {
    world.r1().plugged["sync"] = false;
    world.run(1s);
    refused("link is down");
    world.r1().request("switchover", {"--force"});
    REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
    CHECK(world.r1().state() == GroupState::backup);
  }
  SECTION("peer's vrrpd dead") {
    world.r2().kill();
    world.run(100ms);
    refused("does not answer");
  }
  SECTION("peer in fault") {
    world.r2().set_carrier("wan", false);
    world.run(100ms);
    refused("fault");
  }
  SECTION("peer not complete") {
    world.r2().syncd.complete = false;
    world.r2().syncd.linked_since = world.now;
    world.run(100ms);
    refused("all connections");
  }
  SECTION("the drain is not confirmed") {
    world.r1().syncd.confirms = false;
    refused("did not confirm");
    CHECK(world.r1().counter("handover_aborted") == 1);
    CHECK(world.r1().status().term.counter == 1);
  }
  SECTION("unknown group") {
    world.r1().request("switchover", {"NO-SUCH"});
    world.run(10ms);
    CHECK_THAT(world.r1().replies.back().error, Catch::Contains("MAIN-GW"));
  }
}

TEST_CASE("a handover that is not confirmed backs off: the gate is not shut again and again", "[pair]") {
  World world;
  world.settle();
  world.r1().request("switchover");
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(2s);
  world.r2().syncd.confirms = false;
  world.r1().request("release");
  world.run(20s);
  CHECK(world.r2().state() == GroupState::master);
  const auto aborted = world.r2().counter("handover_aborted");
  CHECK(aborted >= 3);
  CHECK(aborted <= 6);  // 0, 1, 3, 7, 15 s
  world.r2().syncd.confirms = true;
  REQUIRE(world.until([&] { return world.r1().serves(); }, 10s));
}

TEST_CASE("the link alone is cut and comes back: nothing moves", "[pair]") {
  World world;
  world.settle();
  world.r1().plugged["sync"] = false;
  world.run(10s);
  CHECK(world.r1().serves());
  CHECK_FALSE(world.r1().status().reasons.empty());
  CHECK_FALSE(world.r2().status().reasons.empty());
  world.r1().plugged["sync"] = true;
  world.run(2s);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence == 0ms);
  CHECK(world.r1().status().term.counter == 1);
}

TEST_CASE("the segments alone are cut: the link's witness holds the backup, then it claims and the newer term wins",
          "[pair]") {
  World world;
  world.settle();
  world.r1().plugged["wan"] = world.r1().plugged["lan"] = false;
  world.run(3s);
  CHECK(world.r2().state() == GroupState::backup);
  CHECK(logged(world.r2(), "witness_hold"));
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(10ms);
  CHECK(world.r1().state() == GroupState::backup);  // told through the link
}

TEST_CASE("one segment is cut between the routers: nobody moves", "[pair]") {
  World world;
  world.settle();
  world.r1().plugged["wan"] = false;
  world.run(10s);
  CHECK(world.r1().state() == GroupState::master);
  CHECK(world.r2().state() == GroupState::backup);
}

TEST_CASE("a participant that never answers: addresses after prepare_timeout, the gate at its deadline", "[pair]") {
  World world;
  world.settle();
  world.r2().syncd.answers = false;
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().has_addresses(); }, 2s));
  CHECK(world.longest_silence < formula(world) + 1020ms);
  CHECK_FALSE(world.r2().agent.open);
  REQUIRE(world.until([&] { return world.r2().serves(); }, 6s));
  CHECK(world.r2().counter("deadline_opened") == 1);
  CHECK(world.r2().counter("prepare_timeout") == 1);
}

TEST_CASE("a participant that answers late: the gate opens with its answer", "[pair]") {
  World world;
  world.settle();
  world.r2().syncd.ready_after = 2s;
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 4s));
  CHECK(world.r2().counter("late_ready") == 1);
  CHECK(world.r2().counter("deadline_opened") == 0);
}

TEST_CASE("a dead agent or syncd is counted, not waited for", "[pair]") {
  World world;
  world.settle();
  const auto client = *world.r2().syncd.connection;
  world.r2().syncd.alive = false;
  world.r2().syncd.connection.reset();
  world.r2().feed(vrrpd::ClientClosed{client});
  world.run(1s);
  world.forget();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(world.longest_silence < formula(world, 90) + 10ms);
  CHECK(world.r2().counter("absent_participant") == 1);
}

TEST_CASE("an agent that is restarted on the master keeps its gate or is asked anew", "[pair]") {
  World world;
  world.settle();
  Node& r1 = world.r1();
  r1.feed(vrrpd::ClientClosed{*r1.agent.connection});
  const bool knows = GENERATE(true, false);
  if (!knows) r1.agent = Agent{};
  world.run(100ms);
  world.forget();
  r1.connect(common::Role::agent);
  REQUIRE(world.until([&] { return r1.serves(); }, 100ms));
  world.run(1s);
  if (knows) CHECK(world.longest_silence == 0ms);
  CHECK(r1.counter("late_ready") == 0);
  check_healthy(world, r1, world.r2());
}

TEST_CASE("a forged or stray priority 0 on one member does not move the group", "[pair]") {
  World world;
  world.settle();
  const bool linked = GENERATE(true, false);
  if (!linked) {
    world.r1().plugged["sync"] = false;
    world.run(1s);
  }
  const std::string member = GENERATE("wan", "lan");
  for (int i = 0; i < 100; ++i) {
    world.forge(1, member, member == "wan" ? 1 : 2, 0, 100ms);
    world.run(std::chrono::milliseconds(7 + i));
  }
  CHECK(world.r2().adverts == 0);
  CHECK(world.r1().status().term.counter == 1);
}

TEST_CASE("a forged priority 0 on all members: the link knows better", "[pair]") {
  World world;
  world.settle();
  world.forge(1, "wan", 1, 0, 100ms);
  world.forge(1, "lan", 2, 0, 100ms);
  world.run(5s);
  CHECK(world.r2().adverts == 0);
  CHECK(world.longest_silence == 0ms);
}

TEST_CASE("forged lower adverts are answered, not obeyed; forged higher ones from a foreign router are obeyed",
          "[pair]") {
  World world;
  world.settle();
  const int sent = world.r1().adverts;
  for (int i = 0; i < 1000; ++i) world.forge(0, "wan", 1, 50, 100ms);
  CHECK(world.r1().adverts - sent <= 2);  // however many: bounded
  world.run(2s);
  CHECK(world.r1().serves());
  world.forge(0, "wan", 1, 250, 100ms);
  CHECK(world.r1().state() == GroupState::backup);  // RFC 9568 6.4.3: the peer says it is not its
}

TEST_CASE("a stranger of priority 255 keeps the group while it advertises, and one forged packet for a down interval",
          "[pair]") {
  World world;
  world.settle();
  const std::uint64_t term = world.r1().status().term.counter;
  const auto forge = [&](Duration interval) {
    for (const int node : {0, 1}) world.forge(node, "wan", 1, 255, interval, "10.10.0.66");
  };
  SECTION("one packet, that speaks of 40.95 s") {
    forge(40950ms);
  }
  SECTION("many, as a router does") {
    for (int i = 0; i < 20; ++i) {
      forge(100ms);
      world.run(100ms);
      CHECK(world.r1().state() == GroupState::backup);
      CHECK(world.r2().state() == GroupState::backup);
    }
  }
  SECTION("a slow one is believed once it has been heard twice") {
    forge(1000ms);
    world.run(1000ms);
    forge(1000ms);
    CHECK(world.r1().state() == GroupState::backup);
    world.run(3000ms);
    CHECK(world.r1().state() == GroupState::backup);
    world.run(2000ms);
    CHECK(world.r1().serves());
    return;
  }
  CHECK(world.r1().state() == GroupState::backup);
  world.forget();
  REQUIRE(world.until([&] { return world.r1().serves(); }, formula(world) + 50ms));
  world.run(2s);
  CHECK(world.r1().status().term.counter == term + 1);
  check_healthy(world, world.r1(), world.r2());
}

TEST_CASE("two routers that start together with no preference agree on one master", "[pair]") {
  World world(100ms, [](int, common::Config& config) {
    config.vrrp->groups[0].priority = config.vrrp->groups[0].peer_priority = 100;
  });
  world.settle();
  world.run(5s);
  CHECK(world.masters() == 1);
}

TEST_CASE("without preempt the lower router keeps the group", "[pair]") {
  World world(100ms, [](int, common::Config& config) { config.vrrp->groups[0].preempt = false; });
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(1s);
  world.r1().restore_power();
  world.run(20s);
  check_healthy(world, world.r2(), world.r1());
}

TEST_CASE("preempt_delay counts from the complete replica", "[pair]") {
  World world(100ms, [](int, common::Config& config) { config.vrrp->groups[0].preempt_delay = 5s; });
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(1s);
  world.r1().reboot();
  REQUIRE(world.until([&] { return world.r1().syncd.complete; }, 5s));
  world.run(4900ms);
  CHECK(world.r2().serves());
  REQUIRE(world.until([&] { return world.r1().serves(); }, 500ms));
}

TEST_CASE("a standby that was up before: terms of a forgetful master are raised, not ignored", "[pair]") {
  World world;
  world.r2().stored[std::string(kGroup)] = {"MAIN-GW", common::Term{7, "R2"}};
  world.r2().kill();
  world.run(3s);
  CHECK(world.r1().serves());
  CHECK(world.r1().status().term.counter == 1);
  world.r2().start();
  world.run(3s);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.r1().status().term == common::Term{8, "R1"});
}

TEST_CASE("vrrpd alone, without sync and nat, is a plain VRRP router", "[pair]") {
  World world(100ms, [](int, common::Config& config) {
    config.sync.reset();
    config.nat.reset();
  });
  world.run(1s);
  CHECK(world.r1().state() == GroupState::master);
  CHECK(world.r1().has_addresses());
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().state() == GroupState::master; }, 400ms));
  world.run(1s);
  world.r1().restore_power();
  world.run(200ms);  // the higher priority wins at once (RFC 9568 6.4.3)
  CHECK(world.r1().state() == GroupState::master);
  CHECK(world.r2().state() == GroupState::backup);
  CHECK_FALSE(world.r2().has_addresses());
}

TEST_CASE("one stray advert to a master whose link is dead: a short doubt, and nothing moves", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  World world(interval);
  world.settle();
  world.r1().plugged["sync"] = false;
  world.run(5 * interval);
  world.forget();
  world.forge(0, "wan", 1, 50, interval);
  world.run(1ms);
  CHECK_FALSE(world.r1().agent.open);
  world.run(10 * interval);
  CHECK(world.r1().serves());
  CHECK(world.r1().counter("doubts") == 1);
  CHECK(world.r2().adverts == 0);
  CHECK(world.longest_silence <= interval * 7 / 4 + 2ms);
}

TEST_CASE("reload on the backup with other addresses does not disturb the master", "[pair]") {
  World world;
  world.settle();
  common::Config changed = world.configs[1];
  changed.vrrp->groups[0].instances[0].virtual_addresses.push_back(*common::Prefix::parse("10.10.0.105/24"));
  world.r2().feed(vrrpd::Reload{changed});
  world.run(5s);
  CHECK(world.r1().serves());
  CHECK(world.r2().state() == GroupState::backup);
  CHECK(world.r2().adverts == 0);
  CHECK(world.longest_silence == 0ms);
}
