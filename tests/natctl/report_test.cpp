#include "natctl/report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using namespace natctl;
using Json = nlohmann::ordered_json;

Json vrrpd_body() {
  return Json::parse(R"({"node":"R1","groups":[{"name":"MAIN-GW","state":"master","phase":"idle",
    "term":{"counter":7,"node":"R1"},"since":"2026-11-22T21:00:00.000Z","priority":200,"held":false,"gate":"open",
    "reasons":[],"instances":[{"name":"wan","interface":"eth0","vrid":1,"state":"master","priority":200,
    "virtual_addresses":["10.10.0.101/24"],"primary":"10.10.0.102","master":null,"master_interval_ms":100.0,
    "counters":{"adverts_sent":5}}],"counters":{"late_ready":0},"transitions":[{"at":"2026-11-22T21:00:00.000Z",
    "term":{"counter":7,"node":"R1"},"from":"backup","to":"master","cause":"no adverts",
    "timeline":[{"what":"claim","after_ms":0.0},{"what":"open","after_ms":1.25}]}]}],
    "link":"up","peer_alive":true,"syncd_connected":true,"agent_connected":true,"counters":{}})");
}
Json syncd_body() {
  return Json::parse(
      R"({"state":"synced","peer":"R2","link":"up","lag_ms":0.25,"backlog":0,"local_flows":6000,
    "peer_flows":0,"committed_flows":0,"memory_bytes":1,"config_differs":false,"reasons":[],"counters":{}})");
}
Json agent_body() {
  return Json::parse(R"({"active":true,"gates_open":{"MAIN-GW":true},"rules":1,"counters":{},"error":""})");
}

struct Case {
  Json vrrpd = vrrpd_body(), syncd = syncd_body(), agent = agent_body();
  Answers answers() const {
    return {.node = "here",
            .vrrpd = {vrrpd.dump(), ""},
            .syncd = {syncd.dump(), ""},
            .agent = {agent.dump(), ""},
            .vrrpd_expected = true,
            .syncd_expected = true,
            .agent_expected = true};
  }
  Report report() const { return make_status(answers()); }
  std::vector<std::string> reasons() const { return Json::parse(report().json)["reasons"]; }
};

}  // namespace

TEST_CASE("a healthy pair is ready to fail over") {
  const Report report = Case().report();
  CHECK(report.exit_code == 0);
  const Json json = Json::parse(report.json);
  CHECK(json["node"] == "R1");
  CHECK(json["failover_ready"] == true);
  CHECK(json["reasons"] == Json::array());
  const Json& group = json["groups"][0];
  CHECK(group["name"] == "MAIN-GW");
  CHECK(group["state"] == "master");
  CHECK(group["phase"] == "idle");
  CHECK(group["term"]["counter"] == 7);
  CHECK(group["since"] == "2026-11-22T21:00:00.000Z");
  CHECK(group["counters"]["late_ready"] == 0);
  CHECK(!group.contains("transitions"));
  const Json& instance = group["instances"][0];
  CHECK(instance["name"] == "wan");
  CHECK(instance["interface"] == "eth0");
  CHECK(instance["vrid"] == 1);
  CHECK(instance["state"] == "master");
  CHECK(instance["priority"] == 200);
  CHECK(instance["virtual_addresses"] == Json({"10.10.0.101/24"}));
  CHECK(json["sync"]["state"] == "synced");
  CHECK(json["sync"]["peer"] == "R2");
  CHECK(json["sync"]["lag_ms"] == 0.25);
  CHECK(json["sync"]["local_flows"] == 6000);
  CHECK(json["nat"]["active"] == true);
  CHECK(json["nat"]["gate"] == "open");
  CHECK(json["nat"]["rules"] == 1);
  CHECK(report.text ==
        "R1  ready to fail over\n"
        "MAIN-GW  MASTER  since 2026-11-22T21:00:00.000Z  term 7@R1\n"
        "  wan        eth0       vrid 1    MASTER      priority 200  10.10.0.101/24\n"
        "sync  synced with R2  lag 0.2 ms\n"
        "      connections: 6000 own, 0 of the peer, 0 of these in the kernel\n"
        "nat   active  gate open  1 rule\n");
}

