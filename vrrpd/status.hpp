#pragma once
// What vrrpd says of itself: a value, so that natctl, the tests and the simulation read the same.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/time.hpp"

namespace vrrpd {

struct InstanceStatus {
  std::string name, interface;
  int vrid = 0;
  common::GroupState state = common::GroupState::initialize;
  int priority = 0;  ///< effective
  std::vector<common::Prefix> virtual_addresses;
  common::IpAddress primary, master;   ///< ours; that of the router whose adverts we hear
  common::Duration master_interval{};  ///< learned from the master
  common::Duration advertise_interval{}, skew{}, down_interval{};
  std::map<std::string, std::uint64_t> counters;
};

struct TrackStatus {
  std::string name, kind, target;
  bool good = true;
  int adjustment = 0;  ///< of the priority, now
};

/// One transition, kept for `natctl show events`.
struct TransitionRecord {
  common::Time at;
  common::Term term;
  common::GroupState from{}, to{};
  std::string cause;
  struct Point {
    std::string what;        ///< claim, prepare, ready syncd, ready agent, addresses, announced, open, ...
    common::Duration after;  ///< since `at`
  };
  std::vector<Point> timeline;
};

struct GroupStatus {
  std::string name;
  common::GroupState state = common::GroupState::initialize;
  common::Phase phase = common::Phase::idle;
  common::Term term;
  common::Time since;
  int priority = 0;
  bool held = false;
  std::string gate;                  ///< "open", "shut", or "" without an agent
  std::vector<std::string> reasons;  ///< why this group would not fail over now: sentences, empty when it would
  std::vector<InstanceStatus> instances;
  std::vector<TrackStatus> tracks;
  std::map<std::string, std::uint64_t> counters;  ///< late_ready, deadline_opened, absent_participant, ...
  std::vector<TransitionRecord> transitions;      ///< the last kTransitionsKept
};

struct Status {
  std::string node;
  std::vector<GroupStatus> groups;
  common::LinkState link = common::LinkState::none;
  bool peer_alive = false;
  bool syncd_connected = false, agent_connected = false;
  bool restart_due = false;  ///< the program has been upgraded under this process
  std::map<std::string, std::uint64_t> counters;
};

inline constexpr std::size_t kTransitionsKept = 32;

/// The JSON that goes into a Reply to the verb "status". Time is turned into RFC 3339 by `wall(t)`.
std::string to_json(const Status& status, const std::function<std::string(common::Time)>& wall);

}  // namespace vrrpd
