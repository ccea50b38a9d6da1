#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;
using common::Phase;

namespace {

common::LocalReport says(common::GroupState state, Phase phase, common::Term term) {
  return {.groups = {{.group = "MAIN-GW", .state = state, .phase = phase, .term = term, .priority = 100}}};
}

}  // namespace

TEST_CASE("power cut: the standby is ready at once, and becomes the sender when the old master returns") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  for (unsigned n = 0; n < 1000; ++n) p.box[0].kernel.put(flow(n, n % 2 ? 6 : 17), p.now);
  p.run(100ms);
  const FakeKernel before = p.box[0].kernel;
  p.kill(0);
  p.box[0].kernel = {};
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(ready(p, 1) == common::Ready{"MAIN-GW", {2, "R2"}, true, ""});
  CHECK(p.box[1].kernel.entries.size() == 1000);
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.run(1500ms);
  // Timeouts are the flows' own again after a while.
  for (const auto& [key, e] : p.box[1].kernel.entries)
    REQUIRE((e.expires - p.now) <= (key.protocol == 6 ? 432001s : 31s));
  p.box[1].kernel.put(flow(2000), p.now);
  p.run(3s);
  CHECK(p.counter(1, "reconciled_gone") == 0);
  p.start(0);
  p.welcome(0, common::GroupState::backup, {});
  p.run(1s);
  CHECK(p.box[0].report.replicas.at(0).complete);
  if (policy == CommitPolicy::continuous) CHECK(p.same_kernels());
  CHECK(p.box[0].engine->status(p.now).peer_flows == 1001);
}

TEST_CASE("a planned switchover: drained, handed over, and back") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 1000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(2ms);  // some are still on their way
  p.notify(0, says(common::GroupState::master, Phase::handing_over, {1, "R1"}));
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  const Time asked = p.now;
  while (p.box[0].messages<common::Drained>().empty() && p.now < asked + 200ms) p.run(100us);
  REQUIRE(p.box[0].messages<common::Drained>().size() == 1);
  CHECK(p.box[0].messages<common::Drained>().at(0).confirmed);
  CHECK(p.now - asked < 10ms);
  CHECK(p.same_kernels());
  p.entered(0, common::GroupState::backup, {1, "R1"});
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(5ms);
  CHECK(ready(p, 1).ok);
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.notify(0, common::Entered{.group = "MAIN-GW", .state = common::GroupState::backup, .term = {2, "R2"}});
  for (unsigned n = 0; n < 100; ++n) p.box[1].kernel.remove(flow(n).key);
  for (unsigned n = 1000; n < 1100; ++n) p.box[1].kernel.put(flow(n), p.now);
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.box[0].report.replicas.at(0).complete);
  // Entries from the earlier mastership: the window moved on elsewhere.
  for (const auto& [key, e] : p.box[0].kernel.entries) REQUIRE((e.flow.tcp.flags_reply & tcp_flags::be_liberal) != 0);
  p.notify(1, common::Drain{"MAIN-GW", {2, "R2"}, 100});
  p.run(20ms);
  CHECK(p.box[1].messages<common::Drained>().back().confirmed);
  p.entered(1, common::GroupState::backup, {2, "R2"});
  p.notify(0, common::Prepare{"MAIN-GW", {3, "R1"}, 1000});
  p.run(5ms);
  CHECK(ready(p, 0).ok);
  p.run(3s);
  CHECK(p.same_kernels());
}

