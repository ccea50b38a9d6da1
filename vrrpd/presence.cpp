#include "vrrpd/presence.hpp"

#include <algorithm>

namespace vrrpd {

namespace {

/// Between the first two announcements of a series, and four times as long before each that follows: the first make
/// good what one crowded moment of a switch has lost, the last are heard where a port forwards only some time after its
/// carrier has come, as a bridge hears of a carrier for itself. Hundreds of addresses do not hold up an advert.
constexpr common::Duration kFirstRoundGap = std::chrono::milliseconds(10);
constexpr int kRoundGapGrowth = 4;
constexpr common::Duration kLongestRoundGap = std::chrono::seconds(1);
/// What is missing is put back at once; what is gone again soon after that, a moment later and all of it together: a
/// program that removes many addresses does so one by one.
constexpr common::Duration kRepairGap = std::chrono::milliseconds(20);
/// So often. Then each time after twice as long.
constexpr int kQuickRepairs = 5;
/// Longer, and an operator who has ended the quarrel would wait for nothing.
constexpr common::Duration kLongestRepairGap = std::chrono::seconds(10);
/// As long without a loss after a repair, and the quarrel is over.
constexpr common::Duration kCalm = std::chrono::seconds(30);

common::Duration repair_delay(int repairs) {
  if (repairs == 0) return {};
  common::Duration delay = kRepairGap;
  for (int i = kQuickRepairs; i < repairs && delay < kLongestRepairGap; ++i) delay *= 2;
  return std::min(delay, kLongestRepairGap);
}

}  // namespace

Presence::Presence(const common::InstanceConfig& config, PresenceSettings settings)
    : device_(config.device()),
      virtual_mac_(!config.virtual_mac.empty()),
      settings_(settings),
      addresses_(settings.owner ? config.excluded_addresses : config.all_addresses()),
      routes_(config.virtual_routes) {
  for (const common::Prefix& each : config.all_addresses()) announced_.push_back(each.address);
}

void Presence::appear(common::Time now, common::Duration stagger, Actions& out) {
  live_ = true;
  put(false, out);
  stagger_ = stagger;
  renew_at_ = next_renewal(now);
  repeated_ = false;
}

/// On the beat that all have in common, whenever they have appeared and however late the last renewal was.
common::Time Presence::next_renewal(common::Time now) const {
  const common::Duration beat = settings_.lifetime / kRenewals;
  const common::Time last = now - now.time_since_epoch() % beat;
  return (last + stagger_ > now ? last : last + beat) + stagger_;
}

/// The lifetime makes the kernel drop an address when nobody renews it any more.
void Presence::put(bool renewal, Actions& out) const {
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(settings_.lifetime);
  if (virtual_mac_ && !renewal) out.push_back(SetDevice{device_, true});
  for (const common::Prefix& address : addresses_) out.push_back(AddAddress{device_, address, lifetime, renewal});
  for (const common::RouteConfig& route : routes_) out.push_back(AddRoute{device_, route, lifetime, renewal});
}

void Presence::withdraw(Actions& out) {
  live_ = false;
  renew_at_.reset();
  announce_at_.reset();
  repair_at_.reset();
  for (const common::RouteConfig& route : routes_) out.push_back(RemoveRoute{device_, route});
  // First of all: what takes an address away says so on the link, and nobody may be told by a MAC that is not ours any
  // more.
  if (virtual_mac_) out.push_back(SetDevice{device_, false});
  for (const common::Prefix& address : addresses_) out.push_back(RemoveAddress{device_, address});
}

void Presence::take_away_what_lacks_in(const Presence& next, Actions& out) const {
  const auto lacks = [](const auto& list, const auto& item) { return std::ranges::find(list, item) == list.end(); };
  for (const common::RouteConfig& route : routes_)
    if (lacks(next.routes_, route)) out.push_back(RemoveRoute{device_, route});
  for (const common::Prefix& address : addresses_)
    if (lacks(next.addresses_, address)) out.push_back(RemoveAddress{device_, address});
}

void Presence::reconfigure(const common::InstanceConfig& config, PresenceSettings settings, common::Time now,
                           bool aloud, Actions& out) {
  Presence next(config, settings);
  const bool was_live = live_, moved = next.device_ != device_;
  if (was_live && moved)
    withdraw(out);
  else if (was_live)
    take_away_what_lacks_in(next, out);
  const bool more = moved || !std::ranges::all_of(next.announced_, [&](const common::IpAddress& each) {
                      return std::ranges::find(announced_, each) != announced_.end();
                    });
  device_ = next.device_;
  virtual_mac_ = next.virtual_mac_;
  settings_ = next.settings_;
  addresses_ = std::move(next.addresses_);
  announced_ = std::move(next.announced_);
  routes_ = std::move(next.routes_);
  if (!was_live) return;
  if (moved)
    appear(now, {}, out);
  else
    put(false, out);
  if (more && aloud) announce(now, out);
}

common::Deadline Presence::disturbed(common::Time now) {
  if (!live_ || repair_at_) return std::nullopt;
  if (repaired_at_ && now > *repaired_at_ + kCalm) repairs_ = 0;
  repair_at_ = now + repair_delay(repairs_);
  return repair_at_;
}

void Presence::repair(common::Time now, bool aloud, Actions& out) {
  repair_at_.reset();
  repaired_at_ = now;
  ++repairs_;
  put(false, out);
  if (aloud) announce(now, out);
}

void Presence::announce(common::Time now, Actions& out) {
  rounds_left_ = settings_.garp.count - 1;
  announce_once(out);
  announce_at_.reset();
  if (const common::Duration next = after_round(); next > common::Duration{}) announce_at_ = now + next;
}

void Presence::announce_once(Actions& out) const {
  for (const common::IpAddress& address : announced_) out.push_back(Announce{device_, address});
}

common::Duration Presence::round_gap() const {
  common::Duration gap = kFirstRoundGap;
  for (int done = settings_.garp.count - 1 - rounds_left_; done > 0 && gap < kLongestRoundGap; --done)
    gap *= kRoundGapGrowth;
  return std::min(gap, kLongestRoundGap);
}

/// How long until the next round; 0: there is none.
common::Duration Presence::after_round() const {
  if (rounds_left_ > 0) return round_gap();
  const bool repeats = !repeated_ && settings_.garp.repeat_after > common::Duration{};
  return repeats ? settings_.garp.repeat_after : settings_.garp.refresh;
}

void Presence::tick(common::Time now, bool aloud, Actions& out) {
  if (repair_at_ && *repair_at_ <= now) repair(now, aloud, out);
  if (renew_at_ && *renew_at_ <= now) {
    put(true, out);
    renew_at_ = next_renewal(now);
  }
  if (!announce_at_ || *announce_at_ > now) return;
  if (!aloud) {
    rounds_left_ = 0;
    repeated_ = true;
  } else if (rounds_left_ > 0) {
    --rounds_left_;
  } else if (!repeated_ && settings_.garp.repeat_after > common::Duration{}) {
    repeated_ = true;
    rounds_left_ = settings_.garp.count - 1;
  }
  if (aloud) announce_once(out);
  announce_at_.reset();
  if (const common::Duration next = after_round(); next > common::Duration{}) announce_at_ = now + next;
}

bool Presence::has(const std::string& device, const common::Prefix& address) const {
  return device == device_ && std::ranges::find(addresses_, address) != addresses_.end();
}

}  // namespace vrrpd
