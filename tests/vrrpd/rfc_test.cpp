// RFC 9568, clause by clause, of a router that is alone with the protocol: no sync, no table.
#include <catch2/catch.hpp>

#include "bench.hpp"

using namespace bench;
using vrrpd::AddAddress;
using vrrpd::Announce;
using vrrpd::RemoveAddress;
using vrrpd::SendAdvert;

namespace {

std::size_t position(const vrrpd::Actions& actions, std::size_t alternative) {
  for (std::size_t i = 0; i < actions.size(); ++i)
    if (actions[i].index() == alternative) return i;
  return actions.size();
}

}  // namespace

TEST_CASE("9568 6.4.1: Startup leads to Backup, with the down timer from our own interval", "[rfc]") {
  Bench b;
  CHECK(b.state() == GroupState::initialize);
  b.links_up();
  CHECK(b.state() == GroupState::backup);
  CHECK(b.sent_priorities().empty());
  b.pass(kDown - 1ns);
  CHECK(b.state() == GroupState::backup);
  CHECK(b.sent_priorities().empty());  // 6.4.2: a backup sends nothing
  b.pass(1ns);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.2 (370-410): the down timer: advert first, then addresses, then gratuitous ARP", "[rfc]") {
  Bench b;
  b.links_up().pass(kDown);
  const std::size_t advert = position(b.actions, vrrpd::Action(SendAdvert{}).index());
  const std::size_t address = position(b.actions, vrrpd::Action(AddAddress{}).index());
  const std::size_t announce = position(b.actions, vrrpd::Action(Announce{}).index());
  CHECK(advert < address);
  CHECK(address < announce);
  CHECK(announce < b.actions.size());
  REQUIRE(b.got<SendAdvert>().size() == 1);
  CHECK(b.got<SendAdvert>()[0].source == ip("10.0.0.2"));
  CHECK(b.got<AddAddress>() == std::vector<AddAddress>{{"wan", {ip("10.0.0.254"), 24}, 2s}});
  CHECK(b.got<Announce>().size() == 1);
  b.pass(900ms);
  CHECK(b.got<Announce>().size() == 4);  // the rest of the series
}

TEST_CASE("9568 6.4.2 (415-420): priority 0 sets the down timer to the skew time", "[rfc]") {
  Bench b;
  b.links_up().pass(1s).advert(200).pass(500ms).advert(0);
  b.pass(kSkew - 1ns);
  CHECK(b.state() == GroupState::backup);
  b.pass(1ns);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.2: a repeated priority 0 does not start the skew anew", "[rfc]") {
  Bench b;
  b.links_up().advert(200).advert(0);
  for (int i = 0; i < 10; ++i) b.pass(60ms).advert(0);
  b.pass(kSkew - 600ms);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.2 (430-455): a priority not below ours re-arms, with the sender's interval", "[rfc]") {
  const int priority = GENERATE(100, 101, 255);
  Bench b;
  b.links_up().pass(3s).advert(priority, "10.0.0.3", 2s);
  b.pass(6s + 2 * kSkew - 1us);
  CHECK(b.state() == GroupState::backup);
  b.pass(1us);
  CHECK(b.state() == GroupState::master);
  CHECK(b.counter("interval_mismatch") == 1);  // 7.1: logged, not dropped
}

TEST_CASE("9568 6.4.2 (460): a lower priority is discarded, so that we preempt", "[rfc]") {
  Bench b;
  b.links_up();
  for (int i = 0; i < 3; ++i) b.pass(1s).advert(99);
  b.pass(kSkew);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.2 (430): with Preempt_Mode False a lower priority re-arms too", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].preempt = false;
  Bench b(config);
  b.links_up();
  for (int i = 0; i < 20; ++i) b.pass(1s).advert(1);
  CHECK(b.state() == GroupState::backup);
}

