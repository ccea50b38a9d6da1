// The agent's engine: what it writes when, and what it says to whom.
#include "tests/natctl/agent_bench.hpp"

using namespace natctl;
using namespace natctl::test;
using namespace common;
using namespace std::chrono_literals;

TEST_CASE("nothing is written before it is known what stands there") {
  Bench b;
  b.give(VrrpdConnected{});
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  CHECK(b.texts.empty());
  CHECK(b.said == Lines{hello({})});
  b.give(TableFound{});
  CHECK(b.texts.size() == 1);
  CHECK(b.whole());
  CHECK(b.said == Lines{hello({}), ready(kFirst), report(true)});
}

TEST_CASE("a takeover: Prepare is answered by a transaction of its own, Open flips the switch") {
  Bench b;
  b.start();
  b.hold = true;
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  REQUIRE(b.texts.size() == 1);
  CHECK_FALSE(b.whole());
  CHECK(b.said.empty());
  b.hold = false;
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.said == Lines{ready(kFirst)});
  CHECK_FALSE(b.open());
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
  CHECK(b.texts.size() == 2);
  CHECK(b.texts[1].find("reject with tcp reset") != std::string::npos);
  CHECK(b.texts[1].find("jump") == std::string::npos);
  CHECK(b.open());
  b.forget();
  b.vrrpd(Entered{.group = "MAIN-GW", .state = GroupState::master, .term = kFirst, .cause = {}});
  CHECK(b.texts.empty());
  b.vrrpd(Shut{"MAIN-GW", kFirst, "leaving"});
  CHECK(b.texts.size() == 1);
  CHECK_FALSE(b.open());
}

TEST_CASE("opened by the deadline, then ready after all") {
  Bench b;
  b.start();
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.forget();
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::deadline});
  CHECK(b.texts.at(0).find("strict_MAIN-GW drop") != std::string::npos);
  CHECK(b.open());
  CHECK(b.counter("deadline_opened") == 1);
  CHECK(b.logs == Lines{"deadline_opened", "gate_open"});
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::late_ready});
  CHECK(b.texts.at(1).find("strict_MAIN-GW reject with tcp reset") != std::string::npos);
  CHECK(b.open());
}

TEST_CASE("messages that come while a transaction runs are done by the next one, all at once") {
  Bench b;
  b.start();
  b.hold = true;
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
  b.vrrpd(Shut{"MAIN-GW", kFirst, "evicted"});
  b.vrrpd(Prepare{"MAIN-GW", kNext, 1000});
  CHECK(b.texts.size() == 1);
  CHECK(b.said == Lines{gate_shut(kFirst)});  // nothing has opened it yet
  b.forget();
  b.give(TransactionDone{b.last_id + 17, ""});
  CHECK(b.texts.empty());
  b.give(TransactionDone{b.last_id, ""});
  // The first has shut the gate; the newest Prepare is what it answers.
  CHECK(b.said == Lines{ready(kNext)});
  b.give(TransactionDone{b.last_id, ""});
  CHECK_FALSE(b.open());
}

TEST_CASE("a Shut is answered when the kernel lets nothing through any more") {
  Bench b;
  b.start();
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.forget();
  b.hold = true;
  SECTION("the gate stands open") {
    b.hold = false;
    b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
    b.hold = true;
    b.vrrpd(Shut{"MAIN-GW", kFirst, "leaving"});
  }
  SECTION("it is just being opened") {
    b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
    b.vrrpd(Shut{"MAIN-GW", kFirst, "leaving"});
    CHECK(b.said.empty());
    b.give(TransactionDone{b.last_id, ""});
  }
  CHECK(b.said.empty());
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.said == Lines{gate_shut(kFirst)});
  CHECK_FALSE(b.open());
  b.forget();
  b.vrrpd(Shut{"MAIN-GW", kFirst, "once more"});
  CHECK(b.said == Lines{gate_shut(kFirst)});
}

