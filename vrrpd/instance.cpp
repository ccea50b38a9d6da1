#include "vrrpd/instance.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace vrrpd {

namespace {

/// However many lower adverts somebody sends, or forges: no more answers than this can carry.
constexpr common::Duration kAnswerGap = std::chrono::milliseconds(10);

ChecksumForm first_form(common::Checksum checksum) {
  return checksum == common::Checksum::rfc9568 ? ChecksumForm::rfc9568 : ChecksumForm::rfc5798;
}

std::vector<common::IpAddress> listed(const common::InstanceConfig& config) {
  std::vector<common::IpAddress> result;
  for (const common::Prefix& prefix : config.virtual_addresses)
    if (result.size() < kMostAddresses) result.push_back(prefix.address);
  return result;
}

Version first_version(common::VrrpVersion version) {
  return version == common::VrrpVersion::v2 ? Version::v2 : Version::v3;
}

/// What a router with this interval says in this version: VRRPv2 counts whole seconds.
common::Duration as_said(common::Duration interval, Version version) {
  constexpr common::Duration kSecond = std::chrono::seconds(1);
  if (version == Version::v3) return interval;
  return (interval + kSecond - common::Duration(1)) / kSecond * kSecond;
}

}  // namespace

Instance::Instance(common::InstanceConfig config, const common::GroupConfig& group)
    : config_(std::move(config)),
      owner_(group.owns(config_)),
      presence_(config_, {group.garp_of(config_), group.address_lifetime, owner_}),
      interval_(group.interval_of(config_)),
      active_interval_(interval_),
      addresses_(listed(config_)),
      link_down_delay_(group.link_down_delay),
      link_up_delay_(group.link_up_delay),
      active_version_(first_version(config_.version)),
      heard_version_(active_version_),
      form_(first_form(config_.checksum)) {}

bool Instance::on_link(const LinkChanged& link, common::Time now) {
  const bool moved = presence_.live() && !presence_.has_virtual_mac() && link_ && link.exists && link_->mac != link.mac;
  const std::optional<LinkChanged> before = std::exchange(link_, link);
  const bool same_report = std::exchange(carrier_, link.running) == link.running;
  const bool flips = before && before->exists && link.exists && before->running != link.running;
  const common::Duration delay = link.running ? link_up_delay_ : link_down_delay_;
  if (!flips || delay == common::Duration{}) {
    settles_at_.reset();
    return moved;
  }
  link_->running = before->running;
  if (!same_report || !settles_at_) settles_at_ = now + delay;
  return moved;
}

void Instance::settle(common::Time now) {
  if (!settles_at_ || now < *settles_at_) return;
  settles_at_.reset();
  link_->running = carrier_;
}

void Instance::reconfigure(const common::InstanceConfig& config, const common::GroupConfig& group, common::Time now,
                           bool aloud, Actions& out) {
  const bool other_form = config.checksum != config_.checksum;
  config_ = config;
  interval_ = group.interval_of(config_);
  addresses_ = listed(config_);
  link_down_delay_ = group.link_down_delay;
  link_up_delay_ = group.link_up_delay;
  mismatch_told_ = false;
  if (other_form) form_ = first_form(config_.checksum);
  presence_.reconfigure(config_, {group.garp_of(config_), group.address_lifetime, owner_}, now, aloud, out);
}

common::IpAddress Instance::source() const {
  if (!link_) return {};
  if (config_.unicast) {
    const bool there = std::ranges::find(link_->addresses, config_.unicast->own) != link_->addresses.end();
    return there ? config_.unicast->own : common::IpAddress();
  }
  return v6() ? link_->link_local : link_->primary;
}

bool Instance::owns_addresses() const {
  return std::ranges::all_of(addresses_, [&](const common::IpAddress& each) {
    return std::ranges::find(link_->addresses, each) != link_->addresses.end();
  });
}

bool Instance::usable() const {
  return link_ && link_->exists && link_->running && link_->trouble.empty() && !source().is_unspecified() &&
         (!owner_ || owns_addresses());
}

std::string Instance::trouble() const {
  if (!link_) return fmt::format("interface {} has not been looked at yet", config_.interface);
  if (!link_->exists) return fmt::format("interface {} does not exist", config_.interface);
  if (!link_->running) return fmt::format("interface {} has no carrier or is down", config_.interface);
  if (!link_->trouble.empty()) return link_->trouble;
  if (source().is_unspecified() && config_.unicast)
    return fmt::format("interface {} does not have {}, its unicast address", config_.interface,
                       config_.unicast->own.to_string());
  if (source().is_unspecified())
    return fmt::format("interface {} has no {}address of its own", config_.interface, v6() ? "link-local IPv6 " : "");
  if (owner_ && !owns_addresses())
    return fmt::format("interface {} lacks an address that is its own by priority 255", config_.interface);
  return {};
}

