#include "syncd/session.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "common/result.hpp"

namespace syncd {
namespace {

using common::Bytes;
using common::ByteView;

static_assert(kTag == crypto_aead_xchacha20poly1305_ietf_ABYTES);

constexpr std::uint8_t kHello = 1, kAnswer = 2, kSealed = 3, kPlain = 4;
constexpr std::size_t kMac = 32;
constexpr std::size_t kKeySize = 32;
/// Hellos that were answered and not yet confirmed. More than one, so that a recorded hello cannot push out the answer
/// to a real one before its owner comes back.
constexpr std::size_t kMaxPending = 8;

const unsigned char* raw(ByteView v) {
  return reinterpret_cast<const unsigned char*>(v.data());
}

std::uint8_t first_byte(std::uint8_t protocol, std::uint8_t type) {
  return static_cast<std::uint8_t>(protocol << 4 | type);
}

std::uint8_t protocol_of(ByteView datagram) {
  return static_cast<std::uint8_t>(std::to_integer<unsigned>(datagram[0]) >> 4);
}

using Mac = std::array<unsigned char, kMac>;

Mac mac_of(ByteView text, const std::array<unsigned char, kKeySize>& key) {
  Mac mac;
  crypto_generichash(mac.data(), mac.size(), raw(text), text.size(), key.data(), key.size());
  return mac;
}

void append_name(common::ByteWriter& w, std::string_view name) {
  w.u8(static_cast<std::uint8_t>(name.size()));
  w.text(name);
}

}  // namespace

std::string_view to_string(SessionError error) {
  switch (error) {
    case SessionError::too_short:
      return "datagram_too_short";
    case SessionError::too_long:
      return "datagram_too_long";
    case SessionError::version:
      return "datagram_version";
    case SessionError::type:
      return "datagram_type";
    case SessionError::security_differs:
      return "hello_security_differs";
    case SessionError::wrong_key:
      return "hello_wrong_key";
    case SessionError::our_own_name:
      return "hello_our_own_name";
    case SessionError::unknown_peer:
      return "hello_unknown_peer";
    case SessionError::not_for_us:
      return "hello_not_for_us";
    case SessionError::reflected:
      return "hello_reflected";
    case SessionError::stale_answer:
      return "hello_stale_answer";
    case SessionError::unknown_session:
      return "datagram_unknown_session";
    case SessionError::forged:
      return "datagram_forged";
    case SessionError::copied:
      return "datagram_copied";
    case SessionError::replayed:
      return "datagram_replayed";
  }
  return "";
}

bool ReplayWindow::accept(std::uint64_t counter) {
  if (too_old(counter) || counter == UINT64_MAX) return false;
  if (counter >= next_) {
    // Clears the places between, which stood for counters one window earlier.
    if (counter - next_ >= kBits)
      seen_.fill(0);
    else
      for (std::uint64_t c = next_; c < counter; ++c) seen_[c % kBits / 64] &= ~(1ULL << (c % 64));
    next_ = counter + 1;
    seen_[counter % kBits / 64] |= 1ULL << (counter % 64);
    return true;
  }
  std::uint64_t& word = seen_[counter % kBits / 64];
  const std::uint64_t bit = 1ULL << (counter % 64);
  if (word & bit) return false;
  word |= bit;
  return true;
}

Nonce NonceSource::next() {
  Nonce out;
  ++count_;
  crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                     reinterpret_cast<const unsigned char*>(&count_), sizeof count_,
                     reinterpret_cast<const unsigned char*>(seed_.data()), seed_.size());
  return out;
}

std::uint64_t NonceSource::next_u64() {
  const Nonce nonce = next();
  std::uint64_t value = 0;
  std::memcpy(&value, nonce.data(), sizeof value);
  return value;
}

/// What a hello or an answer says.
struct Session::Greeting {
  std::uint8_t protocol = 0;
  Nonce first{}, second{};
  std::uint64_t incarnation = 0;
  bool former = false;  ///< authenticated by the key that is being replaced
};