TEST_CASE("a Shut is not answered before it is known what stands in the kernel") {
  Bench b;
  b.hold = true;
  b.give(VrrpdConnected{});
  b.forget();
  b.vrrpd(Shut{"MAIN-GW", kFirst, "leaving"});
  CHECK(b.said.empty());
  b.give(TableFound{.exists = true, .gates_open = {{"MAIN-GW", true}}, .complete = {}, .terms = {}});
  CHECK(std::ranges::find(b.said, gate_shut(kFirst)) == b.said.end());
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.open());  // adopted with the gate as it is
}

TEST_CASE("a Prepare is not answered by a transaction that opened the gate for the one before") {
  Bench b;
  b.hold = true;
  b.give(TableFound{});
  b.give(VrrpdConnected{});
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::deadline});
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.texts.size() == 2);
  b.vrrpd(Prepare{"MAIN-GW", kNext, 1000});
  b.forget();
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.said.empty());
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.said == Lines{ready(kNext)});
  CHECK_FALSE(b.open());
}

TEST_CASE("a switch that fails is followed by the whole table at once") {
  Bench b;
  b.start();
  b.hold = true;
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.give(TransactionDone{b.last_id, "no such table"});
  CHECK(b.texts.size() == 2);
  CHECK(b.whole(1));
  CHECK(b.said.empty());
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.said == Lines{ready(kFirst)});
  CHECK(b.counter("transactions_failed") == 1);
}

TEST_CASE("a table that is refused: vrrpd is told, and it is tried again, less and less often") {
  Bench b;
  b.start();
  b.refuse = "nftables: no";
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  CHECK(b.texts.size() == 2);
  CHECK(b.said == Lines{ready(kFirst, false, "nftables: no"), report(true, "nftables: no")});
  b.forget();
  b.wait(10s);
  // 100, 200, 400, 800, 1600, 3200 ms
  CHECK(b.texts.size() == 6);
  SECTION("it works again: the Ready that is still owed") {
    b.refuse.clear();
    b.forget();
    b.wait(5s);
    CHECK(b.texts.size() == 1);
    CHECK(b.said == Lines{ready(kFirst), report(true)});
    CHECK_FALSE(b.agent.deadline().has_value());
  }
  SECTION("a new Prepare does not wait for the next try") {
    b.refuse.clear();
    b.forget();
    b.vrrpd(Prepare{"MAIN-GW", kNext, 1000});
    CHECK(b.said == Lines{ready(kNext), report(true)});
  }
}

TEST_CASE("rules that the kernel refuses leave the gates of the old ones at work") {
  Bench b;
  b.start();
  b.refuse = "nftables: no";
  b.refuse_tables_only = true;
  Config config = article();
  config.nat->source.front().port_mapping = PortMapping::fully_random;
  b.give(Reload{config});
  CHECK(b.said == Lines{report(true, "nftables: no")});
  b.forget();
  b.wait(10ms);  // the next try is not due
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  CHECK(b.said.front() == ready(kFirst));
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
  CHECK(b.open());
  CHECK(b.agent.status(b.now).error == "nftables: no");
  b.vrrpd(Shut{"MAIN-GW", kFirst});
  CHECK_FALSE(b.open());
  CHECK(std::ranges::find(b.said, gate_shut(kFirst)) != b.said.end());
  b.forget();
  SECTION("and the new ones come as soon as they are taken, with the gate as it is") {
    b.master(kNext);
    b.refuse.clear();
    b.forget();
    b.wait(10s);
    REQUIRE(b.texts.size() == 1);
    CHECK(b.whole());
    CHECK(b.texts[0].find("fully-random") != std::string::npos);
    CHECK(b.open());
    CHECK(b.agent.status(b.now).error.empty());
    CHECK_FALSE(b.agent.deadline().has_value());
  }
  SECTION("a switch that is refused as well is left to the next try") {
    b.refuse_tables_only = false;
    b.vrrpd(Prepare{"MAIN-GW", kNext, 1000});
    b.wait(10s);
    CHECK(b.texts.size() < 20);
    b.refuse.clear();
    b.forget();
    b.wait(10s);
    CHECK(b.texts.size() == 1);
    CHECK(std::ranges::find(b.said, ready(kNext)) != b.said.end());
  }
}

