#include "syncd/filter.hpp"

#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

/// As a file says it, through the reader of files.
common::SyncFilter filter_of(const std::string& text) {
  const auto loaded = common::parse_config(
      "version: 1\nnodes: { R1: { sync_address: 10.9.0.1 }, R2: { sync_address: 10.9.0.2 } }\n"
      "vrrp: { groups: { G: { instances: { a: { interface: e, vrid: 1, virtual_addresses: [10.0.0.1] } } } } }\n"
      "sync: { links: [ { interface: l } ], security: none, filter: " +
          text + " }\n",
      "f", "R1");
  std::string said;
  for (const auto& each : loaded.diagnostics) said += each.to_string() + "\n";
  INFO(said);
  REQUIRE(loaded.config.has_value());
  return loaded.config->sync->filter;
}

/// 192.168.100.10:10001 -> 203.0.113.9:80, translated to 10.10.0.101:8943.
Flow given(std::uint8_t protocol = 6) {
  return flow(1, protocol);
}

Flow with_port(std::uint16_t port) {
  Flow f = given(17);
  f.key.original.destination_port = f.reply.source_port = port;
  return f;
}

Flow with_status(std::uint32_t bits) {
  Flow f = given();
  f.status = bits | status_bits::assured;
  return f;
}

Flow with_mark(std::uint32_t mark) {
  Flow f = given();
  f.mark = mark;
  return f;
}

Flow with_zone(std::uint16_t zone) {
  Flow f = given();
  f.key.zone = zone;
  return f;
}

Flow ipv6() {
  Flow f = given();
  f.key.original.source = ip("2001:db8::5");
  f.key.original.destination = ip("2001:db8:1::1");
  f.reply = inverted(f.key);
  return f;
}

struct Case {
  const char* match;
  Flow flow;
  bool fits;
};

}  // namespace

TEST_CASE("what a match of the filter means") {
  using namespace status_bits;
  const Case cases[] = {
      {"protocol: udp", given(17), true},
      {"protocol: udp", given(6), false},
      {"protocol: not tcp", given(6), false},
      {"protocol: [tcp, 47]", given(47), true},
      {"protocol: udp, destination_ports: 53", with_port(53), true},
      {"protocol: udp, destination_ports: 53", with_port(54), false},
      {"protocol: tcp, destination_ports: 1-100", given(), true},
      {"protocol: tcp, source_ports: [80, 10001]", given(), true},
      {"protocol: tcp, source_ports: not 10001", given(), false},
      {"source_address: 192.168.100.0/24", given(), true},
      {"source_address: 203.0.113.9", given(), false},
      {"destination_address: 203.0.113.0-203.0.113.9", given(), true},
      {"address: 203.0.113.9", given(), true},
      {"address: 10.10.0.101", given(), true},  // the translated one
      {"address: 192.168.100.0/24", given(), true},
      {"address: 10.99.0.0/16", given(), false},
      {"address: not 10.10.0.101", given(), false},
      {"address: not 10.99.0.0/16", given(), true},
      {"address: 2001:db8::/48", ipv6(), true},
      {"address: 0.0.0.0/0", ipv6(), false},
      {"address: '::/0'", given(), false},
      {"tcp_state: established", given(), true},
      {"tcp_state: [time_wait, close]", given(), false},
      {"tcp_state: syn_sent2", flow(1, 6, 9), true},
      {"tcp_state: established", given(17), false},
      {"zone: 7", with_zone(7), true},
      {"zone: 7", with_zone(0), false},
      {"zone: [0, 9]", with_zone(0), true},
      {"mark: 7", with_mark(7), true},
      {"mark: 7", with_mark(0x107), false},
      {"mark: 0x7/0xff", with_mark(0x107), true},
      {"mark: 0/0x1", with_mark(6), true},
      {"translated: any", with_status(src_nat), true},
      {"translated: any", with_status(dst_nat), true},
      {"translated: any", with_status(0), false},
      {"translated: snat", with_status(dst_nat), false},
      {"translated: snat", with_status(src_nat | dst_nat), true},
      {"translated: dnat", with_status(dst_nat), true},
      {"translated: none", with_status(0), true},
      {"translated: none", with_status(dst_nat), false},
      {"protocol: tcp, translated: snat, mark: 1", with_mark(1), true},  // all of them
      {"protocol: tcp, translated: dnat, mark: 1", with_mark(1), false},
  };
  for (const Case& each : cases) {
    INFO(each.match << " and " << to_string(each.flow));
    const std::string list = std::string("[ { ") + each.match + " } ]";
    const Filter include(filter_of("{ include: " + list + " }")), exclude(filter_of("{ exclude: " + list + " }"));
    CHECK(include.has_rules());
    CHECK(include.judge(each.flow, each.flow.tcp.state) == (each.fits ? Verdict::replicated : Verdict::not_included));
    CHECK(exclude.judge(each.flow, each.flow.tcp.state) == (each.fits ? Verdict::excluded : Verdict::replicated));
  }
}

