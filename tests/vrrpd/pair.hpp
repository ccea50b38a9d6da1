#pragma once
// Two engines on virtual time, with stand-ins for what is around them: two segments, the sync link, syncd, the agent,
// and the addresses in the kernel. The stand-ins answer as the real ones should, in a few milliseconds; each can be
// killed, stopped, unplugged or told to answer badly.
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "vrrpd/engine.hpp"

namespace pair {

using common::Duration;
using common::GroupState;
using common::Time;
using namespace std::chrono_literals;

inline constexpr std::string_view kGroup = "MAIN-GW";

common::Config make_config(int node, Duration interval);

struct World;

/// Stand-in for syncd: carries LocalReport to the other side, and says what the link and the replica are like.
struct Syncd {
  bool alive = true;
  bool answers = true;   ///< Prepare and Drain
  bool confirms = true;  ///< drains
  Duration ready_after = 1ms;
  Duration bulk_takes = 300ms;
  std::optional<vrrpd::ClientId> connection;
  std::vector<common::GroupReport> told, local;  ///< by vrrpd; and with what syncd adds
  Time local_at;
  std::optional<Time> heard_at, linked_since;
  std::vector<common::GroupReport> heard;
  bool complete = false;
  std::uint64_t made_apart = 0, served_apart = 0;  ///< one each time it looks and packets pass
  std::optional<common::PeerReport> reported;
  Time reported_at;
  GroupState role = GroupState::backup;
  int drains = 0, drains_before_shut = 0;  ///< asked for; and of these, while the gate was open
};

/// Stand-in for the agent: a gate.
struct Agent {
  bool alive = true;
  bool answers = true;
  Duration shuts_after = 500us;
  std::optional<vrrpd::ClientId> connection;
  common::Term term;
  bool open = false;
};

struct Node {
  World* world = nullptr;
  int index = 0;
  std::optional<vrrpd::Engine> engine;
  bool stopped = false;               ///< SIGSTOP
  std::vector<vrrpd::Event> waiting;  ///< what arrived meanwhile
  std::uint64_t generation = 0;       ///< of the process: what was meant for an older one is lost
  vrrpd::ClientId next_client = 1;
  std::map<std::string, vrrpd::StoreTerm> stored;
  bool table_loaded = false;
  std::map<std::string, Time> addresses;  ///< until when they live
  std::map<std::string, bool> carrier{{"wan", true}, {"lan", true}};
  std::map<std::string, bool> plugged{{"wan", true}, {"lan", true}, {"sync", true}};
  Syncd syncd;
  Agent agent;
  std::optional<Time> timer;  ///< of the tick that is queued
  bool finished = false;
  // What it did, for the tests to look at.
  std::optional<Time> last_advert, last_announce;
  std::vector<std::string> hooks, logs;
  std::vector<common::Reply> replies;
  int adverts = 0, goodbyes = 0, announces = 0;

  void start();  ///< vrrpd begins; participants find it within 50 ms
  void kill();   ///< SIGKILL of vrrpd
  void feed(vrrpd::Event event);
  void terminate() { feed(vrrpd::Stop{}); }
  void stop() { stopped = true; }
  void go_on();
  void cut_power();  ///< silently: everything lives on, nothing leaves or arrives
  void restore_power();
  void reboot();  ///< all state is gone; vrrpd and the others start
  void set_carrier(const std::string& interface, bool on);
  void request(const std::string& verb, std::vector<std::string> arguments = {});
  vrrpd::GroupStatus status() const;
  GroupState state() const { return engine ? status().state : GroupState::initialize; }
  bool has_addresses() const;
  bool serves() const;
  std::uint64_t counter(const std::string& name) const;

  void run(const vrrpd::Event& event);
  void perform(const vrrpd::Action& action);
  void to_client(vrrpd::ClientId client, const common::NotifyMessage& message);
  void syncd_hears(const common::NotifyMessage& message);
  void agent_hears(const common::NotifyMessage& message);
  void say(vrrpd::ClientId client, common::NotifyMessage message, Duration after = 100us);
  void connect(common::Role role);
  void syncd_tick();
  void syncd_send();
  void syncd_report();
  void arm();
};

struct World {
  explicit World(
      Duration advert_interval = 100ms,
      const std::function<void(int, common::Config&)>& change = [](int, common::Config&) {});

  void at(Duration after, std::function<void()> what);
  void run(Duration time);
  /// Runs until it is true, at most that long. False: it never was.
  bool until(const std::function<bool()>& condition, Duration most);
  /// Both up, R1 master, R2's replica complete, everything quiet.
  void settle();
  void observe();
  int masters() const;
  Node& r1() { return nodes[0]; }
  Node& r2() { return nodes[1]; }
  void forget() {
    longest_silence = overlap = {};
    silent_since.reset();
    observe();
  }
  /// An advert out of nowhere, heard by one node.
  void forge(int to, const std::string& interface, int vrid, int priority, Duration interval,
             const std::string& source = "10.10.0.99");

  struct Item {
    Time time;
    std::uint64_t sequence;
    std::function<void()> what;
    bool operator<(const Item& other) const { return std::tie(other.time, other.sequence) < std::tie(time, sequence); }
  };
  Time now = Time{} + 1000s;
  std::priority_queue<Item> queue;
  std::uint64_t sequence = 0;
  Duration interval;
  std::array<common::Config, 2> configs;
  std::array<Node, 2> nodes;
  // The oracle: how long nobody served, how long both did.
  std::optional<Time> silent_since;
  Duration longest_silence{}, overlap{};
  Time observed;
  bool trace = false;
};

}  // namespace pair

#include "pair_impl.hpp"
