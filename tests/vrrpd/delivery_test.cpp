// How an instance reaches its peer and what it has on the machine: unicast, the virtual MAC, excluded addresses,
// routes, announcements.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "bench.hpp"

using namespace bench;
using vrrpd::AddAddress;
using vrrpd::AddRoute;
using vrrpd::Announce;
using vrrpd::RemoveAddress;
using vrrpd::RemoveRoute;
using vrrpd::SendAdvert;
using vrrpd::SetDevice;

namespace {

common::InstanceConfig& instance_of(common::Config& config) {
  return config.vrrp->groups[0].instances[0];
}

common::Config unicast(std::uint8_t minimum_ttl = 255) {
  common::Config config = plain();
  instance_of(config).unicast = common::UnicastConfig{ip("10.0.0.2"), {ip("10.0.0.3"), ip("10.0.0.4")}, minimum_ttl};
  return config;
}

/// An advert of priority 200 to one address.
void hear(Bench& b, const std::string& from, const std::string& to, std::uint8_t ttl = 255) {
  const vrrpd::Advert advert{10, 200, 1s, {ip("10.0.0.254")}};
  b.feed(vrrpd::AdvertReceived{"wan", ip(from), ip(to), ttl,
                               encode(advert, ip(from), ip(to), vrrpd::ChecksumForm::rfc5798)});
}

common::Config with_virtual_mac() {
  common::Config config = plain();
  instance_of(config).virtual_mac = "vm";
  return config;
}

std::vector<std::size_t> kinds(const vrrpd::Actions& actions) {
  std::vector<std::size_t> result;
  for (const auto& action : actions) result.push_back(action.index());
  return result;
}

template <typename T>
std::size_t kind() {
  return vrrpd::Action(T{}).index();
}

}  // namespace

TEST_CASE("unicast: an advert to each peer, each with the checksum for it", "[delivery]") {
  Bench b(unicast());
  b.links_up().pass(3700ms);
  const auto sent = b.got<SendAdvert>();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].destination == ip("10.0.0.3"));
  CHECK(sent[1].destination == ip("10.0.0.4"));
  for (const SendAdvert& each : sent)
    CHECK(vrrpd::decode({each.source, each.destination, 255, each.payload},
                        {.checksum = common::Checksum::rfc5798, .vrid = 10})
              .has_value());
}

TEST_CASE("unicast: only peers are heard, only with a TTL that they can have, and multicast is not", "[delivery]") {
  Bench b(unicast());
  b.links_up();
  hear(b, "10.0.0.9", "10.0.0.2");
  CHECK(b.counter("drop_source") == 1);
  hear(b, "10.0.0.3", "224.0.0.18");
  CHECK(b.counter("drop_destination") == 1);
  hear(b, "10.0.0.3", "10.0.0.2", 254);
  CHECK(b.counter("drop_ttl") == 1);
  CHECK(b.counter("received") == 0);
  hear(b, "10.0.0.4", "10.0.0.2");
  CHECK(b.counter("received") == 1);
  Bench far(unicast(250));
  far.links_up();
  hear(far, "10.0.0.3", "10.0.0.2", 250);
  hear(far, "10.0.0.3", "10.0.0.2", 249);
  CHECK(far.counter("received") == 1);
  CHECK(far.counter("drop_ttl") == 1);
  // The other way round: what is sent to one address is nothing to those who share the group address.
  Bench multicast;
  multicast.links_up();
  hear(multicast, "10.0.0.3", "10.0.0.2");
  CHECK(multicast.counter("drop_destination") == 1);
}

