#include "syncd/status.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

TEST_CASE("the status of syncd as JSON has the names of its fields") {
  syncd::Status status;
  status.state = syncd::SyncState::syncing;
  status.peer = "R2";
  status.link = common::LinkState::up;
  status.lag_ms = 1.2504567;
  status.local_flows = 6000;
  status.reasons = {"bulk is under way"};
  status.counters["datagrams_sent"] = 12;
  const auto json = nlohmann::json::parse(syncd::to_json(status));
  CHECK(json["state"] == "syncing");
  CHECK(json["peer"] == "R2");
  CHECK(json["link"] == "up");
  CHECK(json["lag_ms"] == 1.25);
  CHECK(json["local_flows"] == 6000);
  CHECK(json["peer_flows"] == 0);
  CHECK(json["reasons"] == nlohmann::json({"bulk is under way"}));
  CHECK(json["counters"]["datagrams_sent"] == 12);
}

TEST_CASE("the status does not say of a peer that is not heard what its file is like") {
  syncd::Status status;
  const auto differs = [&] { return nlohmann::json::parse(syncd::to_json(status))["config_differs"]; };
  CHECK(differs().is_null());
  status.link = common::LinkState::up;
  CHECK(differs() == false);
  status.config_differs = true;
  CHECK(differs() == true);
  status.link = common::LinkState::down;
  CHECK(differs().is_null());
}
