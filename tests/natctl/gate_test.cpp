// Every message in every state of the gate, as a table, and the deadlines.
#include "natctl/gate.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace natctl;
using namespace common;
using namespace std::chrono_literals;

constexpr Duration kGateTimeout = 5s;
constexpr Duration kPatience = 150ms;
const Time t0 = Time(1h);
const Term kOlder{6, "R2"}, kOurs{7, "R1"}, kNewer{8, "R2"};

Gate fresh() {
  return Gate(kGateTimeout, kPatience, t0);
}

struct Start {
  const char* name;
  Gate gate;
};

/// The states that a gate can be in, all at term 7@R1 or none.
std::vector<Start> starts() {
  std::vector<Start> all;
  all.push_back({"fresh", fresh()});
  Gate prepared = fresh();
  prepared.on(Prepare{"G", kOurs, 1000}, t0);
  all.push_back({"prepared", prepared});
  Gate open = prepared;
  open.answered();
  open.on(Open{"G", kOurs, OpenReason::ready});
  all.push_back({"open", open});
  Gate late = prepared;
  late.on(Open{"G", kOurs, OpenReason::deadline});
  all.push_back({"open, not complete", late});
  Gate shut = open;
  shut.on(Shut{"G", kOurs, "leaving"});
  all.push_back({"shut", shut});
  Gate unattended = open;
  unattended.on_vrrpd_closed(t0);
  unattended.on_time({.vrrpd_connected = false, .peer_lives = true}, t0 + kPatience);
  all.push_back({"unattended", unattended});
  return all;
}

Gate::Outcome snapshot(Gate& g, GroupState state, Phase phase, Term term) {
  return g.on(GroupSnapshot{"G", state, phase, term}, t0 + 1s);
}

struct Message {
  const char* name;
  std::function<Gate::Outcome(Gate&)> apply;
};

GroupReport peer(GroupState state, Term term, Phase phase = Phase::idle) {
  return {.group = "G", .state = state, .phase = phase, .term = std::move(term)};
}

std::vector<Message> messages() {
  const auto entered = [](GroupState state, Term term) {
    return Entered{.group = "G", .state = state, .phase = Phase::idle, .term = term, .priority = 0, .cause = {}};
  };
  return {
      {"prepare older", [](Gate& g) { return g.on(Prepare{"G", kOlder, 1000}, t0); }},
      {"prepare ours", [](Gate& g) { return g.on(Prepare{"G", kOurs, 1000}, t0); }},
      {"open older", [](Gate& g) { return g.on(Open{"G", kOlder, OpenReason::ready}); }},
      {"open ready", [](Gate& g) { return g.on(Open{"G", kOurs, OpenReason::ready}); }},
      {"open late_ready", [](Gate& g) { return g.on(Open{"G", kOurs, OpenReason::late_ready}); }},
      {"open deadline", [](Gate& g) { return g.on(Open{"G", kOurs, OpenReason::deadline}); }},
      {"open aborted", [](Gate& g) { return g.on(Open{"G", kOurs, OpenReason::aborted}); }},
      {"shut older", [](Gate& g) { return g.on(Shut{"G", kOlder, ""}); }},
      {"shut ours", [](Gate& g) { return g.on(Shut{"G", kOurs, ""}); }},
      {"entered backup older", [=](Gate& g) { return g.on(entered(GroupState::backup, kOlder)); }},
      {"entered backup", [=](Gate& g) { return g.on(entered(GroupState::backup, kOurs)); }},
      {"entered fault", [=](Gate& g) { return g.on(entered(GroupState::fault, kOurs)); }},
      {"entered master", [=](Gate& g) { return g.on(entered(GroupState::master, kOurs)); }},
      {"welcome master", [](Gate& g) { return snapshot(g, GroupState::master, Phase::idle, kOurs); }},
      {"welcome leaving", [](Gate& g) { return snapshot(g, GroupState::master, Phase::leaving, kOurs); }},
      {"welcome backup", [](Gate& g) { return snapshot(g, GroupState::backup, Phase::idle, Term{}); }},
      {"peer master older", [](Gate& g) { return g.on_peer(peer(GroupState::master, kOlder), {}); }},
      {"peer master newer", [](Gate& g) { return g.on_peer(peer(GroupState::master, kNewer), {}); }},
      {"peer claims newer", [](Gate& g) { return g.on_peer(peer(GroupState::backup, kNewer, Phase::claiming), {}); }},
      {"peer backup newer", [](Gate& g) { return g.on_peer(peer(GroupState::backup, kNewer), {}); }},
  };
}

std::string letter(const Gate& gate) {
  std::string text = gate.wanted().open ? (gate.wanted().complete ? "O" : "o") : "-";
  if (gate.asks_ready()) text.push_back('?');
  return text;
}

}  // namespace

