#include <catch2/catch.hpp>

#include "syncd/observer.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;

namespace {

/// The peer's table, seen through a takeover by nobody: what `status` counts, and what a kernel shows.
std::size_t entries(const Pair& p, int i) {
  return p.box[i].kernel.entries.size();
}

}  // namespace

TEST_CASE("flows of the master appear in the standby's kernel, and go from it") {
  Pair p;
  p.box[1].kernel.own_events = GENERATE(true, false);
  p.start_both();
  REQUIRE(p.box[0].report.link == common::LinkState::up);
  CHECK(p.box[1].report.replicas.at(0).complete);
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  CHECK(entries(p, 1) == 100);
  CHECK(p.same_kernels());
  CHECK((p.box[1].kernel.entries.begin()->second.flow.tcp.flags_original & tcp_flags::be_liberal) != 0);
  for (unsigned n = 0; n < 50; ++n) p.box[0].kernel.remove(flow(n).key);
  p.run(50ms);
  CHECK(p.same_kernels());
  CHECK(p.box[1].engine->status(p.now).peer_flows == 50);
  CHECK(p.box[1].engine->status(p.now).committed_flows == 50);
}

TEST_CASE("a bulk brings what there was before, and sweeps what there is no more") {
  Pair p;
  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.put(flow(n), p.now);
  for (unsigned n = 2990; n < 3020; ++n) p.box[1].kernel.put(flow(n), p.now);  // left over from earlier
  p.start_both();
  p.run(1s);
  CHECK(entries(p, 1) == 3000);
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "swept") == 20);
  CHECK(p.box[0].engine->status(p.now).state == SyncState::synced);
  CHECK(p.box[1].engine->status(p.now).state == SyncState::synced);
}

TEST_CASE("a flow that begins and ends between two sends costs nothing, one that changes often is sent once") {
  Pair p;
  p.start_both();
  p.network.cut = true;
  p.run(1s);
  for (unsigned n = 0; n < 1000; ++n) p.box[0].kernel.put(flow(n, 6, 1), p.now);
  for (std::uint8_t state = 2; state < 4; ++state)
    for (unsigned n = 0; n < 1000; ++n) p.box[0].kernel.put(flow(n, 6, state), p.now);
  for (unsigned n = 500; n < 1000; ++n) p.box[0].kernel.remove(flow(n).key);
  p.run(1s);
  CHECK(p.box[0].engine->status(p.now).backlog == 500);
  p.network.cut = false;
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "flows_sent") == 500);
  CHECK(p.counter(0, "endings_sent") == 0);
  CHECK(p.counter(0, "bulks_sent") == 1);  // the same processes, so nothing is to be begun anew
}

TEST_CASE("tables converge through loss, reordering and duplicates") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const std::uint64_t seed = GENERATE(range(1, 9));
  Pair p(policy, seed);
  p.start_both();
  p.network = {.loss = 0.2, .duplicate = 0.1, .delay = 300us, .jitter = 3ms, .cut = false};
  for (int round = 0; round < 200; ++round) {
    for (int k = 0; k < 20; ++k) {
      const auto n = static_cast<unsigned>(p.prng.below(600));
      if (p.prng.chance(0.4))
        p.box[0].kernel.remove(flow(n).key);
      else
        p.box[0].kernel.put(flow(n, 6, static_cast<std::uint8_t>(1 + p.prng.below(4))), p.now);
    }
    p.run(2ms);
    if (p.prng.chance(0.01)) {
      p.network.cut = true;
      p.run(400ms);
      p.network.cut = false;
    }
  }
  p.network = {};
  p.run(1s);
  if (policy == CommitPolicy::on_takeover) {
    CHECK(entries(p, 1) == 0);
    p.notify(1, common::Prepare{"MAIN-GW", {2, "R2"}, 1000});
    p.run(50ms);
    REQUIRE(p.box[1].messages<common::Ready>().size() == 1);
    CHECK(p.box[1].messages<common::Ready>().at(0).ok);
  }
  CHECK(p.same_kernels());
  if (policy == CommitPolicy::continuous) CHECK(p.box[0].engine->status(p.now).backlog == 0);
  CHECK(p.counter(0, "datagrams_lost") > 0);
}

