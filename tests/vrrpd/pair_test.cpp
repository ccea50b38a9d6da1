// The scenarios that the pair must survive, with two engines on virtual time. Silence is counted from the last moment
// at which packets would pass to the first at which they pass again.
#include <catch2/catch.hpp>

#include "pair_checks.hpp"

using namespace pair;

namespace {

Duration skew(const World& world) {
  return common::skew_time(world.interval, 100);
}

}  // namespace

TEST_CASE("first start: the preferred router becomes master, the other its complete backup", "[pair]") {
  World world;
  world.settle();
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.r1().hooks == std::vector<std::string>{"GROUP MAIN-GW BACKUP", "GROUP MAIN-GW MASTER"});
  CHECK(world.r2().hooks == std::vector<std::string>{"GROUP MAIN-GW BACKUP"});
  CHECK(world.r2().adverts == 0);
  world.run(60s);
  CHECK(world.longest_silence == 0ms);
  CHECK(world.r1().status().term.counter == 1);
}

TEST_CASE("power cut of the master: takeover after the formula; power back: the newer term stays, then failback",
          "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms, 250ms);
  World world(interval);
  world.settle();
  world.run(GENERATE(1ms, 30ms, 99ms));
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 10 * interval));
  CHECK(world.longest_silence < formula(world) + 10ms);
  CHECK(world.r2().counter("late_ready") == 0);
  world.run(20 * interval + 5s);
  CHECK(world.r1().state() == GroupState::master);  // it cannot know

  world.forget();
  world.r1().restore_power();
  const Time back = world.now;
  REQUIRE(world.until([&] { return world.r1().state() == GroupState::backup; }, 2 * interval));
  CHECK(world.now - back < interval + 60ms);
  CHECK_FALSE(world.r1().has_addresses());
  CHECK(world.r2().serves());
  CHECK(world.r2().status().term.node == "R2");
  const int goodbyes = world.r1().goodbyes;
  CHECK(goodbyes == 0);  // a priority 0 would speak against the living master

  REQUIRE(world.until([&] { return world.r1().serves(); }, 20 * interval + 10s));
  world.run(5 * interval);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence < 20ms);
  CHECK(world.r2().counter("overslept") == 0);
}

TEST_CASE("power back: a hand of adverts before the link reports does not move the newer term", "[pair]") {
  World world;
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(3s);
  // The segments first, the link 300 ms later.
  world.forget();
  world.r1().plugged["wan"] = world.r1().plugged["lan"] = true;
  world.run(300ms);
  CHECK(world.r2().state() == GroupState::master);
  CHECK_FALSE(world.r1().agent.open);  // in doubt: gate shut
  CHECK(world.r1().counter("doubts") == 1);
  const int sent = world.r1().adverts;
  world.run(100ms);
  CHECK(world.r1().adverts == sent);  // and silent
  world.r1().plugged["sync"] = true;
  REQUIRE(world.until([&] { return world.r1().state() == GroupState::backup; }, 200ms));
  REQUIRE(world.until([&] { return world.r1().serves(); }, 5s));
  world.run(1s);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence < 20ms);
}

TEST_CASE("power back without the link: one master stays within heal_hold, and no preemption", "[pair]") {
  World world;
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(3s);
  world.forget();
  world.r1().plugged["wan"] = world.r1().plugged["lan"] = true;
  world.run(1500ms);
  CHECK(world.masters() == 1);
  CHECK(world.r2().serves());
  world.run(20s);
  CHECK(world.r2().serves());
  CHECK(world.longest_silence == 0ms);
  CHECK_FALSE(world.r1().status().reasons.empty());
}

TEST_CASE("the standby is cut off alone and claims: when it is back, the master that served goes on", "[pair]") {
  const bool with_link = GENERATE(true, false);
  World world;
  world.settle();
  world.r2().cut_power();
  world.run(5s);
  CHECK(world.r2().status().term == common::Term{2, "R2"});  // newer, and worth nothing
  CHECK(world.r1().serves());
  world.r2().restore_power();
  if (!with_link) world.r2().plugged["sync"] = false;
  world.run(3s);
  CHECK(world.r1().serves());
  CHECK(world.r2().state() == GroupState::backup);
  CHECK(world.r2().counter("deadline_opened") == 0);
  CHECK(world.longest_silence < (with_link ? 200ms : 1100ms));  // delayed at most, while they compare
  world.r2().plugged["sync"] = true;
  world.run(3s);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.r1().status().term.node == "R1");
}

