#include "vrrpd/instance.hpp"

#include <fmt/core.h>

#include <algorithm>

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
    if (prefix.address.is_v4() && result.size() < kMostAddresses) result.push_back(prefix.address);
  return result;
}

}  // namespace

Instance::Instance(common::InstanceConfig config, common::Duration interval)
    : config_(std::move(config)),
      interval_(interval),
      active_interval_(interval),
      addresses_(listed(config_)),
      form_(first_form(config_.checksum)) {}

void Instance::on_link(const LinkChanged& link) {
  link_ = link;
}

bool Instance::usable() const {
  return link_ && link_->exists && link_->running && !link_->primary.is_unspecified();
}

std::string Instance::trouble() const {
  if (!link_) return fmt::format("interface {} has not been looked at yet", config_.interface);
  if (!link_->exists) return fmt::format("interface {} does not exist", config_.interface);
  if (!link_->running) return fmt::format("interface {} has no carrier or is down", config_.interface);
  if (link_->primary.is_unspecified()) return fmt::format("interface {} has no address of its own", config_.interface);
  return {};
}

std::optional<Heard> Instance::receive(const AdvertReceived& packet, int priority, common::Time now, Actions& out) {
  const auto decoded =
      decode({packet.source, packet.destination, packet.ttl, packet.payload}, config_.checksum, config_.vrid);
  if (!decoded) {
    count(std::string(to_string(decoded.error())));
    return std::nullopt;
  }
  // Our own adverts come back through a looping switch. They say nothing, and answering them would never end.
  if (link_ && packet.source == link_->primary) {
    count("drop_own");
    return std::nullopt;
  }
  const Advert& advert = decoded->advert;
  remember(advert, packet.source, decoded->form, out);

  Heard heard{Rank::lower, advert.priority, packet.source};
  const bool ours_is_lower_address = link_ && packet.source > link_->primary;
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
  if (form != form_ && config_.checksum == common::Checksum::automatic) {
    form_ = form;
    out.push_back(Log{Log::Level::info, "checksum_form",
                      fmt::format("{}: {} computes checksums by {}; doing the same", config_.name, source.to_string(),
                                  to_string(form))});
  }
  // RFC 9568 7.1: both may be logged and neither is a reason to drop: two masters would be the price.
  std::vector<common::IpAddress> theirs = advert.addresses, ours = addresses_;
  std::sort(theirs.begin(), theirs.end());
  std::sort(ours.begin(), ours.end());
  if (advert.interval != interval_) count("interval_mismatch");
  if (theirs != ours) count("address_mismatch");
  const bool mismatch = advert.interval != interval_ || theirs != ours;
  // Told once per role, not per change: a good and a bad sender that alternate would fill the log.
  if (mismatch && !mismatch_told_)
    out.push_back(
        Log{Log::Level::warning, "advert_mismatch",
            fmt::format("{}: {} advertises another {} than is configured here; compare the two configurations",
                        config_.name, source.to_string(), theirs != ours ? "list of addresses" : "interval")});
  mismatch_told_ = mismatch_told_ || mismatch;
}

void Instance::accept(int priority, common::Time now) {
  active_interval_ = heard_interval_;
  leaving_heard_ = false;
  down_at_ = now + common::down_interval(active_interval_, priority);
}

void Instance::shorten(int priority, common::Time now) {
  leaving_heard_ = true;
  // Never later than it would have been: who leaves while already overdue gains nothing by saying so.
  const common::Time at = now + skew(priority);
  down_at_ = down_at_ ? std::min(*down_at_, at) : at;
}

void Instance::restore(int priority, common::Time now) {
  leaving_heard_ = false;
  down_at_ = now + common::down_interval(active_interval_, priority);
}

void Instance::become(RouterState role, int priority, common::Time now) {
  role_ = role;
  down_at_.reset();
  advert_at_.reset();
  leaving_heard_ = false;
  mismatch_told_ = false;
  if (role != RouterState::backup) return;
  // 6.4.1 (150): until somebody is heard, our own interval stands for the active router's.
  active_interval_ = interval_;
  last_advert_.reset();
  active_ = {};
  down_at_ = now + common::down_interval(active_interval_, priority);
}

bool Instance::hears_active(common::Time now) const {
  return last_advert_ && now < *last_advert_ + 4 * std::max(active_interval_, heard_interval_);
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
  const Advert advert{config_.vrid, static_cast<std::uint8_t>(priority), interval_, addresses_};
  out.push_back(SendAdvert{config_.interface, link_->primary, encode(advert, link_->primary, vrrp_multicast(), form_)});
}

InstanceStatus Instance::status(common::GroupState state, int priority) const {
  InstanceStatus result;
  result.name = config_.name;
  result.interface = config_.interface;
  result.vrid = config_.vrid;
  result.state = state;
  result.priority = priority;
  result.virtual_addresses = config_.virtual_addresses;
  if (link_) result.primary = link_->primary;
  result.master = role_ == RouterState::active && link_ ? link_->primary : active_;
  result.master_interval = role_ == RouterState::active ? interval_ : active_interval_;
  result.counters = counters_;
  return result;
}

}  // namespace vrrpd
