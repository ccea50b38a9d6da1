#include "syncd/counters.hpp"

namespace syncd {

namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, static_cast<std::size_t>(Counter::count)> kNames{
    "events",
    "events_lost",
    "flows_excluded",
    "excluded_own",
    "excluded_uncovered",
    "excluded_group",
    "filtered_excluded",
    "filtered_not_included",
    "filtered_young",
    "mixed_families",
    "table_full",
    "dumps",
    "dumps_failed",
    "reconciled_missing",
    "reconciled_gone",
    "strays_removed",
    "reconciled_altered",
    "datagrams_sent",
    "datagrams_received",
    "bytes_sent",
    "bytes_received",
    "foreign_source",
    "beside_group",
    "flows_sent",
    "flows_received",
    "endings_sent",
    "endings_received",
    "datagrams_lost",
    "retransmit_timeouts",
    "paths_narrowed",
    "duplicates",
    "too_early",
    "older_version",
    "stale_stream",
    "stale_term",
    "foreign_claims",
    "own_address_flows",
    "reply_clashes",
    "bulks_sent",
    "bulks_received",
    "remainders_received",
    "adopted",
    "adoptions_refused",
    "translations_kept",
    "translations_taken",
    "legacies_sent",
    "remainders_sent",
    "swept",
    "kernel_writes",
    "kernel_refusals",
    "kernel_full",
    "commit_failed",
    "recreated",
    "leases_renewed",
    "timeouts_restored",
    "prepares",
    "prepares_failed",
    "drains",
    "drains_unconfirmed",
    "peer_restarts",
    "sessions",
    "reports_expired",
    "verify_runs",
    "audit_compared",
    "audit_unsettled",
    "audit_differing",
    "audit_repaired",
    "audit_removed",
    "audit_refused",
    "audit_sent_again",
    "expectations_written",
    "expectations_refused",
    "expectations_left_out",
    "unknown_blocks",
};
static_assert(kNames.back() == "unknown_blocks", "a name for every counter");

}  // namespace

std::string_view to_string(Counter counter) {
  return counter == Counter::count ? std::string_view() : kNames[static_cast<std::size_t>(counter)];
}

std::map<std::string, std::uint64_t> Counters::named() const {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < values_.size(); ++i) out.emplace(to_string(static_cast<Counter>(i)), values_[i]);
  for (std::size_t i = 0; i < record_errors_.size(); ++i)
    out.emplace(to_string(static_cast<RecordError>(i)), record_errors_[i]);
  for (std::size_t i = 0; i < frame_errors_.size(); ++i)
    out.emplace(to_string(static_cast<FrameError>(i)), frame_errors_[i]);
  for (std::size_t i = 0; i < session_errors_.size(); ++i)
    out.emplace(to_string(static_cast<SessionError>(i)), session_errors_[i]);
  return out;
}

}  // namespace syncd