TEST_CASE("connections that the filter withholds are shown where there are some") {
  Case c;
  c.syncd["withheld_flows"] = 0;
  CHECK(c.report().text.find("sync.filter") == std::string::npos);
  c.syncd["withheld_flows"] = 12;
  CHECK_THAT(c.report().text, Catch::Contains("\n      12 more of this router are not replicated: sync.filter\nnat "));
}

TEST_CASE("the other router is on the same screen, as far as the link tells of it") {
  Case c;
  c.syncd["peer_groups"] = Json::array({{{"name", "MAIN-GW"},
                                         {"state", "backup"},
                                         {"phase", "idle"},
                                         {"priority", 100},
                                         {"complete", true},
                                         {"held", false}}});
  CHECK(c.report().text.find("\nMAIN-GW  BACKUP  on R2  priority 100  has all connections\nsync  synced") !=
        std::string::npos);
  c.syncd["peer_groups"][0]["complete"] = false;
  c.syncd["peer_groups"][0]["held"] = true;
  c.syncd["peer_groups"][0]["phase"] = "requesting";
  CHECK(c.report().text.find("BACKUP (requesting) held  on R2  priority 100  lacks connections") != std::string::npos);
}

TEST_CASE("a backup is ready behind a shut gate") {
  Case c;
  c.vrrpd["groups"][0]["state"] = "backup";
  c.agent["gates_open"]["MAIN-GW"] = false;
  CHECK(c.report().exit_code == 0);
  CHECK(Json::parse(c.report().json)["nat"]["gate"] == "shut");
}

TEST_CASE("each thing that would spoil a failover is a reason") {
  Case c;
  std::string expected;
  SECTION("no peer") {
    c.vrrpd["peer_alive"] = false;
    expected = "the other router is not heard";
  }
  SECTION("fault") {
    c.vrrpd["groups"][0]["state"] = "fault";
    expected = "MAIN-GW: is in fault";
  }
  SECTION("a reason of vrrpd's own stands for the group") {
    c.vrrpd["groups"][0]["state"] = "fault";
    c.vrrpd["groups"][0]["reasons"] = {"eth0 has no carrier"};
    expected = "MAIN-GW: eth0 has no carrier";
  }
  SECTION("not started") {
    c.vrrpd["groups"][0]["state"] = "initialize";
    c.agent["gates_open"]["MAIN-GW"] = false;
    expected = "MAIN-GW: has not started yet";
  }
  SECTION("moving") {
    c.vrrpd["groups"][0]["phase"] = "handing_over";
    expected = "MAIN-GW: a change of state is under way (handing_over)";
  }
  CHECK(c.reasons() == std::vector{expected});
}

TEST_CASE("each thing that would lose connections is a reason") {
  Case c;
  std::string expected;
  SECTION("syncing") {
    c.syncd["state"] = "syncing";
    expected = "sync: connections are still being copied";
  }
  SECTION("link down") {
    c.syncd["state"] = "disconnected";
    c.syncd["link"] = "down";
    expected = "sync: the other router is not reached over the link";
  }
  SECTION("wrong key") {
    c.syncd["state"] = "disconnected";
    c.syncd["link"] = "refused";
    expected = "sync: what comes over the link is refused: the routers have different keys";
  }
  SECTION("different files") {
    c.syncd["config_differs"] = true;
    expected = "sync: the two routers have different configuration files";
  }
  SECTION("a file that is not known to differ is no reason") {
    c.syncd["config_differs"] = nullptr;
    c.syncd["state"] = "disconnected";
    expected = "sync: the other router is not reached over the link";
  }
  SECTION("one of the links is lost") {
    c.syncd["reasons"] = {"sync link eth3: there is no interface eth3"};
    expected = "sync link eth3: there is no interface eth3";
  }
  SECTION("no table") {
    c.agent["active"] = false;
    c.agent["error"] = "permission denied";
    expected = "nat: the table is not loaded: permission denied";
  }
  SECTION("a transaction was refused") {
    c.agent["error"] = "busy";
    expected = "nat: busy";
  }
  SECTION("gate shut on the master") {
    c.agent["gates_open"]["MAIN-GW"] = false;
    c.agent["causes"]["MAIN-GW"] = "not sure";
    expected = "MAIN-GW: nothing is forwarded: the gate is shut although this router is master (not sure)";
  }
  SECTION("gate open on the backup") {
    c.vrrpd["groups"][0]["state"] = "backup";
    expected = "MAIN-GW: the gate is open although this router is backup";
  }
  SECTION("syncd not connected") {
    c.vrrpd["syncd_connected"] = false;
    expected = "syncd is not connected to vrrpd";
  }
  SECTION("agent not connected") {
    c.vrrpd["agent_connected"] = false;
    expected = "the agent is not connected to vrrpd";
  }
  CHECK(c.reasons() == std::vector{expected});
  CHECK(c.report().exit_code == 1);
  CHECK(c.report().text.find("R1  NOT ready to fail over\n  - " + expected + "\n") == 0);
}

