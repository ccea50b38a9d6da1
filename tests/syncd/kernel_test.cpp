// The conntrack pieces against a real kernel, in a namespace of their own.
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>

#include "common/io/loop.hpp"
#include "syncd/io/conntrack_dump.hpp"
#include "syncd/io/conntrack_events.hpp"
#include "syncd/io/conntrack_writer.hpp"
#include "tests/syncd/kernel_namespace.hpp"

using namespace syncd;
using Op = KernelWrite::Op;

namespace {

common::IpAddress address(const char* text) {
  return *common::IpAddress::parse(text);
}

/// A connection of the inner network, translated as a router in front of it shows it.
Flow tcp_flow(std::uint16_t port, std::uint16_t translated) {
  Flow flow;
  flow.key.protocol = IPPROTO_TCP;
  flow.key.original = {address("192.168.100.5"), address("203.0.113.9"), port, 80};
  flow.reply = {address("203.0.113.9"), address("10.10.0.101"), 80, translated};
  flow.status = status_bits::seen_reply | status_bits::assured | status_bits::confirmed | status_bits::src_nat;
  flow.timeout = 600;
  flow.has_tcp = true;
  flow.tcp = {.state = 3, .flags_original = 0x2b, .flags_reply = 0x3b, .scale_original = 7, .scale_reply = 9};
  return flow;
}

Flow udp_flow(std::uint16_t port, std::uint16_t translated) {
  Flow flow = tcp_flow(port, translated);
  flow.key.protocol = IPPROTO_UDP;
  flow.has_tcp = false;
  flow.tcp = {};
  return flow;
}

Flow icmp_flow(std::uint16_t id, std::uint16_t translated) {
  Flow flow = udp_flow(0, 0);
  flow.key.protocol = IPPROTO_ICMP;
  flow.key.original.source_port = id;
  flow.key.original.destination_port = 8 << 8;
  flow.reply.source_port = translated;
  flow.reply.destination_port = 0;
  return flow;
}

struct Bench {
  io::Decoder decoder;
  io::ConntrackWriter writer = *io::ConntrackWriter::open();

  std::vector<KernelResult> write(const std::vector<KernelWrite>& writes) {
    std::vector<KernelResult> refused;
    writer.write(writes, refused);
    return refused;
  }
  std::vector<KernelResult> write(Op op, const Flow& flow, std::uint64_t token = 1) {
    return write(std::vector<KernelWrite>{{.op = op, .flow = flow, .token = token}});
  }
  std::map<FlowKey, Flow> table() {
    std::map<FlowKey, Flow> result;
    bool failed = false;
    common::io::Loop loop;
    io::ConntrackDump dump(loop, decoder, [&](const io::ConntrackDump::Piece& piece) {
      for (const Flow& flow : piece.flows) result[flow.key] = flow;
      failed = failed || piece.failed;
      if (piece.last) loop.stop();
    });
    dump.start(1);
    loop.run();
    CHECK_FALSE(failed);
    return result;
  }
};

/// What must be in the kernel after `flow` was written.
void check_same(const Flow& found, const Flow& flow) {
  CHECK(found.key == flow.key);
  CHECK(found.reply == flow.reply);
  CHECK((found.status & status_bits::replicated) == (flow.status & status_bits::replicated));
  CHECK((found.status & status_bits::confirmed) != 0);
  CHECK(found.timeout <= flow.timeout);
  CHECK(found.timeout + 2 >= flow.timeout);
  CHECK(found.mark == flow.mark);
  if (!flow.has_tcp) return;
  CHECK(found.tcp.state == flow.tcp.state);
  CHECK((found.tcp.flags_original & 0x0f) == (flow.tcp.flags_original & 0x0f));
  CHECK((found.tcp.flags_reply & 0x0f) == (flow.tcp.flags_reply & 0x0f));
  CHECK(found.tcp.scale_original == flow.tcp.scale_original);
  CHECK(found.tcp.scale_reply == flow.tcp.scale_reply);
}

}  // namespace

