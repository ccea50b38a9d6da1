#include "syncd/record.hpp"

#include <catch2/catch.hpp>

#include "common/prng.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

common::Bytes bytes_of(const Record& r) {
  return {r.bytes.begin(), r.bytes.begin() + r.size};
}

Record encoded(const Flow& f) {
  Record r;
  encode(f, nullptr, r);
  return r;
}

RecordError error_of(common::Bytes bytes) {
  const auto layout = inspect(bytes);
  REQUIRE(!layout);
  return layout.error();
}

syncd::Extras random_extras(common::Prng& prng, std::uint8_t protocol) {
  syncd::Extras e;
  const auto value = [&prng] { return static_cast<std::uint32_t>(prng.next()); };
  if (protocol == 132 && prng.chance(0.7)) e.sctp = {static_cast<std::uint8_t>(value()), value(), value()};
  if (prng.chance(0.1)) e.shifts = {SequenceShift{value(), value(), value()}, SequenceShift{value(), value(), value()}};
  if (prng.chance(0.1))
    for (auto& part : e.labels.emplace()) part = static_cast<std::byte>(value());
  if (prng.chance(0.1)) e.helper = std::string(1 + prng.below(15), 'h');
  if (prng.chance(0.1)) e.synproxy = {value(), value(), value()};
  if (prng.chance(0.1)) e.master = flow(static_cast<unsigned>(prng.below(1000))).key;
  return e;
}

Flow random_flow(common::Prng& prng) {
  Flow f;
  const bool v6 = prng.chance(0.5);
  const auto address = [&] {
    std::array<std::byte, 16> b;
    for (auto& x : b) x = static_cast<std::byte>(prng.next());
    return v6 ? common::IpAddress::v6(b) : common::IpAddress::v4(std::span(b).first<4>());
  };
  const std::uint8_t protocols[] = {1, 6, 17, 58, 132, 0, 255};
  f.key.protocol = protocols[prng.below(7)];
  f.key.zone = prng.chance(0.3) ? static_cast<std::uint16_t>(prng.next()) : 0;
  f.key.original = {address(), address(), static_cast<std::uint16_t>(prng.next()),
                    static_cast<std::uint16_t>(prng.next())};
  f.reply = inverted(f.key);
  if (prng.chance(0.4)) f.reply.source = address();
  if (prng.chance(0.4)) f.reply.destination = address();
  if (prng.chance(0.4)) f.reply.source_port = static_cast<std::uint16_t>(prng.next());
  if (prng.chance(0.4)) f.reply.destination_port = static_cast<std::uint16_t>(prng.next());
  f.status = static_cast<std::uint32_t>(prng.next()) & status_bits::replicated;
  f.timeout = static_cast<std::uint32_t>(prng.next() >> prng.below(64));
  f.mark = prng.chance(0.3) ? static_cast<std::uint32_t>(prng.next()) : 0;
  if (f.key.protocol == 6 && prng.chance(0.8)) {
    f.has_tcp = true;
    f.tcp = {static_cast<std::uint8_t>(prng.next()), static_cast<std::uint8_t>(prng.below(8)),
             static_cast<std::uint8_t>(prng.below(8)), static_cast<std::uint8_t>(prng.below(16)),
             static_cast<std::uint8_t>(prng.below(16))};
    if ((f.tcp.flags_original & f.tcp.flags_reply & tcp_flags::window_scale) == 0)
      f.tcp.scale_original = f.tcp.scale_reply = 0;
  }
  f.extras = random_extras(prng, f.key.protocol);
  return f;
}

bool has_unknown_extras(common::ByteView record, const RecordLayout& layout) {
  constexpr unsigned kNewestKnown = 5;
  if (!layout.has_extras) return false;
  for (std::size_t at = layout.extras_begin + 1u; at < layout.state_end;
       at += 2 + std::to_integer<std::size_t>(record[at + 1]))
    if (std::to_integer<unsigned>(record[at]) > kNewestKnown) return true;
  return false;
}

}  // namespace

