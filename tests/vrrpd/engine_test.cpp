// The engine's seams: clients, interfaces, reload, hooks.
#include <catch2/catch.hpp>

#include "bench.hpp"
#include "common/prng.hpp"

using namespace bench;
using common::Role;

namespace {

common::Config full() {
  common::Config config = plain(2);
  config.sync = common::SyncConfig{};
  config.nat = common::NatConfig{};
  return config;
}

constexpr vrrpd::ClientId kSyncd = 1, kAgent = 2, kOther = 3;

}  // namespace

TEST_CASE("clients: who speaks another version is sent away with the reason", "[engine]") {
  Bench b(full());
  b.feed(vrrpd::ClientConnected{kOther, true}).say(kOther, common::Hello{.version = 99, .node = {}, .terms = {}});
  REQUIRE(b.got<vrrpd::CloseClient>().size() == 1);
  CHECK_THAT(b.got<vrrpd::CloseClient>()[0].why, Catch::Contains("99"));
}

TEST_CASE("clients: a participant without permission is sent away, an observer is welcome", "[engine]") {
  Bench b(full());
  b.connect(kOther, Role::syncd, false);
  CHECK(b.got<vrrpd::CloseClient>().size() == 1);
  b.connect(4, Role::observer, false);
  REQUIRE(b.told<common::Welcome>(4).size() == 1);
  CHECK(b.told<common::Welcome>(4)[0].node == "R1");
  CHECK(b.told<common::LocalReport>(4).empty());
}

TEST_CASE("clients: who says nothing looks on", "[engine]") {
  Bench b;
  b.feed(vrrpd::ClientConnected{4, false});
  CHECK(b.told<common::Welcome>(4).size() == 1);
  b.links_up().pass(5s);
  REQUIRE_FALSE(b.told<common::Entered>(4).empty());
  CHECK(b.told<common::Entered>(4).back().state == GroupState::master);
}

TEST_CASE("clients: messages that do not belong to a role end the connection", "[engine]") {
  Bench b(full());
  b.connect(kOther, Role::observer);
  b.say(kOther, common::Ready{"G", {1, "R1"}, true, {}});
  CHECK(b.got<vrrpd::CloseClient>().size() == 1);
  b.connect(kAgent, Role::agent);
  b.say(kAgent, common::PeerReport{});
  CHECK(b.got<vrrpd::CloseClient>().size() == 1);
  CHECK(b.engine.status(b.now).agent_connected == false);
  CHECK(b.engine.status(b.now).counters.at("protocol_errors") == 2);
  b.say(77, common::Drained{});  // of somebody who never connected
  CHECK(b.engine.status(b.now).counters.at("protocol_errors") == 3);
}

TEST_CASE("clients: a new syncd replaces the old one, whose end changes nothing then", "[engine]") {
  Bench b(full());
  b.connect(kSyncd, Role::syncd).connect(kOther, Role::syncd);
  REQUIRE(b.got<vrrpd::CloseClient>().size() == 1);
  CHECK(b.got<vrrpd::CloseClient>()[0].client == kSyncd);
  b.feed(vrrpd::ClientClosed{kSyncd});
  CHECK(b.engine.status(b.now).syncd_connected);
}

TEST_CASE("clients: a participant that the configuration does not name is an observer", "[engine]") {
  Bench b;
  b.connect(kSyncd, Role::syncd);
  CHECK_FALSE(b.engine.status(b.now).syncd_connected);
  b.links_up().pass(4s);
  CHECK(b.told<common::Prepare>(kSyncd).empty());
  REQUIRE(b.told<common::Entered>(kSyncd).size() == 1);
  CHECK(b.told<common::Entered>(kSyncd)[0].state == GroupState::master);
}