TEST_CASE("prepare waits for the mark of a master that is leaving, but not longer than it may") {
  Pair p;
  p.start_both();
  p.notify(0, says(common::GroupState::master, Phase::leaving, {1, "R1"}));
  p.run(10ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(50ms);
  CHECK(p.box[1].messages<common::Ready>().empty());
  SECTION("the mark comes") {
    p.box[0].kernel.put(flow(7), p.now);
    p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
    p.run(10ms);
    CHECK(ready(p, 1).ok);
    CHECK(p.same_kernels());
  }
  SECTION("it does not") {
    p.run(60ms);
    CHECK(ready(p, 1).ok);
  }
  SECTION("the peer is lost meanwhile") {
    p.network.cut = true;
    p.run(60ms);
    CHECK(ready(p, 1).ok);
  }
}

TEST_CASE("drain without a peer, without mastership, in an old term") {
  Pair p;
  p.start_both();
  p.notify(1, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  CHECK(!p.box[1].messages<common::Drained>().at(0).confirmed);
  p.notify(0, common::Drain{"MAIN-GW", {0, ""}, 100});
  CHECK(p.box[0].messages<common::Drained>().empty());
  p.network.cut = true;
  p.box[0].kernel.put(flow(1), p.now);
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  p.run(150ms);
  CHECK(!p.box[0].messages<common::Drained>().at(0).confirmed);
  CHECK(p.box[0].messages<common::Drained>().at(0).detail == "the peer has not confirmed in time");
  p.run(300ms);
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  CHECK(p.box[0].messages<common::Drained>().at(1).detail == "no peer takes the connections");
}

TEST_CASE("a drain is not confirmed by what a peer that has died since acknowledged") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.kill(1);
  p.run(10ms);  // less than it takes to be missed
  REQUIRE(p.box[0].report.link == common::LinkState::up);
  p.box[0].told.clear();
  p.notify(0, common::Drain{.group = "MAIN-GW", .term = {1, "R1"}, .timeout_ms = 100});
  p.run(150ms);
  REQUIRE(p.box[0].told.size() == 1);
  CHECK_FALSE(std::get<common::Drained>(p.box[0].told[0]).confirmed);
}

TEST_CASE("both routers lose their carrier: nothing is lost, whoever claims then") {
  const int who = GENERATE(0, 1);
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 500; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  p.run(10ms);
  p.entered(0, common::GroupState::fault, {1, "R1"});
  p.entered(1, common::GroupState::fault, {1, "R1"});
  p.run(10s);
  CHECK(p.box[0].report.replicas.at(0).complete);
  CHECK(p.box[1].report.replicas.at(0).complete);
  const common::Term term{2, p.box[who].config.node};
  p.notify(who, common::Prepare{"MAIN-GW", term, 1000});
  p.run(10ms);
  CHECK(ready(p, who).ok);
  p.entered(who, common::GroupState::master, term);
  p.entered(1 - who, common::GroupState::backup, term);
  p.run(3s);
  CHECK(p.box[0].kernel.entries.size() == 500);
  CHECK(p.same_kernels());
  CHECK(p.box[1 - who].report.replicas.at(0).complete);
}

TEST_CASE("two masters that were apart: the older becomes the replica of the newer, which learns what it missed") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 500; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.network.cut = true;
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(10ms);
  p.entered(1, common::GroupState::master, {2, "R2"});
  for (unsigned n = 0; n < 50; ++n) p.box[1].kernel.remove(flow(n).key);
  for (unsigned n = 600; n < 650; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  p.network.cut = false;
  p.run(100ms);
  CHECK(p.box[1].kernel.entries.size() == 450);  // a master takes no records
  p.entered(0, common::GroupState::backup, {2, "R2"});
  p.run(1s);
  CHECK(p.box[1].kernel.entries.size() == 500);
  CHECK_FALSE(p.box[1].kernel.entries.contains(flow(0).key));
  CHECK(p.box[1].kernel.entries.contains(flow(600).key));
  CHECK(p.counter(1, "adopted") == 50);
  CHECK(p.same_kernels());
}

TEST_CASE("a flow whose translation belongs to another one in the standby's kernel replaces it") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  Flow stale = flow(1), fresh = flow(2);
  fresh.reply = stale.reply;
  p.box[1].kernel.put(stale, p.now, true);
  Flow other = flow(3);
  p.box[0].kernel.put(other, p.now);
  other.reply.destination_port ^= 1;
  p.box[1].kernel.put(other, p.now, true);  // same key, bound differently
  p.box[0].kernel.put(fresh, p.now);
  p.run(50ms);
  p.kill(0);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(ready(p, 1).ok);
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "reply_clashes") == 2);
}

