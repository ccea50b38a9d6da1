// Would a rule set keep out what the pair lives by? Without adverts both routers are masters, without the link nothing
// is replicated, without neighbour discovery IPv6 stops.
#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"

namespace common {
namespace {

/// A packet of the pair. What is not known here (whom an advert comes from) is not given.
struct Probe {
  std::string what;
  std::string interface;
  std::uint8_t protocol = 0;
  std::optional<IpAddress> source, destination;
  std::uint16_t port = 0;
  std::uint8_t icmp_type = 0;
  Family family = Family::ipv4;
};

enum class Answer { no, perhaps, yes };

Answer both(Answer a, Answer b) {
  return std::min(a, b);
}

Answer holds(const AddressSet& set, const std::optional<IpAddress>& address) {
  if (set.empty()) return Answer::yes;
  if (!address) return Answer::perhaps;
  return set.matches(*address) ? Answer::yes : Answer::no;
}

bool has(const std::vector<ConnectionState>& states, ConnectionState state) {
  return std::ranges::find(states, state) != states.end();
}

Answer matches(const TrafficMatch& match, const Probe& probe) {
  const auto sure = [](bool yes) { return yes ? Answer::yes : Answer::no; };
  Answer answer = sure(match.inbound.matches(probe.interface) && match.outbound.any.empty() &&
                       match.protocol.matches(probe.protocol) && (!match.family || *match.family == probe.family));
  if (!match.destination_ports.empty()) answer = both(answer, sure(match.destination_ports.matches(probe.port)));
  if (!match.icmp_types.empty())
    answer = both(answer, sure(std::ranges::find(match.icmp_types, probe.icmp_type) != match.icmp_types.end()));
  if (match.tcp_flags.looked_at != 0) answer = Answer::no;
  answer = both(answer, both(holds(match.source, probe.source), holds(match.destination, probe.destination)));
  if (!match.states.empty()) {
    // The first packet is new to conntrack, later ones may be established; neighbour discovery is not tracked.
    const bool first = has(match.states, ConnectionState::fresh) && probe.protocol != protocols::icmpv6;
    answer = both(answer, sure(first));
  }
  if (!match.source_ports.empty() || match.source_mac || match.limit) answer = both(answer, Answer::perhaps);
  return answer;
}

/// What surely drops it: a rule, or the default action ("the default action"); none when it may pass.
std::optional<std::string> dropped_by(const FirewallRuleSet& set, const Probe& probe) {
  if (set.family && *set.family != probe.family) return std::nullopt;
  for (const FirewallRule& rule : set.rules) {
    const Answer answer = matches(rule.match, probe);
    if (rule.action == FirewallAction::accept && answer != Answer::no) return std::nullopt;
    if (rule.action != FirewallAction::accept && answer == Answer::yes) return fmt::format("rule {}", rule.number);
  }
  if (set.default_action == FirewallAction::accept) return std::nullopt;
  return "the default action";
}

std::vector<Probe> adverts(const Config& config) {
  static const IpAddress v4_group = *IpAddress::parse("224.0.0.18"), v6_group = *IpAddress::parse("ff02::12");
  std::vector<Probe> probes;
  if (!config.vrrp) return probes;
  for (const GroupConfig& group : config.vrrp->groups)
    for (const InstanceConfig& instance : group.instances) {
      const Family family = instance.family();
      const bool v6 = family == Family::ipv6;
      std::optional<IpAddress> to = v6 ? v6_group : v4_group;
      if (instance.unicast) to.reset();  // differs by node
      probes.push_back({"the adverts of VRRP", instance.interface, protocols::vrrp, {}, to, 0, 0, family});
      if (v6)
        for (const std::uint8_t type : {135, 136})
          probes.push_back({"neighbour discovery", instance.interface, protocols::icmpv6, {}, {}, 0, type, family});
    }
  return probes;
}

std::vector<Probe> sync_datagrams(const Draft& draft) {
  std::vector<Probe> probes;
  if (!draft.config.sync) return probes;
  for (const Draft::LinkUse& link : draft.links) {
    const auto address_of = [&](const NodeConfig& node) -> std::optional<IpAddress> {
      if (const auto only = draft.sync_address.find(node.name); only != draft.sync_address.end()) return only->second;
      const auto found = node.sync_addresses.find(link.interface);
      return found == node.sync_addresses.end() ? std::nullopt : std::optional(found->second);
    };
    for (const NodeConfig& from : draft.config.nodes)
      for (const NodeConfig& to : draft.config.nodes) {
        const auto source = address_of(from), destination = link.multicast ? link.multicast : address_of(to);
        if (from.name == to.name || !source || !destination) continue;
        probes.push_back({"the sync link", link.interface, protocols::udp, source, destination, draft.config.sync->port,
                          0, source->family()});
      }
  }
  return probes;
}

}  // namespace

void check_pair_traffic(const Draft& draft, Diagnostics& out) {
  std::vector<Probe> probes = adverts(draft.config);
  std::ranges::move(sync_datagrams(draft), std::back_inserter(probes));
  for (const FirewallRuleSet& set : draft.config.firewall) {
    if (!set.filter_pair_traffic) continue;
    std::vector<std::string> said;
    for (const Probe& probe : probes) {
      const bool hooked = std::ranges::any_of(set.interfaces, [&](const FirewallInterface& use) {
        return use.direction == FirewallDirection::local && InterfaceSet{{use.interface}, {}}.matches(probe.interface);
      });
      if (!hooked) continue;
      const auto why = dropped_by(set, probe);
      if (!why) continue;
      std::string text =
          fmt::format("firewall.{}: {} on {} would be dropped by {}", set.name, probe.what, probe.interface, *why);
      if (std::ranges::find(said, text) != said.end()) continue;
      said.push_back(text);
      out.warning(draft.set_at.at(set.name), std::move(text));
    }
  }
}

}  // namespace common
