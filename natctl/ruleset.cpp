#include "natctl/ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace natctl {

using common::AddressRange;
using common::AddressSet;
using common::Config;
using common::fail;
using common::Family;
using common::Result;
using common::Status;

namespace {

/// nftables reads a trailing asterisk as a wildcard, as we do, and knows no way to write a quotation mark inside
/// quotes.
bool plain_interface(std::string_view name) {
  if (name.ends_with('*')) name.remove_suffix(1);
  return std::ranges::all_of(name,
                             [](unsigned char c) { return c > ' ' && c < 0x7f && c != '"' && c != '*' && c != '\\'; });
}

Status check_interfaces(const std::vector<const std::vector<std::string>*>& lists, const std::string& where) {
  for (const auto* list : lists)
    for (const std::string& name : *list)
      if (!plain_interface(name))
        return fail(where + ": interface \"" + name +
                    "\" has a character that nftables cannot take; rename the interface");
  return {};
}

Status check_interface(const std::string& name, const std::string& where) {
  const std::vector<std::string> one{name};
  return check_interfaces({&one}, where);
}

/// The addresses of a match must be of one family, or nftables calls the rule contradictory.
Status settle_family(Match& match, const std::string& where) {
  for (const AddressSet* set : {&match.source, &match.destination})
    for (const auto* list : {&set->any, &set->none})
      for (const AddressRange& range : *list) {
        if (match.family && *match.family != range.family()) return fail(where + ": mixes IPv4 and IPv6 addresses");
        match.family = range.family();
      }
  return check_interfaces({&match.inbound.any, &match.inbound.none, &match.outbound.any, &match.outbound.none}, where);
}

bool is_virtual(const Config& config, const AddressRange& range) {
  if (!config.vrrp || !range.single()) return false;
  for (const auto& group : config.vrrp->groups)
    for (const auto& instance : group.instances)
      for (const auto& mine : instance.all_addresses())
        if (mine.address == range.first) return true;
  return false;
}

/// What hosts behind an interface know as their router, on whichever of the two it is.
std::optional<common::IpAddress> virtual_address_on(const Config& config, const std::string& interface, Family family) {
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const auto& instance : group.instances)
        for (const auto& each : instance.all_addresses())
          if (instance.interface == interface && each.address.family() == family && !each.address.is_link_local())
            return each.address;
  return std::nullopt;
}

/// Makes a ruleset's translations out of the rules of the file.
class NatMaker {
 public:
  NatMaker(const Config& config, Ruleset& out) : config_(config), out_(out) {}
  Status make();

 private:
  Status group_of(const std::string& wanted, const std::string& where, std::string& into) const;
  Result<Translation> translation(const common::NatRule& rule, const std::string& label) const;
  Status source(const common::NatRule& rule);
  Status destination(const common::NatRule& rule);
  Status one_to_one(const common::StaticNatRule& rule);
  Status hairpin(const Translation& rule, const std::string& interface, const Match& served);

  const Config& config_;
  Ruleset& out_;
};

Status NatMaker::group_of(const std::string& wanted, const std::string& where, std::string& into) const {
  into = wanted;
  if (into.empty() && config_.vrrp && config_.vrrp->groups.size() == 1) into = config_.vrrp->groups.front().name;
  if (!into.empty() && config_.group(into) == nullptr) return fail(where + ": group \"" + into + "\" does not exist");
  return {};
}

Result<Translation> NatMaker::translation(const common::NatRule& rule, const std::string& label) const {
  const std::string where = "nat " + label;
  Translation result;
  result.label = label;
  result.description = rule.description;
  result.match = rule.match;
  result.exclude = rule.exclude;
  result.to = rule.translate_to;
  result.ports = rule.ports;
  result.port_mapping = rule.port_mapping;
  result.persistent = rule.address_mapping == common::AddressMapping::persistent;
  result.log = rule.log;
  if (auto ok = group_of(rule.group, where, result.group); !ok) return std::unexpected(ok.error());
  if (rule.translate_to) result.match.family = rule.translate_to->family();
  if (auto ok = settle_family(result.match, where); !ok) return std::unexpected(ok.error());
  // IPv6 is translated only where an address says so: a masquerade of everything means what it always meant.
  if (!result.match.family) result.match.family = Family::ipv4;
  return result;
}

