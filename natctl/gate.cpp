#include "natctl/gate.hpp"

#include <utility>

namespace natctl {

using common::Deadline;
using common::GroupState;
using common::OpenReason;
using common::Phase;
using common::Time;

Gate::Gate(common::Duration gate_timeout, common::Duration patience, Time now)
    : gate_timeout_(gate_timeout), patience_(patience), closed_at_(now) {}

void Gate::set_times(common::Duration gate_timeout, common::Duration patience) {
  gate_timeout_ = gate_timeout;
  patience_ = patience;
}

void Gate::adopt(const GateState& state) {
  wanted_ = state;
  cause_ = "found so";
}

bool Gate::newest(const common::Term& term) {
  if (term < wanted_.term) return false;
  wanted_.term = term;
  return true;
}

void Gate::open(bool complete, std::string cause) {
  wanted_.open = true;
  asks_shut_.reset();
  wanted_.complete = complete;
  cause_ = std::move(cause);
  claimed_at_.reset();
  unattended_ = false;
}

void Gate::shut(std::string cause) {
  // `complete` stays: should the same mastership go on, what it had is still there.
  wanted_.open = false;
  cause_ = std::move(cause);
  claimed_at_.reset();
  unattended_ = false;
}

Gate::Outcome Gate::on(const common::Prepare& message, Time now) {
  if (!newest(message.term)) return Outcome::old_term;
  shut("prepare");
  wanted_.complete = false;
  asks_ready_ = true;
  asks_shut_.reset();  // who asked has come back
  claimed_at_ = now;
  told_late_ = false;
  return Outcome::none;
}

Gate::Outcome Gate::on(const common::Open& message) {
  if (!newest(message.term)) return Outcome::old_term;
  switch (message.reason) {
    case OpenReason::ready:
    case OpenReason::late_ready:
      open(true, std::string(to_string(message.reason)));
      return Outcome::none;
    case OpenReason::deadline:
      open(false, "deadline");
      return Outcome::opened_late;
    case OpenReason::aborted:
      open(wanted_.complete, "aborted");
      return Outcome::none;
  }
  return Outcome::none;
}

Gate::Outcome Gate::on(const common::Shut& message) {
  if (!newest(message.term)) {
    // The peer's newer term has shut it already, and vrrpd waits all the same.
    if (!wanted_.open) asks_shut_ = message.term;
    return Outcome::old_term;
  }
  shut(message.cause.empty() ? "told to" : message.cause);
  asks_ready_ = false;
  asks_shut_ = message.term;
  return Outcome::none;
}

Gate::Outcome Gate::on(const common::Entered& message) {
  if (!newest(message.term)) return Outcome::old_term;
  if (message.state == GroupState::master) return Outcome::none;
  shut(std::string(to_string(message.state)));
  asks_ready_ = false;
  return Outcome::none;
}

Gate::Outcome Gate::on(const common::GroupSnapshot& snapshot, Time now) {
  closed_at_.reset();
  // Whatever its term, a vrrpd that is not master has no business with an open gate: a restarted one may know
  // less of terms than we do.
  const bool master = snapshot.state == GroupState::master && snapshot.phase == Phase::idle;
  const bool known = newest(snapshot.term);
  if (!master) {
    shut("vrrpd is " + std::string(to_string(snapshot.state)));
    asks_ready_ = false;
    return Outcome::none;
  }
  if (!known) return Outcome::old_term;
  if (wanted_.open) return Outcome::none;
  if (unattended_) {
    open(wanted_.complete, "vrrpd is back");
    return Outcome::none;
  }
  if (!claimed_at_) {
    claimed_at_ = now;
    told_late_ = true;
  }
  return Outcome::none;
}

Gate::Outcome Gate::on_peer(const common::GroupReport& report, common::Standing ours) {
  // From the claim on: what is let through between it and the first packet at the peer would be known here
  // only.
  const bool masters = report.state == GroupState::master || report.phase == common::Phase::claiming;
  if (!masters || report.term <= wanted_.term) return Outcome::none;
  // It was the peer that was cut off, and will yield. Our vrrpd comes to the same answer and takes a newer
  // term.
  ours.term = wanted_.term;
  if (common::stays(ours, {report.made_apart, report.served_apart, report.term})) return Outcome::none;
  wanted_.term = report.term;
  const bool was_open = wanted_.open;
  shut("the peer has a newer term");
  asks_ready_ = false;
  return was_open ? Outcome::superseded : Outcome::none;
}

void Gate::on_vrrpd_closed(Time now) {
  // Connections that come and go without a Welcome are no successor.
  if (!closed_at_) closed_at_ = now;
}

Gate::Outcome Gate::on_time(const Surroundings& around, Time now) {
  if (claimed_at_ && !wanted_.open && now >= *claimed_at_ + gate_timeout_) {
    // vrrpd lives and has sent Prepare itself: it sends Open, too. One that we met as a master may have done
    // so before we came.
    const bool nobody_left = !around.vrrpd_connected && !around.peer_lives;
    if (nobody_left || (around.vrrpd_connected && told_late_)) {
      open(false, "deadline of the agent");
      return Outcome::opened_alone;
    }
  }
  if (closed_at_ && wanted_.open && around.peer_lives && now >= *closed_at_ + patience_) {
    shut("vrrpd is gone");
    unattended_ = true;
    return Outcome::shut_unattended;
  }
  return Outcome::none;
}

Deadline Gate::deadline(const Surroundings& around) const {
  Deadline result;
  if (claimed_at_ && !wanted_.open && (around.vrrpd_connected ? told_late_ : !around.peer_lives))
    result = *claimed_at_ + gate_timeout_;
  if (closed_at_ && wanted_.open && around.peer_lives) result = common::earliest(result, *closed_at_ + patience_);
  return result;
}

}  // namespace natctl
