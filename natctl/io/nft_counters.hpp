#pragma once
// The named counters of our table, asked of the kernel itself: libnftables reads all rules for whatever it lists, and
// with 10,000 of them that takes a second, while the agent could not move a gate.
#include <cstdint>
#include <map>
#include <string>

#include "common/result.hpp"

namespace natctl::io {

/// Packets by the counter's name; empty when there is no table.
common::Result<std::map<std::string, std::uint64_t>> counted_packets();

}  // namespace natctl::io