TEST_CASE("one include is enough, and an exclude goes before all of them") {
  const Filter filter(filter_of("{ include: [ { protocol: tcp }, { protocol: udp } ], exclude: [ { mark: 1 } ] }"));
  CHECK(filter.judge(given(6), 3) == Verdict::replicated);
  CHECK(filter.judge(given(17), 0) == Verdict::replicated);
  CHECK(filter.judge(given(47), 0) == Verdict::not_included);
  CHECK(filter.judge(with_mark(1), 3) == Verdict::excluded);
  CHECK(!Filter(filter_of("{ replicate_after: 10s }")).has_rules());
}

TEST_CASE("a report without a state of TCP is judged by the state that is known") {
  const Filter filter(filter_of("{ include: [ { tcp_state: established } ] }"));
  Flow f = given();
  f.has_tcp = false;
  f.tcp = {};
  CHECK(filter.judge(f, 3) == Verdict::replicated);
  CHECK(filter.judge(f, 1) == Verdict::not_included);
}

namespace {

void configure(Pair& p, const std::string& filter) {
  for (Box& box : p.box) box.config.sync->filter = filter_of(filter);
}

void reload(Pair& p, int i, const std::string& filter) {
  p.box[i].config.sync->filter = filter_of(filter);
  p.step(i, Reload{p.box[i].config, {}});
}

/// What verify names, asked at one side. "" is a refusal.
std::string verify(Pair& p, int i) {
  p.box[i].replies.clear();
  p.step(i, RequestReceived{1, {.id = 7, .verb = "sync.verify", .arguments = {}}});
  p.run(5s);
  REQUIRE(p.box[i].replies.size() == 1);
  return p.box[i].replies[0].body;
}

void check_none_differs(Pair& p) {
  for (const int i : {0, 1}) CHECK(verify(p, i).starts_with(R"({"differ":0,)"));
  for (const int i : {0, 1}) CHECK(p.counter(i, "audit_differing") == 0);
}

bool has(const Pair& p, int i, const Flow& f) {
  return p.box[i].kernel.entries.contains(f.key);
}

std::size_t entries(const Pair& p, int i) {
  return p.box[i].kernel.entries.size();
}

std::uint64_t withheld(const Pair& p, int i) {
  return p.box[i].engine->status(p.now).withheld_flows;
}

}  // namespace

TEST_CASE("what the filter leaves out is not at the peer, and is no difference") {
  Pair p(GENERATE(common::CommitPolicy::continuous, common::CommitPolicy::on_takeover));
  configure(p, "{ exclude: [ { protocol: udp } ] }");
  for (unsigned n = 0; n < 300; ++n) p.box[0].kernel.put(flow(n, n % 3 == 0 ? 17 : 6), p.now);  // found at the start
  p.start_both();
  for (unsigned n = 300; n < 600; ++n) p.box[0].kernel.put(flow(n, n % 3 == 0 ? 17 : 6), p.now);
  p.run(1s);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 400);
  CHECK(p.box[0].engine->status(p.now).local_flows == 400);
  CHECK(withheld(p, 0) == 200);
  CHECK(p.counter(0, "filtered_excluded") == 200);
  CHECK(p.box[0].engine->status(p.now).backlog == 0);
  CHECK(p.box[0].engine->status(p.now).state == SyncState::synced);
  check_none_differs(p);
  CHECK(p.counter(1, "audit_compared") > 0);
  for (unsigned n = 0; n < 600; ++n) p.box[0].kernel.remove(flow(n, n % 3 == 0 ? 17 : 6).key);
  p.run(1s);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 0);
  CHECK(withheld(p, 0) == 0);
  CHECK(p.counter(0, "endings_sent") == 400);  // nobody is told the end of what nobody was told of
}

TEST_CASE("a connection that comes to fit is sent, and one that ceases to is withdrawn") {
  Pair p;
  p.network = {.loss = GENERATE(0.0, 0.3), .duplicate = 0.1, .delay = 300us, .jitter = 3ms, .cut = false};
  configure(p, "{ include: [ { tcp_state: [established, fin_wait] } ], exclude: [ { mark: 1 } ] }");
  p.start_both();
  const auto put_all = [&p](std::uint8_t state, std::uint32_t mark) {
    for (unsigned n = 0; n < 200; ++n) {
      Flow f = flow(n, 6, state);
      f.mark = mark;
      p.box[0].kernel.put(f, p.now);
    }
    p.run(2s);
  };
  put_all(1, 0);
  CHECK(entries(p, 1) == 0);
  CHECK(p.counter(0, "filtered_not_included") == 200);
  put_all(3, 0);
  CHECK(p.same_kernels());
  put_all(3, 1);
  CHECK(entries(p, 1) == 0);
  CHECK(entries(p, 0) == 200);
  CHECK(p.counter(0, "filtered_excluded") == 200);
  CHECK(p.box[0].engine->status(p.now).backlog == 0);
  check_none_differs(p);
  put_all(4, 0);
  CHECK(p.same_kernels());
  put_all(7, 0);  // TIME_WAIT
  CHECK(entries(p, 1) == 0);
  // Withdrawn and sent again before the peer was told anything of it.
  p.network.cut = true;
  put_all(3, 0), put_all(7, 0), put_all(3, 0);
  p.network.cut = false;
  p.run(3s);
  CHECK(p.same_kernels());
  check_none_differs(p);
}