// O open; o open, not complete (mid-stream TCP is dropped, not reset); - shut; ? a Ready is owed.
TEST_CASE("each message in each state of the gate") {
  struct Row {
    std::string message;
    std::vector<std::string> after;  // by start
  };
  // clang-format off
  //                              fresh  prepared open  open,nc shut  unattended
  const std::vector<Row> expected{
      {"prepare older",          {"-?",  "-?",    "O",  "o?",   "-",  "-"}},
      {"prepare ours",           {"-?",  "-?",    "-?", "-?",   "-?", "-?"}},
      {"open older",             {"O",   "-?",    "O",  "o?",   "-",  "-"}},
      {"open ready",             {"O",   "O?",    "O",  "O?",   "O",  "O"}},
      {"open late_ready",        {"O",   "O?",    "O",  "O?",   "O",  "O"}},
      {"open deadline",          {"o",   "o?",    "o",  "o?",   "o",  "o"}},
      {"open aborted",           {"o",   "o?",    "O",  "o?",   "O",  "O"}},
      {"shut older",             {"-",   "-?",    "O",  "o?",   "-",  "-"}},
      {"shut ours",              {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"entered backup older",   {"-",   "-?",    "O",  "o?",   "-",  "-"}},
      {"entered backup",         {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"entered fault",          {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"entered master",         {"-",   "-?",    "O",  "o?",   "-",  "-"}},
      {"welcome master",         {"-",   "-?",    "O",  "o?",   "-",  "O"}},
      {"welcome leaving",        {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"welcome backup",         {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"peer master older",      {"-",   "-?",    "O",  "o?",   "-",  "-"}},
      {"peer master newer",      {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"peer claims newer",      {"-",   "-",     "-",  "-",    "-",  "-"}},
      {"peer backup newer",      {"-",   "-?",    "O",  "o?",   "-",  "-"}},
  };
  // clang-format on
  const auto all = messages();
  REQUIRE(all.size() == expected.size());
  for (std::size_t m = 0; m < all.size(); ++m) {
    REQUIRE(all[m].name == expected[m].message);
    auto begin = starts();
    for (std::size_t s = 0; s < begin.size(); ++s) {
      INFO(all[m].name << " when " << begin[s].name);
      const Term before = begin[s].gate.term();
      const auto outcome = all[m].apply(begin[s].gate);
      CHECK(letter(begin[s].gate) == expected[m].after[s]);
      // The newest term is never forgotten, whatever comes.
      CHECK(begin[s].gate.term() >= before);
      if (expected[m].message.ends_with("older") && expected[m].message.starts_with("p") == false && s != 0)
        CHECK(outcome == Gate::Outcome::old_term);
    }
  }
}

TEST_CASE("a gate that the peer has superseded stays shut, whatever a vrrpd of the past says") {
  Gate gate = starts()[2].gate;
  CHECK(gate.on_peer(peer(GroupState::master, kNewer), {}) == Gate::Outcome::superseded);
  CHECK(gate.on(Open{"G", kOurs, OpenReason::ready}) == Gate::Outcome::old_term);
  CHECK(snapshot(gate, GroupState::master, Phase::idle, kOurs) == Gate::Outcome::old_term);
  CHECK_FALSE(gate.wanted().open);
  SECTION("until this node has claimed anew") {
    const Term again{9, "R1"};
    gate.on(Prepare{"G", again, 1000}, t0);
    gate.on(Open{"G", again, OpenReason::ready});
    CHECK(gate.wanted() == GateState{.open = true, .complete = true, .term = again});
  }
}

TEST_CASE("a peer in a newer term that was cut off alone does not shut the gate of the one that was not") {
  Gate gate = starts()[2].gate;
  GroupReport report = peer(GroupState::master, kNewer);
  report.made_apart = 3;
  CHECK(gate.on_peer(report, {.made_apart = 4, .served_apart = 0, .term = {}}) == Gate::Outcome::none);
  CHECK(gate.on_peer(report, {.made_apart = 0, .served_apart = 1, .term = {}}) == Gate::Outcome::none);
  CHECK(gate.wanted().open);
  CHECK(gate.term() == kOurs);
  CHECK(gate.on_peer(report, {.made_apart = 3, .served_apart = 0, .term = {}}) == Gate::Outcome::superseded);
  // Its vrrpd comes to the same answer, shuts the gate too, and waits for that.
  CHECK(gate.on(Shut{"G", kOurs, "the peer stays"}) == Gate::Outcome::old_term);
  CHECK(gate.asks_shut() == kOurs);
}

TEST_CASE("vrrpd is gone: the gate shuts after the patience when a peer lives, and only then") {
  Gate gate = starts()[2].gate;
  // Nobody has connected since the gate was made.
  snapshot(gate, GroupState::master, Phase::idle, kOurs);
  CHECK(gate.deadline({.vrrpd_connected = true, .peer_lives = true}) == std::nullopt);
  gate.on_vrrpd_closed(t0);
  CHECK(gate.deadline({.vrrpd_connected = false, .peer_lives = false}) == std::nullopt);
  CHECK(gate.deadline({.vrrpd_connected = false, .peer_lives = true}) == t0 + kPatience);
  CHECK(gate.on_time({.vrrpd_connected = false, .peer_lives = true}, t0 + kPatience - 1ns) == Gate::Outcome::none);

  SECTION("no peer: it stays open") {
    CHECK(gate.on_time({.vrrpd_connected = false, .peer_lives = false}, t0 + 1h) == Gate::Outcome::none);
    CHECK(gate.wanted().open);
  }
  SECTION("a connection without a Welcome is no successor, and does not begin the patience anew") {
    gate.on_vrrpd_closed(t0 + 100ms);
    CHECK(gate.on_time({.vrrpd_connected = true, .peer_lives = true}, t0 + kPatience) ==
          Gate::Outcome::shut_unattended);
    CHECK_FALSE(gate.wanted().open);
  }
  SECTION("the same vrrpd, still master: open again, with what it had") {
    gate.on_time({.vrrpd_connected = false, .peer_lives = true}, t0 + kPatience);
    snapshot(gate, GroupState::master, Phase::idle, kOurs);
    CHECK(gate.wanted().open);
    CHECK(gate.wanted().complete);
  }
  SECTION("a new one in backup") {
    snapshot(gate, GroupState::backup, Phase::idle, Term{});
    CHECK_FALSE(gate.wanted().open);
    CHECK(gate.deadline({.vrrpd_connected = true, .peer_lives = true}) == std::nullopt);
  }
}

TEST_CASE("gate_timeout runs here when vrrpd has gone after Prepare and no peer lives") {
  Gate gate = starts()[1].gate;
  snapshot(gate, GroupState::backup, Phase::claiming, kOurs);
  gate.on(Prepare{"G", kOurs, 1000}, t0);
  CHECK(gate.deadline({.vrrpd_connected = true, .peer_lives = false}) == std::nullopt);
  CHECK(gate.on_time({.vrrpd_connected = true, .peer_lives = false}, t0 + 1h) == Gate::Outcome::none);
  gate.on_vrrpd_closed(t0 + 1s);
  CHECK(gate.on_time({.vrrpd_connected = false, .peer_lives = true}, t0 + kGateTimeout) == Gate::Outcome::none);
  CHECK(gate.deadline({.vrrpd_connected = false, .peer_lives = false}) == t0 + kGateTimeout);
  CHECK(gate.on_time({.vrrpd_connected = false, .peer_lives = false}, t0 + kGateTimeout) ==
        Gate::Outcome::opened_alone);
  CHECK(gate.wanted().open);
  CHECK_FALSE(gate.wanted().complete);
}

TEST_CASE("met as a master, and never told to open: open after gate_timeout") {
  Gate gate = fresh();
  snapshot(gate, GroupState::master, Phase::idle, kOurs);
  CHECK_FALSE(gate.wanted().open);
  const Gate::Surroundings around{.vrrpd_connected = true, .peer_lives = true};
  CHECK(gate.deadline(around) == t0 + 1s + kGateTimeout);
  SECTION("nobody says anything") {
    CHECK(gate.on_time(around, t0 + 1s + kGateTimeout) == Gate::Outcome::opened_alone);
    CHECK(gate.wanted().open);
  }
  SECTION("Prepare comes, as it should: vrrpd knows the gate now") {
    gate.on(Prepare{"G", kOurs, 1000}, t0 + 1s);
    CHECK(gate.deadline(around) == std::nullopt);
  }
}

TEST_CASE("what was found in the kernel stays until vrrpd speaks") {
  Gate gate = fresh();
  gate.adopt({.open = true, .complete = true, .term = kOurs});
  CHECK(gate.wanted().open);
  SECTION("the master of that term") {
    snapshot(gate, GroupState::master, Phase::idle, kOurs);
    CHECK(gate.wanted() == GateState{.open = true, .complete = true, .term = kOurs});
  }
  SECTION("not a master") {
    snapshot(gate, GroupState::initialize, Phase::idle, Term{});
    CHECK_FALSE(gate.wanted().open);
  }
  SECTION("nobody, and a peer lives") {
    CHECK(gate.on_time({.vrrpd_connected = false, .peer_lives = true}, t0 + kPatience) ==
          Gate::Outcome::shut_unattended);
  }
}