TEST_CASE("restart of either syncd, then a partition: tables converge again") {
  const int who = GENERATE(0, 1);
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 2000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.kill(who);
  for (unsigned n = 1500; n < 2500; ++n) p.box[0].kernel.put(flow(n, 6, 4), p.now);
  for (unsigned n = 0; n < 300; ++n) p.box[0].kernel.remove(flow(n).key);
  if (who == 0) p.box[0].kernel.events.clear();
  p.run(300ms);
  p.start(who);
  p.welcome(who, who == 0 ? common::GroupState::master : common::GroupState::backup, {1, "R1"});
  p.run(1s);
  CHECK(p.same_kernels());
  CHECK(p.box[1].report.replicas.at(0).complete);
  CHECK(p.counter(1 - who, "peer_restarts") == 1);
  p.network.cut = true;
  p.run(500ms);
  CHECK(p.box[0].report.link == common::LinkState::down);
  for (unsigned n = 300; n < 600; ++n) p.box[0].kernel.remove(flow(n).key);
  p.network.cut = false;
  p.run(500ms);
  CHECK(p.same_kernels());
}

TEST_CASE("a partition of thirty seconds, while everything changes: afterwards nothing differs") {
  const CommitPolicy policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  for (unsigned n = 0; n < 1000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.network.cut = true;
  for (unsigned second = 0; second < 30; ++second) {
    for (unsigned k = 0; k < 20; ++k) {
      p.box[0].kernel.put(flow(2000 + 20 * second + k), p.now);
      p.box[0].kernel.put(flow(500 + 10 * second + k % 10, 6, 4), p.now);
      p.box[0].kernel.remove(flow(20 * second + k).key);
    }
    p.run(1s);
  }
  CHECK(p.box[1].engine->status(p.now).peer_flows == 1000);  // nothing goes because the master is not heard
  p.network.cut = false;
  p.run(1s);
  p.step(1, RequestReceived{7, {.id = 3, .verb = "sync.verify", .arguments = {}}});
  p.run(1s);
  REQUIRE(p.box[1].replies.size() == 1);
  CHECK(p.box[1].replies[0].body ==
        R"({"differ":0,"compared":)" + std::to_string(p.box[0].kernel.entries.size()) + R"(,"flows":[]})");
}

/// A datagram of the stream with epoch 5.
static Frame frame(std::uint64_t sequence, std::uint64_t low, const common::Bytes& records) {
  Frame f;
  f.sequence = sequence;
  f.low = low;
  f.flows = {{5, records}};
  return f;
}

TEST_CASE("an ending that overtakes an older record keeps the flow dead") {
  // Directly at the receiver: datagram 2 (ending) comes before datagram 1 (the flow).
  Store store(1);
  Ownership ownership;
  Commit commit(store, CommitPolicy::continuous);
  Sender sender(store);
  Receiver receiver(store, sender, commit, ownership);
  store.groups.configure(pair_config(1, CommitPolicy::continuous));
  Group& group = store.groups[0];
  group.role = Role::backup;
  REQUIRE(receiver.consider(group, {.group = group.id, .epoch = 5, .term = {1, "R1"}}));
  Record r;
  encode(flow(1), nullptr, r);
  common::Bytes live(r.view().begin(), r.view().end()), gone(r.key().begin(), r.key().end());
  gone[0] |= kGone;
  const Time now = Time{} + 1s;
  SECTION("remembered until the older one has come") {
    receiver.on_data(frame(2, 1, gone), now);
    CHECK(store.graves.size == 1);
    receiver.on_data(frame(1, 1, live), now);
    CHECK(group.flows == 0);
    CHECK(store.counters[Counter::older_version] == 1);
    CHECK(store.graves.size == 0);
    CHECK(store.table.size() == 0);
    receiver.on_data(frame(3, 3, live), now);  // a new flow of the same key
    CHECK(group.flows == 1);
  }
  SECTION("or until the sender disowns it") {
    receiver.on_data(frame(2, 1, gone), now);
    receiver.on_data(frame(3, 3, gone), now);
    CHECK(store.table.size() == 0);
    receiver.on_data(frame(1, 1, live), now);
    CHECK(group.flows == 0);
    CHECK(store.counters[Counter::duplicates] == 1);
  }
  SECTION("in order it costs nothing") {
    receiver.on_data(frame(1, 1, live), now);
    receiver.on_data(frame(2, 2, gone), now);
    CHECK(store.graves.size == 0);
    std::vector<KernelWrite> writes;
    commit.poll(now, 10, writes);
    CHECK(store.table.size() == 0);
  }
  SECTION("a record of another epoch is acknowledged and ignored") {
    Frame f = frame(1, 1, live);
    f.flows[0].epoch = 4;
    receiver.on_data(f, now);
    CHECK(group.flows == 0);
    CHECK(receiver.take_ack().base == 1);
    CHECK(store.counters[Counter::stale_stream] == 1);
  }
  SECTION("damage inside is counted") {
    live.resize(5);
    receiver.on_data(frame(1, 1, live), now);
    CHECK(store.counters.named().at("record_truncated") == 1);
  }
}

TEST_CASE("the kernel loses events: a dump makes up for it") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 500; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.remove(flow(n).key);
  for (unsigned n = 500; n < 700; ++n) p.box[0].kernel.put(flow(n), p.now);
  for (unsigned n = 100; n < 200; ++n) p.box[0].kernel.put(flow(n, 6, 7), p.now);
  p.box[0].kernel.events.clear();
  p.step(0, EventsLost{});
  CHECK(p.box[0].engine->status(p.now).state == SyncState::syncing);
  p.run(200ms);
  CHECK(p.same_kernels());
  CHECK(p.counter(0, "reconciled_gone") == 100);
  CHECK(p.counter(0, "reconciled_missing") == 300);
  CHECK(p.box[0].engine->status(p.now).state == SyncState::synced);
}

