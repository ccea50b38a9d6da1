#include "syncd/audit.hpp"

#include <catch2/catch.hpp>

#include "syncd/session.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;

namespace {

constexpr Duration kHealed = syncd::kAuditTurn + 1500ms;

/// Without a key, so that a datagram may be damaged without anybody noticing.
void make_plain(Pair& p) {
  for (Box& box : p.box) box.key.clear();
}

/// Datagrams of the master arrive, are acknowledged, and have no flows any more. `most`: flows blocks.
void swallow(common::Bytes& datagram, unsigned& most) {
  const auto frame = decode_frame(common::ByteView(datagram).subspan(kSealedHeader), {"R1", "R2"});
  if (!frame) return;
  constexpr std::size_t kTypeBefore = 7;
  for (const FlowsBlock& block : frame->flows) {
    if (block.records.empty() || most == 0) continue;
    --most;
    datagram[static_cast<std::size_t>(block.records.data() - datagram.data()) - kTypeBefore] = std::byte{0x7f};
  }
}

void swallow_all(Pair& p) {
  p.damage = [](int from, common::Bytes& datagram) {
    unsigned most = 100;
    if (from == 0) swallow(datagram, most);
  };
}

/// Some traffic for so long: flows begin, change and end.
void churn(Pair& p, Duration how_long) {
  for (const Time end = p.now + how_long; p.now < end; p.run(20ms)) {
    for (int k = 0; k < 20; ++k) {
      const auto n = static_cast<unsigned>(p.prng.below(500));
      if (p.prng.chance(0.3))
        p.box[0].kernel.remove(flow(n).key);
      else
        p.box[0].kernel.put(flow(n, 6, static_cast<std::uint8_t>(1 + p.prng.below(4))), p.now);
    }
  }
}

/// The parts of one router, and what comes to it.
struct Bench {
  static constexpr std::uint32_t kEpoch = 5;
  Time now = Time{} + 1000s;
  common::Config config = pair_config(1, CommitPolicy::continuous);
  Store store{1};
  Ownership ownership;
  Sender sender{store};
  Commit commit{store, CommitPolicy::continuous};
  Receiver receiver{store, sender, commit, ownership};
  Peer peer{store, config, now};
  Audit audit{{store, sender, receiver, commit, peer}};

  Bench() {
    store.groups.configure(config);
    store.groups[0].role = Role::backup;
    store.groups[0].replica = {
        .epoch = kEpoch, .highest = kEpoch, .term = {}, .complete = true, .sweeping = false, .cursor = 0};
  }
  /// Master of as many groups as the file has, each with a stream that is at its end.
  void make_master() {
    PeerState said{.serial = 1};
    for (Group& group : store.groups) {
      group.role = Role::master;
      group.replica = {};
      const auto epoch = static_cast<std::uint32_t>(1 + store.groups.index(group));
      group.stream = {.epoch = epoch, .followed = true, .all_sent = true};
      said.groups.push_back({.group = group.id, .following = epoch, .compares = true});
    }
    peer.on_state(said);
  }
  /// What is in line goes out, and is acknowledged.
  void deliver() {
    common::Bytes bytes;
    FrameWriter writer(bytes, {"R2", "R1"});
    sender.pack(writer, kMaxPayload, now);
    sender.on_ack({.base = sender.next_sequence() - 1, .beyond = {}}, now);
    for (const Sender::Mark mark : sender.take_passed()) audit.on_passed(mark);
  }
  std::set<std::uint32_t> told() {
    std::set<std::uint32_t> epochs;
    while (audit.has_to_say()) {
      common::Bytes bytes;
      FrameWriter writer(bytes, {"R2", "R1"});
      audit.say(writer);
      const auto frame = decode_frame(bytes, {"R2", "R1"});
      if (frame && frame->digests) epochs.insert(frame->digests->epoch);
    }
    return epochs;
  }
  static Record record_of(const Flow& f) {
    Record record;
    encode(f, nullptr, record);
    return record;
  }
  bool knows(const Flow& f) { return store.table.find(record_of(f).key()) != kNoSlot; }
  void receive(std::uint64_t sequence, const Flow& f, const std::function<void(common::Bytes&)>& damage = {},
               bool gone = false) {
    common::Bytes bytes;
    FrameWriter writer(bytes, {"R1", "R2"});
    writer.data(sequence, 1);
    writer.begin_flows(kEpoch);
    const Record record = record_of(f);
    writer.record(gone ? record.key() : record.view(), gone);
    writer.end_flows();
    if (damage) damage(bytes);
    const auto frame = decode_frame(bytes, {"R1", "R2"});
    REQUIRE(frame.has_value());
    receiver.on_data(*frame, now);
  }
  void repaired(std::uint64_t from) {
    audit.on_repair({.epoch = kEpoch, .from = from, .buckets = ~BucketSet()});
    step();
  }
  void step() {
    Actions out;
    audit.advance(true, now, out);
  }
};

}  // namespace

