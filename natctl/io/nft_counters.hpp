#pragma once
// What our table has counted, asked of the kernel itself: libnftables reads and words all rules for whatever it lists,
// and with 10,000 of them that takes a second, while the agent could not move a gate.
#include "common/result.hpp"
#include "natctl/nft.hpp"

namespace natctl::io {

/// Of the named counters; empty when there is no table.
common::Result<CountsByKey> counted();
/// Of these and of the rules that have a key (counts_key).
common::Result<CountsByKey> counted_with_rules();

}  // namespace natctl::io