TEST_CASE("what stays on one router is not replicated") {
  Pair p;
  p.start_both();
  const auto put = [&](const char* from, const char* to, std::uint8_t protocol) {
    Flow f = flow(1, protocol);
    f.key.original.source = ip(from);
    f.key.original.destination = ip(to);
    f.reply = inverted(f.key);
    p.box[0].kernel.put(f, p.now);
  };
  put("10.10.0.102", "10.10.0.1", 6);  // its own address
  put("10.10.0.1", "10.10.0.102", 17);
  put("10.10.10.2", "10.10.10.3", 17);    // the link
  put("10.10.0.102", "224.0.0.18", 112);  // VRRP
  put("192.168.100.7", "239.1.1.1", 17);  // multicast
  put("127.0.0.1", "127.0.0.1", 17);
  put("0.0.0.0", "255.255.255.255", 17);
  p.run(50ms);
  CHECK(entries(p, 1) == 0);
  CHECK(p.counter(0, "flows_excluded") == 7);
  put("192.168.100.7", "10.10.0.101", 6);  // the virtual address moves
  put("192.168.100.7", "203.0.113.1", 17);
  p.run(50ms);
  CHECK(entries(p, 1) == 2);
  put("192.168.100.7", "10.10.0.103", 6);  // the peer's own address: it refuses that itself
  p.run(50ms);
  CHECK(entries(p, 1) == 2);
  CHECK(p.counter(1, "own_address_flows") == 1);
}

TEST_CASE("standby entries live on a lease that is renewed, and are written again when they vanish") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 50; ++n) p.box[0].kernel.put(flow(n, 17), p.now);
  p.run(50ms);
  CHECK(p.same_kernels());
  for (int minute = 0; minute < 30; ++minute) {
    for (auto& [key, e] : p.box[0].kernel.entries) e.expires = p.now + 1h;  // packets refresh, silently
    p.run(1min);
  }
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "leases_renewed") > 0);
  CHECK(p.counter(1, "recreated") == 0);
  p.box[1].kernel.remove(flow(3, 17).key);
  p.run(10ms);
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "recreated") == 1);
  p.box[0].kernel.remove(flow(4, 17).key);
  p.run(50ms);
  CHECK(p.same_kernels());
}

TEST_CASE("a wrong key is shown, and does not bring a live link down") {
  Pair p;
  p.box[1].key = std::vector<std::byte>(32, std::byte{8});
  p.start_both();
  CHECK(p.box[0].report.link == common::LinkState::refused);
  REQUIRE(!p.box[0].engine->status(p.now).reasons.empty());
  CHECK(p.box[0].engine->status(p.now).reasons.at(0) ==
        "the peer's key is another one: copy the key file of one router to the other");
  p.kill(1);
  p.box[1].key = p.box[0].key;
  p.start(1);
  p.welcome(1, common::GroupState::backup, {1, "R1"});
  p.run(500ms);
  CHECK(p.box[0].report.link == common::LinkState::up);
  common::Bytes garbage(200, std::byte{0x11});
  for (int i = 0; i < 100; ++i) p.receive(0, garbage);
  CHECK(p.box[0].engine->status(p.now).link == common::LinkState::up);
}

