// What a group tracks, and carriers that flap.
#include <catch2/catch.hpp>

#include "bench.hpp"

using namespace bench;
using vrrpd::Tracked;
using Kind = common::TrackConfig::Kind;

namespace {

common::Config tracking(common::TrackConfig track) {
  common::Config config = plain();
  track.name = "t";
  config.vrrp->groups[0].tracks = {std::move(track)};
  return config;
}

Bench& look(Bench& b, bool good, int value = 0) {
  return b.feed(Tracked{"G", "t", good, value});
}

Bench& carrier(Bench& b, bool there, const std::string& interface = "wan") {
  vrrpd::LinkChanged link = Bench::link(interface);
  link.running = there;
  return b.feed(link);
}

}  // namespace

TEST_CASE("tracking: what fails takes its weight off the priority, after so many looks, and gives it back", "[track]") {
  Bench b(tracking({.kind = Kind::script, .target = "/x", .weight = 30, .rise = 2, .fall = 3}));
  b.make_master();
  look(b, false);
  look(b, false);
  CHECK(b.group().priority == 100);
  look(b, true);  // begins anew
  look(b, false);
  look(b, false);
  CHECK(b.group().priority == 100);
  look(b, false);
  CHECK(b.group().priority == 70);
  CHECK(b.group().instances[0].priority == 70);
  b.pass(1s);
  CHECK(b.sent_priorities() == std::vector<int>{70});
  CHECK(b.state() == GroupState::master);
  look(b, true);
  CHECK(b.group().priority == 70);
  look(b, true);
  CHECK(b.group().priority == 100);
}

TEST_CASE("tracking: without a weight it is a fault that says what fails", "[track]") {
  Bench b(tracking({.kind = Kind::process, .target = "pppd"}));
  b.make_master();
  look(b, false).pass(200ms);
  CHECK(b.state() == GroupState::fault);
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("process pppd, which is tracked as t, fails"));
  look(b, true);
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("tracking: a file holds a number that is added, within the bounds of a priority", "[track]") {
  Bench b(tracking({.kind = Kind::file, .target = "/f"}));
  b.make_master();
  look(b, true, -40);
  CHECK(b.group().priority == 60);
  look(b, true, 253);
  CHECK(b.group().priority == 254);
  look(b, true, -253);
  CHECK(b.group().priority == 1);
  look(b, true, 0);
  CHECK(b.group().priority == 100);
  look(b, false).pass(200ms);
  CHECK(b.state() == GroupState::fault);
}

TEST_CASE("tracking: a look as the first thing after a long sleep leaves a group behind that goes on", "[track]") {
  Bench b(tracking({.kind = Kind::script, .target = "/x", .weight = 30}));
  b.make_master();
  b.now += 10s;
  look(b, true);
  CHECK(b.state() == GroupState::backup);
  b.pass(10s);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("tracking: an interface of no instance", "[track]") {
  Bench b(tracking({.kind = Kind::interface, .target = "eth5", .weight = 50}));
  b.make_master();
  CHECK(b.group().priority == 100);
  carrier(b, false, "eth5");
  CHECK(b.group().priority == 50);
  carrier(b, true, "eth5");
  CHECK(b.group().priority == 100);
}

TEST_CASE("tracking: a carrier of a tracked interface counts as late as that of a member", "[track]") {
  common::Config config = tracking({.kind = Kind::interface, .target = "eth5", .weight = 50});
  config.vrrp->groups[0].link_down_delay = 200ms;
  config.vrrp->groups[0].link_up_delay = 5s;
  Bench b(config);
  b.make_master();
  carrier(b, false, "eth5");  // the first word of it: how it is, and no flap
  CHECK(b.group().priority == 50);
  carrier(b, true, "eth5").pass(4900ms);
  CHECK(b.group().priority == 50);
  carrier(b, true, "eth5").pass(100ms);  // said once more: the delay goes on
  CHECK(b.group().priority == 100);
  carrier(b, false, "eth5").pass(150ms);
  carrier(b, true, "eth5").pass(150ms);
  CHECK(b.group().priority == 100);
  for (int i = 0; i < 20; ++i) {  // it flaps
    carrier(b, false, "eth5").pass(190ms);
    CHECK(b.group().priority == 100);
    carrier(b, true, "eth5").pass(10ms);
  }
  carrier(b, false, "eth5").pass(200ms);
  CHECK(b.group().priority == 50);
  carrier(b, true, "eth5").pass(5s);
  vrrpd::LinkChanged gone = Bench::link("eth5");
  gone.exists = gone.running = false;
  b.feed(gone);  // and what is gone is no flap either
  CHECK(b.group().priority == 50);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("tracking: a reload keeps what is known, unless something else is looked at", "[track]") {
  Bench b(tracking({.kind = Kind::script, .target = "/x", .weight = 30}));
  b.make_master();
  look(b, false);
  b.config.vrrp->groups[0].tracks[0].weight = 10;
  b.feed(vrrpd::Reload{b.config});
  CHECK(b.group().priority == 90);
  b.config.vrrp->groups[0].tracks[0].target = "/y";
  b.feed(vrrpd::Reload{b.config});
  CHECK(b.group().priority == 100);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("a carrier must be back for link_up_delay, and lost for link_down_delay, to count", "[track]") {
  common::Config config = plain();
  config.vrrp->groups[0].link_down_delay = 1s;
  config.vrrp->groups[0].link_up_delay = 5s;
  Bench b(config);
  b.make_master();
  carrier(b, false).pass(900ms);
  carrier(b, true).pass(5s);
  CHECK(b.state() == GroupState::master);
  CHECK(b.counter("sent") > 0);
  carrier(b, false).pass(999ms);
  CHECK(b.state() == GroupState::master);
  carrier(b, false).pass(150ms);  // said once more: the delay goes on
  CHECK(b.state() == GroupState::fault);
  carrier(b, true).pass(4s);
  CHECK(b.state() == GroupState::fault);
  carrier(b, false).pass(100ms);
  carrier(b, true).pass(4s);
  CHECK(b.state() == GroupState::fault);
  b.pass(1s);
  CHECK(b.state() == GroupState::backup);
}
