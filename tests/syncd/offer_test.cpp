#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;
using common::Phase;

namespace {

using State = common::GroupState;

common::LocalReport says(State state, Phase phase, common::Term term) {
  return {.groups = {{.group = "MAIN-GW", .state = state, .phase = phase, .term = term, .priority = 100}}};
}

void put(Pair& p, int i, unsigned from, unsigned to) {
  for (unsigned n = from; n < to; ++n) p.box[i].kernel.put(flow(n), p.now);
}

/// R1 is master of term 1 with flows 0..99, R2 its replica; then the link is cut and R2 master of term 2.
void split(Pair& p) {
  p.start_both();
  put(p, 0, 0, 100);
  p.run(100ms);
  p.network.cut = true;
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(10ms);
  p.entered(1, State::master, {2, "R2"});
  p.notify(1, says(State::master, Phase::idle, {2, "R2"}));
}

void meet(Pair& p) {
  p.network.cut = false;
  p.run(150ms);
  REQUIRE(p.box[0].report.link == common::LinkState::up);
}

bool has(const Pair& p, int i, unsigned n) {
  return p.box[i].kernel.entries.contains(flow(n).key);
}

}  // namespace

TEST_CASE("an evicted master drains what only it knows into the one that stays") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  split(p);
  put(p, 0, 200, 250);
  put(p, 1, 300, 310);
  meet(p);
  CHECK_FALSE(has(p, 1, 200));
  const Time asked = p.now;
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  while (p.box[0].messages<common::Drained>().empty()) p.run(1ms);
  CHECK(p.box[0].messages<common::Drained>()[0].confirmed);
  CHECK(p.now - asked < 20ms);
  CHECK(p.counter(1, "adopted") == 50);
  p.run(2ms);
  for (unsigned n : {0u, 99u, 200u, 249u, 300u}) CHECK(has(p, 1, n));
  p.entered(0, State::backup, {2, "R2"});
  p.run(1s);
  CHECK(p.box[1].kernel.entries.size() == 160);
  CHECK(p.box[0].report.replicas.at(0).complete);
  if (policy == CommitPolicy::continuous) CHECK(p.same_kernels());
}

TEST_CASE("without a drain the remainder is offered before anything is followed") {
  Pair p;
  p.network.loss = GENERATE(0.0, 0.2);
  split(p);
  put(p, 0, 200, 250);
  p.run(100ms);
  p.entered(0, State::backup, {1, "R1"});  // by the adverts of another router, say
  p.run(50ms);
  meet(p);
  p.run(2s);
  CHECK(p.counter(1, "adopted") == 50);
  CHECK(p.box[1].kernel.entries.size() == 150);
  CHECK(p.same_kernels());
}

TEST_CASE("what is adopted displaces nothing: neither the same flow nor another one's translation") {
  Pair p;
  split(p);
  Flow ours = flow(200), theirs = flow(200);
  theirs.reply.destination_port = static_cast<std::uint16_t>(ours.reply.destination_port + 1);
  p.box[0].kernel.put(ours, p.now);
  p.box[1].kernel.put(theirs, p.now);
  Flow clash = flow(201);
  clash.reply = flow(202).reply;
  p.box[0].kernel.put(clash, p.now);
  p.box[1].kernel.put(flow(202), p.now);
  put(p, 0, 203, 204);
  meet(p);
  p.entered(0, State::backup, {2, "R2"});
  p.run(1s);
  CHECK(p.box[1].kernel.entries.at(ours.key).flow.reply == theirs.reply);
  CHECK(has(p, 1, 202));
  CHECK(has(p, 1, 203));
  CHECK_FALSE(has(p, 1, 201));
  CHECK(p.counter(1, "adoptions_refused") == 1);
  CHECK(p.counter(1, "adopted") == 2);
  CHECK(p.counter(1, "translations_kept") == 1);
  CHECK(p.same_kernels());
}