TEST_CASE("requests: unknown, not permitted, unknown group", "[engine]") {
  Bench b;
  b.make_master();
  b.connect(kOther, Role::control, false).say(kOther, common::Request{5, "release", {}});
  REQUIRE(b.told<common::Reply>(kOther).size() == 1);
  CHECK_FALSE(b.told<common::Reply>(kOther)[0].ok);
  CHECK(b.told<common::Reply>(kOther)[0].id == 5);
  b.connect(4, Role::control).say(4, common::Request{6, "dance", {}});
  CHECK_THAT(b.told<common::Reply>(4).at(0).error, Catch::Contains("dance"));
  b.say(4, common::Request{7, "switchover", {"X"}});
  CHECK_THAT(b.told<common::Reply>(4).at(0).error, Catch::Contains("G"));
  b.say(4, common::Request{8, "switchover", {}});  // no peer is heard: nothing to lose that --force would save
  CHECK_FALSE(b.told<common::Reply>(4).at(0).ok);
}

TEST_CASE("takeover: prepare to both, addresses when both are ready, then open, then entered", "[engine]") {
  Bench b(full(), {.terms = {{"G", {4, "R2"}}}, .table_was_loaded = true});
  b.connect(kSyncd, Role::syncd).connect(kAgent, Role::agent).links_up().pass(4s + 700ms);
  REQUIRE(b.told<common::Prepare>(kSyncd).size() == 1);
  REQUIRE(b.told<common::Prepare>(kAgent).size() == 1);
  const common::Term term = b.told<common::Prepare>(kAgent)[0].term;
  CHECK(term == common::Term{5, "R1"});
  CHECK(b.got<vrrpd::StoreTerm>().back() == vrrpd::StoreTerm{"G", term});
  CHECK(b.group().phase == common::Phase::claiming);
  CHECK(b.got<vrrpd::AddAddress>().empty());
  // What belongs to an older term is ignored.
  b.say(kSyncd, common::Ready{"G", {4, "R1"}, true, {}}).say(kAgent, common::Ready{"G", term, true, {}});
  CHECK(b.got<vrrpd::AddAddress>().empty());
  CHECK(b.group().counters.at("stale_answer") == 1);
  b.say(kSyncd, common::Ready{"G", term, true, {}});
  CHECK(b.got<vrrpd::AddAddress>().size() == 2);
  CHECK(b.told<common::Open>(kAgent) == std::vector<common::Open>{{"G", term, common::OpenReason::ready}});
  CHECK(b.told<common::Entered>(kSyncd).at(0).state == GroupState::master);
  CHECK(b.group().gate == "open");
  b.say(kSyncd, common::Ready{"G", term, true, {}});  // once more: nothing
  CHECK(b.got<vrrpd::AddAddress>().empty());
  CHECK(b.told<common::Open>(kAgent).empty());
  // The timeline of the takeover can be read afterwards.
  const auto record = b.group().transitions.back();
  CHECK(record.to == GroupState::master);
  CHECK(record.timeline.size() == 6);
}

TEST_CASE("takeover: a syncd that dies while it is waited for is not waited for any longer", "[engine]") {
  Bench b(full(), {.terms = {}, .table_was_loaded = true});
  b.connect(kSyncd, Role::syncd).connect(kAgent, Role::agent).links_up().pass(4s + 700ms);
  b.say(kAgent, common::Ready{"G", {1, "R1"}, true, {}});
  CHECK(b.state() == GroupState::backup);
  b.feed(vrrpd::ClientClosed{kSyncd});
  CHECK(b.state() == GroupState::master);
  CHECK(b.group().counters.at("absent_participant") == 1);
}

TEST_CASE("takeover: not ready, but no peer was ever there: opens all the same", "[engine]") {
  Bench b(full(), {.terms = {}, .table_was_loaded = true});
  b.connect(kSyncd, Role::syncd).connect(kAgent, Role::agent).links_up().pass(4s + 700ms);
  b.say(kAgent, common::Ready{"G", {1, "R1"}, true, {}}).say(kSyncd, common::Ready{"G", {1, "R1"}, false, "empty"});
  CHECK(b.told<common::Open>(kAgent).size() == 1);
}