TEST_CASE("a record is a flow, and there is one record of a flow") {
  common::Prng prng(1);
  for (int i = 0; i < 20000; ++i) {
    const Flow f = random_flow(prng);
    const Record r = encoded(f);
    const auto layout = inspect(r.view());
    REQUIRE(layout);
    REQUIRE(layout->size == r.size);
    REQUIRE(layout->key_end == r.key_end);
    REQUIRE(layout->state_end == r.state_end);
    REQUIRE(decode(r.view()) == f);
    REQUIRE(decode_key(r.view()) == f.key);
    REQUIRE(bytes_of(encoded(decode(r.view()))) == bytes_of(r));
  }
}

TEST_CASE("the scale of a half-open flow is not carried: no kernel takes it, so it would differ for ever") {
  Flow f = flow(1);
  f.tcp = {.state = 1, .flags_original = 3, .flags_reply = 0, .scale_original = 10, .scale_reply = 0};
  CHECK(decode(encoded(f).view()).tcp.scale_original == 0);
  f.tcp.flags_reply = 3;
  CHECK(decode(encoded(f).view()).tcp.scale_original == 10);
}

TEST_CASE("a record of translated IPv4 TCP is small") {
  CHECK(encoded(flow(1)).size == 27);
}

TEST_CASE("every cut of a record is refused, and so is damage, or it is another proper record") {
  common::Prng prng(2);
  for (int i = 0; i < 300; ++i) {
    const Record r = encoded(random_flow(prng));
    for (std::size_t n = 0; n < r.size; ++n) REQUIRE(!inspect(r.view().first(n)));
    for (std::size_t at = 0; at < r.size; ++at) {
      common::Bytes damaged = bytes_of(r);
      damaged[at] ^= static_cast<std::byte>(1u << prng.below(8));
      const auto layout = inspect(damaged);
      if (!layout || layout->gone || layout->size != damaged.size()) continue;
      if (has_unknown_extras(damaged, *layout)) continue;  // a newer peer's: no flow of ours can say them
      const Flow f = decode(damaged);
      if (f.has_tcp && (f.tcp.flags_original & f.tcp.flags_reply & tcp_flags::window_scale) == 0)
        damaged[layout->tcp_begin + 2u] = std::byte{0};  // scales that do not count
      REQUIRE(bytes_of(encoded(f)) == damaged);
    }
  }
}

TEST_CASE("extras: what a report leaves out stays, what it says counts, and a translation is the same with them") {
  Flow ftp = flow(1);
  ftp.extras = syncd::Extras{.helper = "ftp"};
  const Record known = encoded(ftp);
  Flow report = flow(1, 6, 4);
  report.has_tcp = false;
  CHECK(completed(report, known.view()).extras->helper == "ftp");
  CHECK(completed(report, known.view()).tcp == ftp.tcp);
  report.extras = syncd::Extras{.shifts = std::array{SequenceShift{1, 2, 3}, SequenceShift{}}};
  const Flow all = completed(report, known.view());
  CHECK(all.extras->helper == "ftp");
  CHECK(all.extras->shifts);
  const Record plain = encoded(flow(1)), more = encoded(all);
  CHECK(same_binding(plain.view(), *inspect(plain.view()), more.view(), *inspect(more.view())));
  Flow elsewhere = flow(1);
  elsewhere.reply.destination_port ^= 1;
  const Record other = encoded(elsewhere);
  CHECK_FALSE(same_binding(other.view(), *inspect(other.view()), more.view(), *inspect(more.view())));
}

TEST_CASE("the master is no part of what is compared: it may end before the flow that it announced") {
  Flow data = flow(2);
  data.extras = syncd::Extras{.master = flow(1).key};
  const Record with = encoded(data), without = encoded(flow(2));
  CHECK(master_of(with.view()) == flow(1).key);
  CHECK_FALSE(master_of(without.view()));
  REQUIRE(with.state_end == without.state_end);
  CHECK(std::ranges::equal(with.view().first(with.state_end), without.view().first(without.state_end)));
  Record later = with;
  syncd::set_timeout(later, 5);
  CHECK(decode(later.view()).timeout == 5);
  CHECK(master_of(later.view()) == flow(1).key);
}

