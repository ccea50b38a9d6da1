#pragma once
// What the two nodes tell each other besides flows: what each vrrpd says of its groups, what each syncd streams and
// follows. State only: sent on every change, at a probe, and with each keepalive.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/notify.hpp"
#include "common/time.hpp"
#include "syncd/frame.hpp"
#include "syncd/store.hpp"

namespace syncd {

class Peer {
 public:
  Peer(Store& store, const common::Config& config, common::Time now);
  void configure(const common::Config& config);

  // --- what we tell
  void local_report(const common::LocalReport& report, common::Time now);
  /// vrrpd's connection is lost: what it said holds no longer.
  void forget_local(common::Time now);
  void tell_now(common::Time now) { tell_at_ = now; }
  bool tell_due(common::Time now) const { return tell_at_ <= now; }
  PeerState state_to_tell(common::Time now, std::uint8_t protocol);
  bool take_probe() { return std::exchange(probe_, false); }
  bool take_answer() { return std::exchange(answer_, false); }
  void told(common::Time now);
  void measured(const TableSize& table) { table_ = table; }
  /// What vrrpd said for a while only, and has not said again.
  void expire(common::Time now);

  // --- what we are told
  /// Of a new session: what was said in an earlier one may come late.
  void forget_peer() { said_ = {}, peer_table_ = {}, newest_serial_ = 0, ++said_changes_; }
  /// False: older than what we know.
  bool on_state(PeerState state);
  void on_probe(common::Time now);
  void on_answer() { answered_ = true, ++answers_; }
  /// Asks whether the peer lives: it answers at once, and answers() has changed then.
  void ask_now(common::Time now) { probe_ = true, tell_now(now); }
  std::uint64_t answers() const { return answers_; }
  const GroupState* said(const Group& group) const;
  /// The peer is master of the group, or about to be.
  bool masters(const Group& group) const;
  /// The peer has been told that this node takes the group over.
  bool claimed(const Group& group) const;
  /// What is slower: ours, or the peer's as it says itself; the two may run with different files for a while.
  common::Duration keepalive() const;
  const std::optional<TableSize>& table() const { return table_; }  ///< ours, as far as it is known
  const std::optional<TableSize>& peer_table() const { return peer_table_; }
  const std::string& node() const { return node_; }  ///< ours
  bool config_differs() const { return said_ && said_->config != config_hash_; }

  // --- what vrrpd and the agent are told of the peer
  /// A report that is due now, because something changed, a probe was answered, or time has passed.
  std::optional<common::PeerReport> report(common::LinkState link, std::uint64_t backlog, common::Time now);
  void report_at_once() { answered_ = true; }
  /// What the peer's vrrpd says of its groups, as far as it is known.
  std::vector<common::GroupReport> groups() const { return make_report(common::LinkState::none, 0).groups; }

  /// can_tell: there is a session to tell anything in.
  common::Deadline deadline(bool can_tell) const;

 private:
  common::PeerReport make_report(common::LinkState link, std::uint64_t backlog) const;
  /// What of a report is news; a backlog moves with every packet and is none.
  struct Brief {
    common::LinkState link = common::LinkState::none;
    bool config_differs = false;
    std::uint64_t said = 0;      ///< how often the peer's word has changed
    std::uint32_t complete = 0;  ///< a bit per group
    bool operator==(const Brief&) const = default;
  };
  Brief brief(common::LinkState link) const;

  struct Stated {
    common::GroupReport report;
    common::Deadline until;
  };

  Store& store_;
  std::string node_, peer_;
  common::Duration keepalive_ = {};
  std::uint64_t config_hash_ = 0;
  std::vector<Stated> local_;
  common::Time tell_at_;
  bool probe_ = false, answer_ = false, answered_ = false;
  std::uint64_t answers_ = 0;
  std::optional<TableSize> table_, peer_table_;  ///< apart from what was said: it changes all the time and is no news
  std::optional<PeerState> said_;
  std::uint64_t newest_serial_ = 0, last_serial_ = 0;  ///< of the peer's states; of ours
  std::uint64_t said_changes_ = 0;
  std::optional<Brief> reported_;
  common::Time report_at_;
};

/// Do we hold all connections of the newest term that anybody knows of?
bool holds_everything(const Group& group);

}  // namespace syncd
