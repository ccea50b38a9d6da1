#pragma once
// Flows of the peer on their way into our kernel.
//
// continuous: every record is written as it comes, with a timeout of at least a lease unless the connection is closed,
// because no packets refresh an entry on a standby; the lease is renewed while the peer has the flow. After a takeover
// the timeouts that are still ours are set to the flow's own, and nothing is created then: what has ended meanwhile
// must not come back. on-takeover: records wait in the table until a takeover is near (anticipate) or here (take_over).
// Expectations are written at a takeover, after their masters: on a standby they would only run out.
// be_liberal is written with every TCP entry: the window moved on while the entry was not ours.
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/time.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Why the kernel does not take an entry, for people.
std::string refusal_text(int code);

/// Timeout of a standby's entry at least. Long enough that a syncd which is down for minutes loses nothing.
inline constexpr std::uint32_t kLease = 600;
/// Renewed when less than this is left; two walks over the table fit in.
inline constexpr std::uint32_t kLeaseRenew = 300;
/// A closed connection is not leased, or it would outlive takeovers that follow each other: it keeps the end that it
/// had when it closed. A standby's entry waits this much longer, in seconds: the master's is to go first, and its
/// kernel takes up to a minute to notice that it has run out (GC_SCAN_INTERVAL_MAX).
inline constexpr std::uint32_t kClosedGrace = 90;
/// Timeout of an entry of GRE: the kernel neither renews it nor lets it be changed (ctnetlink.cpp), and a tunnel that
/// ends while both sides speak may not come back, for the wrong side may speak first.
inline constexpr std::uint32_t kTunnelTimeout = 24 * 3600;
/// A walk over the whole table for leases takes this long, in steps of kLeaseStep.
inline constexpr common::Duration kLeaseWalk = std::chrono::seconds(100);
inline constexpr common::Duration kLeaseStep = std::chrono::milliseconds(100);
/// Timeouts set after a takeover, per second: a million take a minute, well within the lease.
inline constexpr std::size_t kSettlePerSecond = 20000;
inline constexpr common::Duration kSettleStep = std::chrono::milliseconds(50);
/// A kernel that has no room refuses thousands in a row, and one line says so; clashes come in numbers, too.
inline constexpr common::Duration kTellRefusals = std::chrono::seconds(60);
/// The first seconds after a takeover belong to the traffic.
inline constexpr common::Duration kSettleAfter = std::chrono::seconds(1);

class Commit {
 public:
  Commit(Store& store, common::CommitPolicy policy) : store_(store), policy_(policy) {}
  void set_policy(common::CommitPolicy policy);

  enum class Difference : std::uint8_t { none, state, binding };
  /// A record of the peer stands in the table, different from what stood there before.
  void stored(Slot slot, Difference difference, common::Time now);
  /// A flow of the peer's remainder stands in the table: new to us, or other than we knew it, whatever our role is.
  void adopted(Slot slot, Difference difference, common::Time now);
  /// The flow is over: out of the kernel with it, where it is there. The caller releases the entry.
  void ended(Slot slot);
  /// Our kernel says that an entry is gone which nobody told it to remove, while we are backup.
  void vanished(Slot slot);

  void anticipate(Group& group, bool on);
  /// We are master from now on: write what the kernel lacks. `whole`: the replica has been kept up to its end, so that
  /// with the continuous policy all that the kernel lacks is in line already, however large the table.
  void take_over(Group& group, bool whole, common::Time now);
  void step_down(Group& group);
  /// Everything, now: an operator asks.
  void commit_all(Group& group);

  /// Appends up to `most` writes.
  void poll(common::Time now, std::size_t most, std::vector<KernelWrite>& out);
  bool pending() const { return !store_.writes.empty() || !walks_.empty() || !announcing_.empty(); }
  /// The table is being written from its beginning, as a takeover does.
  bool walking() const { return !walks_.empty(); }
  void refused(const KernelResult& result);
  void tick(common::Time now);
  common::Deadline deadline() const;

  /// Entries given up, since the beginning, and the errno of the last one.
  std::uint64_t failures() const { return failures_; }
  int last_failure() const { return last_failure_; }
  /// What has been given up since it was last asked for; not more often than each kTellRefusals.
  struct Refusals {
    FlowKey first;
    int code = 0;
    std::uint64_t count = 0;
  };
  std::optional<Refusals> take_refusals(common::Time now);
  /// This flow, or one with the same addresses and ports, was translated by both routers while they were apart.
  void note_clash(Slot slot);
  struct Clashes {
    FlowKey first;
    std::uint64_t count = 0;
  };
  std::optional<Clashes> take_clashes(common::Time now);

 private:
  struct Walk {
    std::size_t group = 0;
    Slot cursor = 0;
  };
  bool writes_at_once(const Group& group) const;
  bool lacks(Slot slot, common::Time now) const;
  void write(Slot slot, common::Time now, std::vector<KernelWrite>& out);
  void make_way(Slot slot, std::vector<KernelWrite>& out);
  void write_master_of(Slot slot, common::Time now, std::vector<KernelWrite>& out);
  void fill(Slot slot, common::Time now, KernelWrite& out);
  void note_end(Slot slot, common::Time now);
  static std::uint32_t closed_timeout(const Entry& e, bool standby, common::Time now);
  void queue_expectations(Group& group);
  void expect(std::vector<KernelWrite>& out);
  void walk(common::Time now, std::size_t most, std::vector<KernelWrite>& out);
  void start_walk(Group& group);
  void renew_leases(common::Time now);
  void settle(common::Time now);
  void try_again(Entry& e);
  void give_up(Slot slot, int code);
  bool walks(const Group& group) const;

  Store& store_;
  common::CommitPolicy policy_;
  std::vector<Walk> walks_;       ///< takeovers that write from the table
  std::vector<Slot> announcing_;  ///< flows whose expectations are to be written when all else is
  std::vector<Walk> settling_;    ///< takeovers whose timeouts are being set
  common::Deadline settle_at_, lease_at_;
  Slot lease_cursor_ = 0;
  std::uint64_t failures_ = 0;
  int last_failure_ = 0;
  std::optional<Refusals> refusals_;
  std::optional<Clashes> clashes_;
  common::Deadline tell_refusals_at_, tell_clashes_at_;
};

}  // namespace syncd
