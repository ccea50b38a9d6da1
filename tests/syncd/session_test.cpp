#include "syncd/session.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <map>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

struct End {
  NonceSource nonces;
  Session session;
  End(const char* node, const char* peer, unsigned seed, std::vector<std::byte> key, std::uint8_t newest = kProtocol)
      : nonces(seed_of(seed)), session(node, peer, std::move(key), nonces, newest) {}
  static std::array<std::byte, 32> seed_of(unsigned n) {
    std::array<std::byte, 32> s{};
    s[0] = static_cast<std::byte>(n);
    return s;
  }
  common::Bytes hello(bool renew = false) {
    common::Bytes out;
    session.hello(renew, out);
    return out;
  }
  common::Bytes answer() {
    common::Bytes out;
    REQUIRE(session.poll_answer(out));
    return out;
  }
  common::Bytes seal(std::string_view text) {
    common::Bytes out;
    session.seal(std::as_bytes(std::span(text)), out);
    return out;
  }
  std::string opened(const common::Bytes& datagram) {
    const auto r = session.receive(datagram);
    if (!r) return std::string(to_string(r.error()));
    return {reinterpret_cast<const char*>(r->payload.data()), r->payload.size()};
  }
  SessionError refused(const common::Bytes& datagram, std::size_t link = 0) {
    const auto r = session.receive(datagram, link);
    REQUIRE(!r);
    return r.error();
  }
};

const std::vector<std::byte> kKey(32, std::byte{1}), kOther(32, std::byte{2}), kNone;

void shake(End& a, End& b) {
  REQUIRE(b.session.receive(a.hello()));
  REQUIRE(a.session.receive(b.answer())->changed);
  REQUIRE(b.session.receive(a.seal("first"))->changed);
}

}  // namespace

TEST_CASE("two ends greet each other and speak, sealed or plainly") {
  const auto& key = GENERATE(kKey, kNone);
  End a("R1", "R2", 1, key), b("R2", "R1", 2, key);
  shake(a, b);
  CHECK(b.opened(a.seal("to R2")) == "to R2");
  CHECK(a.opened(b.seal("to R1")) == "to R1");
}

TEST_CASE("what is forged, damaged, reflected or replayed is refused") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  shake(a, b);
  const auto sealed = a.seal("once");
  CHECK(b.opened(sealed) == "once");
  CHECK(b.refused(sealed) == SessionError::replayed);
  CHECK(a.refused(sealed) == SessionError::forged);  // back to where it came from: the directions have different keys
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    auto damaged = a.seal("again");
    damaged[at] ^= std::byte{1};
    REQUIRE(!b.session.receive(damaged));
  }
  for (std::size_t n = 0; n < sealed.size(); ++n) REQUIRE(!b.session.receive(common::ByteView(sealed).first(n)));
  CHECK(a.refused(a.hello()) == SessionError::reflected);
  CHECK(b.refused(common::Bytes(kMaxDatagram + 1)) == SessionError::too_long);
}

TEST_CASE("order does not matter, age does") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  shake(a, b);
  std::vector<common::Bytes> sent;
  for (int i = 0; i < 3000; ++i) sent.push_back(a.seal("x"));
  CHECK(b.opened(sent[2999]) == "x");
  CHECK(b.opened(sent[1500]) == "x");
  CHECK(b.opened(sent[1000]) == "x");
  CHECK(b.refused(sent[1500]) == SessionError::replayed);
  CHECK(b.refused(sent[100]) == SessionError::replayed);
}

TEST_CASE("another key, another name, another kind of security, another version: refused by name") {
  End a("R1", "R2", 1, kKey);
  End wrong_key("R2", "R1", 2, kOther), same_name("R1", "R2", 3, kKey), stranger("R3", "R1", 4, kKey),
      elsewhere("R2", "R3", 5, kKey), plain("R2", "R1", 6, kNone);
  CHECK(a.refused(wrong_key.hello()) == SessionError::wrong_key);
  CHECK(a.refused(same_name.hello()) == SessionError::our_own_name);
  CHECK(a.refused(stranger.hello()) == SessionError::unknown_peer);
  CHECK(a.refused(elsewhere.hello()) == SessionError::not_for_us);
  CHECK(a.refused(plain.hello()) == SessionError::security_differs);
  CHECK(plain.refused(a.hello()) == SessionError::security_differs);
  auto other = a.hello();
  for (const unsigned version : {1u, kProtocol + 1u, 15u}) {
    other[0] = static_cast<std::byte>(version << 4 | 1);
    CHECK(a.refused(other) == SessionError::version);
  }
  other[0] = std::byte{0x3f};
  CHECK(a.refused(other) == SessionError::type);
  CHECK(a.refused({}) == SessionError::too_short);
  auto damaged = End("R2", "R1", 7, kKey).hello();
  damaged[10] ^= std::byte{1};
  CHECK(a.refused(damaged) == SessionError::wrong_key);
}