Session::SharedKey Session::make_shared_key(std::vector<std::byte> key) {
  common::check(key.empty() || key.size() == kKeySize, "the key has 32 bytes");
  SharedKey shared{std::move(key), {}};
  constexpr std::string_view kLabel = "steadynat 1 hello";
  if (!shared.bytes.empty())
    crypto_generichash(shared.hello.data(), shared.hello.size(), reinterpret_cast<const unsigned char*>(kLabel.data()),
                       kLabel.size(), raw(shared.bytes), shared.bytes.size());
  return shared;
}

Session::Session(std::string node, std::string peer, std::vector<std::byte> key, NonceSource& nonces,
                 std::uint8_t newest)
    : node_(std::move(node)), peer_(std::move(peer)), nonces_(nonces), newest_(newest) {
  common::check(sodium_init() >= 0, "libsodium starts");  // picks the fast implementations; may be called again
  incarnation_ = nonces_.next_u64();
  key_ = make_shared_key(std::move(key));
}

void Session::change_key(std::vector<std::byte> key) {
  common::check(secured() && !key.empty(), "a key replaces a key");
  if (key == key_.bytes) return;
  // Changed twice: the peer has shown the first one only.
  if (!former_key_) former_key_ = std::move(key_);
  key_ = make_shared_key(std::move(key));
  if (key_.bytes == former_key_->bytes) former_key_.reset();
  asked_.reset();  // the same nonce under two keys would be taken for a copy
}

void Session::write_greeting(bool answer, const Greeting& greeting, Bytes& out) const {
  out.clear();
  common::ByteWriter w(out);
  w.u8(first_byte(greeting.protocol, answer ? kAnswer : kHello));
  w.u8(secured() ? 1 : 0);
  w.view(greeting.first);
  if (answer) w.view(greeting.second);
  w.u64(incarnation_);
  append_name(w, node_);
  append_name(w, peer_);
  if (!secured()) return;
  const Mac mac = mac_of(out, shared(greeting.former).hello);
  w.view(std::as_bytes(std::span(mac)));
}

void Session::hello(bool renew, Bytes& out) {
  if (renew || !asked_) asked_ = nonces_.next();
  write_greeting(false, {.protocol = newest_, .first = *asked_}, out);
}

std::expected<Session::Greeting, SessionError> Session::read_greeting(ByteView datagram, bool answer) const {
  common::ByteReader r(datagram);
  r.u8();
  if ((r.u8() != 0) != secured()) return std::unexpected(SessionError::security_differs);
  Greeting g{.protocol = protocol_of(datagram)};
  if (secured()) {
    if (datagram.size() < kMac + 2) return std::unexpected(SessionError::too_short);
    const ByteView body = datagram.first(datagram.size() - kMac);
    const auto made_with = [&](const SharedKey& key) {
      return sodium_memcmp(mac_of(body, key.hello).data(), raw(datagram.last(kMac)), kMac) == 0;
    };
    if (!made_with(key_)) {
      if (!former_key_ || !made_with(*former_key_)) return std::unexpected(SessionError::wrong_key);
      g.former = true;
    }
  }
  const ByteView first = r.view(g.first.size());
  const ByteView second = answer ? r.view(g.second.size()) : ByteView{};
  g.incarnation = r.u64();
  const std::string from = r.text(r.u8());
  const std::string to = r.text(r.u8());
  if (r.failed()) return std::unexpected(SessionError::too_short);
  std::ranges::copy(first, g.first.begin());
  std::ranges::copy(second, g.second.begin());
  if (g.incarnation == incarnation_) return std::unexpected(SessionError::reflected);
  if (from == node_) return std::unexpected(SessionError::our_own_name);
  if (from != peer_) return std::unexpected(SessionError::unknown_peer);
  if (to != node_) return std::unexpected(SessionError::not_for_us);
  return g;
}

