#pragma once
// The notify protocol: the only thing that the three programs know of each other. vrrpd listens on a
// SEQPACKET socket; syncd, the agent, observers and natctl connect to it. One message is one packet: one JSON
// object and a newline. Every message that belongs to a transition carries the group and the term of that
// transition; whoever receives one of an older term ignores it. The same socket type and codec serve
// syncd.sock and agent.sock, where only Request and Reply (and, from syncd, PeerReport to the agent) are
// spoken.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.hpp"
#include "common/term.hpp"
#include "common/time.hpp"

namespace common {

inline constexpr int kNotifyVersion = 1;
/// A packet longer than this is refused: SEQPACKET keeps it whole in kernel memory, and no message of ours
/// comes near. (Replies with long listings are sent in several packets, see Reply::more.)
inline constexpr std::size_t kNotifyMaxPacket = 65536;

enum class Role : std::uint8_t { observer, syncd, agent, control };
/// What a group is, as people see it; `master` only once its addresses are live.
enum class GroupState : std::uint8_t { initialize, backup, master, fault };
/// What a group is doing.
enum class Phase : std::uint8_t {
  idle,          ///< steady
  claiming,      ///< adverts are out, addresses not yet: waits for prepare to be answered
  requesting,    ///< backup that asks the master for a planned switchover
  handing_over,  ///< master: gate shut, draining to the peer that asked
  leaving,       ///< master that goes down without being asked by the peer: gate shut, draining
  yielded,       ///< has left; the peer holds everything of this term and may claim at once
};
enum class OpenReason : std::uint8_t { ready, late_ready, deadline, aborted };  ///< aborted: a handover was called off
enum class LinkState : std::uint8_t {
  none,
  down,
  up,
  refused
};  ///< none: no sync configured; refused: heard, key wrong

/// What a node tells its peer of one group, through the sync link, and syncd tells its own vrrpd of the peer.
/// State, not events: the newest one says it all, so loss and repetition do not matter.
struct GroupReport {
  std::string group;
  GroupState state = GroupState::initialize;
  Phase phase = Phase::idle;
  Term term;                 ///< the newest that this node knows of
  bool complete = false;     ///< holds all connections of that term: is its master, or a replica with nothing missing
  bool held = false;         ///< switched over by an operator: does not want the group back until released
  bool by_operator = false;  ///< with phase requesting: an operator asked for it here, so the old master becomes held
  int priority = 0;          ///< effective
  /// As master, and filled in by syncd: connections that the peer had not acknowledged when the sync link was lost, or
  /// that were made since; and how often since then a packet made the kernel say something. See stays().
  std::uint64_t made_apart = 0, served_apart = 0;
  /// How long the statement holds without being repeated; 0: until replaced. vrrpd repeats it in time, and
  /// syncd leaves out a statement that was not: a vrrpd that hangs must not go on saying "master" through a
  /// syncd that lives.
  std::int64_t valid_for_ms = 0;
  bool operator==(const GroupReport&) const = default;
};

// --- to vrrpd
// ------------------------------------------------------------------------------------------------------

struct Hello {
  int version = kNotifyVersion;
  Role role = Role::observer;
  std::string node;
  struct Seen {
    std::string group;
    Term term;
    bool operator==(const Seen&) const = default;
  };
  std::vector<Seen> terms;  ///< the newest terms that this participant knows: a restarted vrrpd learns them from here
  bool operator==(const Hello&) const = default;
};
/// Answer to Prepare. ok: a dump of the kernel would lack nothing that the peer had acknowledged (syncd);
/// translation is active behind the shut gate (agent).
struct Ready {
  std::string group;
  Term term;
  bool ok = true;
  std::string detail;
  bool operator==(const Ready&) const = default;
};
/// Answer to Drain. confirmed: the peer said that it holds everything up to the drain mark.
struct Drained {
  std::string group;
  Term term;
  bool confirmed = false;
  std::string detail;
  bool operator==(const Drained&) const = default;
};
/// From syncd on every change, and at least every kPeerReportEvery while the link is up.
struct PeerReport {
  LinkState link = LinkState::none;
  std::string node;    ///< of the peer
  bool heard = false;  ///< an authentic datagram within the last down interval of the link
  bool config_differs = false;
  std::vector<GroupReport> groups;  ///< what the peer last said
  struct Replica {
    std::string group;
    bool complete = false;      ///< our replica of the peer's flows has everything that it has sent
    std::uint64_t backlog = 0;  ///< flows of ours that the peer has not acknowledged yet
    std::uint64_t made_apart = 0, served_apart = 0;  ///< as in GroupReport, of ours
    bool operator==(const Replica&) const = default;
  };
  std::vector<Replica> replicas;
  bool operator==(const PeerReport&) const = default;
};
/// Answer of the agent to Shut: the kernel lets nothing through any more. Only now is there an end to what a drain has
/// to read.
struct GateShut {
  std::string group;
  Term term;
  bool operator==(const GateShut&) const = default;
};
/// From the agent whenever it changes.
struct TableReport {
  bool loaded = false;  ///< the table has been loaded in this boot
  std::string error;
  bool operator==(const TableReport&) const = default;
};
/// natctl asks; also on syncd.sock and agent.sock. Verbs: status, switchover, release, sync.verify,
/// nat.clear, ...
struct Request {
  std::uint64_t id = 0;
  std::string verb;
  std::vector<std::string> arguments;
  bool operator==(const Request&) const = default;
};

// --- from vrrpd
// ----------------------------------------------------------------------------------------------------

struct GroupSnapshot {
  std::string group;
  GroupState state = GroupState::initialize;
  Phase phase = Phase::idle;
  Term term;
  bool operator==(const GroupSnapshot&) const = default;
};
/// First message on every connection: where things stand, so that a late or restarted participant needs no
/// history.
struct Welcome {
  int version = kNotifyVersion;
  std::string node;
  std::vector<GroupSnapshot> groups;
  bool operator==(const Welcome&) const = default;
};
/// A takeover may be near (an advert is overdue): do in advance what can be undone. Carries no term: none is
/// made yet.
struct Anticipate {
  std::string group;
  bool on = true;
  bool operator==(const Anticipate&) const = default;
};
struct Prepare {
  std::string group;
  Term term;
  std::int64_t timeout_ms = 0;
  bool operator==(const Prepare&) const = default;
};
/// The only message that opens the gate.
struct Open {
  std::string group;
  Term term;
  OpenReason reason = OpenReason::ready;
  bool operator==(const Open&) const = default;
};
/// Shuts the gate: this node is leaving, was evicted, or is not sure of its mastership.
struct Shut {
  std::string group;
  Term term;
  std::string cause;
  bool operator==(const Shut&) const = default;
};
/// To syncd, after the agent has answered Shut: read what the kernel still has to say, send it, and a mark
/// behind it.
struct Drain {
  std::string group;
  Term term;
  std::int64_t timeout_ms = 0;
  bool operator==(const Drain&) const = default;
};
/// To everybody, after the fact. From here on hooks run and ownership of flows follows.
struct Entered {
  std::string group;
  GroupState state = GroupState::initialize;
  Phase phase = Phase::idle;
  Term term;
  int priority = 0;
  std::string cause;
  bool operator==(const Entered&) const = default;
};
/// To syncd (which carries the groups to the peer) and to the agent (which wants to know whether a peer
/// lives). probe: send it to the peer at once and ask for its own report.
struct LocalReport {
  std::vector<GroupReport> groups;
  bool peer_alive = false;
  bool probe = false;
  bool operator==(const LocalReport&) const = default;
};
struct Reply {
  std::uint64_t id = 0;
  bool ok = true;
  std::string error;  ///< one line, when not ok
  std::string body;   ///< JSON text of what was asked for
  bool more = false;  ///< the body goes on in the next Reply of this id
  bool operator==(const Reply&) const = default;
};

using NotifyMessage = std::variant<Hello, Ready, Drained, PeerReport, TableReport, Request, Welcome, Anticipate,
                                   Prepare, Open, Shut, Drain, Entered, LocalReport, Reply, GateShut>;

/// What counts when two masters meet.
struct Standing {
  std::uint64_t made_apart = 0, served_apart = 0;
  Term term;
};
/// Which of two masters stays: the one that traffic passed while they were apart, as its entries are alive and hosts
/// send to it already; then the one that knows more connections which the other has never heard of; then the newer
/// term. A standby that was cut off alone holds a newer term and nothing else. Both sides come to the same answer.
bool stays(const Standing& ours, const Standing& theirs);

/// How often syncd repeats its report while nothing changes.
inline constexpr Duration kPeerReportEvery = 1s;

/// One line of JSON with the newline: {"type":"prepare",...}.
std::string encode(const NotifyMessage& message);
/// Unknown fields are ignored (a newer peer), an unknown type or a wrong field is an error that names it.
Result<NotifyMessage> decode_notify(std::string_view packet);

std::string_view to_string(GroupState state);  ///< "initialize", "backup", "master", "fault"
std::string_view to_string(Phase phase);
std::string_view to_string(OpenReason reason);
std::string_view to_string(LinkState state);
std::string_view to_string(Role role);

}  // namespace common
