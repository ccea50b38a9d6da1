#include "vrrpd/presence.hpp"

#include <algorithm>

namespace vrrpd {

namespace {

/// Between two announcements of one address: long enough that one crowded moment of a switch does not lose both, and
/// that hundreds of addresses do not hold up an advert.
constexpr common::Duration kRoundGap = std::chrono::milliseconds(10);

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
  put(out);
  renew_at_ = now + stagger;
  repeated_ = false;
}

/// The lifetime makes the kernel drop an address when nobody renews it any more.
void Presence::put(Actions& out) const {
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(settings_.lifetime);
  if (virtual_mac_) out.push_back(SetDevice{device_, true});
  for (const common::Prefix& address : addresses_) out.push_back(AddAddress{device_, address, lifetime});
  for (const common::RouteConfig& route : routes_) out.push_back(AddRoute{device_, route, lifetime});
}

void Presence::withdraw(Actions& out) {
  live_ = false;
  renew_at_.reset();
  announce_at_.reset();
  for (const common::RouteConfig& route : routes_) out.push_back(RemoveRoute{device_, route});
  // First of all: what takes an address away says so on the link, and nobody may be told by a MAC that is not ours any
  // more.
  if (virtual_mac_) out.push_back(SetDevice{device_, false});
  for (const common::Prefix& address : addresses_) out.push_back(RemoveAddress{device_, address});
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

/// How long until the next round; 0: there is none.
common::Duration Presence::after_round() const {
  if (rounds_left_ > 0) return kRoundGap;
  const bool repeats = !repeated_ && settings_.garp.repeat_after > common::Duration{};
  return repeats ? settings_.garp.repeat_after : settings_.garp.refresh;
}

void Presence::tick(common::Time now, bool aloud, Actions& out) {
  if (renew_at_ && *renew_at_ <= now) {
    put(out);
    renew_at_ = now + settings_.lifetime / kRenewals;
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