Session::Keys Session::derive(bool initiator, const Greeting& greeting, const Nonce& second) const {
  const std::uint64_t peer_incarnation = greeting.incarnation;
  const SharedKey& key = shared(greeting.former);
  Bytes input;
  common::ByteWriter w(input);
  w.text("steadynat 1 session");
  w.view(greeting.first);
  w.view(second);
  w.u64(initiator ? incarnation_ : peer_incarnation);
  w.u64(initiator ? peer_incarnation : incarnation_);
  append_name(w, initiator ? node_ : peer_);
  append_name(w, initiator ? peer_ : node_);
  // Both keys of 32 bytes, and the session's number out of a hash of its own: the number is public.
  std::array<unsigned char, 64> both;
  crypto_generichash(both.data(), both.size(), raw(input), input.size(), secured() ? raw(key.bytes) : nullptr,
                     key.bytes.size());
  w.text(" number");
  std::array<unsigned char, 16> number;
  crypto_generichash(number.data(), number.size(), raw(input), input.size(), key.hello.data(), key.hello.size());
  Keys keys;
  std::memcpy(&keys.id, number.data(), sizeof keys.id);
  std::memcpy((initiator ? keys.send : keys.receive).data(), both.data(), kKeySize);
  std::memcpy((initiator ? keys.receive : keys.send).data(), both.data() + kKeySize, kKeySize);
  sodium_memzero(both.data(), both.size());
  keys.peer_incarnation = peer_incarnation;
  keys.protocol = greeting.protocol;
  keys.first_nonce = greeting.first;
  keys.former = greeting.former;
  return keys;
}

std::expected<Session::Received, SessionError> Session::receive(ByteView datagram, std::size_t link) {
  if (datagram.size() < 2) return std::unexpected(SessionError::too_short);
  if (datagram.size() > kMaxDatagram) return std::unexpected(SessionError::too_long);
  const std::uint8_t protocol = protocol_of(datagram);
  if (protocol < kOldestProtocol || protocol > newest_) return std::unexpected(SessionError::version);
  switch (std::to_integer<unsigned>(datagram[0]) & 15) {
    case kHello:
      return on_hello(datagram);
    case kAnswer:
      return on_answer(datagram);
    case kSealed:
      return on_sealed(datagram, link, false);
    case kPlain:
      return on_sealed(datagram, link, true);
  }
  return std::unexpected(SessionError::type);
}

std::expected<Session::Received, SessionError> Session::on_hello(ByteView datagram) {
  const auto g = read_greeting(datagram, false);
  if (!g) return std::unexpected(g.error());
  for (const Keys& keys : pending_) {
    if (keys.first_nonce != g->first) continue;
    if (answers_.size() < kMaxPending) answers_.push_back(keys.answer);
    return Received{};
  }
  if (current_ && current_->first_nonce == g->first) return Received{};  // a copy that came by another link
  const Nonce second = nonces_.next();
  Keys keys = derive(false, *g, second);
  write_greeting(true, {.protocol = g->protocol, .first = g->first, .second = second, .former = g->former},
                 keys.answer);
  if (answers_.size() < kMaxPending) answers_.push_back(keys.answer);
  if (pending_.size() == kMaxPending) pending_.erase(pending_.begin());
  pending_.push_back(std::move(keys));
  return Received{};
}

std::expected<Session::Received, SessionError> Session::on_answer(ByteView datagram) {
  const auto g = read_greeting(datagram, true);
  if (!g) return std::unexpected(g.error());
  if (!asked_ || *asked_ != g->first || g->protocol != newest_) return std::unexpected(SessionError::stale_answer);
  asked_.reset();
  make_current(derive(true, *g, g->second));
  return Received{.changed = true};
}

void Session::make_current(Keys keys) {
  // The older session stays readable for what is under way, unless the peer is another process now.
  if (current_ && current_->peer_incarnation == keys.peer_incarnation)
    previous_ = std::move(current_);
  else
    previous_.reset();
  current_ = std::move(keys);
  current_->answer = {};
  if (!former_key_ || current_->former) return;
  former_key_.reset();
  std::erase_if(pending_, [](const Keys& k) { return k.former; });
}