TEST_CASE("preempt_delay is counted from the first lower advert", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].preempt_delay = 10s;
  Bench b(config);
  b.links_up();
  for (int i = 0; i < 10; ++i) b.pass(1s).advert(1);
  CHECK(b.state() == GroupState::backup);
  for (int i = 0; i < 4; ++i) b.pass(1s).advert(1);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.2 (350): Shutdown in Backup sends nothing", "[rfc]") {
  Bench b;
  b.links_up().advert(200).feed(vrrpd::Stop{});
  CHECK(b.got<SendAdvert>().empty());
  CHECK(b.got<vrrpd::Finished>().size() == 1);
}

TEST_CASE("9568 6.4.3 (600): the advert timer sends every interval", "[rfc]") {
  Bench b;
  b.make_master().pass(10s);
  CHECK(b.sent_priorities() == std::vector<int>(10, 100));
}

TEST_CASE("9568 6.4.3 (610): priority 0 is answered with an advert, and the timer starts anew", "[rfc]") {
  Bench b;
  b.make_master().pass(300ms).advert(0);
  CHECK(b.sent_priorities() == std::vector<int>{100});
  b.pass(999ms);
  CHECK(b.sent_priorities().empty());
  b.pass(1ms);
  CHECK(b.sent_priorities() == std::vector<int>{100});
}

TEST_CASE("9568 6.4.3 (645-): a higher priority, or an equal one from a higher address: Backup, at its interval",
          "[rfc]") {
  const bool equal = GENERATE(true, false);
  Bench b;
  b.make_master().advert(equal ? 100 : 101, "10.0.0.3", 2s);
  CHECK(b.state() == GroupState::backup);
  CHECK(b.got<SendAdvert>().empty());  // no priority 0: somebody is there
  CHECK(b.got<RemoveAddress>().size() == 1);
  b.pass(6s + 2 * kSkew - 1us);
  CHECK(b.state() == GroupState::backup);
  b.pass(1us);
  CHECK(b.state() == GroupState::master);
}

TEST_CASE("9568 6.4.3 (675): a lower one, or an equal one from a lower address, is answered at once", "[rfc]") {
  const bool equal = GENERATE(true, false);
  Bench b;
  b.make_master().pass(500ms).advert(equal ? 100 : 99, equal ? "10.0.0.1" : "10.0.0.3");
  CHECK(b.state() == GroupState::master);
  CHECK(b.sent_priorities() == std::vector<int>{100});
  b.advert(50).advert(50).advert(50);
  CHECK(b.sent_priorities().empty());  // but not more often than every 10 ms
}

TEST_CASE("9568 6.4.3 (585): Shutdown in Active sends priority 0 and takes the addresses off", "[rfc]") {
  Bench b;
  b.make_master().feed(vrrpd::Stop{});
  CHECK(b.sent_priorities() == std::vector<int>{0});
  CHECK(b.got<RemoveAddress>().size() == 1);
  CHECK(b.got<vrrpd::Finished>().size() == 1);
  CHECK_FALSE(b.engine.deadline().has_value());
}

TEST_CASE("9568 7.1: each dropped advert is counted at the instance by its first fault", "[rfc]") {
  Bench b;
  b.links_up();
  const auto raw = [&](common::Bytes payload, std::uint8_t ttl = 255, const std::string& from = "10.0.0.3") {
    b.feed(vrrpd::AdvertReceived{"wan", ip(from), vrrpd::vrrp_multicast(), ttl, std::move(payload)});
  };
  const vrrpd::Advert good{10, 200, 1s, {ip("10.0.0.254")}};
  const common::Bytes packet = encode(good, ip("10.0.0.3"), vrrpd::vrrp_multicast(), vrrpd::ChecksumForm::rfc5798);
  raw(packet, 64);
  CHECK(b.counter("drop_ttl") == 1);
  common::Bytes broken = packet;
  broken[7] ^= std::byte{1};
  raw(broken);
  CHECK(b.counter("drop_checksum") == 1);
  broken = packet;
  broken[0] = std::byte{0x21};
  raw(broken);
  CHECK(b.counter("drop_version") == 1);
  broken.pop_back();
  broken[0] = std::byte{0x31};
  raw(broken);
  CHECK(b.counter("drop_length") == 1);
  // Our own, come back through a loop in the network: neither obeyed nor answered.
  raw(encode(good, ip("10.0.0.2"), vrrpd::vrrp_multicast(), vrrpd::ChecksumForm::rfc5798), 255, "10.0.0.2");
  CHECK(b.counter("drop_own") == 1);
  CHECK(b.counter("received") == 0);
  // A VRID, or an interface, that nobody has here.
  b.advert(200, "10.0.0.3", 1s, "wan", 77).advert(200, "10.0.0.3", 1s, "other");
  CHECK(b.engine.status(b.now).counters.at("drop_vrid") == 2);
  raw({});
  CHECK(b.engine.status(b.now).counters.at("drop_version") == 1);
  b.pass(kDown);
  CHECK(b.state() == GroupState::master);  // none of it counted as a sign of life
}

