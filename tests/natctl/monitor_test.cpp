#include "natctl/monitor.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace natctl;
using namespace common;
using Lines = std::vector<std::string>;

const Term kTerm{7, "R1"};

}  // namespace

TEST_CASE("what vrrpd tells to all, as lines") {
  CHECK(monitor_lines(Welcome{.node = "R1", .groups = {{"G", GroupState::backup, Phase::idle, kTerm}}}) ==
        Lines{"G  is BACKUP, term 7@R1"});
  CHECK(monitor_lines(Anticipate{"G", true}) == Lines{"G  an advert is overdue"});
  CHECK(monitor_lines(Anticipate{"G", false}) == Lines{"G  adverts are heard again"});
  CHECK(monitor_lines(Prepare{"G", kTerm, 1000}) == Lines{"G  takes over, term 7@R1"});
  CHECK(monitor_lines(Open{"G", kTerm, OpenReason::ready}) == Lines{"G  opens the gate (ready), term 7@R1"});
  CHECK(monitor_lines(Shut{"G", kTerm, "evicted"}) == Lines{"G  shuts the gate, term 7@R1: evicted"});
  CHECK(monitor_lines(Drain{"G", kTerm, 100}) == Lines{"G  drains, term 7@R1"});
  CHECK(monitor_lines(Entered{"G", GroupState::master, Phase::claiming, kTerm, 200, "no adverts"}) ==
        Lines{"G  is MASTER (claiming), term 7@R1, priority 200: no adverts"});
  CHECK(monitor_lines(LocalReport{}).empty());
  CHECK(monitor_lines(Shut{"G", kTerm, "a\nG  is MASTER\x1b[2J"}) ==
        Lines{"G  shuts the gate, term 7@R1: a?G  is MASTER?[2J"});
}

TEST_CASE("readiness is told when it changes") {
  Readiness readiness;
  const Report good{R"({"failover_ready":true,"reasons":[]})", "", 0};
  const Report bad{R"({"failover_ready":false,"reasons":["sync: one","two\n"]})", "", 1};
  CHECK(readiness.look(good) == Lines{"ready to fail over"});
  CHECK(readiness.look(good).empty());
  CHECK(readiness.look(bad) == Lines{"NOT ready to fail over", "  - sync: one", "  - two?"});
  CHECK(readiness.look(bad).empty());
  CHECK(readiness.look(good) == Lines{"ready to fail over"});
}
