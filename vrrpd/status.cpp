#include "vrrpd/status.hpp"

#include <nlohmann/json.hpp>

namespace vrrpd {
namespace {

using Json = nlohmann::ordered_json;
using Wall = std::function<std::string(common::Time)>;

Json term_json(const common::Term& term) {
  return {{"counter", term.counter}, {"node", term.node}};
}

/// No address: null, which is not to be mistaken for 0.0.0.0.
Json address_json(const common::IpAddress& address) {
  return address.is_unspecified() ? Json() : Json(address.to_string());
}

Json instance_json(const InstanceStatus& instance) {
  Json addresses = Json::array();
  for (const common::Prefix& address : instance.virtual_addresses) addresses.push_back(address.to_string());
  return {{"name", instance.name},
          {"interface", instance.interface},
          {"vrid", instance.vrid},
          {"state", common::to_string(instance.state)},
          {"priority", instance.priority},
          {"virtual_addresses", std::move(addresses)},
          {"primary", address_json(instance.primary)},
          {"master", address_json(instance.master)},
          {"master_interval_ms", common::milliseconds(instance.master_interval)},
          {"advertise_interval_ms", common::milliseconds(instance.advertise_interval)},
          {"skew_ms", common::milliseconds(instance.skew)},
          {"down_interval_ms", common::milliseconds(instance.down_interval)},
          {"counters", instance.counters}};
}

Json transition_json(const TransitionRecord& transition, const Wall& wall) {
  Json timeline = Json::array();
  for (const TransitionRecord::Point& point : transition.timeline)
    timeline.push_back({{"what", point.what}, {"after_ms", common::milliseconds(point.after)}});
  return {{"at", wall(transition.at)},
          {"term", term_json(transition.term)},
          {"from", common::to_string(transition.from)},
          {"to", common::to_string(transition.to)},
          {"cause", transition.cause},
          {"timeline", std::move(timeline)}};
}

Json group_json(const GroupStatus& group, const Wall& wall) {
  Json instances = Json::array(), transitions = Json::array(), tracks = Json::array();
  for (const TrackStatus& track : group.tracks)
    tracks.push_back({{"name", track.name},
                      {"kind", track.kind},
                      {"target", track.target},
                      {"good", track.good},
                      {"adjustment", track.adjustment}});
  for (const InstanceStatus& instance : group.instances) instances.push_back(instance_json(instance));
  for (const TransitionRecord& each : group.transitions) transitions.push_back(transition_json(each, wall));
  return {{"name", group.name},
          {"state", common::to_string(group.state)},
          {"phase", common::to_string(group.phase)},
          {"term", term_json(group.term)},
          {"since", wall(group.since)},
          {"priority", group.priority},
          {"held", group.held},
          {"gate", group.gate},
          {"reasons", group.reasons},
          {"instances", std::move(instances)},
          {"tracks", std::move(tracks)},
          {"counters", group.counters},
          {"transitions", std::move(transitions)}};
}

}  // namespace

std::string to_json(const Status& status, const Wall& wall) {
  Json groups = Json::array();
  for (const GroupStatus& group : status.groups) groups.push_back(group_json(group, wall));
  const Json json{{"node", status.node},
                  {"groups", std::move(groups)},
                  {"link", common::to_string(status.link)},
                  {"peer_alive", status.peer_alive},
                  {"syncd_connected", status.syncd_connected},
                  {"agent_connected", status.agent_connected},
                  {"restart_due", status.restart_due},
                  {"counters", status.counters}};
  // Causes may quote what came from outside: bytes that are no UTF-8 must not make the status unreadable.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vrrpd