Acceptance Instance::acceptance() const {
  Acceptance accepted;
  accepted.checksum = config_.checksum;
  accepted.vrid = config_.vrid;
  accepted.v2 = config_.version != common::VrrpVersion::v3;
  accepted.v3 = config_.version != common::VrrpVersion::v2;
  if (!accepted.v3) accepted.v2_interval = interval_;
  accepted.password = config_.password;
  if (config_.unicast) accepted.lowest_ttl = config_.unicast->minimum_ttl;
  return accepted;
}

/// Unicast is from known routers only, and an advert of the other kind is not meant for us: who could send one from
/// afar could not join the link's group.
bool Instance::from_stranger(const AdvertReceived& packet) {
  const bool multicast = packet.destination.is_multicast();
  if (multicast == config_.unicast.has_value()) {
    count("drop_destination");
    return true;
  }
  if (!config_.unicast) return false;
  const auto& peers = config_.unicast->peers;
  if (std::ranges::find(peers, packet.source) != peers.end()) return false;
  count("drop_source");
  return true;
}

/// RFC 9568 8.4.1: who hears both versions from one router ignores version 2.
bool Instance::spoken_twice(const Advert& advert, const common::IpAddress& from, common::Time now) {
  if (config_.version != common::VrrpVersion::both) return false;
  if (advert.version == Version::v3) {
    v3_heard_ = now;
    return false;
  }
  return from == active_ && v3_heard_ && now < *v3_heard_ + 3 * heard_interval_;
}

std::optional<Heard> Instance::receive(const AdvertReceived& packet, int priority, common::Time now, Actions& out) {
  const auto decoded = decode({packet.source, packet.destination, packet.ttl, packet.payload}, acceptance());
  if (!decoded) {
    count(std::string(to_string(decoded.error())));
    return std::nullopt;
  }
  // Our own adverts come back through a looping switch. They say nothing, and answering them would never end.
  const common::IpAddress own = source();
  if (packet.source == own) {
    count("drop_own");
    return std::nullopt;
  }
  if (from_stranger(packet)) return std::nullopt;
  const Advert& advert = decoded->advert;
  if (spoken_twice(advert, packet.source, now)) {
    count("ignored_v2");
    return std::nullopt;
  }
  repeated_ = heard_at_ && packet.source == heard_from_ && advert.interval == heard_interval_ &&
              now < *heard_at_ + 4 * heard_interval_;
  heard_from_ = packet.source;
  heard_at_ = now;
  remember(advert, packet.source, decoded->form, out);

  Heard heard{Rank::lower, advert.priority, packet.source};
  const bool ours_is_lower_address = packet.source > own;
  if (advert.priority == 0)
    heard.rank = Rank::leaving;
  else if (advert.priority > priority)
    heard.rank = Rank::higher;
  else if (advert.priority == priority && (role_ != RouterState::active || ours_is_lower_address))
    heard.rank = Rank::higher;
  count(heard.rank == Rank::leaving ? "received_leaving" : "received");
  if (heard.rank != Rank::leaving) {
    last_advert_ = now;
    leaving_heard_ = false;
  }
  return heard;
}

void Instance::remember(const Advert& advert, const common::IpAddress& source, ChecksumForm form, Actions& out) {
  active_ = source;
  heard_interval_ = advert.interval;
  heard_version_ = advert.version;
  const bool has_form = advert.version == Version::v3 && !v6();
  if (has_form && form != form_ && config_.checksum == common::Checksum::automatic) {
    form_ = form;
    out.push_back(Log{Log::Level::info, "checksum_form",
                      fmt::format("{}: {} computes checksums by {}; doing the same", config_.name, source.to_string(),
                                  to_string(form))});
  }
  // RFC 9568 7.1: both may be logged and neither is a reason to drop: two masters would be the price.
  std::vector<common::IpAddress> theirs = advert.addresses, ours = addresses_;
  std::sort(theirs.begin(), theirs.end());
  std::sort(ours.begin(), ours.end());
  const bool other_interval = advert.interval != as_said(interval_, advert.version);
  if (other_interval) count("interval_mismatch");
  if (theirs != ours) count("address_mismatch");
  const bool mismatch = other_interval || theirs != ours;
  // Told once per role, not per change: a good and a bad sender that alternate would fill the log.
  if (mismatch && !mismatch_told_)
    out.push_back(
        Log{Log::Level::warning, "advert_mismatch",
            fmt::format("{}: {} advertises another {} than is configured here; compare the two configurations",
                        config_.name, source.to_string(), theirs != ours ? "list of addresses" : "interval")});
  mismatch_told_ = mismatch_told_ || mismatch;
}