namespace {

/// The first packet of a connection, translated to this port.
Flow unanswered(unsigned n, std::uint8_t protocol, std::uint16_t port) {
  Flow f = flow(n, protocol, 1);
  f.status = status_bits::src_nat;
  f.reply.destination_port = port;
  return f;
}

std::uint16_t port_of(const Pair& p, int i, unsigned n, std::uint8_t protocol = 6) {
  const auto it = p.box[i].kernel.entries.find(flow(n, protocol).key);
  return it == p.box[i].kernel.entries.end() ? std::uint16_t{0} : it->second.flow.reply.destination_port;
}

}  // namespace

TEST_CASE("of two translations of one connection the one that was answered goes on") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  split(p);
  // Their first packets had passed R2 before hosts learned of R1.
  p.box[1].kernel.put(unanswered(200, 6, 65001), p.now);
  p.box[1].kernel.put(unanswered(201, 17, 65002), p.now);
  p.box[1].kernel.put(unanswered(202, 6, 65003), p.now);
  p.run(1ms);
  put(p, 0, 200, 201);
  p.box[0].kernel.put(flow(201, 17), p.now);
  // What another connection has at R2 stays that one's.
  Flow occupied = flow(202);
  occupied.reply = flow(300).reply;
  p.box[0].kernel.put(occupied, p.now);
  put(p, 1, 300, 301);
  // And the other way round: here R1 is the one that saw only the beginning.
  p.box[0].kernel.put(unanswered(203, 6, 65004), p.now);
  put(p, 1, 203, 204);
  meet(p);
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 100});
  while (p.box[0].messages<common::Drained>().empty()) p.run(1ms);
  CHECK(p.box[0].messages<common::Drained>()[0].confirmed);
  p.run(2ms);
  CHECK(port_of(p, 1, 200) == flow(200).reply.destination_port);
  CHECK(port_of(p, 1, 201, 17) == flow(201).reply.destination_port);
  CHECK(port_of(p, 1, 202) == 0);
  CHECK(port_of(p, 1, 203) == flow(203).reply.destination_port);
  CHECK(has(p, 1, 300));
  CHECK(p.counter(1, "translations_taken") == 3);
  CHECK(p.counter(1, "translations_kept") == 1);
  CHECK(p.counter(1, "adoptions_refused") == 1);
  CHECK(std::ranges::any_of(p.box[1].logs, [](const std::string& line) {
    return line.starts_with("translated_twice: both routers were master, and both gave a translation to ");
  }));
  p.entered(0, State::backup, {2, "R2"});
  p.run(1s);
  if (policy == CommitPolicy::continuous) CHECK(p.same_kernels());
}

TEST_CASE("a translation that was answered here stays, whatever the peer says of the connection") {
  Pair p;
  split(p);
  for (const unsigned n : {200u, 201u}) {
    Flow theirs = flow(n, 17);
    p.box[0].kernel.put(theirs, p.now);
    theirs.reply.destination_port = static_cast<std::uint16_t>(65000 + n - 200);
    theirs.status = status_bits::src_nat | status_bits::seen_reply;  // the newer one: the other end answers to it
    p.box[1].kernel.put(theirs, p.now);
  }
  // A handshake that came to its end is another matter than an answer to its first packet.
  Flow begun = flow(202, 6, 2);
  begun.status = status_bits::src_nat | status_bits::seen_reply;
  begun.reply.destination_port = 65002;
  p.box[1].kernel.put(begun, p.now);
  put(p, 0, 202, 203);
  meet(p);
  p.entered(0, State::backup, {2, "R2"});
  p.run(1s);
  CHECK(port_of(p, 1, 200, 17) == 65000);
  CHECK(port_of(p, 1, 201, 17) == 65001);
  CHECK(port_of(p, 1, 202) == flow(202).reply.destination_port);
  CHECK(p.counter(1, "translations_kept") == 2);
  CHECK(p.counter(1, "translations_taken") == 1);
  CHECK(p.same_kernels());
}

