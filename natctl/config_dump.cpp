#include "natctl/config_dump.hpp"

#include <fmt/format.h>

#include "common/config_reader.hpp"
#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

using common::Config;

template <typename List, typename Text>
Json list_of(const List& list, Text text) {
  Json out = Json::array();
  for (const auto& each : list) out.push_back(text(each));
  return out;
}

template <typename Ranges>
void add_set(Json& into, const char* key, const Ranges& set) {
  if (set.empty()) return;
  Json out = Json::array();
  for (const auto& range : set.any) out.push_back(range.to_string());
  for (const auto& range : set.none) out.push_back("not " + range.to_string());
  into[key] = std::move(out);
}

void add_interfaces(Json& into, const char* key, const common::InterfaceSet& set) {
  if (set.empty()) return;
  Json out = Json::array();
  for (const std::string& name : set.any) out.push_back(name);
  for (const std::string& name : set.none) out.push_back("not " + name);
  into[key] = std::move(out);
}

std::string action_word(common::FirewallAction action) {
  switch (action) {
    case common::FirewallAction::accept:
      return "accept";
    case common::FirewallAction::drop:
      return "drop";
    case common::FirewallAction::reject:
      return "reject";
  }
  return "";
}

std::string direction_word(common::FirewallDirection direction) {
  switch (direction) {
    case common::FirewallDirection::in:
      return "in";
    case common::FirewallDirection::out:
      return "out";
    case common::FirewallDirection::local:
      return "local";
  }
  return "";
}

std::string mapping_word(common::PortMapping mapping) {
  switch (mapping) {
    case common::PortMapping::preserve:
      return "preserve";
    case common::PortMapping::random:
      return "random";
    case common::PortMapping::fully_random:
      return "fully-random";
  }
  return "";
}

std::string mapping_word(common::AddressMapping mapping) {
  switch (mapping) {
    case common::AddressMapping::spread:
      return "spread";
    case common::AddressMapping::persistent:
      return "persistent";
    case common::AddressMapping::prefix:
      return "prefix";
  }
  return "";
}

void add_match(Json& into, const common::TrafficMatch& match) {
  add_interfaces(into, "inbound_interface", match.inbound);
  add_interfaces(into, "outbound_interface", match.outbound);
  add_set(into, "source_address", match.source);
  add_set(into, "destination_address", match.destination);
  Json protocols = Json::array();
  for (const std::uint8_t number : match.protocol.any) protocols.push_back(common::protocol_name(number));
  for (const std::uint8_t number : match.protocol.none) protocols.push_back("not " + common::protocol_name(number));
  if (!protocols.empty()) into["protocol"] = std::move(protocols);
  add_set(into, "source_ports", match.source_ports);
  add_set(into, "destination_ports", match.destination_ports);
  if (!match.states.empty()) into["state"] = list_of(match.states, [](auto state) { return common::to_string(state); });
  if (!match.icmp_types.empty()) into["icmp_types"] = match.icmp_types;
  if (match.icmp_code) into["icmp_code"] = *match.icmp_code;
  Json flags = Json::array();
  for (int bit = 0; bit < 8; ++bit)
    if ((match.tcp_flags.looked_at >> bit & 1) != 0)
      flags.push_back(((match.tcp_flags.set >> bit & 1) != 0 ? "" : "not ") + std::string(common::tcp_flag_name(bit)));
  if (!flags.empty()) into["tcp_flags"] = std::move(flags);
  if (match.source_mac) into["source_mac"] = match.source_mac->to_string();
  if (match.limit)
    into["limit"] = {{"rate", fmt::format("{}/{}", match.limit->rate, match.limit->unit)},
                     {"burst", match.limit->burst}};
}

Json nat_rule_json(const common::NatRule& rule, bool source) {
  Json out{{"description", rule.description}, {"group", rule.group}};
  add_match(out, rule.match);
  if (rule.exclude)
    out["exclude"] = true;
  else
    out["translate_to"] = rule.translate_to ? rule.translate_to->to_string() : "masquerade";
  if (rule.ports) out["ports"] = rule.ports->to_string();
  if (source) out["port_mapping"] = mapping_word(rule.port_mapping);
  out["address_mapping"] = mapping_word(rule.address_mapping);
  if (!rule.hairpin.empty()) out["hairpin"] = rule.hairpin;
  out["log"] = rule.log;
  return out;
}

Json nat_json(const common::NatConfig& nat) {
  Json source = Json::object(), destination = Json::object(), one_to_one = Json::object();
  for (const auto& rule : nat.source) source[std::to_string(rule.number)] = nat_rule_json(rule, true);
  for (const auto& rule : nat.destination) destination[std::to_string(rule.number)] = nat_rule_json(rule, false);
  for (const auto& rule : nat.one_to_one)
    one_to_one[std::to_string(rule.number)] = {{"description", rule.description},
                                               {"group", rule.group},
                                               {"interface", rule.interface},
                                               {"outside_address", rule.outside.to_string()},
                                               {"inside_address", rule.inside.to_string()},
                                               {"hairpin", rule.hairpin},
                                               {"log", rule.log}};
  return {{"static", std::move(one_to_one)}, {"source", std::move(source)}, {"destination", std::move(destination)}};
}

