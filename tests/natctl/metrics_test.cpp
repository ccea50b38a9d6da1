// The Prometheus text: its form, and that each number has its place.
#include "natctl/metrics.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>

#include "natctl/config_dump.hpp"
#include "natctl/line_diff.hpp"
#include "tests/natctl/article.hpp"

namespace {

using namespace natctl;

const char* const kVrrpd =
    R"({"node":"R1","groups":[{"name":"MAIN-GW","state":"master","phase":"idle","term":{"counter":7,"node":"R1"},)"
    R"("since":"2026-11-22T21:00:00.500Z","priority":200,"held":false,"reasons":[],"instances":[{"name":"wan",)"
    R"("interface":"eth0","vrid":1,"state":"master","priority":200,"virtual_addresses":["10.10.0.101/24"],)"
    R"("counters":{"sent":5,"received":2,"drop_ttl":1,"sent_leaving":3,"interval_mismatch":4}}],)"
    R"("counters":{"late_ready":6}}],"link":"up","peer_alive":true,"syncd_connected":true,"agent_connected":true,)"
    R"("counters":{"protocol_errors":8}})";
const char* const kSyncd =
    R"({"state":"synced","peer":"R2","link":"up","lag_ms":250,"backlog":3,"local_flows":6000,"peer_flows":10,)"
    R"("committed_flows":9,"withheld_flows":5,"memory_bytes":1024,"config_differs":false,"reasons":[],"links":[)"
    R"({"interface":"eth1","usable":true,"quiet":false},{"interface":"eth3","usable":true,"quiet":true},)"
    R"({"interface":"eth4","usable":false,"quiet":false}],)"
    R"("counters":{"datagrams_sent":100,"events_lost":2,"duplicates":4}})";
const char* const kAgent = R"({"active":true,"gates_open":{"MAIN-GW":true},"rules":1,)"
                           R"("counters":{"shut_packets":7,"transactions":3},"error":""})";

Answers answers() {
  return {.node = "here",
          .vrrpd = {kVrrpd, ""},
          .syncd = {kSyncd, ""},
          .agent = {kAgent, ""},
          .vrrpd_expected = true,
          .syncd_expected = true,
          .agent_expected = true};
}

bool has_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("each number under its name and labels") {
  const std::string text = metrics_text(answers(), "0.1.0");
  INFO(text);
  for (const char* line :
       {R"(steadynat_build_info{version="0.1.0",node="R1"} 1)",
        R"(steadynat_up{daemon="vrrpd"} 1)",
        R"(steadynat_failover_ready 1)",
        R"(steadynat_sync_withheld_connections 5)",
        R"(steadynat_peer_alive 1)",
        R"(steadynat_group_state{group="MAIN-GW"} 2)",
        R"(steadynat_group_term{group="MAIN-GW"} 7)",
        R"(steadynat_group_gate_open{group="MAIN-GW"} 1)",
        R"(steadynat_group_events_total{group="MAIN-GW",event="late_ready"} 6)",
        R"(steadynat_group_last_transition_timestamp_seconds{group="MAIN-GW"} 1795381200.5)",
        R"(steadynat_vrrp_state{group="MAIN-GW",instance="wan",interface="eth0",vrid="1"} 2)",
        R"(steadynat_vrrp_advertisements_sent_total{group="MAIN-GW",instance="wan",interface="eth0",vrid="1"} 5)",
        R"(steadynat_vrrp_priority_zero_sent_total{group="MAIN-GW",instance="wan",interface="eth0",vrid="1"} 3)",
        R"(steadynat_vrrp_priority_zero_received_total{group="MAIN-GW",instance="wan",interface="eth0",vrid="1"} 0)",
        R"(steadynat_vrrp_receive_errors_total{group="MAIN-GW",instance="wan",interface="eth0",vrid="1",)"
        R"(reason="ttl"} 1)",
        R"(steadynat_vrrp_events_total{event="protocol_errors"} 8)",
        R"(steadynat_sync_connected 1)",
        R"(steadynat_sync_link_up{interface="eth1"} 1)",
        R"(steadynat_sync_link_up{interface="eth3"} 0)",
        R"(steadynat_sync_link_up{interface="eth4"} 0)",
        R"(steadynat_config_differs 0)",
        R"(steadynat_sync_state 2)",
        R"(steadynat_sync_lag_seconds 0.25)",
        R"(steadynat_sync_queue_depth 3)",
        R"(steadynat_sync_cache_entries{cache="internal"} 6000)",
        R"(steadynat_sync_messages_sent_total 100)",
        R"(steadynat_sync_netlink_overruns_total 2)",
        R"(steadynat_sync_events_total{event="duplicates"} 4)",
        R"(steadynat_nat_active 1)",
        R"(steadynat_nat_packets_total{what="shut"} 7)",
        R"(steadynat_nat_transactions_total 3)"})
    CHECK(has_line(text, line));
}

TEST_CASE("links over which nobody is heard are down, and what the peer's file is like is not known then") {
  Answers silent = answers();
  silent.syncd.body = R"({"state":"disconnected","link":"down","config_differs":null,"links":[)"
                      R"({"interface":"eth1","usable":true,"quiet":false}]})";
  const std::string text = metrics_text(silent, "1");
  CHECK(has_line(text, R"(steadynat_sync_link_up{interface="eth1"} 0)"));
  CHECK(text.find("config_differs") == std::string::npos);
}

TEST_CASE("each family once, with its type, and all its lines together") {
  std::stringstream stream(metrics_text(answers(), "0.1.0"));
  std::set<std::string> seen, series;
  std::string current;
  for (std::string line; std::getline(stream, line);) {
    INFO(line);
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      CHECK(seen.insert(current).second);
      CHECK(line.size() > 8 + current.size());
    } else if (!line.starts_with("# TYPE " + current + " ")) {
      CHECK(line.substr(0, line.find_first_of("{ ")) == current);
      CHECK(series.insert(line.substr(0, line.rfind(' '))).second);
    }
  }
  CHECK(seen.size() > 30);
}