TEST_CASE("an older and a newer release speak the older one's version, until it is upgraded") {
  const auto& key = GENERATE(kKey, kNone);
  const std::uint8_t older = kOldestProtocol;
  End a("R1", "R2", 1, key), b("R2", "R1", 2, key, older);
  CHECK(b.refused(a.hello()) == SessionError::version);
  shake(b, a);
  CHECK(a.session.protocol() == older);
  CHECK(b.session.protocol() == older);
  CHECK(b.opened(a.seal("to R2")) == "to R2");
  const auto sealed = b.seal("to R1");
  CHECK(a.session.receive(sealed)->protocol == older);
  // Another version in the head is no version of this session.
  auto changed = b.seal("to R1");
  changed[0] = static_cast<std::byte>(kProtocol << 4 | (std::to_integer<unsigned>(changed[0]) & 15));
  CHECK(a.refused(changed) == SessionError::unknown_session);

  End upgraded("R2", "R1", 3, key);
  const auto recorded = b.hello();
  shake(upgraded, a);
  CHECK(a.session.protocol() == kProtocol);
  REQUIRE(a.session.receive(recorded));  // a greeting of before the upgrade takes nobody back
  a.answer();
  CHECK(a.session.protocol() == kProtocol);
  CHECK(a.session.receive(upgraded.seal("x"))->protocol == kProtocol);
}

TEST_CASE("nobody makes two ends speak an older version than both know") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  auto hello = a.hello();
  hello[0] = static_cast<std::byte>(kOldestProtocol << 4 | 1);
  CHECK(b.refused(hello) == SessionError::wrong_key);
  End plain("R1", "R2", 1, kNone), other("R2", "R1", 2, kNone);
  REQUIRE(other.session.receive(plain.hello()));
  auto answer = other.answer();
  answer[0] = static_cast<std::byte>(kOldestProtocol << 4 | 2);
  CHECK(plain.refused(answer) == SessionError::stale_answer);
}

TEST_CASE("datagrams: a row for every error") {
  using Refused = std::function<SessionError(End & a, End & b)>;  // two ends that speak with each other
  const auto head = [](End& from, unsigned first) {
    common::Bytes hello = from.hello();
    hello[0] = static_cast<std::byte>(first);
    return hello;
  };
  const std::map<SessionError, Refused> table = {
      {SessionError::too_short, [](End& a, End&) { return a.refused({}); }},
      {SessionError::too_long, [](End& a, End&) { return a.refused(common::Bytes(kMaxDatagram + 1)); }},
      {SessionError::version, [&](End& a, End& b) { return a.refused(head(b, 0x11)); }},
      {SessionError::type, [&](End& a, End& b) { return a.refused(head(b, 0x3f)); }},
      {SessionError::security_differs, [](End& a, End&) { return a.refused(End("R2", "R1", 3, kNone).hello()); }},
      {SessionError::wrong_key, [](End& a, End&) { return a.refused(End("R2", "R1", 3, kOther).hello()); }},
      {SessionError::our_own_name, [](End& a, End&) { return a.refused(End("R1", "R2", 3, kKey).hello()); }},
      {SessionError::unknown_peer, [](End& a, End&) { return a.refused(End("R3", "R1", 3, kKey).hello()); }},
      {SessionError::not_for_us, [](End& a, End&) { return a.refused(End("R2", "R3", 3, kKey).hello()); }},
      {SessionError::reflected, [](End& a, End&) { return a.refused(a.hello()); }},
      {SessionError::stale_answer,
       [](End& a, End& b) {
         REQUIRE(b.session.receive(a.hello()));
         const auto answer = b.answer();
         a.hello(true);
         return a.refused(answer);
       }},
      {SessionError::unknown_session,
       [](End& a, End& b) {
         auto datagram = b.seal("x");
         datagram[1] ^= std::byte{1};
         return a.refused(datagram);
       }},
      {SessionError::forged,
       [](End& a, End& b) {
         auto datagram = b.seal("x");
         datagram.back() ^= std::byte{1};
         return a.refused(datagram);
       }},
      {SessionError::copied,
       [](End& a, End& b) {
         const auto datagram = b.seal("x");
         CHECK(a.opened(datagram) == "x");
         return a.refused(datagram, 1);
       }},
      {SessionError::replayed,
       [](End& a, End& b) {
         const auto datagram = b.seal("x");
         CHECK(a.opened(datagram) == "x");
         return a.refused(datagram);
       }},
  };
  REQUIRE(table.size() == kSessionErrors);
  for (const auto& [error, refused] : table) {
    INFO(to_string(error));
    End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
    shake(a, b);
    CHECK(refused(a, b) == error);
  }
}

