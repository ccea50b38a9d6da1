#pragma once
// The way to the peer: the session, the configured links under it, and whether the peer is heard. Every datagram goes
// out on all usable links at once; what comes twice is dropped by the session's replay window.
#include <algorithm>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/time.hpp"
#include "syncd/counters.hpp"
#include "syncd/engine.hpp"
#include "syncd/session.hpp"

namespace syncd {

/// A node says something at least twice in an advert interval, and within these bounds: below, pauses of a busy kernel
/// would count as deaths; above, an operator would wait for what could be known. It is down when four in a row are
/// missing, so before the adverts' down timer has run out: a link that still says "master" would put a takeover off.
inline constexpr common::Duration kFastestKeepalive = std::chrono::milliseconds(5);
inline constexpr common::Duration kSlowestKeepalive = std::chrono::milliseconds(50);
inline constexpr int kMissedUntilDead = 4;
common::Duration keepalive_for(const common::Config& config);
/// While the peer is not heard, it is greeted this often, each time with the same nonce until kRenewAfter greetings.
inline constexpr common::Duration kGreetEvery = std::chrono::milliseconds(100);
inline constexpr int kRenewAfter = 10;
/// While the peer is heard, but has not shown the new key.
inline constexpr common::Duration kOfferKeyEvery = std::chrono::seconds(1);
/// A link on which the peer is not heard for so long, while it is on another one, is lost: twenty times what it says
/// something in at least, so that no pause of a busy kernel counts, and soon enough to be seen by who unplugs a cable.
inline constexpr common::Duration kQuietAfter = std::chrono::seconds(1);
/// How long a refusal is shown after the last datagram that was refused.
inline constexpr common::Duration kRefusalShown = std::chrono::seconds(3);

class Link {
 public:
  Link(const common::Config& config, std::vector<std::byte> key, NonceSource& nonces, Counters& counters,
       common::Time now);

  /// The links of a configuration. One that was there before, wherever it stood, keeps what is known of it; another one
  /// counts as unusable until set_usable().
  void configure(const common::Config& config);
  /// Opens a datagram. Nothing: it was no sealed one, or is refused (counted).
  std::optional<Session::Received> receive(const DatagramReceived& datagram, common::Time now);
  void set_usable(const LinkChanged& change, common::Time now);
  /// Payload that every link takes which can be used now.
  std::size_t payload_room() const;
  /// How often the peer is heard at least.
  void expect_every(common::Duration keepalive) { dead_after_ = kMissedUntilDead * keepalive; }

  common::LinkState state(common::Time now) const;
  bool up(common::Time now) const { return state(now) == common::LinkState::up; }
  bool established() const { return session_.established(); }
  std::uint64_t peer_incarnation() const { return session_.peer_incarnation(); }
  std::uint8_t protocol() const { return session_.protocol(); }
  bool ever_heard() const { return heard_at_.has_value(); }
  struct News {
    std::string interface;
    bool heard = false;
  };
  /// On which links the peer is not heard any more, or again, while it is heard on another one. Each is told once.
  std::vector<News> take_news(common::Time now);
  std::vector<LinkStatus> links(common::Time now) const;
  /// Why the peer is refused, as a sentence with what to do; empty: it is not.
  std::string refusal(common::Time now) const;

  void change_key(std::vector<std::byte> key, common::Time now);
  bool changing_key() const { return session_.changing_key(); }

  /// A hello or an answer that is due.
  bool poll_greeting(common::Time now, common::Bytes& out);
  /// Seals the payload for all links.
  void send(common::ByteView payload);
  void send_plainly(common::Bytes datagram);
  bool next_copy(Datagram& out);

  common::Deadline deadline(common::Time now) const;

 private:
  struct Path {
    common::SyncLink config;
    bool usable = false;
    std::size_t room = kMaxDatagram;  ///< its largest datagram
    std::string trouble;              ///< why it cannot be used
    common::Time usable_since{};
    common::Deadline heard_at;
    bool quiet = false;  ///< was told to be
  };

  bool expected(const DatagramReceived& datagram, common::Time now);
  void refuse(std::string why, common::Time now);
  std::string why(SessionError error) const;
  bool any_usable() const;
  void heard_on(std::size_t link, common::Time now);
  /// Never before the peer as a whole would count as dead.
  common::Duration quiet_after() const { return std::max<common::Duration>(kQuietAfter, dead_after_); }
  common::Time quiet_at(const Path& path) const;

  std::string node_, peer_;
  std::vector<Path> paths_;  ///< one for each configured link
  Session session_;
  Counters& counters_;
  common::Deadline heard_at_;
  common::Time up_since_{};
  common::Duration dead_after_ = kMissedUntilDead * kSlowestKeepalive;
  std::string refusal_;  ///< what the last refused datagram says of the peer; empty: none
  common::Time refused_at_{};
  common::Time greet_at_;
  int greetings_ = 0;
  common::Bytes outgoing_;
  std::size_t copy_ = 0;  ///< next link to take a copy of outgoing_
};

}  // namespace syncd