Json firewall_json(const std::vector<common::FirewallRuleSet>& sets) {
  Json out = Json::object();
  for (const auto& set : sets) {
    Json rules = Json::object();
    for (const auto& rule : set.rules) {
      Json each{{"description", rule.description}, {"action", action_word(rule.action)}};
      add_match(each, rule.match);
      each["log"] = rule.log;
      rules[std::to_string(rule.number)] = std::move(each);
    }
    Json interfaces = Json::array();
    for (const auto& use : set.interfaces) interfaces.push_back(use.interface + " " + direction_word(use.direction));
    out[set.name] = {{"interfaces", std::move(interfaces)},
                     {"family", !set.family                           ? "both"
                                : *set.family == common::Family::ipv4 ? "ipv4"
                                                                      : "ipv6"},
                     {"default_action", action_word(set.default_action)},
                     {"log_default", set.log_default},
                     {"pair_traffic", set.filter_pair_traffic ? "filter" : "accept"},
                     {"rules", std::move(rules)}};
  }
  return out;
}

std::string word(common::Checksum checksum) {
  switch (checksum) {
    case common::Checksum::automatic:
      return "auto";
    case common::Checksum::rfc5798:
      return "rfc5798";
    case common::Checksum::rfc9568:
      return "rfc9568";
  }
  return "";
}

std::string word(common::VrrpVersion version) {
  switch (version) {
    case common::VrrpVersion::v2:
      return "2";
    case common::VrrpVersion::v3:
      return "3";
    case common::VrrpVersion::both:
      return "2+3";
  }
  return "";
}

Json garp_json(const common::GarpConfig& garp) {
  return {{"count", garp.count},
          {"repeat_after", common::to_string(garp.repeat_after)},
          {"refresh", common::to_string(garp.refresh)}};
}

Json hooks_json(const common::HooksConfig& hooks) {
  return {{"notify", hooks.notify},
          {"master", hooks.master},
          {"backup", hooks.backup},
          {"fault", hooks.fault},
          {"stop", hooks.stop},
          {"user", hooks.user},
          {"timeout", common::to_string(hooks.timeout)}};
}

Json route_json(const common::RouteConfig& route) {
  Json out{{"to", route.to.to_string()}};
  if (route.via) out["via"] = route.via->to_string();
  if (route.source) out["source"] = route.source->to_string();
  if (route.metric != 0) out["metric"] = route.metric;
  out["table"] = route.table;
  return out;
}

Json track_json(const common::TrackConfig& track) {
  using Kind = common::TrackConfig::Kind;
  const bool looked_at = track.kind != Kind::interface;
  const char* key = "";
  switch (track.kind) {
    case Kind::interface:
      key = "interface";
      break;
    case Kind::script:
      key = "script";
      break;
    case Kind::file:
      key = "file";
      break;
    case Kind::process:
      key = "process";
      break;
  }
  Json out{{key, track.target}};
  if (track.weight) out["weight"] = *track.weight;
  if (looked_at) out["interval"] = common::to_string(track.interval);
  if (track.kind == Kind::script) {
    out["timeout"] = common::to_string(track.timeout);
    out["user"] = track.user;
    if (track.arguments) out["arguments"] = *track.arguments;
  }
  if (looked_at) out["rise"] = track.rise;
  if (looked_at) out["fall"] = track.fall;
  return out;
}

Json instance_json(const common::GroupConfig& group, const common::InstanceConfig& instance) {
  const auto text = [](const auto& each) { return each.to_string(); };
  Json out{{"interface", instance.interface},
           {"vrid", instance.vrid},
           {"virtual_addresses", list_of(instance.virtual_addresses, text)},
           {"excluded_addresses", list_of(instance.excluded_addresses, text)},
           {"version", word(instance.version)},
           {"checksum", word(instance.checksum)},
           {"password_file", instance.password_file},
           {"accept", instance.accept},
           {"priority", group.priority_of(instance)},
           {"advertise_interval", common::to_string(group.interval_of(instance))},
           {"virtual_mac", instance.virtual_mac},
           {"virtual_routes", list_of(instance.virtual_routes, route_json)},
           {"garp", garp_json(group.garp_of(instance))},
           {"hooks", hooks_json(instance.hooks)}};
  if (instance.unicast)
    out["unicast"] = {{"own", instance.unicast->own.to_string()},
                      {"peers", list_of(instance.unicast->peers, text)},
                      {"minimum_ttl", instance.unicast->minimum_ttl}};
  return out;
}