TEST_CASE("terms: a participant knows a newer one than we do", "[engine]") {
  Bench b(full(), {.terms = {}, .table_was_loaded = true});
  b.connect(kAgent, Role::agent);
  b.feed(vrrpd::ClientConnected{kSyncd, true});
  b.say(kSyncd, common::Hello{.role = Role::syncd, .node = "R1", .terms = {{"G", {9, "R2"}}}});
  CHECK(b.group().term == common::Term{9, "R2"});
  // A lie that would end in an overflow is not believed.
  b.say(kSyncd,
        common::PeerReport{.link = common::LinkState::up,
                           .node = "R2",
                           .heard = true,
                           .groups = {{.group = "G", .state = GroupState::backup, .term = {~std::uint64_t{0}, "R2"}}},
                           .replicas = {}});
  CHECK(b.group().term == common::Term{9, "R2"});
  CHECK(b.group().counters.at("term_refused") == 1);
}

TEST_CASE("terms: one that no node can have reached is not taken up from a file either", "[engine]") {
  Bench b(full(), {.terms = {{"G", {~std::uint64_t{0}, "R1"}}}, .table_was_loaded = true});
  CHECK(b.group().term == common::Term{});
  CHECK(b.group().counters.at("term_refused") == 1);
}

TEST_CASE("faults: no interface, no carrier, no address, no table; each is said, and ends when it ends", "[engine]") {
  Bench b(full());
  b.pass(1s);
  CHECK(b.state() == GroupState::fault);
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("not been looked at"));
  b.feed(vrrpd::LinkChanged{"wan", false, false, {}, {}});
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("does not exist"));
  b.feed(vrrpd::LinkChanged{"wan", true, false, {}, {}});
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("carrier"));
  b.feed(vrrpd::LinkChanged{"wan", true, true, {}, {}});
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("address"));
  b.links_up();
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("natctl agent"));
  b.connect(kAgent, Role::agent).say(kAgent, common::TableReport{true, {}});
  CHECK(b.state() == GroupState::backup);
  // A dead agent lowers the priority and takes nothing down.
  CHECK(b.group().priority == 90);  // syncd has not come yet
  b.feed(vrrpd::ClientClosed{kAgent});
  CHECK(b.state() == GroupState::backup);
  CHECK(b.group().priority == 80);
}

TEST_CASE("a syncd that is far behind lowers the priority, and says so; only a living link can tell", "[engine]") {
  common::Config config = full();
  config.nat.reset();
  Bench b(config);
  b.links_up();
  b.connect(kSyncd, Role::syncd);
  const auto report = [&](common::LinkState link, bool complete) {
    b.say(kSyncd, common::PeerReport{.link = link,
                                     .node = "R2",
                                     .heard = true,
                                     .groups = {},
                                     .replicas = {{.group = "G", .complete = complete}}});
  };
  const auto pass = [&](Duration time) {
    for (const Time end = b.now + time; b.now < end; b.pass(100ms)) {
      b.advert(200);
      b.advert(200, "10.1.0.3", 1s, "lan", 11);
    }
  };
  report(common::LinkState::up, true);
  CHECK(b.group().priority == 100);
  report(common::LinkState::up, false);
  CHECK(b.group().priority == 90);
  report(common::LinkState::down, false);
  CHECK(b.group().priority == 100);
  report(common::LinkState::up, true);
  pass(2900ms);
  CHECK(b.group().priority == 100);
  pass(200ms);
  CHECK(b.state() == GroupState::backup);
  CHECK(b.group().priority == 90);
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("has said nothing for three seconds"));
  report(common::LinkState::up, true);
  CHECK(b.group().priority == 100);
  // What a master lacks, nobody has; and what it is master of it has.
  report(common::LinkState::up, false);
  b.feed(vrrpd::ClientClosed{kSyncd});
  CHECK(b.group().priority == 90);
  b.pass(5s);
  REQUIRE(b.state() == GroupState::master);
  b.connect(kSyncd, Role::syncd);
  report(common::LinkState::up, false);
  CHECK(b.group().priority == 100);
}

