#pragma once
// The inside of the agent's engine, in two parts: agent.cpp brings events to the gates, agent_table.cpp
// brings the table in line with what the gates and the rules ask for.
#include <map>
#include <string>
#include <vector>

#include "natctl/agent.hpp"
#include "natctl/gate.hpp"
#include "natctl/nft.hpp"
#include "natctl/ruleset.hpp"

namespace natctl {

/// How long a report of syncd that the peer was heard is believed: it repeats it every kPeerReportEvery.
inline constexpr common::Duration kReportFresh = 3 * common::kPeerReportEvery;
/// A refused transaction is tried again after this, then after twice as long, and so on.
inline constexpr common::Duration kRetryFirst = std::chrono::milliseconds(100);
/// A table that is refused for long has a cause that a person must remove; trying costs a millisecond.
inline constexpr common::Duration kRetryLongest = std::chrono::seconds(5);

/// How often a table that another program keeps changing is restored: two agents in one network namespace
/// would otherwise do nothing else.
inline constexpr common::Duration kRestoreEvery = std::chrono::seconds(1);

struct Agent::State {
  State(common::Config config, Time now);

  void configure(Time now);
  void reload(common::Config next, Time now, Actions& out);
  void handle(const Event& event, Time now, Actions& out);
  void connected(Actions& out);
  void closed(Time now);
  void from_vrrpd(const common::NotifyMessage& message, Time now, Actions& out);
  void from_syncd(const common::NotifyMessage& message, Time now, Actions& out);
  template <typename Message>
  void to_gate(const Message& message, Actions& out);
  void request(const RequestReceived& event, Time now, Actions& out);
  void note(const std::string& group, Gate::Outcome outcome, Actions& out);
  Gate::Surroundings around(Time now) const;
  AgentStatus status(Time now) const;

  void found(const TableFound& event, Time now, Actions& out);
  void adopt(const TableFound& event, Actions& out);
  void audit(const TableFound& event, Time now, Actions& out);
  void done(const TransactionDone& event, Time now, Actions& out);
  void succeeded(Time now, Actions& out);
  void failed(const std::string& why, Time now, Actions& out);
  void reconcile(Time now, Actions& out);
  bool switch_due() const;
  void issue(bool everything, Time now, Actions& out);
  void answer_prepared(bool ok, const std::string& detail, Actions& out);
  void answer_shut(Actions& out);
  void answer_waiting(std::size_t count, const std::string& failure, Actions& out);
  void report(Actions& out);
  bool wants_table() const { return config.has_table() && !cleared; }

  common::Config config;
  Ruleset ruleset;
  std::string render_error;           ///< why the newest configuration was refused
  std::map<std::string, Gate> gates;  ///< by group
  std::map<std::string, std::uint64_t> counters;
  std::map<std::string, std::uint64_t> packets;  ///< counted by the kernel

  bool vrrpd_connected = false;
  bool vrrpd_says_peer_lives = false;
  std::optional<Time> peer_heard;  ///< syncd's last word, while it was a yes
  Time last_step{};

  /// The kernel's table, as far as we know.
  bool known = false;  ///< it was looked at
  bool loaded = false;
  bool stands = false;  ///< with rules of this run: switches alone will do
  GateStates applied;
  std::string error;

  struct InFlight {
    std::uint64_t id = 0;
    bool everything = false;  ///< the whole table, or its removal
    bool removal = false;
    GateStates gates;                   ///< after it
    std::vector<std::string> prepared;  ///< groups whose Prepare it answers
    std::size_t requests = 0;           ///< how many of `waiting` it answers
    Time since;
  };
  std::optional<InFlight> in_flight;
  std::uint64_t last_id = 0;
  bool whole = true;     ///< everything must be written anew
  bool refused = false;  ///< the kernel has refused that; what stands is an older table, with gates that go on working
  bool switch_refused = false;  ///< and one of those gates, too
  bool cleared = false;         ///< by an operator: no table until told otherwise
  std::optional<Time> retry_at;
  common::Duration retry_after = kRetryFirst;
  std::optional<Time> restored_at;

  struct Waiting {
    std::uint64_t client = 0, id = 0;
  };
  std::vector<Waiting> waiting;  ///< requests that the next whole transaction answers
  std::optional<common::TableReport> reported;
};

}  // namespace natctl