TEST_CASE("a connection that is withdrawn and ends while it is under way, ends at the peer") {
  Pair p;
  configure(p, "{ exclude: [ { mark: 1 } ] }");
  p.start_both();
  Flow f = flow(1);
  for (unsigned wait = 0; wait < 40; ++wait) {  // around the acknowledgement, which takes some milliseconds
    p.box[0].kernel.put(f, p.now);
    p.run(600us + wait * 100us);
    Flow marked = f;
    marked.mark = 1;
    p.box[0].kernel.put(marked, p.now);
    p.run(wait % 4 * 150us);
    p.box[0].kernel.remove(f.key);
    p.run(20ms);
    CHECK(entries(p, 1) == 0);
    CHECK(p.box[0].engine->status(p.now).backlog == 0);
  }
}

TEST_CASE("only connections of the minimum age are replicated") {
  Pair p;
  configure(p, "{ replicate_after: 10s, exclude: [ { mark: 1 } ] }");
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.box[0].kernel.events.clear();  // from before there was a syncd: nobody knows how old
  p.start_both();
  CHECK(entries(p, 1) == 10);
  for (unsigned n = 10; n < 30; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(4s);
  for (unsigned n = 30; n < 40; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(5s);
  CHECK(entries(p, 1) == 10);
  CHECK(withheld(p, 0) == 30);
  for (unsigned n = 10; n < 20; ++n) p.box[0].kernel.remove(flow(n).key);
  for (unsigned n = 30; n < 35; ++n) p.box[0].kernel.put(flow(n, 6, 4), p.now);  // their age is what it was
  Flow marked = flow(20);
  marked.mark = 1;
  p.box[0].kernel.put(marked, p.now);
  check_none_differs(p);  // takes 10 s: 20 to 39 are old enough now
  CHECK(p.counter(0, "filtered_young") == 10);
  CHECK(entries(p, 1) == 10 + 9 + 10);
  CHECK(!has(p, 1, marked));
  p.box[0].kernel.put(flow(20), p.now);
  p.run(100ms);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "endings_sent") == 0);
  CHECK(withheld(p, 0) == 0);
}

