#pragma once
// The sealed link between two engines: who the peer is, that its words are its own, and that they are said now.
//
//   hello   A -> B   nonce of A, incarnation and name of A, name of B, authenticated by the shared key
//   answer  B -> A   the same of B with A's nonce, authenticated
//   sealed  A -> B   anything, under keys made from the shared key, both nonces, incarnations and names, and the
//   direction
//
// A knows that B lives now from the answer to its fresh nonce; B knows it of A from the first sealed datagram, since
// its own nonce is in the keys. Until then B's side is pending and disturbs nothing: a recorded hello only makes B
// answer into the void. Either side may begin; if both do, two sessions come to be, and each side receives under both.
// No clock is on the wire: what was recorded before a restart is under keys that nobody has any more.
// The shared key may change while sessions go on: until the peer has shown the new one, the old one is taken too.
// Each session has the version of the protocol of its greeting (protocol.hpp).
// Without a key (`security: none`) the same datagrams go in the clear, and only stray ones are told apart.
#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.hpp"
#include "common/time.hpp"
#include "syncd/protocol.hpp"

namespace syncd {

/// An Ethernet frame of 1500 less IPv6, UDP and room for a tunnel.
inline constexpr std::size_t kMaxDatagram = 1400;
inline constexpr std::size_t kSealedHeader = 13;  ///< version and type 1, session 4, counter 8
inline constexpr std::size_t kTag = 16;
inline constexpr std::size_t kMaxPayload = kMaxDatagram - kSealedHeader - kTag;
/// What every path of IPv6 takes (RFC 8200 5: 1280 bytes, here less the headers of IPv6 and UDP), and so the least that
/// a link must. Whatever cannot be told in smaller parts fits into this.
inline constexpr std::size_t kLeastMtu = 1280;
inline constexpr std::size_t kLeastDatagram = kLeastMtu - 40 - 8;
inline constexpr std::size_t kLeastPayload = kLeastDatagram - kSealedHeader - kTag;
/// Host names are at most 64 bytes on Linux.
inline constexpr std::size_t kMaxNodeName = 64;

enum class SessionError : std::uint8_t {
  too_short,
  too_long,
  version,  ///< a version of the protocol that we do not speak
  type,
  security_differs,  ///< one side has a key and the other has `security: none`
  wrong_key,         ///< a hello or answer that our key does not authenticate
  our_own_name,      ///< both routers run as the same node
  unknown_peer,      ///< a node that is not the configured peer
  not_for_us,        ///< meant for another node
  reflected,         ///< our own hello came back
  stale_answer,      ///< to a hello that we no longer wait for
  unknown_session,
  forged,    ///< does not open under the session's key
  copied,    ///< seen before, but not over this link: the peer sends everything over all of them
  replayed,  ///< seen before over this link, or older than what we keep account of
};
inline constexpr std::size_t kSessionErrors = 15;
std::string_view to_string(SessionError error);

/// 2048 datagrams back: several links of different delay, and a burst while one of them stalls.
class ReplayWindow {
 public:
  /// False: seen before, or too old to tell.
  bool accept(std::uint64_t counter);
  bool too_old(std::uint64_t counter) const { return counter + kBits < next_; }

 private:
  static constexpr std::uint64_t kBits = 2048;
  std::array<std::uint64_t, kBits / 64> seen_{};
  std::uint64_t next_ = 0;  ///< one above the highest accepted
};

using Nonce = std::array<std::byte, 32>;

/// Random bytes stretched from the shell's seed; never the same twice within one engine.
class NonceSource {
 public:
  explicit NonceSource(const std::array<std::byte, 32>& seed) : seed_(seed) {}
  Nonce next();
  std::uint64_t next_u64();

 private:
  std::array<std::byte, 32> seed_;
  std::uint64_t count_ = 0;
};

class Session {
 public:
  /// The key is empty with `security: none`. `newest`: the protocol that we greet in; an older one where an older
  /// release is played.
  Session(std::string node, std::string peer, std::vector<std::byte> key, NonceSource& nonces,
          std::uint8_t newest = kProtocol);

  struct Received {
    bool sealed = false;        ///< payload is the peer's, and fresh; else the datagram was a part of the handshake
    bool changed = false;       ///< a session has begun with this datagram
    std::uint8_t protocol = 0;  ///< that the payload is in
    common::ByteView payload;   ///< until the next call
  };
  /// `link`: over which it came.
  std::expected<Received, SessionError> receive(common::ByteView datagram, std::size_t link = 0);

  /// Makes a hello to send: the same one until `renew`, so that a slow answer still fits.
  void hello(bool renew, common::Bytes& out);
  /// An answer that is due.
  bool poll_answer(common::Bytes& out);
  bool answer_due() const { return !answers_.empty(); }
  bool established() const { return current_.has_value(); }
  void seal(common::ByteView payload, common::Bytes& out);

  /// Greets with another key from now on. Both sides must have one; sessions stay as they are.
  void change_key(std::vector<std::byte> key);
  /// The peer has not shown the new key yet.
  bool changing_key() const { return former_key_.has_value(); }

  std::uint64_t incarnation() const { return incarnation_; }
  /// Of the peer in the current session.
  std::uint64_t peer_incarnation() const { return current_ ? current_->peer_incarnation : 0; }
  /// Of the current session.
  std::uint8_t protocol() const { return current_ ? current_->protocol : newest_; }
  bool secured() const { return !key_.bytes.empty(); }

 private:
  struct SharedKey {
    std::vector<std::byte> bytes;
    std::array<unsigned char, 32> hello{};  ///< authenticates hellos and answers
  };
  struct Keys {
    std::uint32_t id = 0;
    std::array<unsigned char, 32> send{}, receive{};
    std::uint64_t counter = 0;
    ReplayWindow window;
    std::vector<ReplayWindow> by_link;
    std::uint64_t peer_incarnation = 0;
    std::uint8_t protocol = 0;
    Nonce first_nonce{};   ///< of the side that began
    bool former = false;   ///< made from the key that is being replaced
    common::Bytes answer;  ///< as sent, for a repeated hello
  };
  struct Greeting;

  std::expected<Received, SessionError> on_hello(common::ByteView datagram);
  std::expected<Received, SessionError> on_answer(common::ByteView datagram);
  std::expected<Received, SessionError> on_sealed(common::ByteView datagram, std::size_t link, bool plain);
  std::expected<Greeting, SessionError> read_greeting(common::ByteView datagram, bool answer) const;
  void write_greeting(bool answer, const Greeting& greeting, common::Bytes& out) const;
  Keys derive(bool initiator, const Greeting& greeting, const Nonce& second) const;
  const SharedKey& shared(bool former) const { return former ? *former_key_ : key_; }
  static SharedKey make_shared_key(std::vector<std::byte> key);
  bool open(Keys& keys, common::ByteView datagram, bool plain);
  /// Nothing: it is new.
  static std::optional<SessionError> seen(Keys& keys, std::uint64_t counter, std::size_t link);
  void make_current(Keys keys);

  std::string node_, peer_;
  NonceSource& nonces_;
  std::uint8_t newest_;
  std::uint64_t incarnation_;
  SharedKey key_;
  std::optional<SharedKey> former_key_;
  std::optional<Nonce> asked_;  ///< nonce of the hello that we wait to be answered
  std::optional<Keys> current_, previous_;
  std::vector<Keys> pending_;  ///< answered hellos, oldest first
  std::vector<common::Bytes> answers_;
  common::Bytes opened_;
};

}  // namespace syncd