TEST_CASE("reboot of the old master: it waits for its replica and then asks", "[pair]") {
  World world;
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.run(2s);
  world.forget();
  world.r1().reboot();
  world.r1().syncd.bulk_takes = 2s;
  world.run(1900ms);
  CHECK(world.r1().state() == GroupState::backup);
  CHECK(world.r1().adverts == world.r1().adverts);
  CHECK(world.r2().serves());
  CHECK_FALSE(world.r1().status().reasons.empty());
  REQUIRE(world.until([&] { return world.r1().serves(); }, 5s));
  world.run(1s);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence < 20ms);
  CHECK(world.r1().status().term.counter == 3);  // it learned the terms of before its reboot
}

TEST_CASE("reboot of the old master with a dead link: it never preempts by timer", "[pair]") {
  World world;
  world.settle();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  world.forget();
  world.r1().reboot();
  world.r1().plugged["sync"] = false;
  world.run(30s);
  CHECK(world.r1().state() == GroupState::backup);
  CHECK(world.longest_silence == 0ms);
}

TEST_CASE("carrier loss of a member: the group leaves, drained, and the peer claims at once", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  const std::string member = GENERATE("wan", "lan");
  World world(interval);
  world.settle();
  world.run(37ms);
  world.r1().set_carrier(member, false);
  world.run(1ms);
  CHECK_FALSE(world.r1().agent.open);
  REQUIRE(world.until([&] { return world.r2().serves(); }, 10 * interval));
  CHECK(world.longest_silence < 20ms);  // confirmed drain: no skew at all
  CHECK(world.r1().state() == GroupState::fault);
  CHECK_FALSE(world.r1().has_addresses());
  world.run(3s);
  world.forget();
  world.r1().set_carrier(member, true);
  REQUIRE(world.until([&] { return world.r1().serves(); }, 10s + 10 * interval));
  world.run(5 * interval);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence < 20ms);
}

TEST_CASE("a drain begins when the gate is shut: what passes until then is a part of it", "[pair]") {
  World world;
  world.settle();
  Node& first = world.r1();
  first.agent.shuts_after = GENERATE(100us, 3ms, 30ms);
  const bool planned = GENERATE(true, false);
  if (planned)
    first.request("switchover");
  else
    first.set_carrier("wan", false);
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(first.syncd.drains == 1);
  CHECK(first.syncd.drains_before_shut == 0);
  CHECK(first.counter("gate_shut_late") == 0);
}

TEST_CASE("an agent that does not shut its gate holds a departure up for half of its time only", "[pair]") {
  World world;
  world.settle();
  Node& first = world.r1();
  first.agent.answers = false;
  const bool dies = GENERATE(true, false);
  first.set_carrier("wan", false);
  if (dies) {
    world.run(1ms);
    first.feed(vrrpd::ClientClosed{*first.agent.connection});
    first.agent.connection.reset();
  }
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(world.longest_silence < (dies ? 20ms : 70ms));
  CHECK(first.syncd.drains == 1);
  CHECK(first.counter("gate_shut_late") == (dies ? 0 : 1));
}

TEST_CASE("carrier loss, and the peer does not confirm the drain: it follows after the skew", "[pair]") {
  World world;
  world.settle();
  world.r1().syncd.confirms = false;
  world.r1().syncd.answers = GENERATE(true, false);
  world.r1().set_carrier("wan", false);
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(world.longest_silence < skew(world) + 50ms);
}

TEST_CASE("carrier loss without a link: priority 0 on the other member", "[pair]") {
  World world;
  world.settle();
  world.r1().plugged["sync"] = false;
  world.run(1s);
  world.forget();
  world.r1().set_carrier("wan", false);
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  // The members that heard no priority 0 must miss an advert as well: an interval and an eighth at most.
  CHECK(world.longest_silence < 125ms);
}

TEST_CASE("both routers lose a carrier for ten seconds", "[pair]") {
  const bool first_is_master = GENERATE(true, false);
  World world;
  world.settle();
  Node& first = first_is_master ? world.r1() : world.r2();
  Node& second = first_is_master ? world.r2() : world.r1();
  first.set_carrier("lan", false);
  world.run(GENERATE(0ms, 1ms, 3ms, 20ms));
  second.set_carrier("lan", false);
  world.run(10s);
  CHECK(world.masters() == 0);
  CHECK(world.r1().state() == GroupState::fault);
  world.forget();
  first.set_carrier("lan", true);
  world.run(1ms);
  second.set_carrier("lan", true);
  REQUIRE(world.until([&] { return world.r1().serves() || world.r2().serves(); }, 5s));
  CHECK(world.longest_silence < formula(world) + 20ms);
  REQUIRE(world.until([&] { return world.r1().serves(); }, 5s));
  world.run(1s);
  check_healthy(world, world.r1(), world.r2());
}

