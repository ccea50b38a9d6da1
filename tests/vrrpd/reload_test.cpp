// Another configuration under way: what differs is applied, and nothing else happens.
#include <algorithm>
#include <catch2/catch.hpp>

#include "bench.hpp"

using namespace bench;
using vrrpd::AddAddress;
using vrrpd::Announce;
using vrrpd::RemoveAddress;
using vrrpd::SendAdvert;

namespace {

common::InstanceConfig& instance_of(common::Config& config, std::size_t i = 0) {
  return config.vrrp->groups[0].instances[i];
}

Bench master(common::Config config = plain()) {
  Bench b(std::move(config));
  b.links_up().pass(3700ms).pass(10s);
  b.actions.clear();
  return b;
}

/// Another configuration, and a whole interval of it. `b.actions` are those of both.
Bench& reload(Bench& b, const common::Config& config) {
  b.feed(vrrpd::Reload{config});
  vrrpd::Actions all = b.actions;
  b.pass(999ms);
  all.insert(all.end(), b.actions.begin(), b.actions.end());
  b.actions = std::move(all);
  return b;
}

template <typename T>
std::vector<std::string> addresses(const Bench& b) {
  std::vector<std::string> result;
  for (const T& each : b.got<T>()) result.push_back(each.address.to_string());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

void check_still_master(const Bench& b, const vrrpd::GroupStatus& before) {
  CHECK(b.state() == GroupState::master);
  CHECK(b.group().term == before.term);
  CHECK(b.group().transitions.size() == before.transitions.size());
  CHECK(b.got<vrrpd::RunHook>().empty());
}

}  // namespace

TEST_CASE("reload: the same instances go on without a missed advert", "[engine]") {
  Bench b;
  b.make_master();
  common::Config changed = b.config;
  changed.vrrp->groups[0].priority = 150;
  changed.vrrp->groups[0].advertise_interval = 500ms;
  b.feed(vrrpd::Reload{changed});
  CHECK(b.got<vrrpd::RemoveAddress>().empty());
  b.pass(4s);
  CHECK(b.sent_priorities().front() == 150);
  CHECK(b.sent_priorities().size() >= 7);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("reload: groups come and go", "[engine]") {
  Bench b;
  b.make_master();
  common::Config changed = b.config;
  changed.vrrp->groups[0].name = "OTHER";
  b.feed(vrrpd::Reload{changed});
  CHECK(b.sent_priorities() == std::vector<int>{0});
  REQUIRE(b.engine.status(b.now).groups.size() == 1);
  CHECK(b.group().name == "OTHER");
  b.pass(4s);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("reload: the same file: nothing is sent, added, removed or called but what is due", "[reload]") {
  Bench b = master();
  const auto before = b.group();
  b.feed(vrrpd::Reload{b.config});
  CHECK(b.got<SendAdvert>().empty());
  CHECK(b.got<RemoveAddress>().empty());
  CHECK(b.got<Announce>().empty());
  b.pass(1s);
  CHECK(b.sent_priorities() == std::vector<int>{100});
  check_still_master(b, before);
}

TEST_CASE("reload: addresses come and go without a transition, and the new ones are announced and advertised",
          "[reload]") {
  Bench b = master();
  const auto before = b.group();
  common::Config changed = b.config;
  instance_of(changed).virtual_addresses = {{ip("10.0.0.254"), 24}, {ip("10.0.0.200"), 24}};
  instance_of(changed).excluded_addresses = {{ip("10.0.9.1"), 32}};
  reload(b, changed);
  CHECK(b.got<RemoveAddress>().empty());
  CHECK(addresses<AddAddress>(b) == std::vector<std::string>{"10.0.0.200/24", "10.0.0.254/24", "10.0.9.1/32"});
  CHECK_FALSE(b.got<Announce>().empty());
  CHECK(b.sent_priorities() == std::vector<int>{100});
  const auto advert = b.got<SendAdvert>().at(0);
  CHECK(
      vrrpd::decode({advert.source, advert.destination, 255, advert.payload}, {.vrid = 10})->advert.addresses.size() ==
      2);
  check_still_master(b, before);
  b.pass(10s);
  instance_of(changed).virtual_addresses = {{ip("10.0.0.200"), 24}};
  instance_of(changed).excluded_addresses.clear();
  reload(b, changed);
  CHECK(addresses<RemoveAddress>(b) == std::vector<std::string>{"10.0.0.254/24", "10.0.9.1/32"});
  CHECK(b.got<Announce>().empty());
  CHECK(b.sent_priorities() == std::vector<int>{100});
  check_still_master(b, before);
}

TEST_CASE("reload: routes and the virtual MAC change under way", "[reload]") {
  Bench b = master();
  const auto before = b.group();
  common::Config changed = b.config;
  const common::RouteConfig route{*common::Prefix::parse("0.0.0.0/0"), ip("10.0.0.1"), ip("10.0.0.254"), 0, 254};
  instance_of(changed).virtual_routes = {route};
  reload(b, changed);
  CHECK(b.got<vrrpd::AddRoute>().at(0) == vrrpd::AddRoute{"wan", route, 2s});
  CHECK(b.got<RemoveAddress>().empty());
  instance_of(changed).virtual_mac = "vm";
  reload(b, changed);
  CHECK(b.got<vrrpd::RemoveRoute>().at(0).device == "wan");
  CHECK(b.got<RemoveAddress>().at(0).interface == "wan");
  CHECK(b.got<vrrpd::SetDevice>().at(0) == vrrpd::SetDevice{"vm", true});
  CHECK(b.got<AddAddress>().at(0).interface == "vm");
  CHECK(b.got<Announce>().at(0).interface == "vm");
  check_still_master(b, before);
}

TEST_CASE("reload: a new member of a live group joins it as soon as its interface can be used", "[reload]") {
  Bench b = master();
  const auto before = b.group();
  common::Config two = plain(2);
  reload(b, two);
  check_still_master(b, before);
  CHECK_THAT(b.group().reasons.back(), Catch::Contains("lan"));
  CHECK(b.group().instances.size() == 2);
  CHECK(b.group().instances[1].state == GroupState::initialize);
  vrrpd::LinkChanged dead = Bench::link("lan");
  dead.running = false;
  b.feed(dead).pass(5s);
  check_still_master(b, before);
  b.feed(Bench::link("lan"));
  CHECK(b.got<SendAdvert>().size() == 1);
  CHECK(b.got<SendAdvert>()[0].interface == "lan");
  CHECK(addresses<AddAddress>(b) == std::vector<std::string>{"10.1.0.254/24"});
  CHECK(b.got<Announce>().size() == 1);
  check_still_master(b, before);
  b.pass(1s);
  CHECK(b.sent_priorities().size() == 2);
  CHECK(b.group().instances[1].state == GroupState::master);
  // From now on it counts as the others do.
  b.feed(dead).pass(1s);
  CHECK(b.state() == GroupState::fault);
}

TEST_CASE("reload: a new member of a backup does not make it claim", "[reload]") {
  Bench b;
  b.links_up().advert(200);
  b.config = plain(2);
  b.feed(vrrpd::Reload{b.config}).feed(Bench::link("lan"));
  for (int i = 0; i < 10; ++i) b.pass(1s).advert(200);
  CHECK(b.state() == GroupState::backup);
  CHECK(b.group().instances.size() == 2);
  b.pass(4s);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("reload: a member that goes says goodbye, and takes its addresses along", "[reload]") {
  Bench b = master(plain(2));
  const auto before = b.group();
  common::Config one = plain();
  b.feed(vrrpd::Reload{one});
  CHECK(b.sent_priorities() == std::vector<int>{0});
  CHECK(b.got<SendAdvert>()[0].interface == "lan");
  CHECK(addresses<RemoveAddress>(b) == std::vector<std::string>{"10.1.0.254/24"});
  check_still_master(b, before);
  b.pass(1s);
  CHECK(b.sent_priorities() == std::vector<int>{100});
}

TEST_CASE("reload: with not one instance in common the group leaves and begins anew", "[reload]") {
  Bench b = master();
  common::Config changed = b.config;
  instance_of(changed).vrid = 77;
  b.feed(vrrpd::Reload{changed});
  CHECK(b.sent_priorities() == std::vector<int>{0});
  CHECK(b.got<RemoveAddress>().at(0).address == common::Prefix{ip("10.0.0.254"), 24});
  CHECK(b.state() == GroupState::backup);
  CHECK(b.group().term.counter == 1);  // and remembers its term
  b.pass(4s);
  CHECK(b.got<AddAddress>().at(0).address == common::Prefix{ip("10.0.0.254"), 24});
}