Status NatMaker::source(const common::NatRule& rule) {
  auto made = translation(rule, fmt::format("source {}", rule.number));
  if (!made) return std::unexpected(made.error());
  if (rule.address_mapping == common::AddressMapping::prefix) made->from = made->match.source.any.front();
  out_.source_nat.push_back(std::move(*made));
  return {};
}

/// The server sees a neighbour of its own under the router's address; without that it would answer past the router.
Status NatMaker::hairpin(const Translation& rule, const std::string& interface, const Match& served) {
  const std::string where = "nat " + rule.label;
  if (auto ok = check_interface(interface, where); !ok) return ok;
  const auto address = virtual_address_on(config_, interface, *rule.match.family);
  if (!address) return fail(where + ": hairpin: no virtual address on \"" + interface + "\"");
  out_.hairpins.push_back({.label = rule.label, .interface = interface, .match = served, .to = *address});
  if (rule.match.inbound.matches(interface)) return {};
  Translation inner = rule;
  inner.match.inbound = {config_.devices_of(interface), {}};
  out_.destination_nat.push_back(std::move(inner));
  return {};
}

Match towards(const Translation& rule) {
  Match match;
  match.destination = AddressSet::of(*rule.to);
  match.protocol = rule.match.protocol;
  match.destination_ports = rule.match.destination_ports;
  if (rule.ports) match.destination_ports = {{*rule.ports}, {}, {}, {}};
  match.family = rule.match.family;
  return match;
}

Status NatMaker::destination(const common::NatRule& rule) {
  auto made = translation(rule, fmt::format("destination {}", rule.number));
  if (!made) return std::unexpected(made.error());
  if (!made->exclude && !made->to) return fail("nat " + made->label + ": translate_to is missing");
  if (rule.address_mapping == common::AddressMapping::prefix) made->from = made->match.destination.any.front();
  const auto& from = made->match.destination_ports.any;
  if (made->ports && !made->ports->single() && from.size() == 1 && from.front() == *made->ports) made->ports.reset();
  out_.destination_nat.push_back(*made);
  return rule.hairpin.empty() ? Status() : hairpin(*made, rule.hairpin, towards(*made));
}

Status NatMaker::one_to_one(const common::StaticNatRule& rule) {
  Translation out;
  out.label = fmt::format("static {}", rule.number);
  out.description = rule.description;
  out.log = rule.log;
  if (auto ok = group_of(rule.group, "nat " + out.label, out.group); !ok) return ok;
  if (auto ok = check_interface(rule.interface, "nat " + out.label); !ok) return ok;
  if (rule.outside.family() != rule.inside.family())
    return fail("nat " + out.label + ": mixes IPv4 and IPv6 addresses");
  out.match.family = rule.inside.family();
  Translation in = out;
  out.match.outbound = in.match.inbound = {config_.devices_of(rule.interface), {}};
  out.match.source = AddressSet::of(rule.inside);
  in.match.destination = AddressSet::of(rule.outside);
  out.to = rule.outside;
  in.to = rule.inside;
  if (!rule.inside.single()) {
    out.from = rule.inside;
    in.from = rule.outside;
  }
  out_.source_nat.push_back(std::move(out));
  out_.destination_nat.push_back(in);
  return rule.hairpin.empty() ? Status() : hairpin(in, rule.hairpin, towards(in));
}

template <typename Rules>
auto by_number(const Rules& rules) {
  std::vector<const typename Rules::value_type*> sorted;
  for (const auto& rule : rules) sorted.push_back(&rule);
  std::ranges::stable_sort(sorted, {}, [](const auto* rule) { return rule->number; });
  return sorted;
}

/// One address for one host is more definite than any rule: it comes first.
Status NatMaker::make() {
  const common::NatConfig& nat = *config_.nat;
  for (const auto* rule : by_number(nat.one_to_one))
    if (auto ok = one_to_one(*rule); !ok) return ok;
  for (const auto* rule : by_number(nat.source))
    if (auto ok = source(*rule); !ok) return ok;
  for (const auto* rule : by_number(nat.destination))
    if (auto ok = destination(*rule); !ok) return ok;
  out_.nat_rules = nat.source.size() + nat.destination.size() + nat.one_to_one.size();
  return {};
}

/// `all` is merged.
bool within(const std::vector<AddressRange>& all, const AddressRange& range) {
  const auto after = std::ranges::upper_bound(all, range.first, {}, &AddressRange::first);
  return after != all.begin() && std::prev(after)->contains(range);
}