TEST_CASE("what was under way when the link died counts as made apart, what was acknowledged does not") {
  Pair p;
  p.start_both();
  put(p, 0, 0, 100);
  p.run(100ms);
  p.network.cut = true;
  put(p, 0, 100, 103);
  p.run(100ms);  // the link is not dead yet
  CHECK(p.box[0].report.link == common::LinkState::up);
  p.run(200ms);
  CHECK(p.box[0].report.link == common::LinkState::down);
  p.box[0].kernel.remove(flow(100).key);  // over: nobody loses it
  put(p, 0, 103, 105);
  p.run(100ms);
  p.network.cut = false;
  p.run(150ms);
  CHECK(p.box[0].report.replicas.at(0).made_apart == 4);
  CHECK(p.box[0].report.replicas.at(0).served_apart == 2);
  p.run(6s);
  CHECK(p.box[0].report.replicas.at(0).made_apart == 0);
  CHECK(p.box[0].report.replicas.at(0).served_apart == 0);
}

TEST_CASE("first packets that nobody answers are no sign of service") {
  Pair p;
  split(p);
  Flow f = flow(400, 6, 1);
  f.status = status_bits::src_nat;
  p.box[1].kernel.put(f, p.now);
  put(p, 0, 0, 1);  // a change of a flow that both know
  p.run(10ms);
  meet(p);
  CHECK(p.box[1].report.replicas.at(0).served_apart == 0);
  CHECK(p.box[0].report.replicas.at(0).served_apart == 1);
}

TEST_CASE("what comes for a stream that is not followed any more is not acknowledged") {
  Pair p;
  p.start_both();
  put(p, 0, 0, 100);
  p.run(100ms);
  // R2 claims beside a living link; what R1 makes before it has heard of that, R2 ignores.
  p.network.delay = 30ms;
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(5ms);
  put(p, 0, 100, 110);
  p.run(20ms);
  p.entered(1, State::master, {2, "R2"});
  p.notify(1, says(State::master, Phase::idle, {2, "R2"}));
  p.run(20ms);
  CHECK_FALSE(has(p, 1, 100));
  p.entered(0, State::backup, {2, "R2"});
  p.run(2s);
  CHECK(p.counter(1, "adopted") == 10);
  CHECK(has(p, 1, 100));
  CHECK(p.same_kernels());
}

TEST_CASE("a fresh router gets what the last master has, although that one is in fault") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const bool claims_first = GENERATE(false, true);
  Pair p(policy);
  p.start_both();
  put(p, 0, 0, 500);
  p.run(100ms);
  p.kill(1);
  p.box[1].kernel = {};
  p.run(300ms);
  p.entered(0, State::fault, {1, "R1"});
  p.notify(0, says(State::fault, Phase::idle, {1, "R1"}));
  if (claims_first) p.network.cut = true;
  p.start(1);
  p.welcome(1, State::backup, {});
  p.notify(1, says(State::backup, Phase::idle, {}));
  p.run(200ms);
  if (!claims_first) CHECK(p.box[1].report.replicas.at(0).complete);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(50ms);
  CHECK(p.box[1].messages<common::Ready>().at(0).ok);
  CHECK(p.box[1].kernel.entries.size() == (claims_first ? 0 : 500));
  p.entered(1, State::master, {2, "R2"});
  p.notify(1, says(State::master, Phase::idle, {2, "R2"}));
  p.network.cut = false;
  p.run(1s);
  CHECK(p.box[1].kernel.entries.size() == 500);
  CHECK(p.counter(1, "adopted") == (claims_first ? 500 : 0));
  CHECK(p.box[0].report.replicas.at(0).complete);
  CHECK(p.same_kernels());
}

TEST_CASE("prepare waits for the legacy, but not longer than it may") {
  const bool comes = GENERATE(true, false);
  Pair p;
  p.start_both();
  put(p, 0, 0, 500);
  p.run(100ms);
  p.kill(1);
  p.box[1].kernel = {};
  p.run(300ms);
  p.entered(0, State::fault, {1, "R1"});
  p.notify(0, says(State::fault, Phase::idle, {1, "R1"}));
  p.network.delay = comes ? 10ms : 60ms;
  p.start(1);
  p.welcome(1, State::backup, {});
  while (p.box[1].report.groups.empty()) p.run(1ms);
  const Time asked = p.now;
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  if (!comes) p.network.loss = 1;
  while (p.box[1].messages<common::Ready>().empty()) p.run(1ms);
  if (comes) CHECK(p.box[1].kernel.entries.size() == 500);
  CHECK(p.now - asked > 15ms);
  CHECK(p.now - asked < 510ms);
}

