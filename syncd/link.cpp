#include "syncd/link.hpp"

#include <algorithm>
#include <utility>

namespace syncd {

using common::Deadline;
using common::LinkState;
using common::Time;

/// A group is taken over when the last of its members has run out of adverts.
common::Duration keepalive_for(const common::Config& config) {
  common::Duration every = kSlowestKeepalive;
  if (!config.vrrp) return every;
  for (const common::GroupConfig& group : config.vrrp->groups) {
    common::Duration slowest{};
    for (const common::InstanceConfig& instance : group.instances)
      slowest = std::max(slowest, group.interval_of(instance));
    every = std::min(every, slowest / 2);
  }
  return std::max(every, kFastestKeepalive);
}

Link::Link(const common::Config& config, std::vector<std::byte> key, NonceSource& nonces, Counters& counters, Time now)
    : node_(config.node),
      peer_(config.peer),
      session_(config.node, config.peer, std::move(key), nonces),
      counters_(counters),
      greet_at_(now) {
  configure(config);
}

void Link::configure(const common::Config& config) {
  const std::vector<Path> before = std::exchange(paths_, {});
  if (config.sync)
    for (const common::SyncLink& link : config.sync->links) {
      const auto same = std::ranges::find(before, link, &Path::config);
      paths_.push_back(same == before.end() ? Path{.config = link} : *same);
    }
  copy_ = paths_.size();
}

void Link::set_usable(const LinkChanged& change, Time now) {
  if (change.link >= paths_.size()) return;
  Path& path = paths_[change.link];
  if (change.usable && !path.usable) path.usable_since = now;
  if (!change.usable) path.quiet = false;  // something else is wrong with it now
  path.usable = change.usable;
  path.room = change.room;
  path.trouble = change.trouble;
}

std::size_t Link::payload_room() const {
  std::size_t room = kMaxDatagram;
  for (const Path& path : paths_)
    if (path.usable) room = std::min(room, path.room);
  return std::max(room, kLeastDatagram) - kSealedHeader - kTag;
}

bool Link::any_usable() const {
  return std::ranges::any_of(paths_, &Path::usable);
}

/// By where it comes from and where it was sent to. A stranger may say what he likes without being talked of.
bool Link::expected(const DatagramReceived& datagram, Time now) {
  if (datagram.link >= paths_.size()) return true;
  const common::SyncLink& link = paths_[datagram.link].config;
  // Without a key nothing else tells strangers from the peer, and a group is everybody's.
  if ((!session_.secured() || link.multicast) && datagram.source != link.peer) {
    ++counters_[Counter::foreign_source];
    return false;
  }
  // Of such a peer we would hear everything, and it nothing of us.
  if (link.multicast && !datagram.to_group) {
    ++counters_[Counter::beside_group];
    refuse(peer_ + " sends to the address of " + node_ + " and not to " + link.multicast->to_string() +
               ", the multicast group of the sync link: use the same configuration file on both",
           now);
    return false;
  }
  return true;
}

std::optional<Session::Received> Link::receive(const DatagramReceived& datagram, Time now) {
  ++counters_[Counter::datagrams_received];
  counters_[Counter::bytes_received] += datagram.bytes.size();
  if (!expected(datagram, now)) return std::nullopt;
  auto received = session_.receive(datagram.bytes, datagram.link);
  if (!received) {
    counters_.add(received.error());
    if (received.error() == SessionError::copied) heard_on(datagram.link, now);
    if (std::string reason = why(received.error()); !reason.empty()) refuse(std::move(reason), now);
    return std::nullopt;
  }
  if (received->changed) ++counters_[Counter::sessions];
  if (received->sealed) {
    if (!up(now)) up_since_ = now;
    heard_at_ = now;
    heard_on(datagram.link, now);
    refusal_.clear();
  }
  if (!received->sealed && !received->changed) return std::nullopt;
  return *received;
}

void Link::heard_on(std::size_t link, Time now) {
  if (link < paths_.size()) paths_[link].heard_at = now;
}

/// A link that could not be used before, or a peer that was not there, has its time anew.
Time Link::quiet_at(const Path& path) const {
  return std::max({path.usable_since, up_since_, path.heard_at.value_or(Time{})}) + quiet_after();
}

std::vector<Link::News> Link::take_news(Time now) {
  std::vector<News> news;
  if (!up(now)) return news;
  for (Path& path : paths_) {
    if (!path.usable) continue;
    const bool heard = path.heard_at && now - *path.heard_at < quiet_after();
    if (path.quiet ? !heard : now < quiet_at(path)) continue;
    path.quiet = !path.quiet;
    news.push_back({path.config.interface, !path.quiet});
  }
  return news;
}

std::vector<LinkStatus> Link::links(Time now) const {
  std::vector<LinkStatus> links;
  for (const Path& path : paths_) {
    LinkStatus& link = links.emplace_back();
    link.interface = path.config.interface;
    link.usable = path.usable;
    link.quiet = path.quiet;
    link.trouble = path.trouble;
    if (path.heard_at) link.heard_ms = common::milliseconds(now - *path.heard_at);
  }
  return links;
}

void Link::refuse(std::string why, Time now) {
  refusal_ = std::move(why);
  refused_at_ = now;
}

/// What to tell the operator; empty: it is noise, or forgery that must not change what we show.
std::string Link::why(SessionError error) const {
  switch (error) {
    case SessionError::version:
      return "the peer speaks another version of the sync protocol: install the same steadynat on both routers";
    case SessionError::security_differs:
      return "one router has a sync key and the other `security: none`: use the same configuration file on both";
    case SessionError::wrong_key:
      return "the peer's key is another one: copy the key file of one router to the other";
    case SessionError::our_own_name:
      return "the other router runs as node " + node_ + " too: start one of them with another --node";
    case SessionError::unknown_peer:
    case SessionError::not_for_us:
      return "the node at the other end is not " + peer_ + ": check --node and `nodes` on both routers";
    case SessionError::too_short:
    case SessionError::too_long:
    case SessionError::type:
    case SessionError::reflected:
    case SessionError::stale_answer:
    case SessionError::unknown_session:
    case SessionError::forged:
    case SessionError::copied:
    case SessionError::replayed:
      break;
  }
  return {};
}

LinkState Link::state(Time now) const {
  if (paths_.empty() || peer_.empty()) return LinkState::none;
  if (!any_usable()) return LinkState::down;
  if (heard_at_ && now - *heard_at_ < dead_after_) return LinkState::up;
  return !refusal_.empty() && now - refused_at_ < kRefusalShown ? LinkState::refused : LinkState::down;
}

std::string Link::refusal(Time now) const {
  return state(now) == LinkState::refused ? refusal_ : std::string();
}

bool Link::poll_greeting(Time now, common::Bytes& out) {
  if (state(now) == LinkState::none || !any_usable()) return false;
  if (session_.poll_answer(out)) return true;
  // A session that is heard needs none, but for a new key. One that is not may belong to a process that is no more.
  if ((up(now) && !changing_key()) || greet_at_ > now) return false;
  session_.hello(greetings_ % kRenewAfter == 0, out);
  ++greetings_;
  greet_at_ = now + (up(now) ? kOfferKeyEvery : kGreetEvery);
  return true;
}

void Link::change_key(std::vector<std::byte> key, Time now) {
  session_.change_key(std::move(key));
  greetings_ = 0;
  greet_at_ = now;
}

void Link::send(common::ByteView payload) {
  session_.seal(payload, outgoing_);
  copy_ = 0;
}

void Link::send_plainly(common::Bytes datagram) {
  outgoing_ = std::move(datagram);
  copy_ = 0;
}

bool Link::next_copy(Datagram& out) {
  while (copy_ < paths_.size() && !paths_[copy_].usable) ++copy_;
  if (copy_ >= paths_.size()) return false;
  out.link = copy_++;
  out.bytes = outgoing_;
  ++counters_[Counter::datagrams_sent];
  counters_[Counter::bytes_sent] += out.bytes.size();
  return true;
}

Deadline Link::deadline(Time now) const {
  if (state(now) == LinkState::none || !any_usable()) return std::nullopt;
  if (session_.answer_due()) return now;
  if (!up(now)) return greet_at_;
  Deadline at = *heard_at_ + dead_after_;
  if (changing_key()) at = common::earliest(at, greet_at_);
  for (const Path& path : paths_)
    if (path.usable && !path.quiet) at = common::earliest(at, quiet_at(path));
  return at;
}

}  // namespace syncd
