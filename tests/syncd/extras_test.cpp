// What few flows have, through both engines: it goes over, stays when a report leaves it out, and masters come first.
#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;

namespace {

constexpr std::uint8_t kGre = 47;

const Flow& held(const Pair& p, int i, const FlowKey& key) {
  return p.box[i].kernel.entries.at(key).flow;
}

}  // namespace

TEST_CASE("extras: those of a new flow go over, and a report without them takes nothing away") {
  Pair p;
  p.start_both();
  Flow ftp = flow(1);
  ftp.extras = syncd::Extras{.labels = syncd::Labels{std::byte{4}}, .helper = "ftp"};
  p.box[0].kernel.put(ftp, p.now);
  p.run(100ms);
  CHECK(held(p, 1, ftp.key).extras == ftp.extras);
  Flow report = flow(1, 6, 4);  // another state, and not a word of the rest
  p.step(0, FlowsChanged{std::array{FlowChange{.kind = ChangeKind::updated, .flow = report}}});
  p.run(100ms);
  CHECK(held(p, 1, ftp.key).tcp.state == 4);
  CHECK(held(p, 1, ftp.key).extras == ftp.extras);
}

TEST_CASE("extras: what was read of an announcing flow goes over, and only that") {
  Pair p;
  p.start_both();
  Flow ftp = flow(1);
  ftp.extras = syncd::Extras{.helper = "ftp"};
  p.box[0].kernel.put(ftp, p.now);
  p.run(100ms);
  Flow read = ftp;
  read.tcp.state = 9;  // read later than what reports are still to tell
  read.status |= status_bits::seq_adjust;
  read.extras = syncd::Extras{.shifts = std::array{syncd::SequenceShift{7, 0, 3}, syncd::SequenceShift{}}};
  const auto tell = [&](int i) {
    p.step(i, FlowsChanged{std::array{FlowChange{.kind = ChangeKind::detailed, .flow = read}}});
    p.run(100ms);
  };
  tell(1);  // a backup's kernel is not the truth
  CHECK_FALSE(held(p, 1, ftp.key).extras->shifts);
  tell(0);
  const Flow& copy = held(p, 1, ftp.key);
  REQUIRE(copy.extras->shifts);
  CHECK((*copy.extras->shifts)[0].after == 3);
  CHECK(copy.extras->helper == "ftp");
  CHECK((copy.status & status_bits::seq_adjust) != 0);
  CHECK(copy.tcp.state == ftp.tcp.state);
  const auto sent = p.counter(0, "flows_sent");
  tell(0);
  CHECK(p.counter(0, "flows_sent") == sent);  // nothing new
  read.key = flow(99).key;
  tell(0);  // of a flow that nobody knows
  CHECK(p.counter(0, "flows_sent") == sent);
}

TEST_CASE("extras: a master is written before what it announced, whatever the order in which they came") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  Flow data = flow(2);
  data.extras = syncd::Extras{.master = flow(1).key};
  p.box[0].kernel.put(data, p.now);
  p.run(100ms);
  p.box[0].kernel.put(flow(1), p.now);
  p.run(100ms);
  Actions actions;
  std::vector<KernelWrite> writes;
  p.box[1].engine->step(RequestReceived{1, {.id = 1, .verb = "sync.commit", .arguments = {}}}, p.now, actions);
  p.box[1].engine->poll_kernel(p.now, 64, writes);
  REQUIRE(writes.size() == 2);
  CHECK(writes[0].flow.key == flow(1).key);
  CHECK(writes[1].flow.key == data.key);
  CHECK(writes[1].flow.extras == data.extras);
}

TEST_CASE("an entry of GRE is given a day, for the kernel will not renew it") {
  Pair p;
  p.start_both();
  Flow tunnel = flow(1, kGre);
  tunnel.key.original.source_port = tunnel.key.original.destination_port = 0;
  tunnel.reply.source_port = tunnel.reply.destination_port = 0;
  p.box[0].kernel.put(tunnel, p.now);
  p.run(100ms);
  CHECK(p.box[1].kernel.entries.at(tunnel.key).expires - p.now > 23h);
  CHECK(p.counter(1, "leases_renewed") == 0);
}

TEST_CASE("a connection that is closed ends in its time, however often the group is handed over meanwhile") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  constexpr std::uint8_t kTimeWait = 7;
  constexpr unsigned kClosed = 20;
  Flow live = flow(500);
  p.box[0].kernel.put(live, p.now);
  for (unsigned n = 0; n < kClosed; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  for (unsigned n = 0; n < kClosed; ++n) {
    Flow closed = flow(n, 6, kTimeWait);
    closed.timeout = 120;
    p.box[0].kernel.put(closed, p.now);
  }
  for (std::uint64_t term = 2; term <= 6; ++term) {
    for (int second = 0; second < 31; ++second) p.run(1s);
    const int to = static_cast<int>(term + 1) % 2;
    const common::Term now{term, to == 0 ? "R1" : "R2"};
    p.entered(1 - to, common::GroupState::backup, now);
    p.notify(to, common::Prepare{"MAIN-GW", now, 1000});
    p.run(20ms);
    p.entered(to, common::GroupState::master, now);
  }
  CHECK(p.now - Time{} > 150s);
  CHECK(p.box[0].kernel.entries.size() == 1);
  CHECK(p.box[1].kernel.entries.size() == 1);
}

TEST_CASE("a connection that is closed does not begin its last two minutes anew at a takeover") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  constexpr std::uint8_t kTimeWait = 7;
  Flow closed = flow(1, 6, kTimeWait), live = flow(2);
  closed.timeout = 120;
  p.box[0].kernel.put(closed, p.now);
  p.box[0].kernel.put(live, p.now);
  p.run(50s);
  p.kill(0);
  p.run(300ms);
  p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
  p.run(20ms);
  p.entered(1, common::GroupState::master, {2, "R2"});
  p.run(3s);
  const auto left = [&](const Flow& f) { return p.box[1].kernel.entries.at(f.key).expires - p.now; };
  CHECK(left(closed) <= 71s);
  CHECK(left(closed) >= 60s);
  CHECK(left(live) > 431000s);
}

TEST_CASE("labels that are not replicated are left out, and what is left of nothing is nothing") {
  common::SyncMasks masks{.mark = 0xf0, .labels = {}};
  masks.labels.set(2).set(127);
  Flow f = flow(1);
  f.mark = 0x35;
  syncd::Labels labels{};
  labels[0] = std::byte{6}, labels[15] = std::byte{0x80};
  f.extras = syncd::Extras{.labels = labels, .helper = "ftp"};
  leave_out(f, masks);
  CHECK(f.mark == 0x30);
  labels[0] = std::byte{4};
  CHECK(f.extras->labels == labels);
  CHECK(f.extras->helper == "ftp");
  f.extras = syncd::Extras{.labels = syncd::Labels{std::byte{1}}};
  leave_out(f, masks);
  CHECK_FALSE(f.extras);
}