void cover_destinations(const Ruleset& rules, Coverage& into) {
  for (const Translation& rule : rules.destination_nat) {
    if (rule.group != into.group || rule.exclude) continue;
    const bool stopped_by_address = !rule.match.destination.any.empty() &&
                                    std::ranges::all_of(rule.match.destination.any, [&](const AddressRange& range) {
                                      return within(into.addresses, range);
                                    });
    if (!stopped_by_address) into.arriving.push_back(rule.match);
    const Match served = towards(rule);
    Match reply;
    reply.source = served.destination;
    reply.protocol = served.protocol;
    reply.source_ports = served.destination_ports;
    reply.family = served.family;
    into.served.push_back(served);
    into.replies.push_back(std::move(reply));
  }
}

Coverage coverage(const Config& config, const common::GroupConfig& group, const Ruleset& rules) {
  Coverage result;
  result.group = group.name;
  result.protects = group.protects;
  for (const auto& instance : group.instances)
    for (const auto& each : instance.all_addresses()) result.addresses.push_back(AddressRange::of(each.address));
  for (const Translation& rule : rules.source_nat) {
    if (rule.group != group.name || rule.exclude) continue;
    // A virtual address of another group is stopped by that group's gate alone.
    if (rule.to && !is_virtual(config, *rule.to)) result.addresses.push_back(*rule.to);
    result.translated.push_back(rule.match);
  }
  result.addresses = common::merged(std::move(result.addresses));
  cover_destinations(rules, result);
  return result;
}

Result<FilterRule> filter_rule(const common::FirewallRule& rule, const std::string& set) {
  FilterRule result{.number = rule.number,
                    .description = rule.description,
                    .action = rule.action,
                    .match = rule.match,
                    .log = rule.log};
  if (auto ok = settle_family(result.match, fmt::format("firewall {} rule {}", set, rule.number)); !ok)
    return std::unexpected(ok.error());
  return result;
}

Status add_firewall(const Config& config, Ruleset& out) {
  for (const auto& set : config.firewall) {
    FilterSet result{
        .name = set.name, .default_action = set.default_action, .rules = {}, .log_default = set.log_default};
    for (const auto& rule : set.rules) {
      auto made = filter_rule(rule, set.name);
      if (!made) return std::unexpected(made.error());
      result.rules.push_back(std::move(*made));
    }
    for (const auto& at : set.interfaces) {
      if (auto ok = check_interface(at.interface, "firewall " + set.name); !ok) return ok;
      out.filter_hooks.push_back({.interface = at.interface,
                                  .direction = at.direction,
                                  .set = set.name,
                                  .family = set.family,
                                  .sees_pair_traffic = set.filter_pair_traffic});
    }
    out.filter_sets.push_back(std::move(result));
  }
  return {};
}

/// What a router does not take is its own all the same: 255 makes it accept.
std::vector<AddressRange> not_accepted(const Config& config) {
  std::vector<AddressRange> result;
  if (!config.vrrp) return result;
  for (const auto& group : config.vrrp->groups)
    for (const auto& instance : group.instances)
      if (!instance.accept && !group.owns(instance))
        for (const auto& each : instance.all_addresses()) result.push_back(AddressRange::of(each.address));
  return result;
}

OwnTraffic own_traffic(const Config& config) {
  OwnTraffic own;
  const auto add = [](std::vector<std::string>& list, const std::string& name) {
    if (plain_interface(name) && std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  };
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const auto& instance : group.instances) {
        add(own.vrrp_interfaces, instance.interface);
        if (instance.family() == common::Family::ipv6 && !instance.unicast) add(own.mld_interfaces, instance.interface);
      }
  if (config.sync) {
    for (const auto& link : config.sync->links) {
      add(own.sync_interfaces, link.interface);
      if (link.multicast) add(link.multicast->is_v4() ? own.igmp_interfaces : own.mld_interfaces, link.interface);
    }
    own.sync_port = config.sync->port;
  }
  return own;
}

}  // namespace

Result<Ruleset> make_ruleset(const Config& config) {
  Ruleset result;
  result.address_groups = config.address_groups;
  result.port_groups = config.port_groups;
  if (config.nat)
    if (auto ok = NatMaker(config, result).make(); !ok) return std::unexpected(ok.error());
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups) result.groups.push_back(coverage(config, group, result));
  if (auto ok = add_firewall(config, result); !ok) return std::unexpected(ok.error());
  result.not_accepted = not_accepted(config);
  result.own = own_traffic(config);
  return result;
}

}  // namespace natctl
