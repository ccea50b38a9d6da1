#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "natctl/agent_state.hpp"

namespace natctl {

namespace {

bool value_of(const std::map<std::string, bool>& map, const std::string& key) {
  const auto at = map.find(key);
  return at != map.end() && at->second;
}

}  // namespace

// --- what is there ------------------------------------------------------------------------------------

void Agent::State::found(const TableFound& event, Time now, Actions& out) {
  if (!known)
    adopt(event, out);
  else if (!in_flight)
    audit(event, now, out);
}

/// The first look: the gates stay as a predecessor left them until vrrpd says otherwise.
void Agent::State::adopt(const TableFound& event, Actions& out) {
  known = true;
  loaded = event.exists;
  if (!event.exists) {
    whole = wants_table();
    return;
  }
  for (auto& [name, gate] : gates) {
    GateState state{.open = value_of(event.gates_open, name), .complete = value_of(event.complete, name), .term = {}};
    if (const auto term = event.terms.find(name); term != event.terms.end()) state.term = term->second;
    gate.adopt(state);
    applied[name] = state;
    out.push_back(
        Log{Log::Level::info, "adopted", fmt::format("gate {}: found {}", name, state.open ? "open" : "shut")});
  }
}

/// Somebody else wrote to our table, or took it away: `nft flush ruleset`, as a restart of Debian's
/// nftables.service does, takes all tables. What is missing comes back at once; who writes again and again is
/// answered now and then.
void Agent::State::audit(const TableFound& event, Time now, Actions& out) {
  if (!event.exists && !loaded) return;
  if (event.exists && whole) return;  // seen already, and about to be done
  ++counters["table_restored"];
  out.push_back(Log{Log::Level::warning, "table_changed",
                    event.exists ? "somebody else changed table inet steadynat; it is written anew"
                                 : "somebody else deleted table inet steadynat; it is written anew"});
  loaded = event.exists;
  stands = false;
  whole = true;
  retry_at.reset();
  if (event.exists && restored_at && now < *restored_at + kRestoreEvery) retry_at = *restored_at + kRestoreEvery;
  restored_at = now;
}

// --- bringing it in line ------------------------------------------------------------------------------

void Agent::State::reconcile(Time now, Actions& out) {
  if (!known || in_flight) return;
  const bool too_early = retry_at && now < *retry_at;
  if (!too_early) retry_at.reset();
  if (!render_error.empty() && !stands) {
    // There have never been rules. What an earlier run left is not touched.
    answer_prepared(false, render_error, out);
    return;
  }
  if (!wants_table() && !whole) {
    answer_prepared(
        false, cleared ? "the table was cleared by an operator; `natctl nat apply` loads it again" : "no nat section",
        out);
    return;
  }
  // Rules that the kernel refuses must not keep a gate of the old ones from opening.
  const bool old_table = stands && whole && refused && !switch_refused && wants_table();
  if (old_table && switch_due()) return issue(false, now, out);
  if (too_early) return;
  if (whole || !stands)
    issue(true, now, out);
  else if (switch_due())
    issue(false, now, out);
}

/// A gate of the table that stands is not as it should be.
bool Agent::State::switch_due() const {
  return std::any_of(gates.begin(), gates.end(), [this](const auto& entry) {
    const auto at = applied.find(entry.first);
    return at != applied.end() && (entry.second.asks_ready() || at->second != entry.second.wanted());
  });
}

void Agent::State::issue(bool everything, Time now, Actions& out) {
  InFlight next;
  next.id = ++last_id;
  next.everything = everything;
  next.removal = !wants_table();
  next.gates = next.removal ? GateStates{} : applied;
  next.since = now;
  next.requests = everything ? waiting.size() : 0;
  GateStates changed;
  std::string summary;
  if (!next.removal)
    for (const auto& [name, gate] : gates) {
      const auto at = applied.find(name);
      if (!everything && at == applied.end()) continue;  // of rules that are not in force
      const bool differs = at == applied.end() || at->second != gate.wanted();
      if (gate.asks_ready()) next.prepared.push_back(name);
      if (!everything && !differs && !gate.asks_ready()) continue;
      changed[name] = next.gates[name] = gate.wanted();
      summary += fmt::format("{}gate {} {} ({})", summary.empty() ? "" : ", ", name,
                             gate.wanted().open ? "open" : "shut", gate.cause());
    }
  std::string text;
  if (next.removal)
    text = render_removal();
  else if (everything)
    text = render_table(ruleset, changed);
  else
    text = render_gates(changed);
  if (everything) {
    whole = false;
    // A group that the configuration no longer names has no gate in the new table.
    next.gates = changed;
    summary = next.removal ? "table removed" : "table" + (summary.empty() ? "" : ", " + summary);
  }
  out.push_back(Transaction{next.id, std::move(text), std::move(summary), everything && !next.removal});
  ++counters["transactions"];
  in_flight = std::move(next);
}

// --- answers ------------------------------------------------------------------------------------------

void Agent::State::done(const TransactionDone& event, Time now, Actions& out) {
  if (!in_flight || event.id != in_flight->id) return;
  if (event.error.empty())
    succeeded(now, out);
  else
    failed(event.error, now, out);
}

void Agent::State::succeeded(Time now, Actions& out) {
  const InFlight did = std::move(*in_flight);
  in_flight.reset();
  if (did.everything) {
    retry_at.reset();
    retry_after = kRetryFirst;
    error = render_error;
    refused = switch_refused = false;
  }
  for (const auto& [name, state] : did.gates) {
    const auto before = applied.find(name);
    const bool was_open = before != applied.end() && before->second.open;
    const auto gate = gates.find(name);
    if (was_open != state.open && gate != gates.end())
      out.push_back(Log{
          Log::Level::info, state.open ? "gate_open" : "gate_shut",
          fmt::format("gate {} {} ({}, term {}) after {:.2f} ms", name, state.open ? "open" : "shut",
                      gate->second.cause(), to_string(gate->second.term()), common::milliseconds(now - did.since))});
  }
  applied = did.gates;
  if (did.everything) loaded = stands = !did.removal;
  for (const std::string& name : did.prepared) {
    const auto gate = gates.find(name);
    if (gate == gates.end() || !gate->second.asks_ready()) continue;
    // A second Prepare came after this had opened the gate for the first: its own transaction follows.
    if (did.gates.at(name).open && !gate->second.wanted().open) continue;
    gate->second.answered();
    out.push_back(SendNotify{common::Ready{.group = name, .term = gate->second.term(), .ok = true, .detail = {}}});
  }
  answer_waiting(did.requests, {}, out);
}

/// The old table stays as it is. A failed switch most often means that the table is gone: the next try writes
/// it all, at once.
void Agent::State::failed(const std::string& why, Time now, Actions& out) {
  const InFlight did = std::move(*in_flight);
  in_flight.reset();
  ++counters["transactions_failed"];
  out.push_back(Log{Log::Level::error, "transaction_failed", why});
  whole = true;
  if (!did.everything) {
    switch_refused = true;
    return;
  }
  refused = true;
  error = why;
  retry_at = now + retry_after;
  retry_after = std::min(2 * retry_after, kRetryLongest);
  // vrrpd learns it now rather than at its timeout; the Ready of a later success is sent all the same.
  for (const std::string& name : did.prepared) {
    const auto gate = gates.find(name);
    if (gate != gates.end() && gate->second.asks_ready())
      out.push_back(SendNotify{common::Ready{.group = name, .term = gate->second.term(), .ok = false, .detail = why}});
  }
  answer_waiting(did.requests, why, out);
}

void Agent::State::answer_prepared(bool ok, const std::string& detail, Actions& out) {
  for (auto& [name, gate] : gates) {
    if (!gate.asks_ready()) continue;
    gate.answered();
    out.push_back(SendNotify{common::Ready{.group = name, .term = gate.term(), .ok = ok, .detail = detail}});
  }
}

/// Whatever shut the gate: as soon as the kernel's table has it shut, and nothing is on its way that opens it.
void Agent::State::answer_shut(Actions& out) {
  if (!known) return;
  for (auto& [name, gate] : gates) {
    if (!gate.asks_shut()) continue;
    const auto opens = [&group = name](const GateStates& states) {
      const auto at = states.find(group);
      return at != states.end() && at->second.open;
    };
    if (opens(applied) || (in_flight && opens(in_flight->gates))) continue;
    out.push_back(SendNotify{common::GateShut{.group = name, .term = *gate.asks_shut()}});
    gate.answered_shut();
  }
}

void Agent::State::answer_waiting(std::size_t count, const std::string& failure, Actions& out) {
  for (std::size_t i = 0; i < count; ++i) {
    common::Reply reply{.id = waiting[i].id, .ok = failure.empty(), .error = failure, .body = {}, .more = false};
    out.push_back(SendReply{waiting[i].client, std::move(reply)});
  }
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
}

void Agent::State::report(Actions& out) {
  if (!vrrpd_connected || !known) return;
  // What is about to be written is not missing.
  if (in_flight && in_flight->everything && !in_flight->removal) return;
  const common::TableReport now{.loaded = loaded, .error = error};
  if (reported == now) return;
  reported = now;
  out.push_back(SendNotify{now});
}

}  // namespace natctl
