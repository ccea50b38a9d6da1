#include "vrrpd/status.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

TEST_CASE("the status of vrrpd as JSON has the names of its fields") {
  vrrpd::Status status;
  status.node = "R1";
  status.link = common::LinkState::up;
  status.peer_alive = true;
  vrrpd::GroupStatus group;
  group.name = "MAIN-GW";
  group.state = common::GroupState::master;
  group.term = {7, "R1"};
  group.gate = "open";
  group.counters["late_ready"] = 1;
  group.instances.push_back({.name = "wan",
                             .interface = "eth0",
                             .vrid = 1,
                             .state = common::GroupState::master,
                             .priority = 200,
                             .virtual_addresses = {*common::Prefix::parse("10.10.0.101/24")},
                             .primary = *common::IpAddress::parse("10.10.0.102"),
                             .master = {},
                             .master_interval = std::chrono::milliseconds(100),
                             .counters = {{"adverts_sent", 3}}});
  group.transitions.push_back({.at = {},
                               .term = {7, "R1"},
                               .from = common::GroupState::backup,
                               .to = common::GroupState::master,
                               .cause = "bad byte \xff",
                               .timeline = {{"claim", std::chrono::microseconds(1500)}}});
  status.groups.push_back(group);

  const auto json =
      nlohmann::json::parse(vrrpd::to_json(status, [](common::Time) { return "2026-01-01T00:00:00.000Z"; }));
  CHECK(json["node"] == "R1");
  CHECK(json["link"] == "up");
  const auto& g = json["groups"][0];
  CHECK(g["state"] == "master");
  CHECK(g["phase"] == "idle");
  CHECK(g["term"] == nlohmann::json({{"counter", 7}, {"node", "R1"}}));
  CHECK(g["since"] == "2026-01-01T00:00:00.000Z");
  CHECK(g["reasons"] == nlohmann::json::array());
  CHECK(g["counters"]["late_ready"] == 1);
  const auto& instance = g["instances"][0];
  CHECK(instance["virtual_addresses"] == nlohmann::json({"10.10.0.101/24"}));
  CHECK(instance["primary"] == "10.10.0.102");
  CHECK(instance["master"].is_null());
  CHECK(instance["master_interval_ms"] == 100.0);
  CHECK(instance["counters"]["adverts_sent"] == 3);
  CHECK(g["transitions"][0]["timeline"][0] == nlohmann::json({{"what", "claim"}, {"after_ms", 1.5}}));
}
