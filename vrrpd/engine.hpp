#pragma once
// vrrpd's engine: events and the time in, actions out. It knows no socket, no clock, no log and no file. The
// order of the actions is their meaning: the shell performs them one after the other.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/actions.hpp"
#include "common/address.hpp"
#include "common/bytes.hpp"
#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/time.hpp"
#include "vrrpd/status.hpp"

namespace vrrpd {

using common::Time;

/// A connection on vrrpd.sock, numbered by the shell; never used twice.
using ClientId = std::uint64_t;

// --- events
// --------------------------------------------------------------------------------------------------------

struct Tick {};
/// A VRRP packet as it came off the wire: `payload` starts behind the IP header.
struct AdvertReceived {
  std::string interface;
  common::IpAddress source, destination;
  std::uint8_t ttl = 0;
  common::Bytes payload;
};
/// State of an interface that an instance uses. `exists` false: the kernel has no such interface (now).
struct LinkChanged {
  std::string interface;
  bool exists = false;
  bool running = false;       ///< IFF_UP and carrier
  common::IpAddress primary;  ///< address that our IPv4 adverts are sent from; unspecified: none yet
  common::MacAddress mac;
  common::IpAddress link_local;              ///< that of our IPv6 adverts; unspecified: none that is usable yet
  std::vector<common::IpAddress> addresses;  ///< all of its own, of both families
  std::string trouble;                       ///< why it cannot be used although it is there: one sentence, or empty
};
/// A connection was accepted. `role_allowed`: SO_PEERCRED permits it to be a participant.
struct ClientConnected {
  ClientId client = 0;
  bool may_participate = false;
};
/// What a client said. Requests with the verb `status` are answered by the shell itself, from status() and
/// to_json(): only the shell knows wall-clock time. All other verbs come here.
struct ClientMessage {
  ClientId client = 0;
  common::NotifyMessage message;
};
struct ClientClosed {
  ClientId client = 0;
};
/// Outcome of an AddAddress or RemoveAddress; code is an errno value, 0 for success.
struct AddressResult {
  std::string interface;
  common::Prefix address;
  bool added = false;  ///< answer to AddAddress (else RemoveAddress)
  int code = 0;
};
/// Something that we put on this interface has been taken away, and not by us. Repeated while it is missing.
struct Disturbed {
  std::string device;
  std::string what;  ///< address, route or interface, in words
};
/// One look at something that a group tracks. An interface is known by LinkChanged.
struct Tracked {
  std::string group, name;
  bool good = false;
  int value = 0;  ///< of a file
};
/// Leave cleanly (SIGTERM): the engine answers with Finished when all is done.
struct Stop {};
struct Reload {
  common::Config config;
};
using Event = std::variant<Tick, AdvertReceived, LinkChanged, ClientConnected, ClientMessage, ClientClosed,
                           AddressResult, Disturbed, Tracked, Stop, Reload>;

// --- actions
// -------------------------------------------------------------------------------------------------------

/// TTL or hop limit 255.
struct SendAdvert {
  std::string interface;
  common::IpAddress source;  ///< the interface's primary or link-local address
  common::Bytes payload;
  common::IpAddress destination;  ///< 224.0.0.18, ff02::12, or a unicast peer
  std::string device;             ///< the interface whose MAC it is sent with; empty: `interface` itself
  bool operator==(const SendAdvert&) const = default;
};
/// Adds the address, or renews its lifetime. The shell remembers that it is ours, also across a crash.
struct AddAddress {
  std::string interface;
  common::Prefix address;
  std::chrono::seconds lifetime{};
  bool renewal = false;  ///< of its lifetime only: one that somebody else has taken away stays away
  bool operator==(const AddAddress&) const = default;
};
/// Removes the address if it is ours. Answered by AddressResult.
struct RemoveAddress {
  std::string interface;
  common::Prefix address;
  bool operator==(const RemoveAddress&) const = default;
};
/// The interface with a virtual MAC goes up or down. It exists as long as the configuration names it.
struct SetDevice {
  std::string device;
  bool up = false;
  bool operator==(const SetDevice&) const = default;
};
/// Adds the route, or renews its lifetime (IPv6 only: the kernel knows none for IPv4).
struct AddRoute {
  std::string device;
  common::RouteConfig route;
  std::chrono::seconds lifetime{};
  bool renewal = false;  ///< as that of an address
  bool operator==(const AddRoute&) const = default;
};
struct RemoveRoute {
  std::string device;
  common::RouteConfig route;
  bool operator==(const RemoveRoute&) const = default;
};
/// One gratuitous ARP (or unsolicited neighbour advertisement) for the address.
struct Announce {
  std::string interface;
  common::IpAddress address;
  bool operator==(const Announce&) const = default;
};
struct SendMessage {
  ClientId client = 0;
  common::NotifyMessage message;
  bool operator==(const SendMessage&) const = default;
};
/// A client that broke the protocol.
struct CloseClient {
  ClientId client = 0;
  std::string why;
  bool operator==(const CloseClient&) const = default;
};
struct RunHook {
  std::string path;                    ///< program
  std::vector<std::string> arguments;  ///< GROUP|INSTANCE name MASTER|BACKUP|FAULT|STOP priority
  std::string user;
  common::Duration timeout{};
  std::string group;  ///< its hooks, and those of its instances, run one after the other
  bool operator==(const RunHook&) const = default;
};
/// Keep the highest term of the group, and whether an operator moved it away from here, for a successor of this process
/// (until reboot).
struct StoreTerm {
  std::string group;
  common::Term term;
  bool held = false;
  bool operator==(const StoreTerm&) const = default;
};
using common::Finished;
using common::Log;
using Action = std::variant<SendAdvert, AddAddress, RemoveAddress, SetDevice, AddRoute, RemoveRoute, Announce,
                            SendMessage, CloseClient, RunHook, StoreTerm, Log, Finished>;
using Actions = std::vector<Action>;

/// One line, for traces of the simulation and the debug log.
std::string to_string(const Event& event);
std::string to_string(const Action& action);

/// What the shell knew before the engine began.
struct Inheritance {
  std::vector<common::Hello::Seen> terms;  ///< as stored by StoreTerm in this boot
  bool table_was_loaded = false;           ///< the agent had loaded its table earlier in this boot
  std::vector<std::string> held = {};      ///< groups that an operator moved away, by StoreTerm
};

class Engine {
 public:
  Engine(common::Config config, Inheritance inheritance, std::uint64_t seed, Time now);
  ~Engine();
  Engine(Engine&&) noexcept;

  /// Appends. A step that comes long after the deadline tells the engine that the process was stopped
  /// meanwhile; then the engine listens before it sends. The shell therefore serves timers and sockets in the
  /// order they became due.
  void step(const Event& event, Time now, Actions& out);
  std::optional<Time> deadline() const;  ///< when to be given a Tick next
  Status status(Time now) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vrrpd