TEST_CASE("anticipation commits beforehand, and keeps it up to date") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  p.notify(1, common::Anticipate{"MAIN-GW", true});
  p.run(5ms);
  CHECK(p.box[1].kernel.entries.size() == 100);
  p.box[0].kernel.put(flow(200), p.now);
  p.box[0].kernel.remove(flow(5).key);
  p.run(10ms);
  CHECK(p.same_kernels());
  p.notify(1, common::Anticipate{"MAIN-GW", false});
  p.box[0].kernel.put(flow(201), p.now);
  p.box[0].kernel.remove(flow(6).key);
  p.box[0].kernel.put(flow(7, 6, 7), p.now);
  p.run(10ms);
  CHECK(p.box[1].kernel.entries.size() == 99);
  const auto writes = p.counter(1, "kernel_writes");
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(10ms);
  CHECK(ready(p, 1).ok);
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "kernel_writes") - writes == 2);
}

TEST_CASE("a takeover with the continuous policy looks at nothing but what is pending") {
  Pair p;
  for (unsigned n = 0; n < 20000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.start_both();
  p.run(1s);
  REQUIRE(p.box[1].kernel.entries.size() == 20000);
  const auto writes = p.counter(1, "kernel_writes");
  p.kill(0);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(1ms);
  CHECK(ready(p, 1).ok);
  CHECK(p.counter(1, "kernel_writes") == writes);
}

TEST_CASE("the peer's reports pass through, expire, and are asked for") {
  Pair p;
  p.start_both();
  auto report = says(common::GroupState::master, Phase::idle, {1, "R1"});
  report.groups[0].valid_for_ms = 500;
  report.groups[0].held = true;
  report.groups[0].complete = true;
  p.notify(0, report);
  p.run(1ms);
  REQUIRE(p.box[1].report.groups.size() == 1);
  CHECK(p.box[1].report.groups[0].held);
  CHECK(p.box[1].report.groups[0].complete);
  CHECK(p.box[1].report.groups[0].term == common::Term{1, "R1"});
  p.run(600ms);
  CHECK(p.box[1].report.groups.empty());  // vrrpd hangs
  CHECK(p.counter(0, "reports_expired") == 1);
  p.notify(0, report);
  p.run(1ms);
  CHECK(p.box[1].report.groups.size() == 1);
  p.step(0, NotifyDisconnected{});
  p.run(1ms);
  CHECK(p.box[1].report.groups.empty());  // vrrpd is gone
  p.box[0].report = {};
  p.welcome(0, common::GroupState::master, {1, "R1"});
  p.box[0].report = {};
  auto probe = report;
  probe.probe = true;
  p.notify(0, probe);
  p.run(2ms);
  CHECK(p.box[0].report.link == common::LinkState::up);  // an answer, though nothing has changed
}

TEST_CASE("both fresh: an empty replica is complete at once") {
  Pair p;
  p.start(0), p.start(1);
  p.welcome(0, common::GroupState::backup, {});
  p.welcome(1, common::GroupState::backup, {});
  p.run(300ms);
  CHECK(p.box[0].report.replicas.at(0).complete);
  CHECK(p.box[1].report.replicas.at(0).complete);
  p.notify(0, common::Prepare{"MAIN-GW", {1, "R1"}, 1000});
  p.run(10ms);
  CHECK(ready(p, 0).ok);
  p.run(200ms);
  CHECK(p.box[1].report.replicas.at(0).complete);
}

TEST_CASE("sync verify: equal, different, while traffic runs, without a peer") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const int who = GENERATE(0, 1);
  Pair p(policy);
  p.start_both();
  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(200ms);
  p.step(who, RequestReceived{1, {.id = 5, .verb = "sync.verify", .arguments = {}}});
  for (unsigned n = 0; n < 500; ++n) {
    p.box[0].kernel.put(flow(10000 + n), p.now);
    p.box[0].kernel.remove(flow(n).key);
    p.run(3ms);
  }
  REQUIRE(p.box[who].replies.size() == 1);
  CHECK(p.box[who].replies[0].ok);
  CHECK(p.box[who].replies[0].id == 5);
  CHECK(p.box[who].replies[0].body.starts_with("{\"differ\":0,\"compared\":"));
  if (policy == CommitPolicy::on_takeover) return;
  p.box[1].kernel.own_events = false;
  p.box[1].kernel.remove(flow(700).key, true);  // behind everybody's back
  Flow odd = flow(701);
  odd.mark = 77;
  p.box[1].kernel.put(odd, p.now, true);
  p.step(who, RequestReceived{1, {.id = 6, .verb = "sync.verify", .arguments = {}}});
  p.run(3s);
  REQUIRE(p.box[who].replies.size() == 2);
  const std::string& body = p.box[who].replies[1].body;
  INFO(body);
  CHECK(body.starts_with("{\"differ\":2,\"compared\":3000"));
  CHECK(body.find("only on R1: tcp 192.168.100.10:10700 -> 203.0.113.9:80, answered") != std::string::npos);
  CHECK(body.find("mark 77") != std::string::npos);
  CHECK(p.same_kernels());  // what was named has been repaired
  CHECK(p.counter(1, "reconciled_altered") == 1);
  p.network.cut = true;
  p.run(300ms);
  p.step(who, RequestReceived{1, {.id = 7, .verb = "sync.verify", .arguments = {}}});
  CHECK(!p.box[who].replies.at(2).ok);
}