TEST_CASE("a table that was never loaded is reported so") {
  Bench b;
  b.refuse = "nftables: no";
  b.give(TableFound{});
  b.give(VrrpdConnected{});
  CHECK(b.said == Lines{hello({}), report(false, "nftables: no")});
  CHECK_FALSE(b.agent.status(b.now).active);
}

TEST_CASE("a restarted agent adopts what it finds, and swaps the rules with the gate as it is") {
  Bench b;
  b.give(TableFound{.exists = true,
                    .gates_open = {{"MAIN-GW", true}},
                    .complete = {{"MAIN-GW", true}},
                    .terms = {{"MAIN-GW", kFirst}}});
  REQUIRE(b.texts.size() == 1);
  CHECK(b.whole());
  CHECK(b.texts[0].find("chain gate_MAIN-GW {\n  }") != std::string::npos);
  CHECK(b.texts[0].find("reject with tcp reset comment \"term 7 R1\"") != std::string::npos);
  CHECK(b.open());
  b.give(VrrpdConnected{});
  CHECK(b.said == Lines{hello({{"MAIN-GW", kFirst}}), report(true)});
  b.forget();
  b.vrrpd(Welcome{.node = "R1", .groups = {{"MAIN-GW", GroupState::master, Phase::idle, kFirst}}});
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::ready});
  CHECK(b.texts.empty());
  CHECK(b.open());
}

TEST_CASE("vrrpd does not come back: the gate shuts when a peer lives") {
  Bench b;
  b.start();
  b.master();
  b.vrrpd(LocalReport{.groups = {}, .peer_alive = true});
  b.give(VrrpdClosed{});
  const Duration patience = down_interval(1s, 200) / 2;
  b.wait(patience - 1ms);
  CHECK(b.open());
  b.wait(2ms);
  CHECK_FALSE(b.open());
  CHECK(b.counter("shut_unattended") == 1);
}

TEST_CASE("without a peer the gate stays open; one that appears is taken seriously") {
  Bench b;
  b.start();
  b.master();
  b.vrrpd(LocalReport{.groups = {}, .peer_alive = false});
  b.give(VrrpdClosed{});
  b.wait(1min);
  CHECK(b.open());
  b.give(SyncdMessage{peer(true)});
  CHECK_FALSE(b.open());
}

TEST_CASE("what syncd says of the peer grows stale") {
  Bench b;
  b.start();
  b.vrrpd(Prepare{"MAIN-GW", kFirst, 1000});
  b.give(SyncdMessage{peer(true)});
  b.give(VrrpdClosed{});
  b.wait(2s);
  b.give(SyncdMessage{peer(true)});
  // At 5 s the gate_timeout is over, but the peer was heard at 2 s.
  b.wait(2999ms);
  CHECK_FALSE(b.open());
  b.wait(1s);
  CHECK(b.open());
  CHECK(b.counter("opened_alone") == 1);
}

TEST_CASE("the peer is master in a newer term, and vrrpd hangs") {
  Bench b;
  b.start();
  b.master();
  b.give(SyncdMessage{peer(true, GroupState::master, kPeers)});
  CHECK_FALSE(b.open());
  CHECK(b.texts.size() == 1);
  CHECK(b.counter("superseded") == 1);
  b.vrrpd(Open{"MAIN-GW", kFirst, OpenReason::aborted});
  CHECK_FALSE(b.open());
  CHECK(b.counter("old_term") == 1);
  b.give(SyncdMessage{peer(true, GroupState::master, kPeers)});
  CHECK(b.counter("superseded") == 1);
}

TEST_CASE("somebody else deletes the table, or writes into it") {
  Bench b;
  b.start();
  b.master();
  b.give(TableFound{});
  CHECK(b.texts.size() == 1);
  CHECK(b.whole());
  CHECK(b.open());
  // It is back before vrrpd could be told that it is missing.
  CHECK(b.said.empty());
  CHECK(b.counter("table_restored") == 1);
  b.forget();
  for (int i = 0; i < 100; ++i) {
    b.give(TableFound{.exists = true, .gates_open = {{"MAIN-GW", true}}, .complete = {}, .terms = {}});
    b.wait(10ms);
  }
  CHECK(b.texts.size() <= 2);
  b.wait(2s);
  CHECK(b.texts.size() <= 3);
  CHECK(b.open());
}

