#pragma once
// The engine of `natctl agent`: decides what stands in the nftables table and when its gates open and shut.
// It renders text; the shell hands it to libnftables, one transaction per change.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/actions.hpp"
#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/term.hpp"
#include "common/time.hpp"

namespace natctl {

using common::Time;

// --- events -------------------------------------------------------------------------------------------

struct Tick {};
/// What was found in the kernel. At start: a table of ours that exists is adopted with the gate states it
/// has. Later: somebody else has changed or deleted it.
struct TableFound {
  bool exists = false;
  std::map<std::string, bool> gates_open;     ///< by group
  std::map<std::string, bool> complete;       ///< by group: its strict mode is reset; not named: drop
  std::map<std::string, common::Term> terms;  ///< by group: the newest that its writer knew of
};
/// What the table's own counters say, since it was last written as a whole: packets by name, all groups
/// together.
struct CountersRead {
  std::map<std::string, std::uint64_t> packets;
};
struct TransactionDone {
  std::uint64_t id = 0;
  std::string error;  ///< empty: done
};
/// Messages of vrrpd, and its connection.
struct VrrpdMessage {
  common::NotifyMessage message;
};
struct VrrpdConnected {};
struct VrrpdClosed {};
/// PeerReport that syncd publishes: it reaches us even when vrrpd hangs, and says when we have been
/// superseded.
struct SyncdMessage {
  common::NotifyMessage message;
};
struct RequestReceived {
  std::uint64_t client = 0;
  common::Request request;
};
struct Stop {};
struct Reload {
  common::Config config;
};
using Event = std::variant<Tick, TableFound, CountersRead, TransactionDone, VrrpdMessage, VrrpdConnected, VrrpdClosed,
                           SyncdMessage, RequestReceived, Stop, Reload>;

// --- actions ------------------------------------------------------------------------------------------

/// One nftables transaction: all of the text or nothing of it. Answered by TransactionDone.
struct Transaction {
  std::uint64_t id = 0;
  std::string text;
  std::string summary;  ///< a few words, for the log
  bool whole = false;   ///< the table anew: the counters of what stays the same are to be carried over
  bool operator==(const Transaction&) const = default;
};
struct SendNotify {  ///< to vrrpd
  common::NotifyMessage message;
  bool operator==(const SendNotify&) const = default;
};
using common::Finished;
using common::Log;
using common::SendReply;
using Action = std::variant<Transaction, SendNotify, SendReply, Log, Finished>;
using Actions = std::vector<Action>;

std::string to_string(const Event& event);
std::string to_string(const Action& action);

struct AgentStatus {
  bool active = false;                        ///< the table is loaded
  std::map<std::string, bool> gates_open;     ///< by group, as the last transaction says
  std::map<std::string, std::string> causes;  ///< by group: why its gate is as it is
  std::uint64_t rules = 0;                    ///< NAT rules
  std::map<std::string, std::uint64_t> counters;
  std::string error;  ///< of the last transaction, or of a configuration that cannot be rendered
};

class Agent {
 public:
  Agent(common::Config config, Time now);
  ~Agent();
  Agent(Agent&&) noexcept;

  void step(const Event& event, Time now, Actions& out);  ///< appends
  std::optional<Time> deadline() const;
  AgentStatus status(Time now) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace natctl