TEST_CASE("sync verify names none of the routers' own connections, whoever is asked, and all others") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const int who = GENERATE(0, 1);
  Pair p(policy);
  p.start_both();
  const auto from = [](unsigned n, const char* source) {
    Flow f = flow(n);
    f.key.original.source = ip(source);
    return f;
  };
  constexpr unsigned kOwn = 100;  // more than fit into one part
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.put(flow(1000 + n), p.now);
  for (unsigned n = 0; n < kOwn; ++n) {
    p.box[0].kernel.put(from(n, "192.168.100.3"), p.now);  // of R2, through R1
    p.box[1].kernel.put(from(n, "192.168.100.3"), p.now);  // as it knows them itself
    p.box[0].kernel.put(from(n, "10.10.0.102"), p.now);    // of R1 alone
  }
  Flow link = from(1, "10.10.10.2"), vrrp = from(2, "10.10.0.102");
  link.key.original.destination = ip("10.10.10.3");
  vrrp.key.protocol = 112;
  vrrp.has_tcp = false;
  vrrp.key.original.destination = ip("224.0.0.18");
  for (Flow* f : {&link, &vrrp}) {
    f->reply = inverted(f->key);
    for (Box& box : p.box) box.kernel.put(*f, p.now);
  }
  p.run(100ms);
  CHECK(p.counter(1, "own_address_flows") == kOwn);
  const auto ask = [&]() -> std::string {
    p.box[who].replies.clear();
    p.step(who, RequestReceived{1, {.id = 5, .verb = "sync.verify", .arguments = {}}});
    p.run(3s);
    return p.box[who].replies.empty() ? "" : p.box[who].replies.back().body;
  };
  CHECK(ask() == R"({"differ":0,"compared":10,"flows":[]})");
  if (policy == CommitPolicy::on_takeover) return;
  p.box[1].kernel.own_events = false;
  p.box[1].kernel.remove(flow(1001).key, true);  // behind everybody's back
  CHECK(ask().starts_with(R"({"differ":1,"compared":10,"flows":["only on R1: tcp 192.168.100.10:11001)"));
}