TEST_CASE("the older never replaces the newer") {
  Pair p;
  split(p);
  put(p, 1, 300, 310);
  p.box[1].kernel.remove(flow(0).key);
  p.run(100ms);
  // Neither is master when they meet: R2 holds the newer term.
  p.entered(0, State::fault, {1, "R1"});
  p.entered(1, State::fault, {2, "R2"});
  p.notify(0, says(State::fault, Phase::idle, {1, "R1"}));
  p.notify(1, says(State::fault, Phase::idle, {2, "R2"}));
  p.run(50ms);
  put(p, 0, 0, 0);
  meet(p);
  p.run(1s);
  CHECK(p.counter(0, "legacies_sent") == 0);
  CHECK(p.counter(1, "legacies_sent") == 1);
  CHECK(p.box[0].report.replicas.at(0).complete);
  CHECK(p.box[1].report.replicas.at(0).complete);
  CHECK(has(p, 0, 300));
  CHECK_FALSE(has(p, 0, 0));
  CHECK(p.same_kernels());
}

TEST_CASE("a syncd that began beside a mastership which is lost offers all of it") {
  Pair p;
  split(p);
  put(p, 0, 200, 250);
  p.run(50ms);
  p.kill(0);
  p.start(0);
  p.welcome(0, State::master, {1, "R1"});
  p.run(50ms);
  p.entered(0, State::backup, {1, "R1"});
  meet(p);
  p.run(1s);
  CHECK(p.counter(1, "adopted") == 50);
  CHECK(p.same_kernels());
}

TEST_CASE("a syncd that begins when the mastership is over, and was this router's, offers what the kernel has") {
  Pair p;
  split(p);
  put(p, 0, 200, 250);
  p.run(50ms);
  p.kill(0);
  SECTION("before it hears of the peer") {
    p.start(0);
    p.welcome(0, State::backup, {1, "R1"});
    p.run(50ms);
    meet(p);
  }
  SECTION("and hears of the peer at once") {
    p.network.cut = false;
    p.start(0);
    p.welcome(0, State::fault, {1, "R1"});
  }
  p.run(1s);
  CHECK(p.counter(1, "adopted") == 50);
  CHECK(p.box[1].kernel.entries.size() == 150);
  CHECK(p.same_kernels());
}

TEST_CASE("the last master, whose syncd was started anew, loses nothing to the legacy of the other") {
  Pair p;
  p.start_both();
  put(p, 0, 0, 100);
  p.run(100ms);
  p.kill(0);
  p.run(300ms);
  put(p, 0, 200, 250);
  p.start(0);
  p.welcome(0, State::backup, {1, "R1"});
  SECTION("as it claims at once") {
    p.notify(0, common::Prepare{"MAIN-GW", {2, "R1"}, 1000});
    p.run(50ms);
    p.entered(0, State::master, {2, "R1"});
    p.run(1s);
  }
  SECTION("as it stays what it is") {
    p.run(1s);
  }
  CHECK(p.box[0].kernel.entries.size() == 150);
  CHECK(p.same_kernels());
}

TEST_CASE("a standby whose syncd was started anew offers nothing: what it finds are copies") {
  Pair p;
  p.start_both();
  put(p, 0, 0, 100);
  p.run(100ms);
  p.kill(1);
  p.run(300ms);
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.remove(flow(n).key);
  p.run(50ms);
  p.start(1);
  p.welcome(1, State::backup, {1, "R1"});
  p.run(1s);
  CHECK(p.counter(0, "adopted") == 0);
  CHECK(p.box[0].kernel.entries.size() == 90);
  CHECK(p.same_kernels());
}
