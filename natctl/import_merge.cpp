// Two routers' files describe one pair: what they say otherwise is a mistake of one of them, or what differs by node.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/sync_group.hpp"
#include "natctl/import_model.hpp"

namespace natctl::importer {
namespace {

using common::IpAddress;
using common::Prefix;

bool share_address(const Instance& a, const Instance& b) {
  return std::ranges::any_of(a.addresses, [&](const Word& one) {
    return std::ranges::any_of(b.addresses, [&](const Word& other) { return one.text == other.text; });
  });
}

/// The instance of the other router that is the same virtual router.
Instance* partner(const Instance& one, std::vector<Instance>& others) {
  using Test = bool (*)(const Instance&, const Instance&);
  static constexpr Test kTests[] = {
      [](const Instance& a, const Instance& b) { return a.vrid == b.vrid && a.interface == b.interface; },
      [](const Instance& a, const Instance& b) { return a.vrid == b.vrid && share_address(a, b); },
      [](const Instance& a, const Instance& b) { return a.interface == b.interface && share_address(a, b); },
      [](const Instance& a, const Instance& b) { return share_address(a, b); },
  };
  for (const Test test : kTests)
    for (Instance& other : others)
      if (test(one, other)) return &other;
  return nullptr;
}

std::string texts(const std::vector<Word>& words) {
  std::string out = words.empty() ? "none" : "";
  for (const Word& word : words) out += (out.empty() ? "" : ", ") + word.text;
  return out;
}

void compare_instances(const Instance& one, const Instance& other, const std::string& file, Diagnostics& out) {
  const auto differs = [&](Position at, std::string_view what, const auto& here, const auto& there) {
    out.warning(
        at, fmt::format("{} of {} is {} here and {} in {}; the latter is taken", what, other.name, here, there, file));
  };
  if (one.vrid != other.vrid) differs(other.vrid_at, "the VRID", other.vrid, one.vrid);
  if (one.interval != other.interval) differs(other.at, "the interval of adverts", other.interval, one.interval);
  if (one.preempt != other.preempt) differs(other.at, "preempt", other.preempt, one.preempt);
  if (one.preempt_delay != other.preempt_delay)
    differs(other.at, "the preempt delay", other.preempt_delay, one.preempt_delay);
  if (one.group != other.group)
    differs(other.at, "the sync group", other.group.empty() ? "none" : other.group,
            one.group.empty() ? "none" : one.group);
  if (one.password != other.password)
    out.warning(other.password.empty() ? other.at : other.password_at,
                fmt::format("the password of {} differs from that in {}; VRRPv3 has none", other.name, file));
  const auto compare = [&](std::string_view what, const std::vector<Word>& here, const std::vector<Word>& there) {
    auto a = here, b = there;
    std::ranges::sort(a, {}, &Word::text);
    std::ranges::sort(b, {}, &Word::text);
    if (!std::ranges::equal(a, b, {}, &Word::text, &Word::text)) differs(other.at, what, texts(here), texts(there));
  };
  compare("the virtual addresses", other.addresses, one.addresses);
  compare("the excluded addresses", other.excluded, one.excluded);
}

void check_password(const Router& router, Diagnostics& out) {
  for (const Instance& instance : router.instances)
    if (!instance.password.empty())
      out.warning(
          instance.password_at,
          fmt::format("not taken over: the password of {}: VRRPv3 has none (RFC 9568); what can send adverts on "
                      "that network is trusted",
                      instance.name));
}

/// An instance needs an address, and an address one instance.
void settle_addresses(Router& router, Diagnostics& out) {
  std::vector<IpAddress> seen;
  const auto settle = [&](std::vector<Word>& addresses) {
    std::erase_if(addresses, [&](const Word& word) {
      const auto address = Prefix::parse(word.text);
      std::string why;
      if (!address)
        why = "it is no address";
      else if (std::ranges::find(seen, address->address) != seen.end())
        why = "it stands above already";
      else
        seen.push_back(address->address);
      if (!why.empty())
        out.warning(word.at, fmt::format("not taken over: virtual address {}: {}", common::printable(word.text), why));
      return !why.empty();
    });
  };
  for (Instance& instance : router.instances) {
    settle(instance.addresses);
    settle(instance.excluded);
  }
  std::erase_if(router.instances, [&](const Instance& instance) {
    if (!instance.addresses.empty()) return false;
    out.warning(instance.at, fmt::format("not taken over: {} has no virtual address", instance.name));
    return true;
  });
}

/// Addresses beside which a virtual one makes no sense.
void check_networks(const Router& router, Diagnostics& out) {
  for (const Instance& instance : router.instances)
    for (const Word& word : instance.addresses) {
      const auto address = Prefix::parse(word.text);
      std::string networks;
      bool within = address->address.is_link_local();
      for (const InterfaceAddress& own : router.addresses) {
        const auto prefix = Prefix::parse(own.address);
        if (own.interface != instance.interface || !prefix || prefix->address.family() != address->address.family())
          continue;
        within = within || prefix->contains(address->address);
        networks += (networks.empty() ? "" : ", ") + own.address;
      }
      if (!within && !networks.empty())
        out.warning(word.at, fmt::format("the virtual address {} is outside the network of {}, which has {}", word.text,
                                         instance.interface, networks));
    }
}

/// One wire, one network: a slip of a digit shows here.
void compare_networks(const Router& first, const Router& second, Diagnostics& out) {
  for (const InterfaceAddress& other : second.addresses) {
    const auto b = Prefix::parse(other.address);
    bool same_family = false, same_network = false;
    std::string there;
    for (const InterfaceAddress& one : first.addresses) {
      const auto a = Prefix::parse(one.address);
      if (one.interface != other.interface || !a || !b || a->address.family() != b->address.family()) continue;
      same_family = true;
      same_network = same_network || a->contains(b->address);
      there += (there.empty() ? "" : ", ") + one.address;
      if (a->address == b->address && !a->address.is_link_local() && !(*a == Prefix{a->address, 8}))
        out.warning(other.at, fmt::format("both routers have {} on {}", b->address.to_string(), other.interface));
    }
    if (same_family && !same_network)
      out.warning(other.at, fmt::format("{} of {} is in another network than {} in {}", other.address, other.interface,
                                        there, first.file));
  }
}

/// The second router's names of interfaces, and what the first one calls them.
using Names = std::map<std::string, std::string>;

void rename_one(std::string& name, const Names& names) {
  const auto found = names.find(name);
  if (found != names.end()) name = found->second;
}

void rename_in(std::vector<Rule>& rules, const Names& names) {
  constexpr std::string_view kNot = "not ";
  for (Rule& rule : rules)
    for (Field& field : rule.fields)
      if (field.key == "outbound_interface" || field.key == "inbound_interface" || field.key == "interface")
        for (std::string& item : field.items) {
          const bool negated = item.starts_with(kNot);
          std::string name = item.substr(negated ? kNot.size() : 0);
          rename_one(name, names);
          item = negated ? std::string(kNot) + name : name;
        }
}

/// In our file an interface has the first router's name; the second's own stands under `nodes`. All at once, for the
/// two may have changed places.
void rename_interfaces(Router& router, const Names& names) {
  for (auto* rules : {&router.source, &router.destination, &router.one_to_one}) rename_in(*rules, names);
  for (RuleSet& set : router.firewall) {
    rename_in(set.rules, names);
    for (auto& [interface, direction] : set.hooks) rename_one(interface, names);
  }
  for (InterfaceAddress& address : router.addresses) rename_one(address.interface, names);
  const auto rename_track = [&](Track& track) {
    for (Field& field : track.fields)
      if (field.key == "interface") rename_one(field.items.front(), names);
  };
  for (Instance& instance : router.instances) {
    rename_one(instance.interface, names);
    std::ranges::for_each(instance.tracks, rename_track);
  }
  for (auto& [group, track] : router.group_tracks) rename_track(track);
  for (SyncLinkModel& link : router.links) rename_one(link.interface, names);
}

template <typename List, typename Key, typename Same>
void compare_lists(const List& first, const List& second, const std::string& what, const std::string& file, Key key,
                   Same same, Diagnostics& first_out, Diagnostics& second_out) {
  for (const auto& one : first) {
    const auto other = std::ranges::find_if(second, [&](const auto& each) { return key(each) == key(one); });
    if (other == second.end())
      first_out.warning(one.at, fmt::format("{} {} stands in this file only; both routers get it", what, key(one)));
    else if (!same(one, *other))
      second_out.warning(other->at, fmt::format("{} {} differs from that in {}, which is taken", what, key(one), file));
  }
}

template <typename List, typename Key>
void add_missing(List& first, const List& second, const std::string& what, Key key, Diagnostics& second_out) {
  for (const auto& other : second)
    if (std::ranges::none_of(first, [&](const auto& each) { return key(each) == key(other); })) {
      second_out.warning(other.at,
                         fmt::format("{} {} stands in this file only; both routers get it", what, key(other)));
      first.push_back(other);
    }
}

bool same_rule(const Rule& a, const Rule& b) {
  return a.fields == b.fields;
}

bool same_set(const RuleSet& a, const RuleSet& b) {
  auto hooks_a = a.hooks, hooks_b = b.hooks;
  std::ranges::sort(hooks_a);
  std::ranges::sort(hooks_b);
  return a.fields == b.fields && hooks_a == hooks_b &&
         std::ranges::equal(a.rules, b.rules,
                            [](const Rule& x, const Rule& y) { return x.number == y.number && x.fields == y.fields; });
}

void merge_rules(Pair& pair, Diagnostics& first_out, Diagnostics& second_out) {
  Router &one = pair.first, &other = *pair.second;
  const auto number = [](const Rule& rule) { return rule.number; };
  const auto name = [](const auto& each) { return each.name; };
  const auto rules = [&](std::vector<Rule>& a, const std::vector<Rule>& b, const std::string& what) {
    compare_lists(a, b, what, one.file, number, same_rule, first_out, second_out);
    add_missing(a, b, what, number, second_out);
    std::ranges::stable_sort(a, {}, &Rule::number);
  };
  rules(one.source, other.source, "source rule");
  rules(one.destination, other.destination, "destination rule");
  rules(one.one_to_one, other.one_to_one, "static rule");
  compare_lists(one.firewall, other.firewall, "rule set", one.file, name, same_set, first_out, second_out);
  add_missing(one.firewall, other.firewall, "rule set", name, second_out);
  const auto groups = [&](std::vector<Group>& a, const std::vector<Group>& b, const std::string& what) {
    compare_lists(a, b, what, one.file, name, std::equal_to<Group>(), first_out, second_out);
    add_missing(a, b, what, name, second_out);
  };
  groups(one.address_groups, other.address_groups, "address group");
  groups(one.port_groups, other.port_groups, "port group");
}

void merge_instances(Pair& pair, Diagnostics& first_out, Diagnostics& second_out) {
  Router &one = pair.first, &other = *pair.second;
  for (const Instance& instance : one.instances) {
    Instance* same = partner(instance, other.instances);
    if (!same) {
      first_out.warning(instance.at, fmt::format("the other router has nothing like {}", instance.name));
      continue;
    }
    compare_instances(instance, *same, one.file, second_out);
    same->name = instance.name;
    if (same->interface != instance.interface) pair.interfaces[instance.interface] = same->interface;
  }
  for (const Instance& instance : other.instances)
    if (std::ranges::none_of(one.instances, [&](const Instance& each) { return each.name == instance.name; }))
      second_out.warning(instance.at, fmt::format("not taken over: {} has nothing like {}", one.file, instance.name));
}

/// Where eth1 is the other's eth0, our eth0 must be something else there: what that chain of names leaves free.
void complete_names(Names& names) {
  std::set<std::string> theirs;
  for (const auto& [ours, own] : names) theirs.insert(own);
  for (const std::string& name : theirs) {
    if (names.contains(name)) continue;
    std::string free = name;
    for (bool found = true; found;) {
      const auto before = std::ranges::find_if(names, [&](const auto& each) { return each.second == free; });
      found = before != names.end();
      if (found) free = before->first;
    }
    names[name] = free;
  }
}

/// A link has one name, too: that of the first router.
void merge_links(Pair& pair, Diagnostics& second_out) {
  Router &one = pair.first, &other = *pair.second;
  for (std::size_t i = 0; i < one.links.size() && i < other.links.size(); ++i)
    if (one.links[i].interface != other.links[i].interface)
      pair.interfaces[one.links[i].interface] = other.links[i].interface;
  for (std::size_t i = 0; i < one.links.size() && i < other.links.size(); ++i)
    if (one.links[i].multicast != other.links[i].multicast)
      second_out.warning(other.links[i].at,
                         fmt::format("the link's multicast group is not that of {}, which is taken", one.file));
  if (one.links.size() != other.links.size())
    second_out.warning(
        other.links.empty() ? Position{1, 1} : other.links.back().at,
        fmt::format("{} links for connections here, {} in {}", other.links.size(), one.links.size(), one.file));
}

void settle_names(Pair& pair, Diagnostics& first_out, Diagnostics* second_out) {
  Router& one = pair.first;
  if (one.name.empty()) {
    one.name = "R1";
    first_out.warning(one.name_at, "the router has no name here; it is called R1: write its host name instead");
  }
  one.name = safe_name(one.name);
  if (!pair.second) return;
  Router& other = *pair.second;
  if (other.name.empty()) {
    other.name = one.name == "R2" ? "R3" : "R2";
    second_out->warning(other.name_at, fmt::format("the router has no name here; it is called {}: write its host name "
                                                   "instead",
                                                   other.name));
  }
  other.name = safe_name(other.name);
  if (other.name != one.name) return;
  other.name = one.name + "-2";
  second_out->warning(other.name_at,
                      fmt::format("both files call their router {}; this one is called {} now", one.name, other.name));
}

}  // namespace

// Where the file does not say it, the link's address is that of its interface.
void complete_links(Router& router, Diagnostics& out) {
  for (SyncLinkModel& link : router.links) {
    const auto group = IpAddress::parse(link.multicast);
    if (link.local.empty())
      for (const InterfaceAddress& address : router.addresses)
        if (address.interface == link.interface && link.local.empty())
          if (const auto prefix = Prefix::parse(address.address);
              prefix && (!group || prefix->address.family() == group->family()))
            link.local = prefix->address.to_string();
    const auto local = IpAddress::parse(link.local);
    if (!link.multicast.empty() && local && !(group && common::can_be_sync_group(*group, local->family()))) {
      out.warning(link.at, fmt::format("not taken over: {} is no multicast address for a link whose address is {}",
                                       link.multicast, link.local));
      link.multicast.clear();
    }
    if (!local) {
      out.warning(link.at,
                  fmt::format("the address of this router on the link {} is not said; write it as sync_address",
                              link.interface));
      link.local.clear();
    }
  }
}

void merge(Pair& pair, Diagnostics& first_out, Diagnostics* second_out) {
  settle_names(pair, first_out, second_out);
  settle_addresses(pair.first, first_out);
  if (pair.second) settle_addresses(*pair.second, *second_out);
  check_networks(pair.first, first_out);
  check_password(pair.first, first_out);
  if (!pair.second) {
    if (!pair.first.links.empty())
      first_out.warning(pair.first.links.front().at,
                        "not taken over: the link: it needs the other router's address; give both files");
    return;
  }
  check_networks(*pair.second, *second_out);
  merge_instances(pair, first_out, *second_out);
  merge_links(pair, *second_out);
  complete_names(pair.interfaces);
  Names names;
  for (const auto& [ours, theirs] : pair.interfaces) names[theirs] = ours;
  rename_interfaces(*pair.second, names);
  compare_networks(pair.first, *pair.second, *second_out);
  merge_rules(pair, first_out, *second_out);
}

}  // namespace natctl::importer
