// The table "who may take over when", row by row.
#include "vrrpd/election.hpp"

#include <catch2/catch.hpp>

using namespace vrrpd;
using common::GroupReport;
using common::GroupState;
using common::Phase;
using common::Term;
using common::Time;
using namespace std::chrono_literals;

namespace {

const Time kStart = Time{} + 100s;

/// R2 in backup of R1's term 5, everything as it should be, and nothing heard since `silent_at`.
Facts make(common::Duration after_silence) {
  Facts f;
  f.node = "R2";
  f.term = Term{5, "R1"};
  f.replicated = true;
  f.complete = true;
  f.ever_met = true;
  f.started = kStart - 50s;
  f.silent_at = kStart;
  f.overdue_at = kStart - 200ms;
  f.now = kStart + after_silence;
  f.down_interval = 361ms;
  f.skew = 61ms;
  f.witness_hold = 3s;
  return f;
}

GroupReport peer(GroupState state, Phase phase = Phase::idle, Term term = {5, "R1"}) {
  GroupReport report;
  report.state = state;
  report.phase = phase;
  report.term = term;
  report.complete = true;
  return report;
}

bool claims(const Facts& f) {
  return decide(f).decision == Decision::claim;
}

}  // namespace

TEST_CASE("election: silence of all members, no word from the peer: at the down timer", "[election]") {
  CHECK_FALSE(claims(make(-1ms)));
  CHECK(decide(make(-1ms)).again == kStart);
  CHECK(claims(make(0ms)));
  Facts linked = make(0ms);  // linked, and its vrrpd says nothing: dead or hung
  linked.linked = true;
  CHECK(claims(linked));
}

TEST_CASE("election: first boot, nobody ever met, nothing replicated: a second for the link to greet", "[election]") {
  Facts f = make(0ms);
  f.ever_met = false;
  f.complete = GENERATE(true, false);
  f.term = {};
  f.started = kStart - 361ms;
  CHECK_FALSE(claims(f));
  CHECK(decide(f).again == kStart + kFirstGreeting);
  f.now = kStart + kFirstGreeting;
  CHECK(claims(f));
  f.now = kStart;
  f.replicated = false;  // plain VRRP does not wait
  CHECK(claims(f));
}

TEST_CASE("election: the link says master, no adverts on any member: witness_hold, with an alarm", "[election]") {
  const GroupReport said = peer(GroupState::master);
  Facts f = make(0ms);
  f.linked = true;
  f.said = &said;
  CHECK_FALSE(claims(f));
  CHECK_FALSE(decide(f).why.empty());
  CHECK(decide(f).again == kStart + 3s);
  f.now = kStart + 3s;
  CHECK(claims(f));
}

TEST_CASE("election: the link says leaving: the whole group after the skew", "[election]") {
  const GroupReport said = peer(GroupState::master, Phase::leaving);
  Facts f = make(-300ms);
  f.linked = true;
  f.said = &said;
  f.leaving_since = f.now;
  CHECK_FALSE(claims(f));
  CHECK(decide(f).again == f.now + 61ms);
  f.now += 61ms;
  CHECK(claims(f));
}

TEST_CASE("election: the link says yielded: at once, but not of an older term", "[election]") {
  GroupReport said = peer(GroupState::backup, Phase::yielded);
  Facts f = make(-300ms);
  f.linked = true;
  f.said = &said;
  CHECK(claims(f));
  said.term = {4, "R1"};
  CHECK_FALSE(claims(f));
}

TEST_CASE("election: priority 0 needs a second sign", "[election]") {
  Facts f = make(-100ms);
  f.zero_at = f.now;
  SECTION("on all members") {
    f.zero_everywhere = true;
    CHECK(claims(f));
  }
  SECTION("on one, and the others still expect an advert") {
    f.overdue_at = f.now + 50ms;
    CHECK_FALSE(claims(f));
    CHECK(decide(f).again == f.now + 50ms);
  }
  SECTION("on one, and the others are overdue") {
    CHECK(claims(f));
  }
  SECTION("the link says that it left") {
    const GroupReport said = peer(GroupState::fault);
    f.overdue_at = f.now + 50ms;
    f.linked = true;
    f.said = &said;
    CHECK(claims(f));
  }
  SECTION("the link says master: not believed, even on all members") {
    const GroupReport said = peer(GroupState::master);
    f.linked = true;
    f.said = &said;
    f.zero_everywhere = true;
    CHECK(decide(f).decision == Decision::disbelieve);
  }
  SECTION("not before the skew") {
    f.zero_everywhere = true;
    f.zero_at = f.now + 20ms;
    CHECK_FALSE(claims(f));
  }
}

