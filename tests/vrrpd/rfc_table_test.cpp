// RFC 9568: one row for each MUST that a router without a link-layer of its own can keep, with a case in which it has
// to do something and one in which it must not. What needs a kernel (who answers ARP, with which MAC) is asked end to
// end.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "bench.hpp"

using namespace bench;
using vrrpd::AddAddress;
using vrrpd::Advert;
using vrrpd::Announce;
using vrrpd::RemoveAddress;
using vrrpd::SendAdvert;

namespace {

struct Must {
  const char* clause;
  const char* says;
  std::function<bool()> kept;      ///< true: what must happen does
  std::function<bool()> not_more;  ///< true: what must not happen does not
};

Bench backup(common::Config config = plain()) {
  Bench b(std::move(config));
  b.links_up();
  return b;
}

Bench active(common::Config config = plain()) {
  Bench b(std::move(config));
  b.links_up().pass(kDown).pass(10s + 500ms);  // between two adverts
  b.actions.clear();
  return b;
}

common::Config six() {
  common::Config config = plain();
  config.vrrp->groups[0].instances[0].virtual_addresses = {{ip("fe80::254"), 64}};
  return config;
}

common::Config owner() {
  common::Config config = plain();
  config.vrrp->groups[0].priority = 255;
  config.vrrp->groups[0].instances[0].virtual_addresses = {{ip("10.0.0.2"), 24}};
  return config;
}

/// A good advert of priority 200 with one byte of it changed (none: at 255) and the checksum made right again.
common::Bytes changed(std::size_t at = 255, std::uint8_t value = 0, std::size_t size = 12, bool right = true) {
  common::Bytes packet = encode(Advert{10, 200, 1s, {ip("10.0.0.254")}}, ip("10.0.0.3"), vrrpd::vrrp_multicast(),
                                vrrpd::ChecksumForm::rfc9568);
  packet.resize(size);
  if (at < size) packet[at] = static_cast<std::byte>(value);
  packet[6] = packet[7] = std::byte{0};
  const std::uint16_t sum = common::checksum_finish(common::checksum_add(0, packet));
  packet[6] = static_cast<std::byte>(sum >> 8);
  packet[7] = static_cast<std::byte>((sum & 0xff) ^ (right ? 0 : 1));
  return packet;
}

/// A backup that hears such a packet: was it a sign of life?
bool heard(common::Bytes packet, std::uint8_t ttl = 255, const char* from = "10.0.0.3") {
  Bench b = backup();
  b.pass(3s);
  b.feed(vrrpd::AdvertReceived{"wan", ip(from), vrrpd::vrrp_multicast(), ttl, std::move(packet)});
  b.pass(1s);
  return b.state() == GroupState::backup;
}

bool sends(const Bench& b, int priority) {
  const auto sent = b.sent_priorities();
  return std::ranges::find(sent, priority) != sent.end();
}

int byte_sent(Bench b, std::size_t at) {
  b.pass(1s);
  return std::to_integer<int>(b.got<SendAdvert>().at(0).payload.at(at));
}

std::optional<Advert> first_sent(Bench b) {
  b.pass(1s);
  const SendAdvert sent = b.got<SendAdvert>().at(0);
  const auto decoded = vrrpd::decode({sent.source, sent.destination, 255, sent.payload}, {.vrid = 10});
  return decoded ? std::optional(decoded->advert) : std::nullopt;
}

bool preempts(common::Config config) {
  Bench b = backup(std::move(config));
  for (int i = 0; i < 6; ++i) b.advert(50).pass(1s);
  return b.state() == GroupState::master;
}

common::Config without_preemption() {
  common::Config config = plain();
  config.vrrp->groups[0].preempt = false;
  return config;
}

const std::vector<Must> kPackets{
    {"5.1.1.1", "the source is the interface's primary address",
     [] {
       Bench b = active();
       b.pass(1s);
       return b.got<SendAdvert>().at(0).source == ip("10.0.0.2");
     },
     [] {
       Bench b;
       auto link = Bench::link("wan");
       link.primary = {};
       b.feed(link).pass(10s);
       return b.got<SendAdvert>().empty();
     }},
    {"5.1.1.2", "IPv4 goes to 224.0.0.18",
     [] {
       Bench b = active();
       b.pass(1s);
       return b.got<SendAdvert>().at(0).destination == ip("224.0.0.18");
     },
     [] {
       Bench b = backup();
       b.feed(vrrpd::AdvertReceived{"wan", ip("10.0.0.3"), ip("10.0.0.2"), 255, changed()}).pass(4s);
       return b.state() == GroupState::master;
     }},
    {"5.1.1.3", "a TTL that is not 255 is discarded", [] { return heard(changed()); },
     [] { return !heard(changed(), 254) && !heard(changed(), 1); }},
    {"5.1.2.1, 5.1.2.2", "IPv6 goes from the link-local address to ff02::12",
     [] {
       Bench b = active(six());
       b.pass(1s);
       return b.got<SendAdvert>().at(0).source == ip("fe80::2") &&
              b.got<SendAdvert>().at(0).destination == ip("ff02::12");
     },
     [] {
       Bench b(six());
       auto link = Bench::link("wan");
       link.link_local = {};
       b.feed(link).pass(10s);
       return b.got<SendAdvert>().empty();
     }},
    {"5.2.1, 7.1", "the version is 3, another one is discarded", [] { return byte_sent(active(), 0) == 0x31; },
     [] { return !heard(changed(0, 0x41)) && !heard(changed(0, 0x21)); }},
    {"5.2.2", "an unknown type is discarded", [] { return heard(changed(0, 0x31)); },
     [] { return !heard(changed(0, 0x32)) && !heard(changed(0, 0x30)); }},
    {"5.2.3, 7.1", "the VRID must be configured on the receiving interface", [] { return heard(changed(1, 10)); },
     [] { return !heard(changed(1, 11)); }},
    {"5.2.4", "the owner says 255; 0 says that the active router leaves",
     [] { return first_sent(backup(owner()))->priority == 255; }, [] { return first_sent(active())->priority == 100; }},
    {"5.2.5, erratum 8299", "a count of 0 is ignored", [] { return heard(changed(3, 1)); },
     [] { return !heard(changed(3, 0, 8)) && !heard(changed(3, 0)); }},
    {"5.2.6", "the reserved bits are sent as 0 and ignored when received",
     [] { return (byte_sent(active(), 4) & 0xf0) == 0; }, [] { return heard(changed(4, 0xf0)); }},
    {"5.2.7, erratum 8301", "an interval of 0 is discarded", [] { return first_sent(active())->interval == 1s; },
     [] {
       common::Bytes packet = changed(5, 0);
       return !heard(packet);
     }},
    {"5.2.8, 7.1", "a wrong checksum is discarded", [] { return heard(changed()); },
     [] { return !heard(changed(255, 0, 12, false)); }},
    {"5.2.9, erratum 8300", "the first IPv6 address is link-local",
     [] {
       return vrrpd::decode({ip("fe80::3"), ip("ff02::12"), 255,
                             encode(Advert{10, 200, 1s, {ip("fe80::254"), ip("2001:db8::1")}}, ip("fe80::3"),
                                    ip("ff02::12"), vrrpd::ChecksumForm::rfc5798)},
                            {.vrid = 10})
           .has_value();
     },
     [] {
       return !vrrpd::decode({ip("fe80::3"), ip("ff02::12"), 255,
                              encode(Advert{10, 200, 1s, {ip("2001:db8::1"), ip("fe80::254")}}, ip("fe80::3"),
                                     ip("ff02::12"), vrrpd::ChecksumForm::rfc5798)},
                             {.vrid = 10})
                   .has_value();
     }},
    {"7.1", "an incomplete packet is discarded", [] { return heard(changed(255, 0, 12)); },
     [] { return !heard(changed(255, 0, 11)) && !heard(changed(3, 2)) && !heard(changed(255, 0, 8)); }},
    {"7.1", "another list of addresses is no reason to discard", [] { return heard(changed(11, 99)); },
     [] {
       Bench b = backup();
       b.feed(vrrpd::AdvertReceived{"wan", ip("10.0.0.3"), vrrpd::vrrp_multicast(), 255, changed(11, 99)});
       return b.counter("address_mismatch") == 1;
     }},
};

const std::vector<Must> kStates{
    {"6.4.1", "the owner becomes Active at once, every other router Backup",
     [] {
       Bench b = backup(owner());
       return b.state() == GroupState::master && sends(b, 255);
     },
     [] { return backup().state() == GroupState::backup; }},
    {"6.4.2", "a Backup sends no advert and has none of the addresses",
     [] {
       Bench b = backup();
       b.advert(200).pass(3s);
       return b.state() == GroupState::backup;
     },
     [] {
       Bench b = backup();
       b.advert(200).pass(3s);
       return b.got<SendAdvert>().empty() && b.got<AddAddress>().empty() && b.got<Announce>().empty();
     }},
    {"6.4.2", "the down timer: an advert, the addresses announced, Active",
     [] {
       Bench b = backup();
       b.pass(kDown);
       return sends(b, 100) && !b.got<AddAddress>().empty() && !b.got<Announce>().empty();
     },
     [] {
       Bench b = backup();
       b.pass(kDown - 1ns);
       return b.got<SendAdvert>().empty() && b.state() == GroupState::backup;
     }},
    {"6.4.2", "priority 0: the down timer becomes the skew",
     [] {
       Bench b = backup();
       b.advert(200).advert(0).pass(kSkew);
       return b.state() == GroupState::master;
     },
     [] {
       Bench b = backup();
       b.advert(200).advert(0).pass(kSkew - 1ns);
       return b.state() == GroupState::backup;
     }},
    {"6.4.2", "a priority not below ours: its interval, and the timer anew",
     [] {
       Bench b = backup();
       b.advert(100, "10.0.0.3", 5s).pass(15s);
       return b.state() == GroupState::backup;
     },
     [] {
       Bench b = backup();
       b.advert(100, "10.0.0.3", 5s).pass(15s + 5 * kSkew);
       return b.state() == GroupState::master;
     }},
    {"6.4.2, 6.1", "a lower one is discarded, unless Preempt_Mode is False", [] { return preempts(plain()); },
     [] { return !preempts(without_preemption()); }},
    {"6.4.2", "Shutdown: nothing is sent",
     [] {
       Bench b = backup();
       b.advert(200).feed(vrrpd::Stop{});
       return b.state() == GroupState::initialize;
     },
     [] {
       Bench b = backup();
       b.advert(200).feed(vrrpd::Stop{});
       return b.got<SendAdvert>().empty();
     }},
    {"6.4.3", "the advert timer: one for each interval",
     [] {
       Bench b = active();
       b.pass(10s);
       return b.got<SendAdvert>().size() == 10;
     },
     [] {
       Bench b = active();
       b.pass(500ms).pass(1s - 1ns);
       return b.got<SendAdvert>().empty();
     }},
    {"6.4.3", "Shutdown: priority 0, and the addresses go",
     [] {
       Bench b = active();
       b.feed(vrrpd::Stop{});
       return b.sent_priorities() == std::vector<int>{0} && b.got<RemoveAddress>().size() == 1;
     },
     [] {
       Bench b = active();
       b.feed(vrrpd::Stop{}).pass(10s);
       return b.got<SendAdvert>().empty();
     }},
    {"6.4.3", "priority 0 is answered with an advert, and the timer starts anew",
     [] {
       Bench b = active();
       b.pass(100ms).advert(0);
       return b.sent_priorities() == std::vector<int>{100};
     },
     [] {
       Bench b = active();
       b.pass(100ms).advert(0).pass(999ms);
       return b.got<SendAdvert>().empty() && b.state() == GroupState::master;
     }},
    {"6.4.3", "a higher priority, or an equal one from a higher address: Backup",
     [] {
       Bench higher = active(), equal = active();
       higher.advert(101);
       equal.advert(100, "10.0.0.3");
       return higher.state() == GroupState::backup && equal.state() == GroupState::backup;
     },
     [] {
       Bench lower = active(), equal = active();
       lower.advert(99);
       equal.advert(100, "10.0.0.1");
       return lower.state() == GroupState::master && equal.state() == GroupState::master;
     }},
    {"6.4.3", "a lower one is discarded and answered at once",
     [] {
       Bench b = active();
       b.pass(100ms).advert(99);
       return b.sent_priorities() == std::vector<int>{100};
     },
     [] {
       Bench b = active();
       b.pass(100ms).advert(101);
       return b.got<SendAdvert>().empty();
     }},
    {"6.4.3, 585", "no priority 0 from who yields to a higher one",
     [] {
       Bench b = active();
       b.advert(200);
       return b.got<RemoveAddress>().size() == 1;
     },
     [] {
       Bench b = active();
       b.advert(200);
       return !sends(b, 0);
     }},
    {"7.2", "the source MAC is the virtual router's, once it answers for the addresses",
     [] {
       common::Config config = plain();
       config.vrrp->groups[0].instances[0].virtual_mac = "vm";
       Bench b = active(config);
       b.pass(1s);
       return b.got<SendAdvert>().at(0).device == "vm";
     },
     [] {
       common::Config config = plain();
       config.vrrp->groups[0].instances[0].virtual_mac = "vm";
       Bench b = active(config);
       b.feed(vrrpd::Stop{});
       return b.got<SendAdvert>().at(0).device.empty();
     }},
    {"8.4.1", "with both versions the active router sends both",
     [] {
       common::Config config = plain();
       config.vrrp->groups[0].instances[0].version = common::VrrpVersion::both;
       Bench b = active(config);
       b.pass(1s);
       return b.got<SendAdvert>().size() == 2;
     },
     [] {
       Bench b = active();
       b.pass(1s);
       return b.got<SendAdvert>().size() == 1;
     }},
};

}  // namespace