/// RFC 3768 6.1 counts the skew in parts of a second, RFC 9568 6.1 in parts of the interval.
common::Duration Instance::skew(int priority) const {
  const bool v2 = active_version_ == Version::v2;
  return common::skew_time(v2 ? common::Duration(std::chrono::seconds(1)) : active_interval_, priority);
}

void Instance::accept(int priority, common::Time now, bool stranger) {
  doubted_ = stranger && !repeated_;
  active_interval_ = doubted_ ? std::min(heard_interval_, interval_) : heard_interval_;
  last_advert_ = now;  // it may have come before we became backup because of it
  active_version_ = heard_version_;
  leaving_heard_ = false;
  down_at_ = now + down_interval(priority);
}

void Instance::shorten(int priority, common::Time now) {
  leaving_heard_ = true;
  // Never later than it would have been: who leaves while already overdue gains nothing by saying so.
  const common::Time at = now + skew(priority);
  down_at_ = down_at_ ? std::min(*down_at_, at) : at;
}

void Instance::restore(int priority, common::Time now) {
  leaving_heard_ = false;
  down_at_ = now + down_interval(priority);
}

void Instance::become(RouterState role, int priority, common::Time now) {
  role_ = role;
  down_at_.reset();
  advert_at_.reset();
  leaving_heard_ = false;
  doubted_ = false;
  mismatch_told_ = false;
  if (role != RouterState::backup) return;
  // 6.4.1 (150): until somebody is heard, our own interval stands for the active router's.
  active_interval_ = interval_;
  active_version_ = first_version(config_.version);
  last_advert_.reset();
  v3_heard_.reset();
  active_ = {};
  down_at_ = now + down_interval(priority);
}

bool Instance::hears_active(common::Time now) const {
  const common::Duration interval = doubted_ ? active_interval_ : std::max(active_interval_, heard_interval_);
  return last_advert_ && now < *last_advert_ + 4 * interval;
}

void Instance::advertise(int priority, common::Time now, Actions& out) {
  // Only with a next advert planned is this router active; one sent in doubt would contradict that.
  advert_at_ = now + interval_;
  last_sent_ = now;
  if (!usable()) return;
  send(priority, out);
  count("sent");
}

void Instance::answer(int priority, common::Time now, Actions& out) {
  if (!usable() || (last_sent_ && now < *last_sent_ + kAnswerGap)) return;
  last_sent_ = now;
  send(priority, out);
  count("answered_lower");
}

void Instance::say_goodbye(Actions& out) {
  if (!usable()) return;
  send(0, out);
  count("sent_leaving");
}

void Instance::send(int priority, Actions& out) {
  const common::IpAddress from = source();
  // From the virtual MAC (7.2) once we answer for it, and not before: the switches would bring here what the old
  // master still takes, or what nobody takes yet.
  const std::string device = presence_.live() ? config_.virtual_mac : std::string();
  const std::vector<common::IpAddress> group{vrrp_multicast(config_.family())};
  for (const Version version : {Version::v3, Version::v2}) {
    const auto other = version == Version::v3 ? common::VrrpVersion::v2 : common::VrrpVersion::v3;
    if (config_.version == other) continue;
    const Advert advert{config_.vrid, static_cast<std::uint8_t>(priority), interval_, addresses_, version};
    for (const common::IpAddress& to : config_.unicast ? config_.unicast->peers : group)
      out.push_back(SendAdvert{config_.interface, from, encode(advert, from, to, form_, config_.password), to, device});
  }
}

InstanceStatus Instance::status(common::GroupState state, int priority) const {
  InstanceStatus result;
  result.name = config_.name;
  result.interface = config_.interface;
  result.vrid = config_.vrid;
  result.state = state;
  result.priority = priority;
  result.virtual_addresses = config_.virtual_addresses;
  result.primary = source();
  result.master = role_ == RouterState::active ? source() : active_;
  result.master_interval = role_ == RouterState::active ? interval_ : active_interval_;
  result.advertise_interval = interval_;
  result.skew = skew(priority);
  result.down_interval = down_interval(priority);
  result.counters = counters_;
  return result;
}

}  // namespace vrrpd
