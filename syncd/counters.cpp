#include "syncd/counters.hpp"

namespace syncd {

std::string_view to_string(Counter counter) {
  switch (counter) {
    case Counter::events: return "events";
    case Counter::events_lost: return "events_lost";
    case Counter::flows_excluded: return "flows_excluded";
    case Counter::mixed_families: return "mixed_families";
    case Counter::table_full: return "table_full";
    case Counter::dumps: return "dumps";
    case Counter::dumps_failed: return "dumps_failed";
    case Counter::reconciled_missing: return "reconciled_missing";
    case Counter::reconciled_gone: return "reconciled_gone";
    case Counter::datagrams_sent: return "datagrams_sent";
    case Counter::datagrams_received: return "datagrams_received";
    case Counter::bytes_sent: return "bytes_sent";
    case Counter::bytes_received: return "bytes_received";
    case Counter::foreign_source: return "foreign_source";
    case Counter::flows_sent: return "flows_sent";
    case Counter::flows_received: return "flows_received";
    case Counter::endings_sent: return "endings_sent";
    case Counter::endings_received: return "endings_received";
    case Counter::datagrams_lost: return "datagrams_lost";
    case Counter::retransmit_timeouts: return "retransmit_timeouts";
    case Counter::duplicates: return "duplicates";
    case Counter::too_early: return "too_early";
    case Counter::older_version: return "older_version";
    case Counter::stale_stream: return "stale_stream";
    case Counter::stale_term: return "stale_term";
    case Counter::foreign_claims: return "foreign_claims";
    case Counter::own_address_flows: return "own_address_flows";
    case Counter::reply_clashes: return "reply_clashes";
    case Counter::bulks_sent: return "bulks_sent";
    case Counter::bulks_received: return "bulks_received";
    case Counter::swept: return "swept";
    case Counter::kernel_writes: return "kernel_writes";
    case Counter::kernel_refusals: return "kernel_refusals";
    case Counter::kernel_full: return "kernel_full";
    case Counter::commit_failed: return "commit_failed";
    case Counter::recreated: return "recreated";
    case Counter::leases_renewed: return "leases_renewed";
    case Counter::timeouts_restored: return "timeouts_restored";
    case Counter::prepares: return "prepares";
    case Counter::prepares_failed: return "prepares_failed";
    case Counter::drains: return "drains";
    case Counter::drains_unconfirmed: return "drains_unconfirmed";
    case Counter::peer_restarts: return "peer_restarts";
    case Counter::sessions: return "sessions";
    case Counter::reports_expired: return "reports_expired";
    case Counter::verify_runs: return "verify_runs";
    case Counter::unknown_blocks: return "unknown_blocks";
    case Counter::count: break;
  }
  return "";
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