TEST_CASE("unicast: without its own address there is nothing to send from", "[delivery]") {
  Bench b(unicast());
  vrrpd::LinkChanged link = Bench::link("wan");
  link.addresses = {ip("10.0.0.7")};
  b.feed(link).pass(1s);
  CHECK(b.state() == GroupState::fault);
  CHECK_THAT(b.group().reasons.at(0), Catch::Contains("10.0.0.2"));
  b.links_up();
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("excluded addresses live and die with the others, and no advert lists them", "[delivery]") {
  common::Config config = plain();
  instance_of(config).excluded_addresses = {{ip("10.0.5.1"), 32}, {ip("2001:db8::1"), 64}};
  Bench b(config);
  b.links_up().pass(3700ms);
  CHECK(b.got<AddAddress>().size() == 3);
  const auto advert = b.got<SendAdvert>().at(0);
  const auto decoded = vrrpd::decode({advert.source, advert.destination, 255, advert.payload}, {.vrid = 10});
  REQUIRE(decoded.has_value());
  CHECK(decoded->advert.addresses == std::vector{ip("10.0.0.254")});
  std::set<std::string> announced;
  for (const Announce& each : b.got<Announce>()) announced.insert(each.address.to_string());
  CHECK(announced == std::set<std::string>{"10.0.0.254", "10.0.5.1", "2001:db8::1"});
  b.feed(vrrpd::Stop{});
  CHECK(b.got<RemoveAddress>().size() == 3);
}

TEST_CASE("routes follow the addresses, and go before them", "[delivery]") {
  common::Config config = plain();
  const common::RouteConfig route{*common::Prefix::parse("0.0.0.0/0"), ip("10.0.0.1"), ip("10.0.0.254"), 0, 254};
  instance_of(config).virtual_routes = {route};
  Bench b(config);
  b.links_up().pass(3s + Duration(1s) * 156 / 256);
  REQUIRE(b.got<AddRoute>() == std::vector<AddRoute>{{"wan", route, 2s}});
  const auto order = kinds(b.actions);
  CHECK(std::ranges::find(order, kind<AddAddress>()) < std::ranges::find(order, kind<AddRoute>()));
  CHECK(std::ranges::find(order, kind<AddRoute>()) < std::ranges::find(order, kind<Announce>()));
  b.pass(250ms);
  CHECK(b.got<AddRoute>().size() == 1);  // renewed with the address
  b.feed(vrrpd::Stop{});
  const auto leaving = kinds(b.actions);
  CHECK(std::ranges::find(leaving, kind<RemoveRoute>()) < std::ranges::find(leaving, kind<RemoveAddress>()));
}

TEST_CASE("virtual MAC: up before the addresses, down before anything else can be sent from it", "[delivery]") {
  Bench b(with_virtual_mac());
  b.links_up();
  CHECK(b.got<SetDevice>().empty());  // it is down from the start
  b.pass(3657ms);
  REQUIRE(b.got<SetDevice>() == std::vector<SetDevice>{{"vm", true}});
  CHECK(b.got<AddAddress>().at(0).interface == "vm");
  CHECK(b.got<Announce>().at(0).interface == "vm");
  // The claim comes from the interface's own MAC: nobody takes what is sent to the virtual one yet.
  CHECK(b.got<SendAdvert>().at(0).device.empty());
  CHECK(b.got<SendAdvert>().at(0).interface == "wan");
  b.pass(1s);
  CHECK(b.got<SendAdvert>().at(0).device == "vm");
  CHECK(b.got<SendAdvert>().at(0).source == ip("10.0.0.2"));
  b.feed(vrrpd::Stop{});
  const auto leaving = kinds(b.actions);
  CHECK(b.got<SetDevice>() == std::vector<SetDevice>{{"vm", false}});
  CHECK(std::ranges::find(leaving, kind<SetDevice>()) < std::ranges::find(leaving, kind<RemoveAddress>()));
  CHECK(std::ranges::find(leaving, kind<SetDevice>()) < std::ranges::find(leaving, kind<SendAdvert>()));
  CHECK(b.got<SendAdvert>().at(0).device.empty());
}

TEST_CASE("virtual MAC: what a killed predecessor left up goes down when somebody else is master", "[delivery]") {
  Bench b(with_virtual_mac());
  b.links_up().advert(200);
  CHECK(b.got<SetDevice>() == std::vector<SetDevice>{{"vm", false}});
  b.pass(1s).advert(200);
  CHECK(b.got<SetDevice>().empty());
}

TEST_CASE("announcements: one per address at once, the rest of the series after it, again later, and on and on",
          "[delivery]") {
  common::Config config = plain(2);
  config.vrrp->groups[0].garp = {3, 5s, 60s};
  instance_of(config).garp = common::GarpConfig{1, 0s, 0s};
  Bench b(config);
  b.links_up().pass(3s + Duration(1s) * 156 / 256);
  CHECK(b.got<Announce>().size() == 2);
  b.pass(20ms);
  CHECK(b.got<Announce>().size() == 1);  // the second of `lan`
  b.pass(40ms);
  CHECK(b.got<Announce>().size() == 1);  // the third, after four times as long
  b.pass(4s);
  CHECK(b.got<Announce>().empty());
  b.pass(1s + 100ms);
  CHECK(b.got<Announce>().size() == 3);
  b.pass(60s);
  CHECK(b.got<Announce>().size() == 1);
  b.pass(600s);
  CHECK(b.got<Announce>().size() == 10);
}

TEST_CASE("instances have hooks of their own, called before those of the group", "[delivery]") {
  common::Config config = plain();
  instance_of(config).hooks = {.notify = "/i", .user = "daemon"};
  Bench b(config);
  b.links_up().pass(3700ms);
  const auto hooks = b.got<vrrpd::RunHook>();
  REQUIRE(hooks.size() == 3);
  CHECK(hooks[0].path == "/i");
  CHECK(hooks[0].arguments == std::vector<std::string>{"INSTANCE", "wan", "MASTER", "100"});
  CHECK(hooks[0].user == "daemon");
  CHECK(hooks[1].path == "/master");
}

namespace {

/// Master, long enough that the announcements of the takeover are over.
Bench calm_master(common::Config config = plain()) {
  Bench b(std::move(config));
  b.links_up().pass(3700ms).pass(10s);
  b.actions.clear();
  return b;
}

}  // namespace

TEST_CASE("disturbed: what another program takes away is back at once, announced, and no transition", "[delivery]") {
  Bench b = calm_master();
  const auto term = b.group().term;
  b.feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
  CHECK(b.got<AddAddress>() == std::vector<AddAddress>{{"wan", {ip("10.0.0.254"), 24}, 2s}});
  CHECK(b.got<Announce>().size() == 1);
  CHECK(b.got<SendAdvert>().empty());
  b.pass(900ms);
  CHECK(b.got<Announce>().size() == 4);
  CHECK(b.state() == GroupState::master);
  CHECK(b.group().term == term);
  CHECK(b.counter("repaired") == 1);
  CHECK(b.got<vrrpd::RunHook>().empty());
}

TEST_CASE("disturbed: a renewal is no repair", "[delivery]") {
  Bench b = calm_master();
  b.pass(2s);
  REQUIRE(b.got<AddAddress>().size() == 8);
  CHECK(std::ranges::all_of(b.got<AddAddress>(), &AddAddress::renewal));
}

TEST_CASE("disturbed: who removes it again and again is answered more and more rarely, and in calm at once again",
          "[delivery]") {
  Bench b = calm_master();
  const auto repairs_in = [&](Duration time) {
    std::size_t repairs = 0;
    for (const common::Time end = b.now + time; b.now < end;) {
      b.feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
      repairs += static_cast<std::size_t>(std::ranges::count(b.got<AddAddress>(), false, &AddAddress::renewal));
      b.pass(5ms);
      repairs += static_cast<std::size_t>(std::ranges::count(b.got<AddAddress>(), false, &AddAddress::renewal));
    }
    return repairs;
  };
  CHECK(repairs_in(100ms) == 5);  // at once, and every 20 ms
  CHECK(repairs_in(10s) < 10);
  CHECK(repairs_in(60s) < 10);
  CHECK(b.state() == GroupState::master);
  b.pass(41s).feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
  CHECK(b.got<AddAddress>().size() == 1);
}

TEST_CASE("disturbed: nothing is put on an interface by a backup, or on one that cannot be used", "[delivery]") {
  Bench b;
  b.links_up().advert(200).feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
  CHECK(b.got<AddAddress>().empty());
  Bench other = calm_master();
  other.feed(vrrpd::Disturbed{"lan", "10.0.0.254/24"});
  CHECK(other.got<AddAddress>().empty());
  other.feed(vrrpd::Stop{}).feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
  CHECK(other.got<AddAddress>().empty());
}

TEST_CASE("disturbed: as the first thing after a long sleep it leaves a group behind that goes on", "[delivery]") {
  Bench b = calm_master();
  b.now += 10s;
  b.feed(vrrpd::Disturbed{"wan", "10.0.0.254/24"});
  CHECK(b.state() == GroupState::backup);
  b.pass(10s);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("disturbed: with the interface of a virtual MAC all that was on it comes back", "[delivery]") {
  Bench b = calm_master(with_virtual_mac());
  b.feed(vrrpd::Disturbed{"vm", "the interface"});
  CHECK(b.got<SetDevice>() == std::vector<SetDevice>{{"vm", true}});
  CHECK(b.got<AddAddress>().size() == 1);
}

TEST_CASE("another MAC of the interface is announced", "[delivery]") {
  Bench b = calm_master();
  vrrpd::LinkChanged link = Bench::link("wan");
  link.mac = {{2, 0, 0, 0, 0, 9}};
  b.feed(link);
  CHECK(b.got<Announce>().size() == 1);
  CHECK(b.state() == GroupState::master);
  b.feed(link);
  CHECK(b.got<Announce>().empty());
}
