// The screens as people see them, of a pair that was really there: golden/screen-R1.json holds what its daemons
// answered.
#include <algorithm>
#include <catch2/catch.hpp>

#include "natctl/fit.hpp"
#include "natctl/json_reader.hpp"
#include "natctl/report.hpp"
#include "natctl/top.hpp"
#include "tests/natctl/golden_file.hpp"

namespace {

using namespace natctl;
using namespace std::chrono_literals;

const std::string kSource = STEADYNAT_SOURCE_DIR;

void check_golden(const std::string& name, const std::string& text) {
  test::check_golden(kSource, name, text);
}

Json recorded() {
  return parse_json(test::read_golden(kSource, "screen-R1.json"));
}

Answers answers_of(const Json& said) {
  return {.node = "R1",
          .vrrpd = {dump(said["vrrpd"], -1), ""},
          .syncd = {dump(said["syncd"], -1), ""},
          .agent = {dump(said["agent"], -1), ""},
          .vrrpd_expected = true,
          .syncd_expected = true,
          .agent_expected = true};
}

std::size_t widest(const std::string& text) {
  std::stringstream lines(text);
  std::size_t result = 0;
  for (std::string line; std::getline(lines, line);) result = std::max(result, line.size());
  return result;
}

Conversation talk(int number, std::uint64_t bytes) {
  const auto inside = *common::IpAddress::parse("192.168.100." + std::to_string(10 + number % 50)),
             server = *common::IpAddress::parse("203.0.113.10"), outside = *common::IpAddress::parse("10.10.0.101");
  return {.protocol = static_cast<std::uint8_t>(number % 3 == 0 ? 17 : 6),
          .source = inside,
          .destination = server,
          .reply_source = server,
          .reply_destination = outside,
          .source_port = static_cast<std::uint16_t>(10000 + number),
          .destination_port = 7007,
          .reply_source_port = 7007,
          .reply_destination_port = static_cast<std::uint16_t>(23000 + 7 * number),
          .bytes = bytes};
}

/// A second of a busy pair.
struct Busy {
  TopSample before, now;
  explicit Busy(Json said = recorded()) {
    before.at = common::Time(100s);
    before.answers = answers_of(said);
    Json& counters = said["syncd"]["counters"];
    for (const char* name : {"events", "flows_sent", "flows_received"})
      counters[name] = number_of(counters, name) + 2400;
    counters["bytes_sent"] = number_of(counters, "bytes_sent") + 240'000;
    counters["bytes_received"] = number_of(counters, "bytes_received") + 9'000;
    now.at = common::Time(102s);
    now.clock = "04:00:51";
    now.answers = answers_of(said);
    for (int i = 0; i < 40; ++i) {
      before.conversations.push_back(talk(i, 1000));
      now.conversations.push_back(talk(i, 1000 + static_cast<std::uint64_t>(i) * 123'456));
    }
  }
  std::string screen(TopSize size) const {
    const auto lines = top_screen(now, &before, size);
    CHECK(lines.size() <= static_cast<std::size_t>(size.rows));
    std::string text;
    for (const TopLine& line : lines) text += line.text + "\n";
    CHECK(widest(text) <= static_cast<std::size_t>(size.columns));
    return text;
  }
};

}  // namespace

TEST_CASE("status, and what show shows, fit a narrow terminal") {
  const Json said = recorded();
  const auto body = [&](const char* part) { return dump(said[part], -1); };
  const std::string status = make_status(answers_of(said)).text, vrrp = vrrp_details(body("vrrpd")),
                    sync = sync_details(body("syncd")), nat = nat_details(body("agent")),
                    events = event_list(body("vrrpd"));
  check_golden("screen-status.txt", status);
  check_golden("screen-show-vrrp.txt", vrrp);
  check_golden("screen-show-sync.txt", sync);
  check_golden("screen-show-nat.txt", nat);
  check_golden("screen-show-events.txt", events);
  check_golden("screen-show-connections.txt", connection_list(body("connections")));
  for (const std::string& text : {status, vrrp, sync, nat}) CHECK(widest(text) <= 80);
  CHECK(widest(events) <= 120);
}

TEST_CASE("lists fit a wide terminal and a narrow one, and show everything where there is none") {
  const Json said = recorded();
  const std::string events = event_list(dump(said["vrrpd"], -1)),
                    flows = connection_list(dump(said["connections"], -1));
  CHECK(folded(events, {}) == events);
  CHECK(fitted_connections(flows, {}) == flows);
  for (const std::size_t columns : {80, 120}) {
    CAPTURE(columns);
    check_golden("screen-show-events-" + std::to_string(columns) + ".txt", folded(events, columns));
    check_golden("screen-show-connections-" + std::to_string(columns) + ".txt", fitted_connections(flows, columns));
    CHECK(widest(folded(events, columns)) <= columns);
    CHECK(widest(fitted_connections(flows, columns)) <= columns);
  }
}

TEST_CASE("status when things are bad") {
  Json said = recorded();
  said["syncd"]["state"] = "disconnected";
  said["syncd"]["link"] = "down";
  said["syncd"]["peer_groups"] = Json::array();
  said["syncd"]["reasons"] = {"R2 is not heard on the sync link"};
  said["vrrpd"]["link"] = "down";
  said["vrrpd"]["peer_alive"] = false;
  said["vrrpd"]["groups"][0]["instances"][1]["state"] = "fault";
  said["agent"]["error"] = "nftables: Error: Could not process rule: Argument list too long: delete table inet x";
  const std::string alone = make_status(answers_of(said)).text;
  Answers no_agent = answers_of(said);
  no_agent.agent = {std::nullopt, "/run/steadynat/agent.sock: nobody answers; is natctl agent running?"};
  const std::string dead = make_status(no_agent).text;
  check_golden("screen-status-bad.txt", alone);
  check_golden("screen-status-no-agent.txt", dead);
  for (const std::string& text : {alone, dead}) {
    CHECK(widest(text) <= 120);
    CHECK(widest(folded(text, 80)) <= 80);
  }
  check_golden("screen-status-bad-80.txt", folded(alone, 80));
}

TEST_CASE("top on a small terminal and on a large one") {
  const Busy busy;
  check_golden("screen-top-80x24.txt", busy.screen({.columns = 80, .rows = 24}));
  check_golden("screen-top-120x40.txt", busy.screen({.columns = 120, .rows = 40}));
  CHECK(
      top_line(busy.now, &busy.before) ==
      "04:00:51  R1  ready to fail over  MAIN-GW MASTER, peer BACKUP  flows 70 own 0 peer  1200 events/s  lag 0.0 ms  "
      "link 120.0 kB/s out 4.5 kB/s in");
  const Json json = parse_json(top_json(busy.now, &busy.before));
  CHECK(json["rates"]["events"] == 1200.0);
  CHECK(json["rates"]["seconds"] == 2.0);
  CHECK(json["status"]["failover_ready"] == true);
}

TEST_CASE("top when things are bad") {
  Json said = recorded();
  said["syncd"]["state"] = "disconnected";
  said["syncd"]["link"] = "down";
  said["syncd"]["peer_groups"] = Json::array();
  said["syncd"]["reasons"] = {"one", "two", "three", "four", "five\nand more"};
  said["vrrpd"]["groups"][0]["state"] = "fault";
  Busy busy(said);
  busy.now.why_no_conversations = "only root may read the connection tracking table: use sudo";
  check_golden("screen-top-bad.txt", busy.screen({.columns = 80, .rows = 24}));
  const auto lines = top_screen(busy.now, nullptr, {.columns = 80, .rows = 24});
  CHECK(lines.front().tone == TopLine::Tone::bad);
}

TEST_CASE("top fits whatever there is room for") {
  const Busy busy;
  for (const int columns : {1, 2, 20, 79, 300})
    for (const int rows : {1, 5, 13, 14, 15, 23, 100}) busy.screen({.columns = columns, .rows = rows});
  // Nobody answers.
  const TopSample silent{
      .at = {}, .clock = "0", .answers = {.node = "x"}, .conversations = {}, .why_no_conversations = {}};
  CHECK(top_screen(silent, nullptr, {}).front().text.starts_with("x  NOT ready to fail over"));
  CHECK(top_line(silent, &silent) == "0  x  NOT ready to fail over");
}

TEST_CASE("a daemon that was started anew counts from zero, and that is no negative rate") {
  Json said = recorded();
  Busy busy(said);
  said["syncd"]["counters"]["events"] = 10;
  busy.now.answers = answers_of(said);
  CHECK(parse_json(top_json(busy.now, &busy.before))["rates"]["events"] == 5.0);
  CHECK(parse_json(top_json(busy.now, nullptr))["rates"]["events"] == 0.0);
}