TEST_CASE("addresses: it is no error that one exists; another error is logged once and tried again", "[engine]") {
  Bench b;
  b.make_master();
  b.feed(vrrpd::AddressResult{"wan", {ip("10.0.0.254"), 24}, true, 17});
  CHECK(b.got<vrrpd::Log>().empty());
  b.feed(vrrpd::AddressResult{"wan", {ip("10.0.0.254"), 24}, true, 22});
  CHECK(b.got<vrrpd::Log>().size() == 1);
  b.feed(vrrpd::AddressResult{"wan", {ip("10.0.0.254"), 24}, true, 22});
  CHECK(b.got<vrrpd::Log>().empty());
  CHECK(b.group().counters.at("address_failed") == 2);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("hooks are called as keepalived calls them, after everything else", "[engine]") {
  Bench b;
  b.links_up().pass(4s);
  const auto hooks = b.got<vrrpd::RunHook>();
  REQUIRE(hooks.size() == 2);
  CHECK(hooks[0].path == "/master");
  CHECK(hooks[1].path == "/notify");
  CHECK(hooks[1].arguments == std::vector<std::string>{"GROUP", "G", "MASTER", "100"});
  CHECK(hooks[1].user == "nobody");
  b.feed(vrrpd::Stop{});
  CHECK(b.got<vrrpd::RunHook>().at(0).arguments[2] == "STOP");
}

TEST_CASE("without groups there is nothing to do, and stopping is done at once", "[engine]") {
  common::Config config;
  config.node = "R1";
  Bench b(config);
  CHECK_FALSE(b.engine.deadline().has_value());
  b.feed(vrrpd::Stop{});
  CHECK(b.got<vrrpd::Finished>().size() == 1);
}

namespace {

common::PeerReport random_report(common::Prng& random, const common::Term& term) {
  const common::GroupReport said{.group = "G",
                                 .state = static_cast<GroupState>(random.below(4)),
                                 .phase = static_cast<common::Phase>(random.below(6)),
                                 .term = term,
                                 .complete = random.chance(0.5),
                                 .priority = static_cast<int>(random.below(255))};
  return {.link = static_cast<common::LinkState>(random.below(4)),
          .node = "R2",
          .heard = true,
          .groups = {said},
          .replicas = {{"G", random.chance(0.5), 0}}};
}

}  // namespace

TEST_CASE("any order of random events: no invariant breaks, and deadlines lie ahead", "[engine]") {
  common::Prng random(GENERATE(1, 2, 3, 4, 5, 6, 7, 8));
  Bench b(full(), {.terms = {}, .table_was_loaded = true});
  b.links_up();
  for (int i = 0; i < 4000; ++i) {
    const vrrpd::ClientId client = 1 + random.below(4);
    const common::Term term{random.below(30), random.chance(0.5) ? "R1" : "R2"};
    switch (random.below(12)) {
      case 0:
        b.connect(client, static_cast<Role>(random.below(4)));
        break;
      case 1:
        b.feed(vrrpd::ClientClosed{client});
        break;
      case 2:
        b.say(client, common::Ready{"G", b.group().term, random.chance(0.8), {}});
        break;
      case 3:
        b.say(client, common::Drained{"G", b.group().term, random.chance(0.5), {}});
        break;
      case 4:
      case 5:
        b.say(client, random_report(random, term));
        break;
      case 6:
        b.advert(static_cast<int>(random.below(256)), random.chance(0.5) ? "10.0.0.1" : "10.0.0.3");
        break;
      case 7:
        b.advert(static_cast<int>(random.below(256)), "10.1.0.3", 1s, "lan", 11);
        break;
      case 8:
        b.feed(vrrpd::LinkChanged{"wan", true, random.chance(0.9), Bench::own("wan"), {}});
        break;
      case 9:
        b.say(client,
              common::Request{1, random.chance(0.5) ? "switchover" : "release",
                              random.chance(0.3) ? std::vector<std::string>{"--force"} : std::vector<std::string>{}});
        break;
      case 10:
        b.pass(std::chrono::milliseconds(random.below(2000)));
        break;
      case 11:
        b.now += std::chrono::milliseconds(random.below(9000));
        break;  // stopped meanwhile
    }
    b.pass(0ms);
    if (b.engine.deadline()) REQUIRE(*b.engine.deadline() > b.now);
  }
  b.feed(vrrpd::Stop{});
  b.pass(1s);
  CHECK_FALSE(b.engine.deadline().has_value());
}
