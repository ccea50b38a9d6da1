// What a helper expects: as part of a record, as messages of the kernel, and through a takeover.
#include "syncd/expectation.hpp"

#include <linux/netfilter/nfnetlink_conntrack.h>

#include <catch2/catch.hpp>

#include "common/prng.hpp"
#include "syncd/ctnetlink.hpp"
#include "syncd/session.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;
using syncd::Expectation;
using syncd::Extras;

namespace {

/// FTP in active mode behind SNAT: the server calls the translated address.
Expectation active(unsigned n = 0) {
  return {.tuple = {ip("203.0.113.9"), ip("10.10.0.101"), 0, static_cast<std::uint16_t>(41000 + n)},
          .protocol = 6,
          .source_bits = 32,
          .function = "nat-follow-master",
          .translation = Expectation::Translation{true, {}, static_cast<std::uint16_t>(5000 + n)}};
}

common::IpAddress zero_like(const common::IpAddress& other) {
  return other.is_v4() ? common::IpAddress() : common::IpAddress::v6(std::array<std::byte, 16>{});
}

Expectation random_expectation(common::Prng& prng, bool v6) {
  const auto address = [&] {
    std::array<std::byte, 16> b;
    for (auto& x : b) x = static_cast<std::byte>(1 + prng.below(255));
    return v6 ? common::IpAddress::v6(b) : common::IpAddress::v4(std::span(b).first<4>());
  };
  const auto port = [&] { return static_cast<std::uint16_t>(prng.next()); };
  Expectation e = active();
  e.tuple = {address(), address(), port(), port()};
  e.source_port_counts = prng.chance(0.5);
  if (!e.source_port_counts) e.tuple.source_port = 0;
  e.source_bits = v6 ? 128 : 32;
  e.kind = static_cast<std::uint8_t>(prng.below(4));
  e.flags = static_cast<std::uint8_t>(prng.below(4));
  if (prng.chance(0.5)) e.function = prng.chance(0.5) ? "sip" : "";
  e.translation.reset();
  if (prng.chance(0.7))
    e.translation = {prng.chance(0.5), prng.chance(0.5) ? address() : zero_like(e.tuple.source), port()};
  return e;
}

Flow announcing(std::vector<Expectation> expectations, unsigned n = 1) {
  Flow ftp = flow(n);
  ftp.extras = Extras{.helper = "ftp", .expectations = std::move(expectations)};
  return ftp;
}

Record encoded(const Flow& f) {
  Record r;
  encode(f, nullptr, r);
  return r;
}

common::Bytes bytes_of(const Expectation& e) {
  common::Bytes out(syncd::record_bytes::size_of(e));
  syncd::record_bytes::Pen pen(out.data());
  write_expectation(e, pen);
  REQUIRE(pen.at() == out.data() + out.size());
  return out;
}

/// The kernel of this one expects this, and says so.
void announce(Pair& p, int i, const FlowKey& key, std::vector<Expectation> expectations) {
  p.box[i].kernel.expected[key] = std::move(expectations);
  p.read(i, {key});
}

std::vector<Expectation> known(const Record& r) {
  const Flow f = decode(r.view());
  return f.extras ? f.extras->expectations : std::vector<Expectation>{};
}

}  // namespace

TEST_CASE("expectations: there and back in a record, as many as find room") {
  common::Prng prng(5);
  for (int i = 0; i < 2000; ++i) {
    const bool v6 = prng.chance(0.5);
    std::vector<Expectation> all;
    for (std::uint64_t n = 1 + prng.below(6); n > 0; --n) all.push_back(random_expectation(prng, v6));
    std::ranges::sort(all);
    Flow f = announcing(all);
    Extras extras = *f.extras;
    if (prng.chance(0.3)) extras.shifts = {syncd::SequenceShift{1, 2, 3}, syncd::SequenceShift{}};
    if (prng.chance(0.3)) extras.labels.emplace()[0] = std::byte{1};
    f.extras = extras;
    const Record r = encoded(f);
    const auto layout = inspect(r.view());
    REQUIRE(layout);
    REQUIRE(layout->size == r.size);
    const auto kept = known(r);
    // Shifted numbers and labels leave no room for the longest of IPv6.
    if (!v6 || (!extras.shifts && !extras.labels)) REQUIRE(!kept.empty());
    REQUIRE(std::ranges::equal(kept, std::span(all).first(kept.size())));
    if (!v6) REQUIRE(kept.size() >= std::min<std::size_t>(all.size(), 2));
    REQUIRE(expects(r.view()) == !kept.empty());
    REQUIRE(encoded(decode(r.view())).view().size() == r.size);
  }
  CHECK_FALSE(expects(encoded(flow(1)).view()));
  CHECK_FALSE(expects(encoded(announcing({})).view()));
  CHECK(bytes_of(active()).size() == 19);
}