TEST_CASE("election: nobody is master: the complete one goes first, and is not waited for in vain", "[election]") {
  GroupReport said = peer(GroupState::backup);
  Facts f = make(0ms);
  f.linked = true;
  f.said = &said;
  CHECK(claims(f));
  f.complete = false;
  CHECK_FALSE(claims(f));
  CHECK(decide(f).again == kStart + 361ms);
  said.complete = false;
  CHECK(claims(f));
  said.complete = true;
  // It will never be master as it is, but it gives us what it holds.
  said.state = GroupState::fault;
  CHECK_FALSE(claims(f));
  CHECK(decide(f).again == kStart + kLegacyTime);
  f.complete = true;
  CHECK(claims(f));
}

TEST_CASE("election: the last master takes back at once, unless somebody followed or was asked to", "[election]") {
  GroupReport said = peer(GroupState::backup, Phase::idle, {5, "R2"});
  Facts f = make(-300ms);
  f.term = {5, "R2"};
  f.was_master = true;
  f.linked = true;
  f.said = &said;
  CHECK(claims(f));
  SECTION("we named a successor") {
    f.yielded = true;
    CHECK_FALSE(claims(f));
  }
  SECTION("the peer is claiming") {
    said.phase = Phase::claiming;
    CHECK_FALSE(claims(f));
  }
  SECTION("a foreign router is heard") {
    f.hearing = true;
    CHECK_FALSE(claims(f));
  }
  SECTION("the peer says nothing") {
    f.said = nullptr;
    CHECK_FALSE(claims(f));
  }
}

TEST_CASE("election: who was stopped listens first, whatever is said", "[election]") {
  const GroupReport said = peer(GroupState::backup, Phase::yielded);
  Facts f = make(1s);
  f.linked = true;
  f.said = &said;
  f.zero_at = f.now;
  f.zero_everywhere = true;
  f.listening_until = f.now + 361ms;
  CHECK(decide(f).decision == Decision::stay);
  CHECK(decide(f).again == f.listening_until);
}

TEST_CASE("election: whatever the facts, a verdict to stay names a later time or none", "[election]") {
  // The full product of what the peer can say with what can be heard.
  const GroupState states[] = {GroupState::backup, GroupState::master, GroupState::fault};
  const Phase phases[] = {Phase::idle,         Phase::claiming, Phase::requesting,
                          Phase::handing_over, Phase::leaving,  Phase::yielded};
  for (int bits = 0; bits < 512; ++bits)
    for (const GroupState state : states)
      for (const Phase phase : phases)
        for (const auto after : {-300ms, 0ms, 3000ms}) {
          const GroupReport said = peer(state, phase);
          Facts f = make(after);
          f.linked = bits & 1;
          f.said = f.linked && (bits & 2) ? &said : nullptr;
          f.replicated = bits & 4;
          f.complete = bits & 8;
          f.ever_met = bits & 16;
          f.yielded = bits & 32;
          f.hearing = bits & 64;
          if (bits & 128) f.zero_at = kStart - 250ms;
          f.zero_everywhere = bits & 256;
          const Verdict verdict = decide(f);
          if (verdict.decision == Decision::stay && verdict.again) REQUIRE(*verdict.again > f.now);
          if (verdict.decision == Decision::claim) REQUIRE_FALSE(verdict.why.empty());
          // A living master whose adverts are heard is never claimed against.
          if (f.said && state == GroupState::master && phase == Phase::idle && after < 0ms)
            REQUIRE(verdict.decision != Decision::claim);
        }
}