TEST_CASE("nat.clear and nat.apply") {
  Bench b;
  b.start();
  b.master();
  b.give(ask("nat.clear"));
  CHECK(b.texts == Lines{"add table inet steadynat\ndelete table inet steadynat\n"});
  REQUIRE(b.replies.size() == 1);
  CHECK(b.replies[0].ok);
  CHECK(b.replies[0].id == 5);
  CHECK(b.said == Lines{report(false)});
  CHECK_FALSE(b.agent.status(b.now).active);
  b.forget();
  b.give(TableFound{});
  b.vrrpd(Shut{"MAIN-GW", kFirst, ""});
  CHECK(b.texts.empty());
  CHECK(b.said == Lines{gate_shut(kFirst)});
  b.forget();
  b.vrrpd(Prepare{"MAIN-GW", kNext, 1000});
  CHECK(b.texts.empty());
  CHECK(b.said.size() == 1);
  CHECK(b.said[0].find("natctl nat apply") != std::string::npos);
  b.vrrpd(Open{"MAIN-GW", kNext, OpenReason::ready});
  b.forget();
  b.give(ask("nat.apply"));
  CHECK(b.whole());
  CHECK(b.replies.at(0).ok);
  CHECK(b.open());
  CHECK(b.said == Lines{report(true)});
}

TEST_CASE("a clear that comes while the table is being written is not answered by that") {
  Bench b;
  b.hold = true;
  b.give(TableFound{});
  b.give(ask("nat.clear"));
  CHECK(b.replies.empty());
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.replies.empty());
  CHECK(b.texts.size() == 2);
  b.give(TransactionDone{b.last_id, ""});
  CHECK(b.replies.size() == 1);
}

TEST_CASE("requests") {
  Bench b;
  b.start();
  b.give(ask("status"));
  REQUIRE(b.replies.size() == 1);
  CHECK(b.replies[0].body.find("\"active\":true") != std::string::npos);
  b.give(ask("dance"));
  CHECK_FALSE(b.replies.at(1).ok);
  CHECK(b.replies[1].error == "unknown request \"dance\"; the agent knows status, nat.apply and nat.clear");
  b.refuse = "nftables: no";
  b.give(ask("nat.apply"));
  CHECK(b.replies.at(2).error == "nftables: no");
}

TEST_CASE("reload") {
  Bench b;
  b.start();
  b.master();
  Config config = article();
  SECTION("other rules: one transaction, the gate stays open") {
    config.nat->source.front().port_mapping = PortMapping::fully_random;
    b.give(Reload{config});
    CHECK(b.texts.size() == 1);
    CHECK(b.texts[0].find("fully-random") != std::string::npos);
    CHECK(b.open());
  }
  SECTION("rules that cannot be: nothing changes") {
    config.nat->source.front().match.outbound = {{"et*h"}, {}};
    config.vrrp->groups.front().name = "OTHER";
    b.give(Reload{config});
    CHECK(b.texts.empty());
    CHECK(b.open());
    CHECK(b.agent.status(b.now).error.find("nat source 10") != std::string::npos);
    CHECK(b.logs == Lines{"rules_refused"});
    b.give(Reload{article()});
    CHECK(b.texts.size() == 1);
    CHECK(b.agent.status(b.now).error.empty());
  }
  SECTION("another group: its gate is shut") {
    config.vrrp->groups.front().name = "OTHER";
    config.nat->source.front().group = "OTHER";
    b.give(Reload{config});
    CHECK(b.texts.size() == 1);
    CHECK(b.agent.status(b.now).gates_open == std::map<std::string, bool>{{"OTHER", false}});
  }
  SECTION("no nat any more: the table goes") {
    config.nat.reset();
    config.firewall.clear();
    b.give(Reload{config});
    CHECK(b.texts == Lines{"add table inet steadynat\ndelete table inet steadynat\n"});
    CHECK_FALSE(b.agent.status(b.now).active);
  }
}

TEST_CASE("stop leaves the table as it is") {
  Bench b;
  b.start();
  b.master();
  b.agent.step(Stop{}, b.now, b.actions);
  CHECK(b.actions == Actions{Finished{}});
}