TEST_CASE("connection tables that are not alike are told, and are no reason by themselves") {
  Case c;
  const auto table = [](int most) { return Json{{"entries", 1}, {"max", most}, {"buckets", 1}}; };
  c.syncd["table"] = table(1000);
  c.syncd["peer_table"] = table(1000);
  CHECK(c.report().text.find("alike") == std::string::npos);
  c.syncd["peer_table"] = table(500);
  CHECK(c.report().exit_code == 0);
  CHECK(c.report().text.starts_with(
      "R1  ready to fail over\n"
      "  the connection tables are not alike: room for 1000 entries here, 500 entries on R2\n"));
  c.syncd["peer_table"] = table(0);
  CHECK(c.report().text.find("room for 1000 entries here, as many entries as memory on R2\n") != std::string::npos);
  c.syncd["peer_table"] = nullptr;  // an older release does not tell
  CHECK(c.report().text.find("alike") == std::string::npos);
  CHECK(Json::parse(c.report().json)["sync"]["table"]["max"] == 1000);
}

TEST_CASE("the part of a daemon that does not answer is null") {
  Answers answers = Case().answers();
  answers.syncd = {std::nullopt, "no answer in time"};
  const Report report = make_status(answers);
  CHECK(report.exit_code == 1);
  const Json json = Json::parse(report.json);
  CHECK(json["sync"].is_null());
  CHECK(json["nat"]["active"] == true);
  CHECK(json["reasons"] == Json({"syncd does not answer: no answer in time"}));
}

TEST_CASE("a daemon without work in the configuration is not missed") {
  Answers answers = Case().answers();
  answers.syncd = answers.agent = {};
  answers.syncd_expected = answers.agent_expected = false;
  CHECK(make_status(answers).exit_code == 0);
  // Without a configuration the answers of vrrpd decide.
  Case c;
  c.vrrpd["link"] = "none";
  c.vrrpd["groups"][0]["gate"] = "";
  c.vrrpd["syncd_connected"] = c.vrrpd["agent_connected"] = false;
  answers = c.answers();
  answers.syncd = answers.agent = {};
  answers.vrrpd_expected = answers.syncd_expected = answers.agent_expected = std::nullopt;
  CHECK(make_status(answers).exit_code == 0);
  c.vrrpd["link"] = "down";
  answers.vrrpd = {c.vrrpd.dump(), ""};
  CHECK(make_status(answers).exit_code == 1);
}

TEST_CASE("no daemon at all is exit code 3") {
  const Report report = make_status({.node = "R2"});
  CHECK(report.exit_code == 3);
  const Json json = Json::parse(report.json);
  CHECK(json["node"] == "R2");
  CHECK(json["failover_ready"] == false);
  CHECK(json["groups"].is_null());
  CHECK(json["sync"].is_null());
  CHECK(json["nat"].is_null());
}

TEST_CASE("answers that are no status do not stop the report") {
  for (const char* body : {"", "{", "[]", "7", "{\"groups\":3,\"node\":[]}", "{\"groups\":[1,null,{\"name\":2}]}"}) {
    Answers answers = Case().answers();
    answers.vrrpd.body = answers.syncd.body = answers.agent.body = body;
    CHECK(make_status(answers).exit_code != 0);
    vrrp_details(body);
    sync_details(body);
    nat_details(body);
    event_list(body);
    events_json(body);
    connection_list(body);
    CHECK(verify_result(body).exit_code == 1);
    indented(body);
  }
}