TEST_CASE("an entry written into the kernel is the one that its dump shows, translation included", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  Flow marked = tcp_flow(1000, 40000);
  marked.mark = 77;
  Flow zoned = udp_flow(1006, 1006);
  zoned.key.zone = 5;
  Flow plain = udp_flow(1003, 1003);
  plain.reply = ctnetlink::untranslated_reply(plain);
  plain.status &= ~status_bits::src_nat;
  Flow inward = tcp_flow(1004, 1004);
  inward.reply = {address("10.0.0.7"), address("192.168.100.5"), 8080, 1004};
  inward.status = (inward.status & ~status_bits::src_nat) | status_bits::dst_nat;
  Flow both = udp_flow(1005, 5000);
  both.reply.source = address("10.0.0.8");
  both.reply.source_port = 53;
  both.status |= status_bits::dst_nat;
  Flow fresh = tcp_flow(1007, 1007);
  fresh.status = status_bits::confirmed | status_bits::src_nat;
  fresh.tcp.state = 1;
  Flow icmp_inward = icmp_flow(81, 81);
  icmp_inward.reply = {address("10.0.0.9"), address("192.168.100.5"), 81, 0};
  icmp_inward.status = (icmp_inward.status & ~status_bits::src_nat) | status_bits::dst_nat;
  Flow esp = plain;
  esp.key.protocol = IPPROTO_ESP;
  esp.key.original.source_port = esp.key.original.destination_port = 0;
  esp.reply = ctnetlink::untranslated_reply(esp);
  const std::vector<Flow> flows{marked, tcp_flow(1001, 1001), udp_flow(1002, 50002), plain,       inward, both, zoned,
                                fresh,  icmp_flow(7, 7),      icmp_flow(8, 9000),    icmp_inward, esp};
  std::vector<KernelWrite> writes;
  for (const Flow& flow : flows) writes.push_back({.op = Op::create, .flow = flow, .token = writes.size() + 1});
  for (const KernelResult& refused : bench.write(writes))
    FAIL_CHECK("token " << refused.token << " code " << refused.code);
  const auto table = bench.table();
  CHECK(table.size() == flows.size());
  for (const Flow& flow : flows) {
    const auto found = table.find(flow.key);
    INFO("protocol " << int{flow.key.protocol} << " port " << flow.key.original.source_port);
    REQUIRE(found != table.end());
    check_same(found->second, flow);
  }
}

TEST_CASE("IPv6 entries are written and read alike", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  Flow flow = tcp_flow(1000, 41000);
  flow.key.original.source = address("fd00::5");
  flow.key.original.destination = flow.reply.source = address("2001:db8::9");
  flow.reply.destination = address("2001:db8:1::101");
  Flow ping = flow;
  ping.key.protocol = IPPROTO_ICMPV6;
  ping.has_tcp = false;
  ping.key.original.source_port = 3;
  ping.key.original.destination_port = 128 << 8;
  ping.reply.source_port = 4000;
  ping.reply.destination_port = 129 << 8;
  CHECK(bench.write(Op::create, flow).empty());
  CHECK(bench.write(Op::create, ping).empty());
  auto table = bench.table();
  check_same(table[flow.key], flow);
  check_same(table[ping.key], ping);
}

TEST_CASE("bits of the mark that are not replicated stay as they are, and are not seen", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  Flow flow = tcp_flow(1000, 40000);
  REQUIRE(bench.write(Op::create, flow).empty());
  flow.mark = 0x1234;
  REQUIRE(bench.write(Op::update, flow).empty());
  const common::SyncMasks masks{.mark = 0xff, .labels = {}};
  bench.writer.set_masks(masks);
  flow.mark = 0x56;
  CHECK(bench.write(Op::create_or_update, flow).empty());
  CHECK(bench.table()[flow.key].mark == 0x1256);
  bench.decoder.set_masks(masks);
  CHECK(bench.table()[flow.key].mark == 0x56);
}

