#include "natctl/agent.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/overload.hpp"
#include "common/settings.hpp"
#include "natctl/agent_state.hpp"
#include "natctl/agent_status.hpp"

namespace natctl {

using common::Duration;
using common::NotifyMessage;

namespace {

constexpr const char* kOutcomeCounter[] = {
    "", "old_term", "superseded", "shut_unattended", "deadline_opened", "opened_alone"};
static_assert(std::size(kOutcomeCounter) == static_cast<std::size_t>(Gate::Outcome::count));

/// Of this node.
common::Standing standing(const common::PeerReport& report, const std::string& group) {
  for (const auto& replica : report.replicas)
    if (replica.group == group) return {replica.made_apart, replica.served_apart, {}};
  return {};
}

bool loud(Gate::Outcome outcome) {
  return outcome != Gate::Outcome::none && outcome != Gate::Outcome::old_term;
}

}  // namespace

// --- gates --------------------------------------------------------------------------------------------

Agent::State::State(common::Config c, Time now) : config(std::move(c)) {
  for (const char* counter : kOutcomeCounter)
    if (*counter != '\0') counters[counter] = 0;
  for (const char* counter : {"transactions", "transactions_failed", "table_restored"}) counters[counter] = 0;
  auto made = make_ruleset(config);
  if (made)
    ruleset = std::move(*made);
  else
    render_error = error = made.error().text;
  configure(now);
}

/// Gates by the configuration; those that were there before stay as they are.
void Agent::State::configure(Time now) {
  std::map<std::string, Gate> next;
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups) {
      // Half a down interval: the peer will have taken over after a whole one.
      const Duration patience = common::down_interval(group.advertise_interval, group.priority) / 2;
      const auto old = gates.find(group.name);
      Gate gate = old == gates.end() ? Gate(group.gate_timeout, patience, now) : old->second;
      gate.set_times(group.gate_timeout, patience);
      next.emplace(group.name, std::move(gate));
    }
  gates = std::move(next);
}

/// All of a new configuration or nothing of it.
void Agent::State::reload(common::Config next, Time now, Actions& out) {
  auto made = make_ruleset(next);
  if (!made) {
    render_error = error = made.error().text;
    out.push_back(Log{Log::Level::error, "rules_refused", render_error + "; the rules stay as they are"});
    return;
  }
  render_error.clear();
  ruleset = std::move(*made);
  config = std::move(next);
  configure(now);
  whole = true;
  retry_at.reset();
}

void Agent::State::note(const std::string& group, Gate::Outcome outcome, Actions& out) {
  if (outcome == Gate::Outcome::none) return;
  const std::string name = kOutcomeCounter[static_cast<std::size_t>(outcome)];
  ++counters[name];
  if (!loud(outcome)) return;
  const Gate& gate = gates.at(group);
  out.push_back(Log{Log::Level::warning, name,
                    fmt::format("gate {}: {} ({}, term {})", group, gate.wanted().open ? "opens" : "shuts",
                                gate.cause(), to_string(gate.term()))});
}

Gate::Surroundings Agent::State::around(Time now) const {
  return {.vrrpd_connected = vrrpd_connected,
          .peer_lives = vrrpd_says_peer_lives || (peer_heard && now < *peer_heard + kReportFresh)};
}

template <typename Message>
void Agent::State::to_gate(const Message& message, Actions& out) {
  const auto at = gates.find(message.group);
  if (at != gates.end()) note(at->first, at->second.on(message), out);
}

void Agent::State::from_vrrpd(const NotifyMessage& message, Time now, Actions& out) {
  // A table that was refused is tried again at once when it is needed; what stood in the way may be gone.
  if (!std::holds_alternative<common::LocalReport>(message)) retry_at.reset();
  std::visit(common::Overload{
                 [&](const common::Welcome& m) {
                   for (const auto& snapshot : m.groups)
                     if (const auto at = gates.find(snapshot.group); at != gates.end())
                       note(at->first, at->second.on(snapshot, now), out);
                 },
                 [&](const common::Prepare& m) {
                   if (const auto at = gates.find(m.group); at != gates.end())
                     note(at->first, at->second.on(m, now), out);
                 },
                 [&](const common::Open& m) { to_gate(m, out); }, [&](const common::Shut& m) { to_gate(m, out); },
                 [&](const common::Entered& m) { to_gate(m, out); },
                 [&](const common::LocalReport& m) { vrrpd_says_peer_lives = m.peer_alive; },
                 [](const auto&) {},  // of the others: not for us
             },
             message);
}