TEST_CASE("what does not answer is down, and what is not configured is not spoken of") {
  Answers nothing;
  nothing.node = "a\"b\\c\nd";
  nothing.syncd_expected = false;
  const std::string text = metrics_text(nothing, "1");
  CHECK(text.find(R"(node="a\"b\\c\nd")") != std::string::npos);
  CHECK(has_line(text, R"(steadynat_up{daemon="vrrpd"} 0)"));
  CHECK(text.find(R"(daemon="syncd")") == std::string::npos);
  CHECK(has_line(text, "steadynat_failover_ready 0"));
  Answers damaged = answers();
  for (Answer* each : {&damaged.vrrpd, &damaged.syncd, &damaged.agent})
    each->body = R"({"groups":[3,{"instances":[4]}],"counters":{"x":"y"},"gates_open":[]})";
  CHECK(has_line(metrics_text(damaged, "1"), R"(steadynat_up{daemon="agent"} 1)"));
}

TEST_CASE("points in time") {
  CHECK(epoch_seconds("1970-01-01T00:00:00Z") == 0);
  CHECK(epoch_seconds("2026-11-22T21:00:00.250Z") == 1795381200.25);
  for (const char* wrong : {"", "never", "2026-11-22", "2026-13-22T21:00:00Z", "2026-11-22T21:00:00"})
    CHECK(epoch_seconds(wrong) == 0);
}

TEST_CASE("a difference line by line, under the head that it belongs to") {
  CHECK(line_diff("a\nb\n", "a\nb\n").empty());
  CHECK(
      line_diff("chain x {\n  one\n  two\n}\nchain y {\n  three\n}\n", "chain x {\n  one\n}\nchain y {\n  four\n}\n") ==
      "  chain x {\n-   two\n  chain y {\n-   three\n+   four\n");
  CHECK(line_diff("", "a\n") == "+ a\n");
  CHECK(line_diff("a", "") == "- a\n");
}

TEST_CASE("what a file says for one router, one value a line") {
  const std::string lines = config_lines(test::wide());
  INFO(lines);
  for (const char* line :
       {"node: R1", "vrrp.groups.MAIN-GW.instances.wan.virtual_addresses: [10.10.0.101/24]",
        "vrrp.groups.MAIN-GW.gate_timeout: 5s", "sync.commit: continuous",
        "sync.links: "
        "[{\"interface\":\"eth1\",\"local\":\"10.10.10.2\",\"peer\":\"10.10.10.3\",\"multicast\":\"225.0.0.50\"}]",
        "nat.source.10.port_mapping: fully-random", "nat.source.50.translate_to: masquerade",
        "firewall.to-router.rules.10.destination_ports: [22, 443]",
        "firewall.to-router.interfaces: [eth0 local, eth2 out]"})
    CHECK(has_line("\n" + lines, line));
  common::Config other = test::wide();
  other.nat->source.front().log = true;
  CHECK(line_diff(lines, config_lines(other)) == "- nat.source.10.log: false\n+ nat.source.10.log: true\n");
  CHECK(config_json(test::wide()).find("\"gate_timeout\": \"5s\"") != std::string::npos);
}
