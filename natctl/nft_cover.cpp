// What belongs to a group: stopped while its gate is shut, watched while it is open.
#include <fmt/format.h>

#include <algorithm>

#include "natctl/nft.hpp"
#include "natctl/nft_parts.hpp"

namespace natctl {
namespace {

/// Of a packet on its way out: it is one that the rule is about. Where the rule names no source, that must
/// not be one without an address either, which is how the router asks for its own (DHCP).
std::string not_unspecified(const Match& match) {
  if (!match.source.any.empty()) return {};
  return match.family == common::Family::ipv6 ? "ip6 saddr != ::" : "ip saddr != 0.0.0.0";
}

}  // namespace

std::string outgoing(const Match& match) {
  // An address of the interface that the packet leaves by: the router speaks for itself (adverts of VRRP, a
  // ping by the operator). It is neither translated nor stopped, on either router.
  return join({match_text(match), match.outbound.empty() ? "oifname != \"lo\"" : "", not_unspecified(match),
               "fib saddr . oif type != local"});
}

void write_cover(Writer& out, const Coverage& group, const std::string& name) {
  const std::string drop = fmt::format("counter name \"shut_{}\" drop", name);
  const bool v6 = std::any_of(group.addresses.begin(), group.addresses.end(),
                              [](const common::AddressRange& a) { return a.family() == common::Family::ipv6; });
  out.open("chain cover_" + name);
  if (v6) out.line(fmt::format("{} return", kNeighbours));
  for (const auto& match : by_family("daddr", group.addresses)) out.rule({match, drop});
  for (const Match& match : group.arriving) out.rule_once({match_text(match), drop});
  for (Match match : group.translated) {
    // What is addressed to the router itself passes, and what has no single receiver is not forwarded by us.
    std::string leaving;
    if (match.source.any.empty()) leaving = interface_text("fib daddr oifname", match.outbound);
    match.outbound = {};
    out.rule_once({match_text(match), "fib daddr type unicast", leaving, drop});
  }
  for (const Match& match : group.replies) out.rule_once({match_text(match), "fib daddr type unicast", drop});
  for (const common::Prefix& prefix : group.protects)
    for (const char* field : {"saddr", "daddr"}) out.rule({prefix_text(field, prefix), "fib daddr type unicast", drop});
  out.close();

  out.open("chain coverout_" + name);
  for (const Match& match : group.translated) out.rule_once({outgoing(match), drop});
  out.close();
}

void write_forward_guards(Writer& out, const Coverage& group, const std::string& name) {
  const std::string jump = "jump guard_" + name;
  for (const auto* list : {&group.translated, &group.served, &group.replies})
    for (const Match& match : *list) out.rule_once({match_text(match), jump});
  for (const common::Prefix& prefix : group.protects)
    for (const char* field : {"saddr", "daddr"}) out.rule({prefix_text(field, prefix), jump});
}

void write_input_guards(Writer& out, const Coverage& group, const std::string& name) {
  const std::string jump = "jump guard_" + name;
  for (const auto& match : by_family("daddr", group.addresses)) out.rule({match, jump});
  for (const Match& match : group.arriving) out.rule_once({match_text(match), jump});
}

}  // namespace natctl