TEST_CASE("expectations: each has one form, and they have one order") {
  using syncd::record_bytes::read_expectations;
  const common::Bytes one = bytes_of(active(1)), two = bytes_of(active(2));
  const auto joined = [](common::Bytes a, const common::Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  CHECK(read_expectations(joined(one, two)) == std::vector{active(1), active(2)});
  CHECK_FALSE(read_expectations({}));
  CHECK_FALSE(read_expectations(joined(two, one)));
  CHECK_FALSE(read_expectations(joined(one, one)));
  for (std::size_t n = 1; n < one.size(); ++n) CHECK_FALSE(read_expectations(common::ByteView(one).first(n)));
  common::Bytes reserved = one;
  reserved[0] |= std::byte{0x80};
  CHECK_FALSE(read_expectations(reserved));
  common::Bytes direction = one;  // of no translation
  direction[0] &= std::byte{0xfb};
  CHECK_FALSE(read_expectations(direction));
  // A name that has a bit of its own, and a saved address that is none.
  Expectation named = active();
  named.function = "nat-follow-mastex";
  common::Bytes other = bytes_of(named);
  CHECK(read_expectations(other) == std::vector{named});
  other.back() = std::byte{'r'};
  CHECK_FALSE(read_expectations(other));
  Expectation saved = active();
  saved.translation->address = ip("0.0.0.1");
  other = bytes_of(saved);
  other[other.size() - 3] = std::byte{0};
  CHECK_FALSE(read_expectations(other));
}

TEST_CASE("expectations: a request says what a report would") {
  common::Prng prng(6);
  for (int i = 0; i < 500; ++i) {
    const bool v6 = prng.chance(0.5);
    Flow master = announcing({});
    if (v6) master.key.original = {ip("fd00::1"), ip("2001:db8::1"), 1, 21};
    master.key.zone = prng.chance(0.3) ? 5 : 0;
    Expectation wanted = random_expectation(prng, v6);
    if (prng.chance(0.3)) {
      wanted.source_bits = 20;
      wanted.tuple.source = ip(v6 ? "2001::" : "10.9.240.0");
    }
    common::Bytes bytes;
    syncd::ctnetlink::encode_expectation(bytes, master, wanted, 7);
    common::ByteView view = bytes;
    const auto message = syncd::ctnetlink::next_message(view);
    REQUIRE((message && view.empty()));
    REQUIRE(syncd::ctnetlink::kind_of(*message) == syncd::ctnetlink::MessageKind::expectation);
    const auto read = syncd::ctnetlink::decode_expectation(*message);
    REQUIRE(read);
    REQUIRE(read->master == master.key);
    REQUIRE(read->expectation == wanted);
  }
}

TEST_CASE("expectations: the helper is named only where the expected connection is to have it") {
  const auto names_helper = [](const char* helper, std::uint8_t kind) {
    Flow master = announcing({});
    master.extras = Extras{.helper = helper};
    Expectation e = active();
    e.kind = kind;
    common::Bytes bytes;
    syncd::ctnetlink::encode_expectation(bytes, master, e, 1);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.find(std::string(helper) + '\0') != std::string::npos;
  };
  CHECK_FALSE(names_helper("ftp", 0));
  CHECK(names_helper("sip", 0));
  CHECK(names_helper("sip", 1));
}

TEST_CASE("expectations: what was announced before a power cut is expected after it, once its master is there") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  for (unsigned n = 0; n < 300; ++n) p.box[0].kernel.put(announcing({}, n), p.now);
  p.run(100ms);
  announce(p, 0, flow(1).key, {active(1), active(2)});
  announce(p, 0, flow(2).key, {active(3)});
  announce(p, 0, flow(3).key, {active(4)});
  p.run(100ms);
  announce(p, 0, flow(3).key, {});  // it was called
  p.box[0].kernel.remove(flow(2).key);
  p.run(100ms);
  CHECK(p.box[1].kernel.expected.empty());
  p.kill(0);
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(p.box[1].told.size() > 0);
  const std::map<FlowKey, std::vector<Expectation>> wanted = {{flow(1).key, {active(1), active(2)}}};
  CHECK(p.box[1].kernel.expected == wanted);
  CHECK(p.counter(1, "expectations_written") == 1);
  CHECK(p.counter(1, "expectations_refused") == 0);
}