TEST_CASE("extras of a newer peer are kept as they are") {
  Flow ftp = flow(1);
  ftp.extras = syncd::Extras{.helper = "ftp"};
  Record r = encoded(ftp);
  common::Bytes newer = bytes_of(r);
  const auto layout = *inspect(r.view());
  newer[layout.extras_begin] = static_cast<std::byte>(std::to_integer<unsigned>(newer[layout.extras_begin]) + 4);
  newer.insert(newer.begin() + layout.state_end, {std::byte{99}, std::byte{2}, std::byte{1}, std::byte{2}});
  const auto seen = inspect(newer);
  REQUIRE(seen);
  CHECK(seen->size == newer.size());
  CHECK(decode(newer) == ftp);
}

TEST_CASE("each way in which a record can be wrong has its name") {
  const common::Bytes good = bytes_of(encoded(flow(1)));
  const auto with = [&good](std::size_t at, unsigned value) {
    common::Bytes b = good;
    b[at] = static_cast<std::byte>(value);
    return b;
  };
  CHECK(error_of({}) == RecordError::truncated);
  CHECK(error_of(with(0, 0x12)) == RecordError::reserved_bits);
  const std::size_t status = 13, mask = 14;
  CHECK(error_of(with(mask, 0x4a)) == RecordError::reserved_bits);
  CHECK(error_of(with(mask, 0)) == RecordError::reply_form);
  common::Bytes explicit_tcp = good;
  explicit_tcp[0] = std::byte{0};
  explicit_tcp.insert(explicit_tcp.begin() + 1, std::byte{6});
  CHECK(error_of(explicit_tcp) == RecordError::protocol_form);
  common::Bytes zone = good;
  zone[0] |= std::byte{8};
  zone.insert(zone.begin() + 1, 2, std::byte{0});
  CHECK(error_of(zone) == RecordError::zone_form);
  CHECK(error_of(with(0, 0x04)) == RecordError::tcp_form);  // UDP with a TCP part
  common::Bytes mark = good;
  mark[status] |= std::byte{0x40};
  mark.insert(mark.end() - 3, 4, std::byte{0});
  CHECK(error_of(mark) == RecordError::mark_form);
  common::Bytes timeout(good.begin(), good.end() - 3);
  timeout.insert(timeout.end(), {std::byte{0x81}, std::byte{0}});
  CHECK(error_of(timeout) == RecordError::timeout_form);
  timeout.resize(good.size() - 3);
  timeout.insert(timeout.end(), 5, std::byte{0xff});
  CHECK(error_of(timeout) == RecordError::timeout_form);
  common::Bytes same_reply = good;  // says that the reply's destination port differs, and it is the same
  same_reply[mask] = std::byte{8};
  same_reply.erase(same_reply.begin() + 15, same_reply.begin() + 19);
  same_reply[15] = good[9], same_reply[16] = good[10];
  CHECK(error_of(same_reply) == RecordError::reply_form);
}

TEST_CASE("the table finds what was put in, through growth, removal and long records") {
  Table table(42);
  common::Prng prng(3);
  std::map<FlowKey, Slot> model;
  std::map<FlowKey, Flow> flows;
  for (int i = 0; i < 60000; ++i) {
    if (model.size() > 5000 && prng.chance(0.45)) {
      auto it = model.begin();
      std::advance(it, static_cast<long>(prng.below(20)));
      table.erase(it->second);
      flows.erase(it->first);
      model.erase(it);
      continue;
    }
    const Flow f = random_flow(prng);
    const Record r = encoded(f);
    const auto hash = table.hash(r.key());
    const Slot slot = table.find(r.key(), hash);
    if (slot != kNoSlot) {
      REQUIRE(model.at(f.key) == slot);
      table.set_record(slot, r.view());
    } else {
      REQUIRE(!model.contains(f.key));
      model[f.key] = table.insert(r.view(), hash);
    }
    flows[f.key] = f;
  }
  REQUIRE(table.size() == model.size());
  for (const auto& [key, slot] : model) {
    Record r;
    encode_key(key, r);
    REQUIRE(table.find(r.key()) == slot);
    REQUIRE(decode(table.record(slot)) == flows.at(key));
  }
}