TEST_CASE("create refuses what exists; create_or_update looks at what it is", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  Flow flow = tcp_flow(1000, 40000);
  REQUIRE(bench.write(Op::create, flow).empty());

  SECTION("create says EEXIST under its token") {
    const auto refused = bench.write(Op::create, flow, 42);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].token == 42);
    CHECK(refused[0].code == EEXIST);
  }
  SECTION("the same tuples are updated") {
    flow.tcp.state = 4;
    flow.timeout = 100;
    flow.mark = 5;
    CHECK(bench.write(Op::create_or_update, flow).empty());
    CHECK(bench.writer.counters().existed == 1);
    check_same(bench.table()[flow.key], flow);
  }
  SECTION("status bits that the kernel has beyond ours stay, and the rest is updated") {
    flow.status &= ~status_bits::assured;
    flow.timeout = 100;
    flow.tcp.state = 7;
    CHECK(bench.write(Op::create_or_update, flow).empty());
    CHECK(bench.writer.counters().status_kept == 1);
    flow.status |= status_bits::assured;
    check_same(bench.table()[flow.key], flow);
  }
  SECTION("another translation of the same connection is refused, and replaced when asked") {
    flow.reply.destination_port = 40001;
    const auto refused = bench.write(Op::create_or_update, flow);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].code == EEXIST);
    CHECK(bench.table()[flow.key].reply.destination_port == 40000);
    CHECK(bench.write(Op::replace, flow).empty());
    check_same(bench.table()[flow.key], flow);
  }
  SECTION("another connection that holds the reply tuple is refused, and its holder replaced when asked") {
    const Flow other = tcp_flow(2000, 40000);
    const auto refused = bench.write(Op::create_or_update, other);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].code == EEXIST);
    CHECK(bench.write(Op::replace, other).empty());
    const auto table = bench.table();
    CHECK(table.size() == 1);
    CHECK(table.contains(other.key));
  }
  SECTION("replace works where nothing stands in the way") {
    CHECK(bench.write(Op::replace, udp_flow(3000, 3000)).empty());
    CHECK(bench.table().size() == 2);
  }
}

TEST_CASE("update, set_timeout and remove touch only what exists", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  Flow flow = tcp_flow(1000, 40000);
  for (const Op op : {Op::update, Op::set_timeout}) {
    const auto refused = bench.write(op, flow);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].code == ENOENT);
  }
  CHECK(bench.write(Op::remove, flow).empty());
  CHECK(bench.table().empty());

  REQUIRE(bench.write(Op::create, flow).empty());
  Flow other = flow;
  other.tcp.state = 4;
  other.timeout = 5000;
  CHECK(bench.write(Op::set_timeout, other).empty());
  flow.timeout = 5000;
  check_same(bench.table()[flow.key], flow);
  CHECK(bench.write(Op::update, other).empty());
  check_same(bench.table()[flow.key], other);
  CHECK(bench.write(Op::remove, flow).empty());
  CHECK(bench.table().empty());
}

TEST_CASE("window scale and be-liberal are set in both directions on an entry that lacked them", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  REQUIRE(
      test::shell("conntrack -I -p tcp -s 192.168.100.5 -d 203.0.113.9 --sport 1000 --dport 80 --state ESTABLISHED "
                  "--timeout 300 -u SEEN_REPLY,ASSURED --src-nat 10.10.0.101:40000 > /dev/null 2>&1"));
  const Flow flow = tcp_flow(1000, 40000);
  CHECK(bench.table()[flow.key].tcp.scale_original == 0);
  CHECK(bench.write(Op::create_or_update, flow).empty());
  check_same(bench.table()[flow.key], flow);
}

TEST_CASE("every refusal of a large bad batch is attributed to its token", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  constexpr std::uint64_t count = 20000;
  std::vector<KernelWrite> writes;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i);
    writes.push_back({.op = Op::create, .flow = tcp_flow(port, port), .token = i});
  }
  CHECK(bench.write(writes).empty());
  CHECK(bench.table().size() == count);
  // Every second one is new, with a reply tuple of its own.
  for (std::uint64_t i = 0; i < count; i += 2) {
    writes[i].flow.key.original.source = address("192.168.100.6");
    writes[i].flow.reply.destination = address("10.10.0.102");
  }
  const auto refused = bench.write(writes);
  CHECK(refused.size() == count / 2);
  CHECK(
      std::all_of(refused.begin(), refused.end(), [](const auto& r) { return r.code == EEXIST && r.token % 2 == 1; }));
  CHECK(bench.writer.counters().answers_lost == 0);
}

