#pragma once
// Every counter of the engine by name: what is dropped, refused or repaired is counted, never silently so.
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "syncd/frame.hpp"
#include "syncd/record.hpp"
#include "syncd/session.hpp"

namespace syncd {

enum class Counter : std::uint8_t {
  events,                 ///< of the kernel, not our own doing
  events_lost,            ///< times that the kernel said it lost some
  flows_excluded,         ///< reports of kernel flows that are not ours to replicate; of these:
  excluded_own,           ///< with an address of this router alone, or one that never leaves a router
  excluded_uncovered,     ///< of no group
  excluded_group,         ///< of a group that is not among `sync.groups`
  filtered_excluded,      ///< flows that an `exclude` of the filter means
  filtered_not_included,  ///< flows that no `include` of the filter means
  filtered_young,         ///< flows that ended before `replicate_after`
  mixed_families,         ///< kernel flows whose tuples are of different families: not carried
  table_full,             ///< flows that found no room
  dumps,
  dumps_failed,
  reconciled_missing,  ///< entries that a dump showed and events had not
  reconciled_gone,     ///< entries that a dump no longer showed
  strays_removed,      ///< entries that verify named, and that only this standby's kernel had
  reconciled_altered,  ///< replicas that a dump showed in another state than the peer's
  datagrams_sent,
  datagrams_received,
  bytes_sent,
  bytes_received,
  foreign_source,  ///< from another address than the peer's; counted without security and on multicast links only
  beside_group,    ///< to our own address, on a link that has a multicast group
  flows_sent,
  flows_received,
  endings_sent,
  endings_received,
  datagrams_lost,  ///< of ours, as far as acknowledgements tell
  retransmit_timeouts,
  paths_narrowed,     ///< times that only small datagrams arrived
  duplicates,         ///< data of a sequence that we have, or that the sender no longer stands by
  too_early,          ///< data beyond what we keep account of
  older_version,      ///< records that a newer one had overtaken
  stale_stream,       ///< records of a stream that we do not follow
  stale_term,         ///< messages of an older term
  foreign_claims,     ///< records of the peer for flows of which we are master
  own_address_flows,  ///< records of the peer with an address of this router
  reply_clashes,      ///< entries of ours that had to make room for another flow
  bulks_sent,
  bulks_received,
  remainders_received,  ///< times that the peer offered what only it may know
  adopted,              ///< flows that we knew from nowhere else
  adoptions_refused,    ///< of these, for which our kernel had no room beside flows of ours
  translations_kept,    ///< flows that both had translated, each in its own way, and that go on as they did here
  translations_taken,   ///< of these, as they did there
  legacies_sent,        ///< times that we were not master, and the peer had nothing
  remainders_sent,
  swept,  ///< entries that the peer's bulk did not have
  kernel_writes,
  kernel_refusals,
  kernel_full,
  commit_failed,  ///< entries that the kernel refused for good
  recreated,      ///< replicas that vanished from our kernel and were written again
  leases_renewed,
  timeouts_restored,
  prepares,
  prepares_failed,
  drains,
  drains_unconfirmed,
  peer_restarts,
  sessions,
  reports_expired,  ///< statements of vrrpd that it did not repeat in time
  verify_runs,
  audit_compared,         ///< buckets of the peer's flows whose digests were compared
  audit_unsettled,        ///< buckets that had changed meanwhile: compared another time
  audit_differing,        ///< buckets that differed
  audit_repaired,         ///< of these, fetched again
  audit_removed,          ///< flows that a repair showed not to be the peer's
  audit_refused,          ///< answers to it that reach beyond what has come
  audit_sent_again,       ///< flows sent again because the peer's digests differed
  expectations_written,   ///< flows whose expectations a takeover gave to the kernel
  expectations_refused,   ///< expectations that the kernel did not take: a helper is missing, or there are too many
  expectations_left_out,  ///< those that found no room in their flow's record, and flows of which no account is kept
  unknown_blocks,         ///< of a newer peer
  count
};
std::string_view to_string(Counter counter);

class Counters {
 public:
  std::uint64_t& operator[](Counter c) { return values_[static_cast<std::size_t>(c)]; }
  std::uint64_t operator[](Counter c) const { return values_[static_cast<std::size_t>(c)]; }
  void add(RecordError e) { ++record_errors_[static_cast<std::size_t>(e)]; }
  void add(FrameError e) { ++frame_errors_[static_cast<std::size_t>(e)]; }
  void add(SessionError e) { ++session_errors_[static_cast<std::size_t>(e)]; }
  std::map<std::string, std::uint64_t> named() const;

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(Counter::count)> values_{};
  std::array<std::uint64_t, kRecordErrors> record_errors_{};
  std::array<std::uint64_t, kFrameErrors> frame_errors_{};
  std::array<std::uint64_t, kSessionErrors> session_errors_{};
};

}  // namespace syncd
