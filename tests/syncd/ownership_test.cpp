#include "syncd/ownership.hpp"

#include <catch2/catch.hpp>

#include "syncd/audit.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

constexpr Duration kHealed = syncd::kAuditTurn + 1500ms;
constexpr unsigned kFlows = 40;

/// Of a host behind the routers, whose address may become a router's own.
Flow of_host(unsigned n, std::uint8_t state = 3) {
  Flow f = flow(n, 6, state);
  f.key.original.source = ip("192.168.100.50");
  return f;
}

void put(Pair& p, std::uint8_t state = 3) {
  for (unsigned n = 0; n < kFlows; ++n) p.box[0].kernel.put(of_host(n, state), p.now);
}

void addresses(Pair& p, int i, bool with_host) {
  OwnAddresses own{{ip(i == 0 ? "10.10.0.102" : "10.10.0.103"), ip(i == 0 ? "192.168.100.2" : "192.168.100.3")}};
  if (with_host) own.addresses.push_back(ip("192.168.100.50"));
  p.step(i, own);
}

std::uint64_t known(const Pair& p, int i) {
  const Status status = p.box[i].engine->status(p.now);
  return status.local_flows + status.peer_flows;
}

}  // namespace

TEST_CASE("what becomes the backup's own leaves its replica, and comes back when it is its own no more") {
  Pair p;
  p.start_both();
  put(p);
  for (unsigned n = 1000; n < 1100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  REQUIRE(known(p, 1) == 100 + kFlows);
  addresses(p, 1, true);
  p.run(100ms);
  CHECK(known(p, 1) == 100);
  CHECK(p.box[1].kernel.entries.size() == 100 + kFlows);  // whose they are now, its kernel knows
  p.box[0].kernel.put(of_host(0, 4), p.now);
  p.box[0].kernel.put(of_host(kFlows), p.now);
  p.box[0].kernel.remove(of_host(1).key);
  p.run(kHealed);
  CHECK(known(p, 1) == 100);
  CHECK(p.counter(1, "audit_compared") > 0);
  CHECK(p.counter(1, "audit_differing") == 0);
  addresses(p, 1, false);
  p.run(kHealed);
  CHECK(known(p, 1) == 100 + kFlows);
  p.box[1].kernel.remove(of_host(1).key);  // as it would run out
  p.run(100ms);
  CHECK(p.same_kernels());
}

TEST_CASE("of what becomes the master's own the peer keeps nothing, until it is its own no more") {
  Pair p;
  p.start_both();
  put(p);
  p.run(100ms);
  REQUIRE(p.same_kernels());
  addresses(p, 0, true);
  put(p, 4);  // and so they go on
  p.run(100ms);
  put(p, 5);
  p.run(100ms);
  CHECK(known(p, 0) == 0);
  CHECK(known(p, 1) == 0);
  CHECK(p.box[0].kernel.entries.size() == kFlows);
  CHECK(p.box[1].kernel.entries.empty());
  addresses(p, 0, false);
  p.run(1s);
  CHECK(known(p, 0) == kFlows);
  CHECK(p.same_kernels());
  p.run(kHealed);
  CHECK(p.counter(1, "audit_differing") == 0);
}

TEST_CASE("the same tuple does not come back from its ending as the master's own") {
  Pair p;
  p.start_both();
  put(p);
  p.run(100ms);
  addresses(p, 0, true);
  p.network.cut = true;  // the endings are under way for long
  put(p, 4);
  p.run(50ms);
  put(p, 5);
  p.network.cut = false;
  p.run(1s);
  CHECK(known(p, 0) == 0);
  CHECK(known(p, 1) == 0);
}

TEST_CASE("a reload that makes an address virtual, or no longer, decides anew what is a router's own") {
  Pair p;
  p.start_both();
  addresses(p, 1, true);
  put(p);
  p.run(100ms);
  REQUIRE(known(p, 1) == 0);
  common::Config configs[2] = {p.box[0].config, p.box[1].config};
  for (int i : {0, 1}) {
    p.box[i].config.vrrp->groups[0].instances[1].virtual_addresses.push_back(
        *common::Prefix::parse("192.168.100.50/24"));
    p.step(i, Reload{.config = p.box[i].config});
  }
  p.run(kHealed);
  CHECK(known(p, 1) == kFlows);
  CHECK(p.same_kernels());
  for (int i : {0, 1}) p.step(i, Reload{.config = configs[i]});
  p.run(100ms);
  CHECK(known(p, 1) == 0);
  put(p, 4);
  p.run(kHealed);
  CHECK(known(p, 1) == 0);
  CHECK(p.counter(1, "own_address_flows") >= 3 * kFlows);
}