TEST_CASE("digests move with every change as if they were summed up anew") {
  common::Prng prng(3);
  Store store(1);
  common::Config config = pair_config(0, CommitPolicy::continuous);
  config.vrrp->groups.push_back(config.vrrp->groups[0]);
  config.vrrp->groups[1].name = "OTHER";
  config.sync->groups.clear();
  store.groups.configure(config);
  for (int step = 0; step < 20000; ++step) {
    Flow f = flow(static_cast<unsigned>(prng.below(200)));
    f.mark = static_cast<std::uint32_t>(prng.below(3));
    f.timeout = static_cast<std::uint32_t>(prng.below(1000));
    Record record;
    encode(f, nullptr, record);
    const std::uint32_t hash = store.table.hash(record.key());
    const Slot slot = store.table.find(record.key(), hash);
    if (slot == kNoSlot)
      store.add(record, hash, prng.below(2));
    else if (prng.chance(0.3) && !store[slot].is(entry::gone))
      store.end(slot);
    else if (store[slot].is(entry::gone) && prng.chance(0.5))
      store.release(slot);
    else if (store[slot].is(entry::gone))
      store.revive(slot, record);
    else if (prng.chance(0.2))
      store.move_to_group(slot, prng.below(2));
    else
      store.set_record(slot, record);
  }
  std::vector<std::vector<std::uint64_t>> sums(2, std::vector<std::uint64_t>(kBuckets));
  for (Slot slot = 0; slot < store.table.end(); ++slot) {
    if (!store[slot].used() || store[slot].is(entry::gone)) continue;
    const auto layout = inspect(store.table.record(slot));
    sums[store[slot].group][bucket_of(key_of(store.table.record(slot)))] +=
        digest_of(store.table.record(slot).first(layout->state_end));
  }
  for (std::size_t g = 0; g < 2; ++g)
    for (std::size_t b = 0; b < kBuckets; ++b) REQUIRE(store.groups[g].buckets.sum(b) == sums[g][b]);
}

TEST_CASE("what the link lost after it was acknowledged comes within a turn") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  const unsigned datagrams = GENERATE(1u, 1000u);
  Pair p(policy);
  make_plain(p);
  for (unsigned n = 0; n < 2000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.start_both();
  p.run(kAuditTurn);
  CHECK(p.counter(1, "audit_differing") == 0);
  CHECK(p.counter(1, "audit_compared") >= kBuckets);
  // New ones, ended ones and changed ones.
  unsigned most = datagrams;
  p.damage = [&most](int from, common::Bytes& datagram) {
    if (from == 0) swallow(datagram, most);
  };
  for (unsigned n = 2000; n < 2100; ++n) p.box[0].kernel.put(flow(n), p.now);
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.remove(flow(n).key);
  for (unsigned n = 100; n < 200; ++n) p.box[0].kernel.put(flow(n, 6, 4), p.now);
  p.run(20ms);
  p.damage = nullptr;
  const Status damaged = p.box[1].engine->status(p.now);
  CHECK((damaged.state == SyncState::synced && damaged.reasons.empty()));  // nobody knows
  p.run(kHealed);
  const Status healed = p.box[1].engine->status(p.now);
  CHECK(healed.peer_flows == 2000);
  CHECK(healed.counters.at("audit_differing") > 0);
  CHECK(healed.counters.at("audit_repaired") == healed.counters.at("audit_differing"));
  if (datagrams > 1) CHECK(healed.counters.at("audit_removed") == 100);
  if (policy == CommitPolicy::continuous) CHECK(p.same_kernels());
  CHECK(p.box[1].logs.back().starts_with("replica_differs: MAIN-GW: "));
  p.run(2 * kAuditTurn);
  CHECK(p.counter(1, "audit_differing") == healed.counters.at("audit_differing"));
  CHECK(p.counter(0, "audit_sent_again") < 600);  // not the whole table
}