namespace {

/// Two groups, each router master of one: MAIN-GW of 192.168.100.0/24 on R1, SECOND of 192.168.200.0/24 on R2.
common::Config two_groups(int i) {
  common::Config c = pair_config(i, CommitPolicy::continuous);
  common::GroupConfig second = c.vrrp->groups[0];
  c.vrrp->groups[0].protects = {*common::Prefix::parse("192.168.100.0/24")};
  second.name = "SECOND";
  second.instances[0].virtual_addresses = {*common::Prefix::parse("10.10.0.102/24")};
  second.instances[1].virtual_addresses = {*common::Prefix::parse("192.168.200.1/24")};
  second.protects = {*common::Prefix::parse("192.168.200.0/24")};
  c.vrrp->groups.push_back(second);
  c.sync->groups = {"MAIN-GW", "SECOND"};
  return c;
}

Flow second_flow(unsigned n) {
  Flow f = flow(n);
  f.key.original.source = ip("192.168.200.10");
  f.reply.destination = ip("10.10.0.102");
  return f;
}

}  // namespace

TEST_CASE("two groups, each router master of one: each sends its own, and one alone can move") {
  Pair p;
  for (int i : {0, 1}) p.box[i].config = two_groups(i);
  p.start(0), p.start(1);
  const common::Term first{1, "R1"}, second{1, "R2"};
  for (int i : {0, 1}) {
    p.step(i, NotifyConnected{});
    p.notify(
        i, common::Welcome{
               .node = p.box[i].config.node,
               .groups = {
                   {"MAIN-GW", i == 0 ? common::GroupState::master : common::GroupState::backup, Phase::idle, first},
                   {"SECOND", i == 1 ? common::GroupState::master : common::GroupState::backup, Phase::idle, second}}});
  }
  p.run(300ms);
  for (unsigned n = 0; n < 200; ++n) {
    p.box[0].kernel.put(flow(n), p.now);
    p.box[1].kernel.put(second_flow(n), p.now);
  }
  p.run(100ms);
  CHECK(p.box[0].kernel.entries.size() == 400);
  CHECK(p.same_kernels());
  CHECK(p.box[0].engine->status(p.now).local_flows == 200);
  CHECK(p.box[0].engine->status(p.now).peer_flows == 200);
  p.notify(1, common::Drain{"SECOND", second, 100});
  p.run(20ms);
  CHECK(p.box[1].messages<common::Drained>().back().confirmed);
  p.notify(1, common::Entered{.group = "SECOND", .state = common::GroupState::backup, .term = second});
  p.notify(0, common::Prepare{"SECOND", {2, "R1"}, 1000});
  p.run(20ms);
  CHECK(ready(p, 0).ok);
  p.notify(0, common::Entered{.group = "SECOND", .state = common::GroupState::master, .term = {2, "R1"}});
  for (unsigned n = 0; n < 50; ++n) p.box[0].kernel.remove(second_flow(n).key);
  for (unsigned n = 200; n < 250; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(500ms);
  CHECK(p.box[0].kernel.entries.size() == 400);
  CHECK(p.same_kernels());
  CHECK(p.box[1].engine->status(p.now).peer_flows == 400);
}

TEST_CASE("vrrpd is started anew beside living traffic: what the kernel says meanwhile is not forgotten") {
  Pair p(GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover));
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n, 6, 2), p.now);
  p.run(50ms);
  p.step(0, NotifyDisconnected{});
  p.run(50ms);
  p.welcome(0, common::GroupState::backup, {1, "R1"});
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n, 6, 3), p.now);
  for (unsigned n = 100; n < 120; ++n) p.box[0].kernel.put(flow(n, 6, 3), p.now);
  p.run(100ms);
  p.notify(0, common::Prepare{"MAIN-GW", {2, "R1"}, 1000});
  p.run(20ms);
  CHECK(ready(p, 0).ok);
  p.entered(0, common::GroupState::master, {2, "R1"});
  p.notify(1, common::Entered{.group = "MAIN-GW", .state = common::GroupState::backup, .term = {2, "R1"}});
  for (const auto& [key, e] : p.box[0].kernel.entries) REQUIRE(e.flow.tcp.state == 3);
  p.run(500ms);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 120);
  p.step(1, RequestReceived{1, {.id = 5, .verb = "sync.verify", .arguments = {}}});
  p.run(1s);
  CHECK(p.box[1].replies.at(0).body == R"({"differ":0,"compared":120,"flows":[]})");
}