TEST_CASE("SIGTERM of the master's vrrpd: drained, the peer claims at once; restart: failback", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  World world(interval);
  world.settle();
  world.r1().terminate();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 10 * interval));
  CHECK(world.longest_silence < 20ms);
  world.run(100ms);
  CHECK(world.r1().finished);
  CHECK(world.r1().hooks.back() == "GROUP MAIN-GW STOP");
  CHECK_FALSE(world.r1().has_addresses());
  world.run(5s);
  world.forget();
  world.r1().start();
  REQUIRE(world.until([&] { return world.r1().serves(); }, 10s + 10 * interval));
  world.run(5 * interval);
  check_healthy(world, world.r1(), world.r2());
  CHECK(world.longest_silence < 20ms);
}

TEST_CASE("SIGTERM of the backup's vrrpd says nothing and moves nothing", "[pair]") {
  World world;
  world.settle();
  world.r2().terminate();
  world.run(100ms);
  CHECK(world.r2().finished);
  CHECK(world.r2().adverts == 0);
  CHECK(world.r1().serves());
  CHECK(world.longest_silence == 0ms);
}

TEST_CASE("SIGKILL of the master's vrrpd: its last word does not hold the peer back", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  World world(interval);
  world.settle();
  world.r1().kill();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 10 * interval));
  CHECK(world.longest_silence < formula(world) + 10ms);
  world.run(2500ms);
  CHECK_FALSE(world.r1().has_addresses());  // their lifetime ended with vrrpd
  world.run(5s);
  world.forget();
  world.r1().start();
  REQUIRE(world.until([&] { return world.r1().serves(); }, 10s + 10 * interval));
  CHECK(world.longest_silence < 20ms);
}

TEST_CASE("SIGKILL and restart before the peer has noticed: takes back at once", "[pair]") {
  World world(1000ms);
  world.settle();
  world.r1().kill();
  world.run(200ms);
  world.r1().start();
  REQUIRE(world.until([&] { return world.r1().state() == GroupState::master; }, 500ms));
  CHECK(world.r2().state() == GroupState::backup);
  CHECK(world.r1().status().term == common::Term{2, "R1"});
  world.run(5s);
  check_healthy(world, world.r1(), world.r2());
}

TEST_CASE("SIGSTOP for ten seconds: the peer takes over in time, and after SIGCONT nothing is sent unheard", "[pair]") {
  const Duration interval = GENERATE(100ms, 1000ms);
  World world(interval);
  world.settle();
  world.run(GENERATE(0ms, 55ms));
  world.r1().stop();
  world.r1().agent.open = false;  // the agent hears from syncd of the newer term; here: at once
  REQUIRE(world.until([&] { return world.r2().serves(); }, 10 * interval));
  CHECK(world.longest_silence < formula(world) + 10ms);
  world.run(10s);
  world.forget();
  const int adverts = world.r1().adverts, announces = world.r1().announces;
  world.r1().go_on();
  CHECK(world.r1().state() == GroupState::backup);
  world.run(formula(world, 200));
  CHECK(world.r1().adverts == adverts);
  CHECK(world.r1().announces == announces);
  CHECK(world.r2().serves());
  CHECK(world.r1().counter("overslept") == 1);
  REQUIRE(world.until([&] { return world.r1().serves(); }, 10s + 10 * interval));
  CHECK(world.longest_silence < 20ms);
}

TEST_CASE("SIGSTOP of the standby's vrrpd: it does not claim when it wakes", "[pair]") {
  World world;
  world.settle();
  world.r2().stop();
  world.run(GENERATE(370ms, 450ms, 10000ms));
  world.r2().go_on();
  world.run(2s);
  CHECK(world.r2().adverts == 0);
  CHECK(world.r1().status().term.counter == 1);
  CHECK(world.longest_silence == 0ms);
}

TEST_CASE("a lone master that was stopped goes on after one down interval", "[pair]") {
  World world;
  world.settle();
  world.r2().kill();
  world.r1().stop();
  world.run(10s);
  world.r1().go_on();
  REQUIRE(world.until([&] { return world.r1().serves(); }, 500ms));
}

TEST_CASE("syncd killed on the standby, then on the master, restarted; then a power cut", "[pair]") {
  World world;
  world.settle();
  for (Node* node : {&world.r2(), &world.r1()}) {
    node->syncd.alive = false;
    const auto client = *node->syncd.connection;
    node->syncd.connection.reset();
    node->feed(vrrpd::ClientClosed{client});
    world.run(2s);
    CHECK(world.r1().serves());
    CHECK(world.r1().status().priority == (node == &world.r1() ? 190 : 200));
    node->syncd = Syncd{};
    node->connect(common::Role::syncd);
    world.run(2s);
  }
  CHECK(world.longest_silence == 0ms);
  check_healthy(world, world.r1(), world.r2());
  world.forget();
  world.r1().cut_power();
  REQUIRE(world.until([&] { return world.r2().serves(); }, 1s));
  CHECK(world.longest_silence < formula(world) + 10ms);
}