TEST_CASE("datagrams recorded before a restart do nothing after it") {
  Pair p;
  p.recording = true;
  p.start_both();
  for (unsigned n = 0; n < 200; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  const auto recorded = p.recorded;
  p.recording = false;
  p.kill(0), p.kill(1);
  p.box[0].kernel = {}, p.box[1].kernel = {};
  p.start_both();
  for (const auto& [from, data] : recorded) p.receive(1 - from, data);
  p.run(300ms);
  CHECK(entries(p, 1) == 0);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 0);
  CHECK(p.box[1].engine->status(p.now).link == common::LinkState::up);
}

TEST_CASE("a syncd that starts anew beside a working master never lets the peer sweep what it has not read yet") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  p.kill(0);
  p.run(50ms);
  p.dump_delay = 400ms;  // a large table
  p.start(0);
  p.welcome(0, common::GroupState::master, {1, "R1"});
  for (int i = 0; i < 80; ++i) {
    p.run(10ms);
    REQUIRE(entries(p, 1) == 3000);
  }
  CHECK(p.counter(1, "swept") == 0);
  CHECK(p.box[1].report.replicas.at(0).complete);
  CHECK(p.same_kernels());
}

TEST_CASE("what begins here while a large replica is being swept in steps is not taken for the master's") {
  const Time now = Time{} + 1000s;
  const common::Config config = pair_config(1, CommitPolicy::continuous);
  Store store(1);
  store.groups.configure(config);
  Group& group = store.groups[0];
  group.role = Role::backup;
  group.replica = {.epoch = 5, .highest = 5, .term = {}, .complete = false, .sweeping = false, .cursor = 0};
  Ownership ownership;
  ownership.configure(config, {0});
  Sender sender(store);
  Selection selection(store, sender);
  Commit commit(store, CommitPolicy::continuous);
  Receiver receiver(store, sender, commit, ownership);
  Observer observer(store, sender, commit, selection, ownership);
  const auto begins = [&](unsigned n) { observer.on_changes(std::vector{FlowChange{.flow = flow(n)}}, now); };

  for (unsigned n = 0; n < kSweepSlice + 10; ++n) begins(n);
  REQUIRE(group.flows == kSweepSlice + 10);
  group.replica.sweeping = true;
  REQUIRE_FALSE(receiver.sweep());
  std::vector<KernelWrite> removals;
  commit.poll(now, kSweepSlice, removals);  // what this step has swept leaves room that no later step looks at
  REQUIRE(removals.size() == kSweepSlice);
  for (unsigned n = 0; n < 3; ++n) begins(100000 + n);
  observer.dump_started(now);
  observer.on_dumped(std::vector{flow(100003)}, true, false, now);
  REQUIRE(receiver.sweep());
  CHECK(group.replica.complete);
  CHECK(group.flows == 0);
}

TEST_CASE("two links at once: one may fail, and copies are dropped") {
  Pair p;
  for (int i : {0, 1}) {
    auto second = p.box[i].config.sync->links[0];
    second.interface = "eth3";
    p.box[i].config.sync->links.push_back(second);
  }
  p.start_both();
  for (int i : {0, 1}) p.step(i, LinkChanged{1, true});
  p.run(200ms);
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  CHECK(p.same_kernels());
  CHECK(p.counter(1, "datagram_copied") > 0);
  CHECK(p.counter(1, "datagram_replayed") == 0);
  for (int i : {0, 1}) p.step(i, LinkChanged{0, false});
  for (unsigned n = 100; n < 200; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(50ms);
  CHECK(p.same_kernels());
  CHECK(p.box[0].report.link == common::LinkState::up);
  for (int i : {0, 1}) p.step(i, LinkChanged{1, false});
  CHECK(p.box[0].report.link == common::LinkState::down);
}

TEST_CASE("different configurations are shown on both sides") {
  Pair p;
  p.box[1].config.digest = "other";
  p.start_both();
  CHECK(p.box[0].report.config_differs);
  const auto& engine = p.box[1].engine;
  CHECK(engine->status(p.now).config_differs);
  const std::string reason = "the configuration differs from that of R1";
  const auto told = [&] {
    const auto reasons = engine->status(p.now).reasons;
    return std::ranges::find(reasons, reason) != reasons.end();
  };
  CHECK(told());
  p.network.cut = true;
  p.run(1s);
  CHECK_FALSE(told());
}

TEST_CASE("what ended while the standby's syncd was away goes, though all has been sent before its kernel is read") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  CHECK(p.same_kernels());
  p.kill(1);
  p.box[0].kernel.remove(flow(5).key);
  p.run(50ms);
  p.dump_delay = 300ms;
  p.start(1);
  p.welcome(1, common::GroupState::backup, {1, "R1"});
  p.run(2s);
  CHECK(p.same_kernels());
}
