#pragma once
// What the master of an instance has on the machine: the interface with the virtual MAC, addresses, routes; and their
// announcements. Says how to put it there, how to keep it there, and how to take it away.
#include "common/config.hpp"
#include "common/time.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd {

/// How often within their lifetime addresses are renewed: seven renewals may fail before one vanishes.
inline constexpr int kRenewals = 8;
/// All renewals of a beat lie within this time. When nobody renews any more, the kernel looks for addresses whose
/// lifetime is over at most once a second, and takes with them those that have less than 20 ms left (inet_ifaddr
/// check_lifetime: ADDRCONF_TIMER_FUZZ_MAX, ADDRCONF_TIMER_FUZZ_MINUS). Any later one would live for a second more.
inline constexpr common::Duration kRenewalSpread = std::chrono::milliseconds(12);

/// What the group gives to all its instances.
struct PresenceSettings {
  common::GarpConfig garp;
  common::Duration lifetime{};  ///< of addresses, in whole seconds
  bool owner = false;  ///< the virtual addresses are this router's own, and stay the operating system's business
};

class Presence {
 public:
  Presence(const common::InstanceConfig& config, PresenceSettings settings);

  bool live() const { return live_; }
  /// Everything but the announcements. `stagger`: how long after the common beat of renewals this one renews, so that
  /// not all of them do at once; below kRenewalSpread.
  void appear(common::Time now, common::Duration stagger, Actions& out);
  /// Also what a predecessor of this process may have left behind.
  void withdraw(Actions& out);
  /// Something of it was taken away by somebody else. When it will be put back, by tick(), with a new series of
  /// announcements; none: that is settled already, or there is nothing to put back. The more often, the later: another
  /// manager of the interface that is sure of itself must not be fought without end.
  common::Deadline disturbed(common::Time now);
  /// A new series of announcements.
  void announce(common::Time now, Actions& out);
  /// `aloud`: the master is sure of itself, and may announce.
  void tick(common::Time now, bool aloud, Actions& out);
  common::Deadline deadline() const { return common::earliest(repair_at_, common::earliest(renew_at_, announce_at_)); }
  /// Only what differs is taken away and put there. `aloud` as for tick().
  void reconfigure(const common::InstanceConfig& config, PresenceSettings settings, common::Time now, bool aloud,
                   Actions& out);
  const std::string& device() const { return device_; }
  bool has_virtual_mac() const { return virtual_mac_; }
  /// It is one of ours, on this interface.
  bool has(const std::string& device, const common::Prefix& address) const;

 private:
  void put(bool renewal, Actions& out) const;
  void repair(common::Time now, bool aloud, Actions& out);
  void announce_once(Actions& out) const;
  common::Time next_renewal(common::Time now) const;
  common::Duration round_gap() const;
  common::Duration after_round() const;

  void take_away_what_lacks_in(const Presence& next, Actions& out) const;

  std::string device_;
  bool virtual_mac_ = false;
  PresenceSettings settings_;
  std::vector<common::Prefix> addresses_;  ///< added and removed
  std::vector<common::IpAddress> announced_;
  std::vector<common::RouteConfig> routes_;
  bool live_ = false;
  common::Duration stagger_{};
  bool repeated_ = false;  ///< the series that repeat_after asks for has begun
  int rounds_left_ = 0;    ///< of the present series
  int repairs_ = 0;        ///< since the last time of calm
  common::Deadline renew_at_, announce_at_, repair_at_, repaired_at_;
};

}  // namespace vrrpd