TEST_CASE("expectations: a master that the kernel refuses has none, and that is no failure") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  p.box[0].kernel.put(announcing({}, 1), p.now);
  p.run(100ms);
  announce(p, 0, flow(1).key, {active(1)});
  p.run(100ms);
  p.box[1].kernel.refuse_expectations = true;
  p.kill(0);
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(p.counter(1, "expectations_refused") == 1);
  CHECK(p.counter(1, "commit_failed") == 0);
  REQUIRE(std::holds_alternative<common::Ready>(p.box[1].told.back()));
  CHECK(std::get<common::Ready>(p.box[1].told.back()).ok);
}

TEST_CASE("expectations: dumps and reports take none away, and after a loss of reports all are read anew") {
  Pair p;
  p.start_both();
  p.box[0].kernel.put(announcing({}, 1), p.now);
  p.box[0].kernel.put(announcing({}, 2), p.now);
  p.run(100ms);
  announce(p, 0, flow(1).key, {active(1)});
  p.run(100ms);
  p.box[0].kernel.put(flow(1, 6, 4), p.now);  // a report without extras
  p.run(100ms);
  // What happens while reports are lost: one is called, another one is announced.
  p.box[0].kernel.expected[flow(1).key] = {};
  p.box[0].kernel.expected[flow(2).key] = {active(2)};
  const auto altered = p.counter(1, "reconciled_altered");
  p.step(0, EventsLost{});
  p.step(1, EventsLost{});
  p.run(1s);
  CHECK(p.counter(1, "reconciled_altered") == altered);
  p.kill(0);
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  const std::map<FlowKey, std::vector<Expectation>> wanted = {{flow(2).key, {active(2)}}};
  CHECK(p.box[1].kernel.expected == wanted);
}

TEST_CASE("expectations: what finds no room is counted") {
  Pair p;
  p.start_both();
  p.box[0].kernel.put(announcing({}, 1), p.now);
  p.run(100ms);
  std::vector<Expectation> many;
  for (unsigned n = 0; n < 20; ++n) many.push_back(active(n));
  announce(p, 0, flow(1).key, many);
  const auto left_out = p.counter(0, "expectations_left_out");
  CHECK((left_out >= 14 && left_out < 18));
  p.run(100ms);
  p.kill(0);
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  CHECK(p.box[1].kernel.expected.at(flow(1).key).size() == 20 - left_out);
}

TEST_CASE("expectations: they are nothing that verify compares, for dumps do not show them") {
  Pair p(GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover));
  p.start_both();
  p.box[0].kernel.put(announcing({}, 1), p.now);
  p.run(100ms);
  announce(p, 0, flow(1).key, {active(1)});
  p.run(100ms);
  const int who = GENERATE(0, 1);
  p.box[who].replies.clear();
  p.step(who, RequestReceived{1, {.id = 5, .verb = "sync.verify", .arguments = {}}});
  p.run(1s);
  REQUIRE(!p.box[who].replies.empty());
  CHECK(p.box[who].replies.back().body.find("\"differ\":0") != std::string::npos);
  CHECK(p.box[who].replies.back().body.find("\"compared\":1") != std::string::npos);
}

TEST_CASE("expectations: a peer that shows them as something it does not know is not said to differ") {
  Pair p(CommitPolicy::on_takeover);
  for (Box& box : p.box) box.key.clear();
  p.start_both();
  const Flow plain = announcing({}, 1);
  p.box[0].kernel.put(plain, p.now);
  p.run(100ms);
  announce(p, 0, plain.key, {active(1)});
  p.run(100ms);
  unsigned replaced = 0;
  p.damage = [&](int from, common::Bytes& datagram) {
    const auto frame = decode_frame(common::ByteView(datagram).subspan(kSealedHeader), {"R2", "R1"});
    if (from != 1 || !frame || !frame->verify_part) return;
    const Record shown = encoded(announcing({active(1)}, 1));
    common::Bytes payload;
    FrameWriter(payload, {"R2", "R1"}).verify_part({frame->verify_part->run, 0, 1, shown.view()});
    datagram.resize(kSealedHeader);
    datagram.insert(datagram.end(), payload.begin(), payload.end());
    ++replaced;
  };
  p.step(0, RequestReceived{1, {.id = 5, .verb = "sync.verify", .arguments = {}}});
  p.run(1s);
  CHECK(replaced > 0);
  REQUIRE(!p.box[0].replies.empty());
  CHECK(p.box[0].replies.back().body.starts_with("{\"differ\":0,\"compared\":1"));
}