TEST_CASE("events tell what others did, in order, and not what our own writer did", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  auto events = *io::ConntrackEvents::open(bench.writer.port());
  CHECK(io::conntrack_events_enabled());
  auto other_writer = *io::ConntrackWriter::open();
  const auto other = [&](Op op, const Flow& flow) {
    std::vector<KernelResult> refused;
    other_writer.write(std::vector<KernelWrite>{{.op = op, .flow = flow}}, refused);
    return refused.empty();
  };
  Flow flow = tcp_flow(1000, 40000);
  REQUIRE(bench.write(Op::create, flow).empty());
  REQUIRE(bench.write(Op::remove, flow).empty());
  REQUIRE(other(Op::create, flow));
  flow.tcp.state = 4;
  REQUIRE(other(Op::update, flow));
  REQUIRE(bench.write(Op::update, flow).empty());
  REQUIRE(other(Op::remove, flow));
  const auto read = events.read(bench.decoder);
  CHECK(read.emptied);
  CHECK_FALSE(read.lost);
  const auto& changes = events.changes();
  REQUIRE(changes.size() == 3);
  CHECK(changes[0].kind == ChangeKind::created);
  CHECK(changes[1].kind == ChangeKind::updated);
  check_same(changes[1].flow, flow);
  CHECK(changes[2].kind == ChangeKind::destroyed);
  CHECK(changes[2].flow.key == flow.key);
  CHECK_FALSE(changes[2].flow.has_tcp);
}

TEST_CASE("lost events are reported once, after those that were kept: they are older than the loss", "[kernel]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  auto events = *io::ConntrackEvents::open(0xffff);
  std::vector<KernelWrite> writes;
  for (int i = 0; i < io::ConntrackEvents::kBacklog + 5000; ++i) {
    Flow flow = udp_flow(static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i));
    if (i > 0xffff) flow.key.original.destination = flow.reply.source = address("203.0.113.10");
    writes.push_back({.op = Op::create, .flow = flow});
  }
  CHECK(bench.write(writes).empty());
  std::size_t read = 0;
  for (;;) {
    const auto portion = events.read(bench.decoder);
    CHECK(events.changes().size() <= io::ConntrackEvents::kPortion);
    read += events.changes().size();
    CHECK(portion.lost == portion.emptied);
    if (portion.emptied) break;
  }
  CHECK(events.overruns() == 1);
  CHECK(read >= static_cast<std::size_t>(io::ConntrackEvents::kBacklog));
  CHECK(read < writes.size());
  const auto afterwards = events.read(bench.decoder);
  CHECK(afterwards.emptied);
  CHECK_FALSE(afterwards.lost);
}

// Figures, on request: test_syncd "[rate]". Nobody else should listen to connection events on the machine
// meanwhile.
TEST_CASE("rates of the kernel's conntrack", "[.][rate]") {
  if (!test::enter_namespace()) return;
  Bench bench;
  constexpr std::uint32_t count = 200000;  // below the default of nf_conntrack_max
  std::vector<KernelWrite> writes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i % 60000);
    Flow flow = tcp_flow(port, static_cast<std::uint16_t>(port + 1));
    flow.key.original.destination = flow.reply.source = common::IpAddress::v4(0xcb007100u + i / 60000);
    writes.push_back({.flow = flow, .token = i});
  }
  const auto timed = [&](const char* what, Op op) {
    for (KernelWrite& write : writes) write.op = op;
    const auto start = common::io::now();
    const auto refused = bench.write(writes);
    const double seconds = common::milliseconds(common::io::now() - start) / 1000;
    std::printf("%-44s %8.0f /s\n", what, count / seconds);
    CHECK(refused.empty());
  };
  const auto round = [&] {
    timed("create_or_update, nothing there", Op::create_or_update);
    timed("create_or_update, all there", Op::create_or_update);
    timed("update", Op::update);
    timed("set_timeout", Op::set_timeout);
    timed("replace, all there", Op::replace);
    const auto start = common::io::now();
    CHECK(bench.table().size() == count);
    std::printf("%-44s %8.0f /s\n", "dump, with a map of it",
                count / common::milliseconds(common::io::now() - start) * 1000);
    timed("remove", Op::remove);
  };
  REQUIRE(test::shell("cat > /proc/sys/net/netfilter/nf_conntrack_events", "0"));
  std::printf("events off\n");
  round();
  REQUIRE(test::shell("cat > /proc/sys/net/netfilter/nf_conntrack_events", "1"));
  const auto events = io::ConntrackEvents::open(bench.writer.port());
  REQUIRE(events);
  std::printf("events on, with a listener\n");
  round();
}
