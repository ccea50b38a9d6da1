#pragma once
// The gate of one group, as a machine: what vrrpd, syncd and time say goes in; whether it shall be open comes
// out. It knows nothing of nftables. Two rules stand above the others: what belongs to an older term than the
// newest seen is ignored, in newest(); and only Open opens, but for the cases where nobody is left to send
// it, in on_time().
#include <cstdint>
#include <optional>
#include <string>

#include "common/notify.hpp"
#include "common/time.hpp"
#include "natctl/nft.hpp"

namespace natctl {

class Gate {
 public:
  /// What became of a message: names a counter of the agent, when there is one to raise.
  enum class Outcome {
    none,
    old_term,         ///< ignored
    superseded,       ///< shut: the peer is master in a newer term, or claims one, and vrrpd has not said so
    shut_unattended,  ///< shut: vrrpd is gone, and a peer lives that will take over
    opened_late,      ///< opened at a deadline that vrrpd announced
    opened_alone,     ///< opened at the deadline by the agent itself
    count,
  };
  /// What the gate must know of the world beside messages to it.
  struct Surroundings {
    bool vrrpd_connected = false;
    bool peer_lives = false;
  };

  Gate(common::Duration gate_timeout, common::Duration patience, common::Time now);
  /// A changed configuration.
  void set_times(common::Duration gate_timeout, common::Duration patience);
  /// As the kernel has it.
  void adopt(const GateState& state);

  Outcome on(const common::Prepare& message, common::Time now);
  Outcome on(const common::Open& message);
  Outcome on(const common::Shut& message);
  Outcome on(const common::Entered& message);
  Outcome on(const common::GroupSnapshot& snapshot, common::Time now);  ///< of a Welcome
  /// `ours`: of this node, as syncd counts it, see common::stays(); its term is filled in here.
  Outcome on_peer(const common::GroupReport& report, common::Standing ours);
  void on_vrrpd_closed(common::Time now);
  Outcome on_time(const Surroundings& around, common::Time now);
  common::Deadline deadline(const Surroundings& around) const;

  const GateState& wanted() const { return wanted_; }
  const common::Term& term() const { return wanted_.term; }
  const std::string& cause() const { return cause_; }  ///< of the present state, for people
  /// A Prepare waits to be told that the rules are in force behind the shut gate.
  bool asks_ready() const { return asks_ready_; }
  void answered() { asks_ready_ = false; }
  /// Of a Shut that waits to be told that the kernel lets nothing through any more.
  const std::optional<common::Term>& asks_shut() const { return asks_shut_; }
  void answered_shut() { asks_shut_.reset(); }

 private:
  /// False: the message belongs to a past that is over.
  bool newest(const common::Term& term);
  void open(bool complete, std::string cause);
  void shut(std::string cause);

  common::Duration gate_timeout_, patience_;
  GateState wanted_;
  std::string cause_ = "start";
  bool asks_ready_ = false;
  std::optional<common::Term> asks_shut_;
  bool unattended_ = false;      ///< shut for want of a vrrpd; nobody has said that this node is not the master
  common::Deadline closed_at_;   ///< vrrpd's connection is down since
  common::Deadline claimed_at_;  ///< this node took the group over, and nobody opened yet
  bool told_late_ = false;       ///< claimed_at_ is from a Welcome: the order to open may have been missed
};

}  // namespace natctl