bool Session::open(Keys& keys, ByteView datagram, bool plain) {
  opened_.clear();
  if (plain) {
    const ByteView body = datagram.subspan(kSealedHeader);
    opened_.assign(body.begin(), body.end());
    return true;
  }
  const std::size_t sealed = datagram.size() - kSealedHeader;
  opened_.resize(sealed - kTag);
  std::array<unsigned char, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> nonce{};
  std::memcpy(nonce.data(), datagram.data() + 5, 8);
  return crypto_aead_xchacha20poly1305_ietf_decrypt(reinterpret_cast<unsigned char*>(opened_.data()), nullptr, nullptr,
                                                    raw(datagram) + kSealedHeader, sealed, raw(datagram), kSealedHeader,
                                                    nonce.data(), keys.receive.data()) == 0;
}

std::optional<SessionError> Session::seen(Keys& keys, std::uint64_t counter, std::size_t link) {
  if (link >= keys.by_link.size()) keys.by_link.resize(link + 1);
  const bool new_here = keys.by_link[link].accept(counter);
  const bool too_old = keys.window.too_old(counter);
  if (keys.window.accept(counter)) return std::nullopt;
  return new_here && !too_old ? SessionError::copied : SessionError::replayed;
}

std::expected<Session::Received, SessionError> Session::on_sealed(ByteView datagram, std::size_t link, bool plain) {
  if (plain == secured()) return std::unexpected(SessionError::security_differs);
  if (datagram.size() < kSealedHeader + (plain ? 0 : kTag)) return std::unexpected(SessionError::too_short);
  common::ByteReader r(datagram);
  r.u8();
  const std::uint32_t id = r.u32();
  const std::uint64_t counter = r.u64();
  for (std::optional<Keys>* known : {&current_, &previous_}) {
    if (!*known || (*known)->id != id || (*known)->protocol != protocol_of(datagram)) continue;
    if (!open(**known, datagram, plain)) return std::unexpected(SessionError::forged);
    if (const auto error = seen(**known, counter, link)) return std::unexpected(*error);
    return Received{.sealed = true, .protocol = (*known)->protocol, .payload = opened_};
  }
  const auto found =
      std::ranges::find_if(pending_, [&](const Keys& k) { return k.id == id && k.protocol == protocol_of(datagram); });
  if (found == pending_.end()) return std::unexpected(SessionError::unknown_session);
  if (!open(*found, datagram, plain)) return std::unexpected(SessionError::forged);
  seen(*found, counter, link);
  Keys keys = std::move(*found);
  // What other incarnations of the peer have pending is from before its restart.
  std::erase_if(pending_, [&](const Keys& k) { return k.id == id || k.peer_incarnation != keys.peer_incarnation; });
  make_current(std::move(keys));
  return Received{.sealed = true, .changed = true, .protocol = current_->protocol, .payload = opened_};
}

bool Session::poll_answer(Bytes& out) {
  if (answers_.empty()) return false;
  out = std::move(answers_.front());
  answers_.erase(answers_.begin());
  return true;
}

void Session::seal(ByteView payload, Bytes& out) {
  common::check(current_.has_value() && payload.size() <= kMaxPayload, "sealed within a session and a datagram");
  out.clear();
  common::ByteWriter w(out);
  w.u8(first_byte(current_->protocol, secured() ? kSealed : kPlain));
  w.u32(current_->id);
  w.u64(current_->counter++);
  if (!secured()) {
    w.view(payload);
    return;
  }
  out.resize(kSealedHeader + payload.size() + kTag);
  std::array<unsigned char, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> nonce{};
  std::memcpy(nonce.data(), out.data() + 5, 8);
  crypto_aead_xchacha20poly1305_ietf_encrypt(reinterpret_cast<unsigned char*>(out.data()) + kSealedHeader, nullptr,
                                             raw(payload), payload.size(), raw(out), kSealedHeader, nullptr,
                                             nonce.data(), current_->send.data());
}

}  // namespace syncd