TEST_CASE("connections as lines") {
  CHECK(connection_list(R"({"connections":[],"more":false})") == "none\n");
  CHECK(connection_list(R"({"connections":[{"group":"G","owner":"own","in_kernel":false,"flow":"tcp a -> b"},)"
                        R"({"group":"G","owner":"peer","in_kernel":false,"flow":"udp c -> d"},)"
                        R"({"group":"G","owner":"own","in_kernel":true,"withheld":true,"flow":"udp g -> h"},)"
                        R"({"group":"G","owner":"peer","in_kernel":true,"flow":"udp e -> f"}],"more":true})") ==
        "G  own   tcp a -> b\n"
        "G  peer  udp c -> d, not in the kernel yet\n"
        "G  own   udp g -> h, not replicated\n"
        "G  peer  udp e -> f\n"
        "and more: name a protocol, an address or a port to narrow it\n");
}

TEST_CASE("a vrrpd that was upgraded under its own feet is said to need a restart, and stays ready") {
  Case c;
  CHECK(c.report().text.find("restart it") == std::string::npos);
  c.vrrpd["restart_due"] = true;
  const Report report = c.report();
  CHECK_THAT(report.text, Catch::Contains("systemctl restart steadynat-vrrpd"));
  CHECK(report.exit_code == 0);
  CHECK(Json::parse(report.json)["restart_due"] == true);
}

TEST_CASE("several groups with different gates") {
  Case c;
  Json second = c.vrrpd["groups"][0];
  second["name"] = "B";
  second["state"] = "backup";
  c.vrrpd["groups"].push_back(second);
  c.agent["gates_open"]["B"] = false;
  CHECK(c.report().exit_code == 0);
  CHECK(Json::parse(c.report().json)["nat"]["gate"] == "mixed");
}

TEST_CASE("the result of a comparison decides the exit code") {
  CHECK(verify_result(R"({"differ":0,"compared":10})").exit_code == 0);
  CHECK(verify_result(R"({"differ":0,"compared":10})").text == "0 differ\n  compared: 10\n");
  const Verdict bad = verify_result(R"({"differ":1,"flows":["tcp a -> b: only here"]})");
  CHECK(bad.exit_code == 1);
  CHECK(bad.text == "1 differ\n  tcp a -> b: only here\n");
  CHECK(verify_result(R"({"differ":12,"compared":20,"flows":["a","b"]})").text ==
        "12 differ\n  compared: 20\n  a\n  b\n  and 10 more, which are not named\n");
}

TEST_CASE("events are listed with their timeline") {
  CHECK(event_list(vrrpd_body().dump()) ==
        "2026-11-22T21:00:00.000Z  MAIN-GW  backup -> master  term 7  no adverts\n"
        "    +    0.000 ms  claim\n"
        "    +    1.250 ms  open\n");
  const Json json = Json::parse(events_json(vrrpd_body().dump()));
  CHECK(json["groups"][0]["name"] == "MAIN-GW");
  CHECK(json["groups"][0]["transitions"][0]["cause"] == "no adverts");
}

TEST_CASE("details show what counted, and every field") {
  const std::string text = vrrp_details(vrrpd_body().dump());
  CHECK(text ==
        "node                R1\n"
        "link                up\n"
        "peer_alive          true\n"
        "syncd_connected     true\n"
        "agent_connected     true\n"
        "\n"
        "group MAIN-GW\n"
        "  state               master\n"
        "  phase               idle\n"
        "  term                7@R1\n"
        "  since               2026-11-22T21:00:00.000Z\n"
        "  priority            200\n"
        "  held                false\n"
        "  gate                open\n"
        "  reasons             none\n"
        "  (counters at 0: 1)\n"
        "  instance wan\n"
        "    interface           eth0\n"
        "    vrid                1\n"
        "    state               master\n"
        "    priority            200\n"
        "    virtual_addresses   10.10.0.101/24\n"
        "    primary             10.10.0.102\n"
        "    master              -\n"
        "    master_interval_ms  100.0\n"
        "    adverts_sent  5\n");
  CHECK(nat_details(agent_body().dump()).find("gates_open          MAIN-GW true\n") != std::string::npos);
}