TEST_CASE("what comes over a second link is a copy once, and not when it is old") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  shake(a, b);
  const auto early = b.seal("early");
  CHECK(a.opened(early) == "early");
  const auto datagram = b.seal("x");
  CHECK(a.session.receive(datagram, 1));
  CHECK(a.refused(datagram, 1) == SessionError::replayed);
  CHECK(a.refused(datagram, 0) == SessionError::copied);
  CHECK(a.refused(datagram, 0) == SessionError::replayed);
  for (int i = 0; i < 3000; ++i) CHECK(a.session.receive(b.seal("later"), 0));
  CHECK(a.refused(early, 1) == SessionError::replayed);
}

TEST_CASE("a recorded hello does not disturb the live session, nor one that is being made") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  const auto old = a.hello();
  shake(a, b);
  End again("R1", "R2", 9, kKey);  // R1 after a restart
  for (int i = 0; i < 20; ++i) CHECK(b.session.receive(old));
  CHECK(a.opened(b.seal("still here")) == "still here");
  REQUIRE(b.session.receive(again.hello()));
  for (int i = 0; i < 5; ++i) b.session.receive(old);
  common::Bytes answer;
  bool made = false;
  while (b.session.poll_answer(answer)) made = made || again.session.receive(answer).has_value();
  REQUIRE(made);
  CHECK(a.opened(b.seal("not yet confirmed")) == "not yet confirmed");
  CHECK(b.session.receive(again.seal("now"))->changed);
  CHECK(again.opened(b.seal("to the new one")) == "to the new one");
  CHECK(b.refused(a.seal("from the old one")) == SessionError::unknown_session);
}

TEST_CASE("what was recorded before a restart says nothing after it") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  shake(a, b);
  const auto old = a.seal("old");
  End later("R2", "R1", 3, kKey);
  CHECK(later.refused(old) == SessionError::unknown_session);
  shake(a, later);
  CHECK(later.refused(old) == SessionError::unknown_session);
}

TEST_CASE("both may begin at once") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey);
  const auto ha = a.hello(), hb = b.hello();
  REQUIRE(a.session.receive(hb));
  REQUIRE(b.session.receive(ha));
  const auto ra = a.answer(), rb = b.answer();
  CHECK(a.session.receive(rb)->changed);
  CHECK(b.session.receive(ra)->changed);
  for (int i = 0; i < 5; ++i) {
    CHECK(b.opened(a.seal("x")) == "x");
    CHECK(a.opened(b.seal("y")) == "y");
  }
  CHECK(a.refused(rb) == SessionError::stale_answer);
}

TEST_CASE("the key changes on one side, then on the other, and nothing stops") {
  End a("R1", "R2", 1, kKey), b("R2", "R1", 2, kKey), thief("R2", "R1", 3, kKey);
  shake(a, b);
  a.session.change_key(kOther);
  CHECK(a.session.changing_key());
  CHECK(b.opened(a.seal("as before")) == "as before");
  CHECK(a.opened(b.seal("as before")) == "as before");
  CHECK(b.refused(a.hello()) == SessionError::wrong_key);

  SECTION("the other side may even be lost and found meanwhile") {
    REQUIRE(a.session.receive(b.hello(true)));
    REQUIRE(b.session.receive(a.answer())->changed);
    CHECK(a.opened(b.seal("under the old one")) == "under the old one");
    CHECK(a.session.changing_key());
  }
  SECTION("then it has the new one, too, and the old one is worth nothing") {
    const common::Bytes late = b.seal("late");
    b.session.change_key(kOther);
    REQUIRE(b.session.receive(a.hello()));
    REQUIRE(a.session.receive(b.answer())->changed);
    CHECK_FALSE(a.session.changing_key());
    CHECK(b.session.changing_key());
    CHECK(a.opened(late) == "late");
    CHECK(b.opened(a.seal("new")) == "new");
    CHECK_FALSE(b.session.changing_key());
    CHECK(a.refused(thief.hello()) == SessionError::wrong_key);
    End other_thief("R1", "R2", 4, kKey);
    CHECK(b.refused(other_thief.hello()) == SessionError::wrong_key);
  }
  SECTION("or it was started anew with it") {
    End fresh("R2", "R1", 5, kOther);
    REQUIRE(a.session.receive(fresh.hello()));
    REQUIRE(fresh.session.receive(a.answer())->changed);
    CHECK(a.opened(fresh.seal("new")) == "new");
    CHECK_FALSE(a.session.changing_key());
  }
  SECTION("or the change is taken back") {
    a.session.change_key(kKey);
    CHECK_FALSE(a.session.changing_key());
    REQUIRE(b.session.receive(a.hello()));
    REQUIRE(a.session.receive(b.answer())->changed);
  }
}
