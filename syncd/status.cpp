#include "syncd/status.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace syncd {
namespace {

using Json = nlohmann::ordered_json;

std::string_view to_string(SyncState state) {
  switch (state) {
    case SyncState::disconnected:
      return "disconnected";
    case SyncState::syncing:
      return "syncing";
    case SyncState::synced:
      return "synced";
  }
  return "";
}

nlohmann::ordered_json table_json(const std::optional<TableSize>& table) {
  if (!table) return nullptr;
  return {{"entries", table->entries}, {"max", table->most}, {"buckets", table->buckets}};
}

/// Of milliseconds; what is beyond says nothing of a network.
double to_microseconds(double ms) {
  constexpr double kMicro = 1000;
  return std::round(ms * kMicro) / kMicro;
}

Json links_json(const std::vector<LinkStatus>& links) {
  Json out = Json::array();
  for (const LinkStatus& link : links)
    out.push_back({{"interface", link.interface},
                   {"usable", link.usable},
                   {"quiet", link.quiet},
                   {"heard_ms", link.heard_ms ? Json(to_microseconds(*link.heard_ms)) : Json()},
                   {"trouble", link.trouble}});
  return out;
}

}  // namespace

std::string to_json(const Status& status) {
  Json groups = Json::array();
  for (const common::GroupReport& group : status.peer_groups)
    groups.push_back({{"name", group.group},
                      {"state", common::to_string(group.state)},
                      {"phase", common::to_string(group.phase)},
                      {"priority", group.priority},
                      {"complete", group.complete},
                      {"held", group.held}});
  const bool known = status.link == common::LinkState::up;  // what the peer's file is like now
  const Json json{{"state", to_string(status.state)},
                  {"peer", status.peer},
                  {"link", common::to_string(status.link)},
                  {"links", links_json(status.links)},
                  {"lag_ms", to_microseconds(status.lag_ms)},
                  {"backlog", status.backlog},
                  {"local_flows", status.local_flows},
                  {"peer_flows", status.peer_flows},
                  {"committed_flows", status.committed_flows},
                  {"withheld_flows", status.withheld_flows},
                  {"memory_bytes", status.memory_bytes},
                  {"flow_limit", status.flow_limit},
                  {"config_differs", known ? Json(status.config_differs) : Json()},
                  {"table", table_json(status.table)},
                  {"peer_table", table_json(status.peer_table)},
                  {"peer_groups", std::move(groups)},
                  {"reasons", status.reasons},
                  {"counters", status.counters}};
  // The peer's name comes from outside: bytes that are no UTF-8 must not make the status unreadable.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace syncd