Json group_json(const common::GroupConfig& group) {
  Json tracks = Json::object();
  for (const auto& track : group.tracks) tracks[track.name] = track_json(track);
  Json instances = Json::object();
  for (const auto& instance : group.instances) instances[instance.name] = instance_json(group, instance);
  return {{"priority", group.priority},
          {"peer_priority", group.peer_priority},
          {"advertise_interval", common::to_string(group.advertise_interval)},
          {"preempt", group.preempt},
          {"preempt_delay", common::to_string(group.preempt_delay)},
          {"startup_delay", common::to_string(group.startup_delay)},
          {"preempt_without_sync", group.preempt_without_sync == common::PreemptWithoutSync::never
                                       ? "never"
                                       : common::to_string(group.preempt_without_sync_after)},
          {"prepare_timeout", common::to_string(group.prepare_timeout)},
          {"gate_timeout", common::to_string(group.gate_timeout)},
          {"heal_hold", common::to_string(group.heal_hold)},
          {"witness_hold", common::to_string(group.witness_hold)},
          {"address_lifetime", common::to_string(group.address_lifetime)},
          {"garp", garp_json(group.garp)},
          {"link_up_delay", common::to_string(group.link_up_delay)},
          {"link_down_delay", common::to_string(group.link_down_delay)},
          {"track", std::move(tracks)},
          {"protects", list_of(group.protects, [](const auto& each) { return each.to_string(); })},
          {"hooks", hooks_json(group.hooks)},
          {"instances", std::move(instances)}};
}

std::string_view translation_word(common::Translation translation) {
  switch (translation) {
    case common::Translation::any:
      return "any";
    case common::Translation::snat:
      return "snat";
    case common::Translation::dnat:
      return "dnat";
    case common::Translation::none:
      return "none";
  }
  return "";
}

Json sync_match_json(const common::SyncMatch& match) {
  Json out = Json::object();
  add_match(out, match.packet);
  add_set(out, "address", match.address);
  if (!match.tcp_states.empty())
    out["tcp_state"] = list_of(match.tcp_states, [](auto state) { return common::tcp_state_names()[state]; });
  if (!match.zones.empty()) out["zone"] = match.zones;
  if (match.mark) out["mark"] = fmt::format("{:#x}/{:#x}", match.mark->value, match.mark->mask);
  if (match.translated) out["translated"] = translation_word(*match.translated);
  return out;
}

Json sync_filter_json(const common::SyncFilter& filter) {
  return {{"include", list_of(filter.include, sync_match_json)},
          {"exclude", list_of(filter.exclude, sync_match_json)},
          {"replicate_after", common::to_string(filter.replicate_after)}};
}

Json labels_json(const std::bitset<128>& labels) {
  Json numbers = Json::array();
  for (std::size_t n = 0; n < labels.size(); ++n)
    if (labels.test(n)) numbers.push_back(n);
  return labels.all() ? Json("all") : numbers;
}

Json sync_json(const common::SyncConfig& sync) {
  Json links = Json::array();
  for (const auto& link : sync.links) {
    links.push_back(
        {{"interface", link.interface}, {"local", link.local.to_string()}, {"peer", link.peer.to_string()}});
    if (link.multicast) links.back()["multicast"] = link.multicast->to_string();
  }
  return {{"groups", sync.groups},
          {"links", std::move(links)},
          {"port", sync.port},
          {"security", sync.key_file.empty() ? "none" : "key"},
          {"key_file", sync.key_file},
          {"commit", sync.commit == common::CommitPolicy::continuous ? "continuous" : "on-takeover"},
          {"mark_mask", fmt::format("{:#x}", sync.masks.mark)},
          {"labels", labels_json(sync.masks.labels)},
          {"filter", sync_filter_json(sync.filter)}};
}

Json as_json(const Config& config) {
  Json out{{"version", 1}, {"node", config.node}, {"peer", config.peer}};
  if (config.vrrp) {
    Json groups = Json::object();
    for (const auto& group : config.vrrp->groups) groups[group.name] = group_json(group);
    out["vrrp"] = {{"groups", std::move(groups)}};
  }
  if (config.sync) out["sync"] = sync_json(*config.sync);
  if (config.nat) out["nat"] = nat_json(*config.nat);
  if (!config.firewall.empty()) out["firewall"] = firewall_json(config.firewall);
  out["digest"] = config.digest;
  return out;
}

void flatten(const Json& json, const std::string& path, std::string& out) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) flatten(value, path.empty() ? key : path + "." + key, out);
    return;
  }
  std::string text;
  if (json.is_array()) {
    for (const Json& item : json)
      text += (text.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : dump(item, -1));
    text = "[" + text + "]";
  } else {
    text = json.is_string() ? json.get<std::string>() : dump(json, -1);
  }
  out += path + ": " + text + "\n";
}

}  // namespace

std::string config_json(const Config& config) {
  return dump(as_json(config), 2) + "\n";
}

std::string config_lines(const Config& config) {
  std::string out;
  flatten(as_json(config), "", out);
  return out;
}

}  // namespace natctl
