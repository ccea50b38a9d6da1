#pragma once
// syncd's engine: events and the time in, actions out; bulk (datagrams, kernel writes) is pulled by the shell when the
// socket or the kernel can take more, so that a million flows never become a million actions.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/actions.hpp"
#include "common/bytes.hpp"
#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/time.hpp"
#include "syncd/flow.hpp"
#include "syncd/session.hpp"
#include "syncd/status.hpp"

namespace syncd {

using common::Time;

// --- events --------------------------------------------------------------------------------------------------------

struct Tick {};
/// A datagram from the link with this index in the configuration, as it came, from whatever address.
struct DatagramReceived {
  std::size_t link = 0;
  common::IpAddress source;
  common::ByteView bytes;  ///< valid during the step only
  bool to_group = false;   ///< sent to the multicast group of the link, not to our own address
};
struct LinkChanged {
  std::size_t link = 0;
  bool usable = false;  ///< interface up with carrier, socket bound
  /// The largest datagram that the interface takes; what lies behind it may take less.
  std::size_t room = kMaxDatagram;
  std::string trouble = {};  ///< why it cannot be used, as people are told; empty: it can
  bool operator==(const LinkChanged&) const = default;
};
/// Events of the kernel in their order. Valid during the step only. Events of our own requests (FlowChange::own) may be
/// left out, but then all of them: the engine counts a write as done unless KernelRefused says otherwise.
struct FlowsChanged {
  std::span<const FlowChange> changes;
};
/// A part of the dump that StartDump asked for; `last` ends it. `failed`: it was cut short, ask again.
struct FlowsDumped {
  std::uint64_t dump = 0;
  std::span<const Flow> flows;
  bool last = false;
  bool failed = false;
  std::span<const FlowKey> masters = {};  ///< with the last part: flows that have announced what has not come yet
};
/// The kernel lost events for us (ENOBUFS): what we know may be wrong until a dump has been compared.
struct EventsLost {};
/// All events that the kernel had queued when SyncEvents was asked for have been delivered.
struct EventsSynced {
  std::uint64_t request = 0;
};
struct KernelRefused {
  std::span<const KernelResult> results;
};
/// All writes that the engine had when FlushKernel was asked for are done (their refusals were delivered before).
struct KernelFlushed {
  std::uint64_t request = 0;
};
/// The addresses that this router's interfaces have, virtual ones included: flows to or from a router's own
/// addresses are never replicated, except for virtual ones. The whole list, on every change. The first one starts the
/// engine: it is given once the shell has subscribed to the kernel's events, and is answered by the first StartDump.
struct OwnAddresses {
  std::vector<common::IpAddress> addresses;
};
/// From vrrpd. Disconnected: the connection to vrrpd was lost (roles stay as they are).
struct NotifyReceived {
  common::NotifyMessage message;
};
struct NotifyConnected {};
struct NotifyDisconnected {};
/// natctl, through syncd.sock.
struct RequestReceived {
  std::uint64_t client = 0;
  common::Request request;
};
/// Answers CollectPapers: a text that says how this router is set up.
struct PapersCollected {
  std::string text;
};
/// Of the kernel's table of connections; the shell looks now and then.
struct TableMeasured {
  TableSize size;
};
struct Stop {};
struct Reload {
  common::Config config;
  std::vector<std::byte> key = {};      ///< a new one; empty: as it was
  std::vector<LinkChanged> links = {};  ///< what is known of its links; those that are new have not been heard of
};
using Event = std::variant<Tick, DatagramReceived, LinkChanged, FlowsChanged, FlowsDumped, EventsLost, EventsSynced,
                           KernelRefused, KernelFlushed, OwnAddresses, NotifyReceived, NotifyConnected,
                           NotifyDisconnected, RequestReceived, PapersCollected, TableMeasured, Stop, Reload>;

// --- actions -------------------------------------------------------------------------------------------------------

/// To vrrpd.
struct SendNotify {
  common::NotifyMessage message;
  bool operator==(const SendNotify&) const = default;
};
/// To every connection on syncd.sock that said hello as agent: what the peer says of itself.
struct Publish {
  common::PeerReport report;
  bool operator==(const Publish&) const = default;
};
/// Dump the whole table; answered by FlowsDumped. One at a time.
struct StartDump {
  std::uint64_t dump = 0;
  bool operator==(const StartDump&) const = default;
};
/// Read the event socket until it is empty, then EventsSynced.
struct SyncEvents {
  std::uint64_t request = 0;
  bool operator==(const SyncEvents&) const = default;
};
/// Read these flows, with what they expect: as FlowChange `detailed`.
struct ReadFlows {
  std::vector<FlowKey> keys;
  bool operator==(const ReadFlows&) const = default;
};
/// Have the kernel report what packets make and change, or not. It reports endings in any case. It does all of it from
/// the beginning.
struct HearPackets {
  bool on = true;
  bool operator==(const HearPackets&) const = default;
};
/// Poll and perform kernel writes until the engine has none left, then KernelFlushed. Other events may be delivered
/// in between: a takeover of a million flows must not make the link look dead.
struct FlushKernel {
  std::uint64_t request = 0;
  bool operator==(const FlushKernel&) const = default;
};
/// The peer wants to see how this router is set up: PapersCollected.
struct CollectPapers {
  bool operator==(const CollectPapers&) const = default;
};
using common::Finished;
using common::Log;
using common::SendReply;
using Action = std::variant<SendNotify, Publish, StartDump, SyncEvents, ReadFlows, HearPackets, FlushKernel,
                            CollectPapers, SendReply, Log, Finished>;
using Actions = std::vector<Action>;

std::string to_string(const Event& event);
std::string to_string(const Action& action);

/// What only the shell can know or make. All of it is secret or random; the engine never asks for more.
struct Secrets {
  std::vector<std::byte> key;          ///< 32 bytes from the key file; empty: security none
  std::array<std::byte, 32> random{};  ///< fresh random bytes: seed of nonces, salts and hash seeds
};

/// Where a datagram goes: over the link with this index, to its configured peer.
struct Datagram {
  std::size_t link = 0;
  common::Bytes bytes;
};

class Engine {
 public:
  Engine(common::Config config, Secrets secrets, Time now);
  ~Engine();
  Engine(Engine&&) noexcept;

  void step(const Event& event, Time now, Actions& out);  ///< appends
  std::optional<Time> deadline() const;                   ///< when to be given a Tick next
  /// The next datagram to send, if there is one that may go now (paced). Call until false; then wait for deadline().
  bool poll_datagram(Time now, Datagram& out);
  /// Up to `most` writes, appended. Zero appended: nothing to write now.
  void poll_kernel(Time now, std::size_t most, std::vector<KernelWrite>& out);
  bool kernel_pending() const;  ///< poll_kernel would give something
  bool taking_over() const;     ///< the kernel's table is being made complete, and connections wait for it
  Status status(Time now) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace syncd