void Agent::State::from_syncd(const NotifyMessage& message, Time now, Actions& out) {
  const auto* report = std::get_if<common::PeerReport>(&message);
  if (report == nullptr) return;
  if (report->heard)
    peer_heard = now;
  else
    peer_heard.reset();
  for (const auto& group : report->groups)
    if (const auto at = gates.find(group.group); at != gates.end())
      note(at->first, at->second.on_peer(group, standing(*report, group.group)), out);
}

// --- requests -----------------------------------------------------------------------------------------

void Agent::State::request(const RequestReceived& event, Time now, Actions& out) {
  const auto& request = event.request;
  const auto refuse = [&](std::string why) {
    out.push_back(
        SendReply{event.client, {.id = request.id, .ok = false, .error = std::move(why), .body = {}, .more = false}});
  };
  if (request.verb == "status") {
    out.push_back(SendReply{event.client,
                            {.id = request.id, .ok = true, .error = {}, .body = to_json(status(now)), .more = false}});
  } else if (request.verb == "nat.clear") {
    cleared = true;
    whole = true;
    retry_at.reset();
    waiting.push_back({event.client, request.id});
  } else if (request.verb == "nat.apply") {
    if (!config.has_table())
      return refuse("the configuration has neither a nat nor a firewall section: nothing to apply");
    if (!render_error.empty()) return refuse(render_error);
    cleared = false;
    whole = true;
    retry_at.reset();
    waiting.push_back({event.client, request.id});
  } else {
    refuse("unknown request \"" + common::printable(request.verb) +
           "\"; the agent knows status, nat.apply and nat.clear");
  }
}

AgentStatus Agent::State::status(Time) const {
  AgentStatus result;
  result.active = loaded;
  const GateStates& last = in_flight ? in_flight->gates : applied;
  for (const auto& [name, gate] : gates) {
    const auto at = last.find(name);
    result.gates_open[name] = at != last.end() && at->second.open;
    result.causes[name] = gate.cause();
  }
  result.rules = ruleset.nat_rules;
  result.counters = counters;
  result.counters.insert(packets.begin(), packets.end());
  result.error = error;
  return result;
}

// --- steps --------------------------------------------------------------------------------------------

void Agent::State::connected(Actions& out) {
  vrrpd_connected = true;
  common::Hello hello;
  hello.role = common::Role::agent;
  hello.node = config.node;
  for (const auto& [name, gate] : gates)
    if (gate.term().valid()) hello.terms.push_back({name, gate.term()});
  out.push_back(SendNotify{hello});
  reported.reset();
}

void Agent::State::closed(Time now) {
  vrrpd_connected = false;
  for (auto& [name, gate] : gates) gate.on_vrrpd_closed(now);
}

void Agent::State::handle(const Event& event, Time now, Actions& out) {
  std::visit(common::Overload{
                 [](const Tick&) {},
                 [&](const TableFound& e) { found(e, now, out); },
                 [&](const CountersRead& e) { packets = e.packets; },
                 [&](const TransactionDone& e) { done(e, now, out); },
                 [&](const VrrpdMessage& e) { from_vrrpd(e.message, now, out); },
                 [&](const VrrpdConnected&) { connected(out); },
                 [&](const VrrpdClosed&) { closed(now); },
                 [&](const SyncdMessage& e) { from_syncd(e.message, now, out); },
                 [&](const RequestReceived& e) { request(e, now, out); },
                 [&](const Stop&) { out.push_back(Finished{}); },
                 [&](const Reload& e) { reload(e.config, now, out); },
             },
             event);
}

Agent::Agent(common::Config config, Time now) : state_(std::make_unique<State>(std::move(config), now)) {}
Agent::~Agent() = default;
Agent::Agent(Agent&&) noexcept = default;

void Agent::step(const Event& event, Time now, Actions& out) {
  State& s = *state_;
  s.last_step = now;
  s.handle(event, now, out);
  const Gate::Surroundings around = s.around(now);
  for (auto& [name, gate] : s.gates) s.note(name, gate.on_time(around, now), out);
  s.reconcile(now, out);
  s.answer_shut(out);
  s.report(out);
}

std::optional<Time> Agent::deadline() const {
  const State& s = *state_;
  // What is due after the peer's last report has grown stale must be looked at again then.
  common::Deadline result = s.in_flight || !s.known ? std::nullopt : s.retry_at;
  const Gate::Surroundings around = s.around(s.last_step);
  for (const auto& [name, gate] : s.gates) result = common::earliest(result, gate.deadline(around));
  if (!s.vrrpd_connected && s.peer_heard && s.last_step < *s.peer_heard + kReportFresh)
    result = common::earliest(result, *s.peer_heard + kReportFresh);
  return result;
}

AgentStatus Agent::status(Time now) const {
  return state_->status(now);
}

}  // namespace natctl