TEST_CASE("9568 7.1: another list of addresses is logged once and not dropped", "[rfc]") {
  common::Config config = plain();
  config.vrrp->groups[0].instances[0].virtual_addresses.push_back({ip("10.0.0.253"), 24});
  Bench b(config);
  b.links_up();
  std::size_t warnings = 0;
  for (int i = 0; i < 10; ++i) {
    b.pass(1s).advert(200);
    for (const auto& log : b.got<vrrpd::Log>()) warnings += log.name == "advert_mismatch" ? 1 : 0;
  }
  CHECK(b.state() == GroupState::backup);
  CHECK(warnings == 1);
  CHECK(b.counter("address_mismatch") == 10);
}

TEST_CASE("5.2.8: the dialect of the peer is taken over, rfc5798 until it is known", "[rfc]") {
  using vrrpd::ChecksumForm;
  const auto form_sent = [](const Bench& b) {
    const auto sent = b.got<SendAdvert>().at(0);
    const vrrpd::RawAdvert raw{sent.source, sent.destination, 255, sent.payload};
    return decode(raw, {.vrid = 10})->form;
  };
  Bench first;
  first.links_up().pass(kDown);
  CHECK(form_sent(first) == ChecksumForm::rfc5798);
  Bench b;
  b.links_up().advert(200, "10.0.0.3", 1s, "wan", 10, ChecksumForm::rfc9568).pass(kDown);
  CHECK(form_sent(b) == ChecksumForm::rfc9568);
  common::Config config = plain();
  config.vrrp->groups[0].instances[0].checksum = common::Checksum::rfc9568;
  Bench fixed(config);
  fixed.links_up().advert(200);
  CHECK(fixed.counter("drop_checksum") == 1);
  fixed.pass(kDown);
  CHECK(form_sent(fixed) == ChecksumForm::rfc9568);
}

TEST_CASE("a group moves only when all its members' timers have run out", "[rfc]") {
  Bench b(plain(2));
  b.links_up();
  for (int i = 0; i < 10; ++i) b.pass(1s).advert(200, "10.1.0.3", 1s, "lan", 11);
  CHECK(b.state() == GroupState::backup);
  b.pass(kDown);
  CHECK(b.state() == GroupState::master);
  b.pass(1s);
  CHECK(b.sent_priorities() == std::vector<int>{100, 100});
}

TEST_CASE("a higher advert on one member takes the whole group to backup", "[rfc]") {
  Bench b(plain(2));
  b.make_master().advert(200, "10.1.0.3", 1s, "lan", 11);
  CHECK(b.state() == GroupState::backup);
  CHECK(b.got<RemoveAddress>().size() == 2);
}

TEST_CASE("addresses are renewed eight times within their lifetime, and announced again", "[rfc]") {
  Bench b;
  b.links_up().pass(kDown).pass(2s);
  CHECK(b.got<AddAddress>().size() == 8);
  b.pass(2s);
  CHECK(b.got<Announce>().empty());
  b.pass(2s + 800ms);
  CHECK(b.got<Announce>().size() == 5);
  b.pass(60s);
  CHECK(b.got<Announce>().empty());
}
