#pragma once
// The table `inet steadynat` as text for nftables, and back from what nftables lists. Pure: nothing is run
// here.
//
// Each group has a switch of three little chains, which is all that changes when its gate opens or shuts:
//   gate_G      in prerouting before conntrack: empty when open, jumps to cover_G (which drops) when shut
//   gateout_G   the same for what the router itself sends from covered addresses
//   strict_G    what happens to TCP that is new to conntrack without opening a connection: drop, or a reset
// Everything else is replaced as a whole, by one transaction that deletes the table and defines it anew:
// packets see the old table or the new one, and conntrack keeps its entries, because the new table's hooks
// are registered before the old ones go.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/term.hpp"
#include "natctl/ruleset.hpp"

namespace natctl {

inline constexpr std::string_view kTable = "inet steadynat", kTableName = "steadynat";

struct GateState {
  bool open = false;
  /// All connections of the group are in the kernel. TCP that is new to conntrack without opening a
  /// connection is then dead and gets a reset; until then it may belong to one whose entry is still to come,
  /// and is dropped.
  bool complete = false;
  /// The newest that the agent knew of. Kept in the table, so that a restarted agent can say to vrrpd that
  /// its rules are those of this very term: else vrrpd would shut the gate to ask.
  common::Term term;
  bool operator==(const GateState&) const = default;
};
/// By group; one that is not named is shut.
using GateStates = std::map<std::string, GateState>;

/// Deletes the table, if there is one, and defines it anew, in one transaction.
std::string render_table(const Ruleset& ruleset, const GateStates& gates);
/// Sets the switches of these groups in a table that stands.
std::string render_gates(const GateStates& gates);
/// Deletes the table, whether there is one or not.
std::string render_removal();

/// Reads the switches from `nft -j list table inet steadynat`; none when the text is not that.
std::optional<GateStates> read_gates(std::string_view json);

struct Counts {
  std::uint64_t packets = 0, bytes = 0;
  bool operator==(const Counts&) const = default;
};
/// Of rules by counts_key of their comments, of named counters by their names.
using CountsByKey = std::map<std::string, Counts, std::less<>>;

/// Packets that the table has stopped, from those of its counters by their names, all groups together: "shut_packets"
/// by a gate, "invalid_packets", "midstream_packets" and "untranslated_packets" by a guard.
std::map<std::string, std::uint64_t> sum_counters(const CountsByKey& counts);

/// Label and mark: "10: web #1f00baa4" and "10: the web #1f00baa4" are one rule, whose description was changed. Empty
/// when there is no mark.
std::string counts_key(std::string_view comment);

/// The same text, with the counts that are known for what is the same in it. The rest begins at 0.
std::string keep_counters(std::string_view table, const CountsByKey& known);

/// Names in the table may hold letters, digits and few signs; the coding is reversible, so that a restarted
/// agent recognises its groups.
std::string encode_name(std::string_view name);
std::string decode_name(std::string_view text);

}  // namespace natctl