TEST_CASE("a bad link and busy traffic are no differences") {
  const auto policy = GENERATE(CommitPolicy::continuous, CommitPolicy::on_takeover);
  Pair p(policy);
  p.start_both();
  p.network = {.loss = 0.1, .duplicate = 0.1, .jitter = 3ms};
  churn(p, 20s);
  CHECK(p.counter(0, "datagrams_lost") > 10);
  CHECK(p.counter(1, "audit_compared") > kBuckets);
  CHECK(p.counter(0, "audit_unsettled") > 0);
  CHECK(p.counter(1, "audit_differing") == 0);
  // And while they go on, damage is found.
  Pair q(policy);
  make_plain(q);
  q.start_both();
  swallow_all(q);
  churn(q, 1s);
  q.damage = nullptr;
  churn(q, 2 * kHealed);
  CHECK(q.counter(1, "audit_repaired") > 0);
  q.run(kHealed);
  CHECK(q.box[1].engine->status(q.now).peer_flows == q.box[0].engine->status(q.now).local_flows);
  if (policy == CommitPolicy::continuous) CHECK(q.same_kernels());
}

TEST_CASE("a peer of a release that knows no digests is sent none, and lacks nothing else") {
  Pair p;
  make_plain(p);
  unsigned cleared = 0;
  p.damage = [&cleared](int from, common::Bytes& datagram) {
    const auto frame = decode_frame(common::ByteView(datagram).subspan(kSealedHeader), {"R2", "R1"});
    if (from != 1 || !frame || !frame->state || !frame->state->groups.at(0).compares) return;
    // As that release writes it.
    PeerState older = *frame->state;
    older.groups[0].compares = false;
    const auto block = [](const PeerState& state) {
      common::Bytes out;
      FrameWriter(out, {"R2", "R1"}).state(state);
      return common::Bytes(out.begin() + 1, out.end());
    };
    const common::Bytes wanted = block(*frame->state), instead = block(older);
    const auto at = std::ranges::search(datagram, wanted);
    REQUIRE(at.size() == instead.size());
    std::ranges::copy(instead, at.begin());
    ++cleared;
  };
  p.start_both();
  churn(p, kAuditTurn + 1s);
  p.run(1s);
  CHECK(cleared > 0);
  CHECK(p.counter(1, "audit_compared") == 0);
  CHECK(p.counter(1, "audit_unsettled") == 0);
  CHECK(p.counter(0, "audit_unsettled") == 0);
  CHECK(p.same_kernels());
}

TEST_CASE("flows of the backup's own, which it leaves to the master, are no differences") {
  Pair p;
  p.start_both();
  const auto own = [](unsigned n, std::uint8_t state) {
    Flow f = flow(n, 6, state);
    f.key.original.source = ip("192.168.100.3");  // of R2, a host behind R1 like any other
    return f;
  };
  for (unsigned n = 0; n < 50; ++n) p.box[0].kernel.put(own(n, 1), p.now);
  p.run(kAuditTurn + 1s);
  for (unsigned n = 0; n < 40; ++n) p.box[0].kernel.put(own(n, 3), p.now);
  for (unsigned n = 20; n < 50; ++n) p.box[0].kernel.remove(own(n, 3).key);
  p.run(kAuditTurn + 1s);
  CHECK(p.counter(1, "own_address_flows") >= 70);
  CHECK(p.counter(1, "audit_compared") >= kBuckets);
  CHECK(p.counter(1, "audit_differing") == 0);
  CHECK(p.box[1].kernel.entries.empty());
}

TEST_CASE("more flows of the backup's own than it keeps account of are no differences") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < kMaxKeptOut + 200; ++n) {
    Flow f = flow(n);
    f.key.original.source = ip("192.168.100.3");
    p.box[0].kernel.put(f, p.now);
  }
  p.run(kAuditTurn + 1s);
  CHECK(p.counter(1, "own_address_flows") == kMaxKeptOut + 200);
  CHECK(p.counter(1, "audit_compared") > 0);
  CHECK(p.counter(1, "audit_unsettled") > 0);
  CHECK(p.counter(1, "audit_differing") == 0);
}

TEST_CASE("an ending that comes late does not end what was kept out since") {
  Bench b;
  const std::vector own{flow(1).key.original.source};
  CHECK(b.ownership.set_own_addresses(own));
  CHECK(!b.ownership.set_own_addresses(own));
  const std::size_t bucket = bucket_of(Bench::record_of(flow(1)).key());
  const auto kept = [&] { return b.receiver.kept_out(0, bucket - bucket % kBucketsAtOnce)[bucket % kBucketsAtOnce]; };
  b.receive(7, flow(1));
  CHECK(kept() != 0);
  b.receive(5, flow(1), {}, true);
  CHECK(kept() != 0);
  b.receive(8, flow(1), {}, true);
  CHECK(kept() == 0);
}