TEST_CASE("a planned handover takes along what is too young to be replicated") {
  Pair p;
  configure(p, "{ replicate_after: 10s }");
  p.start_both();
  for (unsigned n = 0; n < 2000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  REQUIRE(entries(p, 1) == 0);
  p.notify(0, common::Drain{"MAIN-GW", {1, "R1"}, 1000});
  p.run(500ms);
  const auto drained = p.box[0].messages<common::Drained>();
  REQUIRE(drained.size() == 1);
  CHECK(drained[0].confirmed);
  CHECK(entries(p, 1) == 2000);
}

TEST_CASE("a syncd that starts beside a working master takes no connection for a young one") {
  Pair p;
  p.dump_delay = 1s;
  configure(p, "{ replicate_after: 10s }");
  for (unsigned n = 0; n < 10; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.box[0].kernel.events.clear();
  p.start_both();
  for (unsigned n = 0; n < 5; ++n) p.box[0].kernel.put(flow(n), p.now);  // changed before the table has been read
  p.run(2s);
  CHECK(withheld(p, 0) == 0);
  CHECK(entries(p, 1) == 10);
}

TEST_CASE("the same tuple anew is told at once where the peer knows of its earlier life") {
  Pair p;
  configure(p, "{ replicate_after: 10s }");
  p.start_both();
  p.box[0].kernel.put(flow(1), p.now);
  p.run(11s);
  REQUIRE(entries(p, 1) == 1);
  p.network.cut = true;
  p.box[0].kernel.remove(flow(1).key);
  p.run(5ms);
  p.box[0].kernel.put(flow(1, 6, 1), p.now);
  p.run(5ms);
  p.network.cut = false;
  p.run(2s);
  CHECK(p.same_kernels());
  p.box[0].kernel.remove(flow(1).key);
  p.run(2s);
  CHECK(entries(p, 1) == 0);
  p.box[0].kernel.put(flow(1, 6, 1), p.now);
  p.run(2s);
  CHECK(entries(p, 1) == 0);
}

TEST_CASE("another filter withdraws what it leaves out, and sends what it does not") {
  Pair p;
  configure(p, "{ exclude: [ { protocol: udp } ] }");
  p.start_both();
  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.put(flow(n, n % 2 == 0 ? 17 : 6), p.now);
  p.run(1s);
  CHECK(entries(p, 1) == 1500);
  reload(p, 0, "{ exclude: [ { protocol: tcp } ] }");
  reload(p, 1, "{ exclude: [ { protocol: tcp } ] }");
  p.run(1s);
  CHECK(entries(p, 1) == 1500);
  CHECK(has(p, 1, flow(0, 17)));
  CHECK(!has(p, 1, flow(1)));
  check_none_differs(p);
  reload(p, 0, "{ replicate_after: 60min }");  // no reason to take back what the peer has
  reload(p, 1, "{ replicate_after: 60min }");
  p.box[0].kernel.put(flow(5000), p.now);
  p.run(1s);
  CHECK(entries(p, 1) == 3000);  // what was replicated once is old enough
  CHECK(!has(p, 1, flow(5000)));
  check_none_differs(p);
  reload(p, 0, "{}");
  reload(p, 1, "{}");
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(withheld(p, 0) == 0);
  check_none_differs(p);
}

TEST_CASE("at a switchover the filtered connections are left, and go where they were; the young ones come along") {
  const bool young = GENERATE(false, true);
  const std::size_t handed_over = young ? 100 : 50;
  Pair p;
  configure(p, young ? "{ replicate_after: 1min }" : "{ exclude: [ { protocol: udp } ] }");
  for (unsigned n = 0; n < 50; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.box[0].kernel.events.clear();
  p.start_both();
  for (unsigned n = 50; n < 100; ++n) p.box[0].kernel.put(flow(n, 17), p.now);
  p.run(1s);
  CHECK(entries(p, 1) == 50);
  CHECK(p.box[0].engine->status(p.now).backlog == 0);
  p.notify(0, common::Drain{.group = "MAIN-GW", .term = {2, "R2"}, .timeout_ms = 100});
  p.run(50ms);
  REQUIRE(!p.box[0].messages<common::Drained>().empty());
  CHECK(p.box[0].messages<common::Drained>().back().confirmed);
  p.notify(1, common::Prepare{.group = "MAIN-GW", .term = {2, "R2"}});
  p.run(50ms);
  REQUIRE(!p.box[1].messages<common::Ready>().empty());
  CHECK(p.box[1].messages<common::Ready>().back().ok);
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.entered(0, common::GroupState::backup, {2, "R2"});
  for (int i : {0, 1})
    p.notify(i,
             common::LocalReport{.groups = {{.group = "MAIN-GW",
                                             .state = i == 1 ? common::GroupState::master : common::GroupState::backup,
                                             .term = {2, "R2"},
                                             .priority = 100}}});
  p.run(2s);
  // What the new master does not have goes from the old one, as after every change of roles.
  CHECK(entries(p, 0) == handed_over);
  CHECK(entries(p, 1) == handed_over);
  CHECK(withheld(p, 0) == 0);
  CHECK(p.box[0].engine->status(p.now).state == SyncState::synced);
  CHECK(p.box[1].engine->status(p.now).state == SyncState::synced);
  check_none_differs(p);
  p.run(61s);
  CHECK(entries(p, 0) == handed_over);
}

TEST_CASE("a master that the filter reached only as backup leaves out what it took over") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n, n % 2 == 0 ? 17 : 6), p.now);
  p.run(1s);
  REQUIRE(entries(p, 1) == 100);
  reload(p, 1, "{ exclude: [ { protocol: udp } ] }");
  p.notify(1, common::Prepare{.group = "MAIN-GW", .term = {2, "R2"}});
  p.run(200ms);
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.entered(0, common::GroupState::backup, {2, "R2"});
  p.run(2s);
  CHECK(entries(p, 1) == 100);  // they go on here
  CHECK(entries(p, 0) == 50);
  CHECK(withheld(p, 1) == 50);
  CHECK(p.counter(1, "filtered_excluded") == 50);
}

TEST_CASE("a syncd that starts anew beside the master judges what it finds") {
  Pair p;
  configure(p, "{ exclude: [ { protocol: udp } ] }");
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n, n % 2 == 0 ? 17 : 6), p.now);
  p.run(1s);
  p.kill(0);
  p.run(100ms);
  p.start(0);
  p.run(50ms);
  p.welcome(0, common::GroupState::master, {1, "R1"});
  p.run(2s);
  CHECK(entries(p, 1) == 50);
  CHECK(withheld(p, 0) == 50);
  check_none_differs(p);
}
