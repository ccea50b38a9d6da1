#pragma once
// What the files that write the table share. Only natctl/nft*.cpp include this.
#include <string_view>

#include "natctl/nft_text.hpp"

namespace natctl {

/// Counters of each group, and the chains that are its switch.
inline constexpr std::string_view kCounters[] = {"shut", "invalid", "midstream", "untranslated"};
inline constexpr std::string_view kSwitch[] = {"gate_", "gateout_", "strict_"};

// IPv6 finds its neighbours by ICMPv6 to the very addresses that the gate shuts; ARP never comes by here.
inline constexpr std::string_view kNeighbours = "icmpv6 type { 133, 134, 135, 136, 137 }";

/// Of a packet on its way out: it is one that the rule is about.
std::string outgoing(const Match& match);

/// What the gate of a group stops, by chains cover_G and coverout_G.
void write_cover(Writer& out, const Coverage& group, const std::string& name);
/// Sends what belongs to translated connections past the guard of its group.
void write_forward_guards(Writer& out, const Coverage& group, const std::string& name);
void write_input_guards(Writer& out, const Coverage& group, const std::string& name);

void write_nat_sets(Writer& out, const Ruleset& ruleset);
void write_nat(Writer& out, const Ruleset& ruleset);
/// What has passed the translation must carry a translated address.
void write_untranslated(Writer& out, const Ruleset& ruleset);

}  // namespace natctl