TEST_CASE("a flow that is to be kept out stays out although its ending, which came early, is still remembered") {
  Bench b;
  b.ownership.set_own_addresses(std::vector{flow(1).key.original.source});
  const std::size_t bucket = bucket_of(Bench::record_of(flow(1)).key());
  const auto kept = [&] { return b.receiver.kept_out(0, bucket - bucket % kBucketsAtOnce)[bucket % kBucketsAtOnce]; };
  b.receive(7, flow(1), {}, true);
  REQUIRE(b.knows(flow(1)));  // that it has ended
  b.receive(9, flow(1));
  CHECK(b.store.groups[0].flows == 0);
  CHECK(kept() != 0);
  const auto of_nine = kept();
  b.receive(8, flow(1, 6, 7));
  CHECK(kept() == of_nine);
  b.receive(10, flow(1), {}, true);
  CHECK(kept() == 0);
  CHECK(b.store.groups[0].flows == 0);
}

TEST_CASE("where fetching does not help it is done ever more rarely, and said once") {
  Pair p;
  make_plain(p);
  p.start_both();
  swallow_all(p);
  for (unsigned n = 0; n < 20; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(20min);
  const auto sent = p.counter(0, "audit_sent_again");
  CHECK(sent >= 20 * 4);
  CHECK(sent <= 20 * 12);  // 2, and then after 16, 32, 64, 128, 256, 512, 600 s
  const auto said = [&p](const char* what) {
    return std::ranges::count_if(p.box[1].logs, [&](const std::string& line) { return line.starts_with(what); });
  };
  CHECK(said("replica_stays_different") == 1);
  CHECK(said("replica_differs") <= 21);
  CHECK(!p.box[1].engine->status(p.now).reasons.empty());
  p.damage = nullptr;
  p.run(20min);
  CHECK(p.same_kernels());
  CHECK(p.box[1].engine->status(p.now).reasons.empty());
}

TEST_CASE("a repair that reaches beyond what has come removes nothing") {
  Bench b;
  b.step();
  b.receive(1, flow(1));
  b.repaired(3);
  CHECK(b.knows(flow(1)));
  CHECK(b.store.counters[Counter::audit_refused] == 1);
  b.repaired(2);
  CHECK(!b.knows(flow(1)));
  CHECK(b.store.counters[Counter::audit_refused] == 1);
}

TEST_CASE("where a repair was not understood nothing is removed") {
  const auto [offset, value] = GENERATE(std::pair(3, 0x7f),    // a block of a type that nobody knows
                                        std::pair(6, 0x77),    // a stream that nobody has spoken of
                                        std::pair(10, 0xff));  // no record
  Bench b;
  b.step();
  b.receive(1, flow(1));
  b.receive(2, flow(1),
            [&](common::Bytes& bytes) { bytes.at(static_cast<std::size_t>(offset)) = static_cast<std::byte>(value); });
  b.repaired(2);
  CHECK(b.knows(flow(1)));
  b.repaired(3);
  CHECK(!b.knows(flow(1)));
}

TEST_CASE("what was found while the replica came to be, and is not the master's, is removed") {
  Bench b;
  b.step();
  b.receive(1, flow(1));
  const Record other = Bench::record_of(flow(2));
  const Slot slot = b.store.add(other, b.store.table.hash(other.key()), 0);
  b.store[slot].set(entry::found);
  REQUIRE(b.store[slot].generation != b.store.groups[0].generation);
  b.repaired(1);
  CHECK(b.knows(flow(1)));
  CHECK(!b.knows(flow(2)));
}

TEST_CASE("digests that have not gone out when the next round begins are not told") {
  Bench b;
  b.make_master();
  b.step();
  b.deliver();
  REQUIRE(b.audit.has_to_say());
  const Record changed = Bench::record_of(flow(1));
  b.store.add(changed, b.store.table.hash(changed.key()), 0);  // and the peer does not know
  b.now += kAuditEvery;
  b.step();
  CHECK(!b.audit.has_to_say());
  b.deliver();
  CHECK(b.told() == std::set<std::uint32_t>{1});
}

TEST_CASE("a group whose stream came to its end within a round waits for the next one") {
  Bench b;
  common::GroupConfig other = b.config.vrrp->groups[0];
  other.name = "OTHER";
  b.config.vrrp->groups.push_back(other);
  b.config.sync->groups.push_back("OTHER");
  b.store.groups.configure(b.config);
  b.make_master();
  b.store.groups[1].stream.all_sent = false;
  b.step();
  b.store.groups[1].stream.all_sent = true;
  b.deliver();
  CHECK(b.told() == std::set<std::uint32_t>{1});
  b.now += kAuditEvery;
  b.step();
  b.deliver();
  CHECK(b.told() == std::set<std::uint32_t>{1, 2});
}

TEST_CASE("records of an older protocol are not compared") {
  Bench b;
  CHECK(b.peer.state_to_tell(b.now, kProtocol).groups.at(0).compares);
  CHECK(!b.peer.state_to_tell(b.now, kProtocol - 1).groups.at(0).compares);
}
