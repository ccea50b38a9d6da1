// Who is listened to on a sync link, and what is said of who is not.
#include "syncd/link.hpp"

#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

const std::vector<std::byte> kKey(32, std::byte{1}), kOther(32, std::byte{2});
const std::optional<common::IpAddress> kUnicast, kGroup = ip("225.0.0.50");

std::array<std::byte, 32> seed(unsigned n) {
  std::array<std::byte, 32> s{};
  s[0] = static_cast<std::byte>(n);
  return s;
}

common::Config with_group(int index, const std::optional<common::IpAddress>& group) {
  common::Config config = pair_config(index, common::CommitPolicy::continuous);
  config.sync->links[0].multicast = group;
  return config;
}

/// One router's end of the link.
struct End {
  common::Config config;
  Counters counters;
  NonceSource nonces;
  Link link;
  End(int index, const std::optional<common::IpAddress>& group, std::vector<std::byte> key, unsigned random)
      : config(with_group(index, group)), nonces(seed(random)), link(config, std::move(key), nonces, counters, Time{}) {
    link.set_usable({.link = 0, .usable = true}, Time{});
  }
  std::uint64_t count(const char* name) const { return counters.named().at(name); }
  common::Bytes greeting(Time now) {
    common::Bytes out;
    REQUIRE(link.poll_greeting(now, out));
    return out;
  }
  bool takes(const common::Bytes& bytes, Time now, const char* source, bool to_group) {
    return link.receive({.link = 0, .source = ip(source), .bytes = bytes, .to_group = to_group}, now).has_value();
  }
};

const char* const kFirst = "10.10.10.2";
const char* const kSecond = "10.10.10.3";

std::size_t copies(End& end) {
  Datagram out;
  end.link.send_plainly(common::Bytes(10));
  std::size_t count = 0;
  while (end.link.next_copy(out)) ++count;
  return count;
}

}  // namespace

TEST_CASE("what others say to the group of a multicast link is counted and nothing else") {
  const bool sealed = GENERATE(true, false);
  const std::vector<std::byte> key = sealed ? kKey : std::vector<std::byte>{};
  const Time now = Time{} + 1000s;
  End a(0, kGroup, key, 1), b(1, kGroup, key, 2), stranger(0, kGroup, sealed ? kOther : key, 3);
  CHECK_FALSE(b.takes(stranger.greeting(now), now, "10.10.10.9", true));
  CHECK(b.count("foreign_source") == 1);
  CHECK(b.count("hello_wrong_key") == 0);
  CHECK(b.link.state(now) == common::LinkState::down);
  CHECK(b.link.refusal(now).empty());
  // The peer itself may speak to the group.
  CHECK_FALSE(b.takes(a.greeting(now), now, kFirst, true));
  CHECK(a.takes(b.greeting(now), now, kSecond, true));
  CHECK(a.link.established());
  CHECK(b.count("foreign_source") == 1);
}

TEST_CASE("a peer whose file has no multicast group is named, and does not bring the link up") {
  Time now = Time{} + 1000s;
  End a(0, kUnicast, kKey, 1), b(1, kGroup, kKey, 2);
  CHECK_FALSE(b.takes(a.greeting(now), now, kFirst, false));
  CHECK(b.count("beside_group") == 1);
  CHECK(b.link.state(now) == common::LinkState::refused);
  CHECK(b.link.refusal(now) ==
        "R1 sends to the address of R2 and not to 225.0.0.50, the multicast group of the sync link: use the same "
        "configuration file on both");
  CHECK(b.link.refusal(now + kRefusalShown).empty());
  // A stranger cannot make us say that.
  End c(1, kGroup, kKey, 3);
  CHECK_FALSE(c.takes(a.greeting(now + 1s), now, "10.10.10.9", false));
  CHECK(c.count("beside_group") == 0);
  CHECK(c.link.state(now) == common::LinkState::down);
}

TEST_CASE("a unicast link with a key does not ask for the sender's address") {
  const Time now = Time{} + 1000s;
  End a(0, kUnicast, kKey, 1), b(1, kUnicast, kKey, 2);
  CHECK_FALSE(b.takes(a.greeting(now), now, "10.10.10.77", false));
  CHECK(a.takes(b.greeting(now), now, "10.10.10.78", false));
  CHECK(a.link.established());
}

TEST_CASE("links that come, go or become others when the file is read anew") {
  End a(0, kUnicast, kKey, 1);
  CHECK(copies(a) == 1);
  common::Config config = a.config;
  config.sync->links.push_back(config.sync->links[0]);
  config.sync->links[1].interface = "eth3";
  a.link.configure(config);
  CHECK(copies(a) == 1);  // nobody has said yet that the new one can be used
  a.link.set_usable({.link = 1, .usable = true}, Time{});
  CHECK(copies(a) == 2);
  config.sync->links[0].multicast = kGroup;
  a.link.configure(config);
  CHECK(copies(a) == 1);
  config.sync->links.pop_back();
  a.link.configure(config);
  CHECK(copies(a) == 0);
  a.link.set_usable({.link = 0, .usable = true}, Time{});
  CHECK(copies(a) == 1);
}

TEST_CASE("a pair goes on over the links of the file that it has read anew") {
  Pair p;
  p.start_both();
  for (int i : {0, 1}) {
    common::Config& config = p.box[i].config;
    config.sync->links.push_back(config.sync->links[0]);
    config.sync->links[1].interface = "eth3";
    p.step(i, Reload{config, {}});
    p.step(i, LinkChanged{1, true});
  }
  p.run(100ms);
  CHECK(p.counter(1, "datagram_copied") > 0);
  for (int i : {0, 1}) p.step(i, LinkChanged{0, false});
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  CHECK(p.same_kernels());
  CHECK(p.box[0].report.link == common::LinkState::up);
}