TEST_CASE("RFC 9568: every MUST about packets", "[rfc]") {
  for (const Must& must : kPackets) {
    INFO(must.clause << ": " << must.says);
    CHECK(must.kept());
    CHECK(must.not_more());
  }
}

TEST_CASE("RFC 9568: every MUST about states", "[rfc]") {
  for (const Must& must : kStates) {
    INFO(must.clause << ": " << must.says);
    CHECK(must.kept());
    CHECK(must.not_more());
  }
}

namespace {

enum class Happens { start, down_timer, advert_timer, shutdown, zero, lower, equal_low, equal_high, higher, link_lost };
constexpr Happens kEvents[] = {Happens::down_timer, Happens::advert_timer, Happens::shutdown,
                               Happens::zero,       Happens::lower,        Happens::equal_low,
                               Happens::equal_high, Happens::higher,       Happens::link_lost};

void happen(Bench& b, Happens event) {
  switch (event) {
    case Happens::start:
      b.links_up();
      return;
    case Happens::down_timer:
      b.pass(kDown + 1s);
      return;
    case Happens::advert_timer:
      b.pass(1s);
      return;
    case Happens::shutdown:
      b.feed(vrrpd::Stop{});
      return;
    case Happens::zero:
      b.advert(0);
      return;
    case Happens::lower:
      b.advert(50);
      return;
    case Happens::equal_low:
      b.advert(100, "10.0.0.1");
      return;
    case Happens::equal_high:
      b.advert(100, "10.0.0.3");
      return;
    case Happens::higher:
      b.advert(200);
      return;
    case Happens::link_lost: {
      auto link = Bench::link("wan");
      link.running = false;
      b.feed(link).pass(200ms);
      return;
    }
  }
}

struct Cell {
  GroupState state;
  std::vector<int> sent;  ///< priorities
};

/// 6.4 as a table: what each event makes of each state. Initialize: the interface cannot be used.
Cell expected(GroupState from, Happens event) {
  using enum GroupState;
  const bool out = event == Happens::shutdown;
  if (from == fault) return {out ? initialize : fault, {}};
  if (event == Happens::link_lost) return {fault, {}};
  if (from == backup) {
    if (event == Happens::down_timer) return {master, {100, 100}};
    return {out ? initialize : backup, {}};
  }
  switch (event) {
    case Happens::down_timer:
      return {master, {100, 100, 100, 100, 100}};
    case Happens::shutdown:
      return {initialize, {0}};
    case Happens::equal_high:
    case Happens::higher:
      return {backup, {}};
    case Happens::start:
    case Happens::advert_timer:
    case Happens::zero:
    case Happens::lower:
    case Happens::equal_low:
    case Happens::link_lost:
      break;
  }
  return {master, {100}};
}

Bench in_state(GroupState state) {
  if (state == GroupState::master) return active();
  Bench b = backup();
  if (state == GroupState::fault) happen(b, Happens::link_lost);
  b.actions.clear();
  return b;
}

}  // namespace

TEST_CASE("RFC 9568 6.4: every state and every event", "[rfc]") {
  for (const GroupState from : {GroupState::fault, GroupState::backup, GroupState::master})
    for (const Happens event : kEvents) {
      INFO(common::to_string(from) << " and event " << static_cast<int>(event));
      Bench b = in_state(from);
      REQUIRE(b.state() == from);
      happen(b, event);
      const Cell cell = expected(from, event);
      CHECK(b.state() == cell.state);
      CHECK(b.sent_priorities() == cell.sent);
    }
}
