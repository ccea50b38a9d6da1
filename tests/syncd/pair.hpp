#pragma once
// Two engines, their kernels and the link between them in one process on virtual time.
#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/overload.hpp"
#include "common/prng.hpp"
#include "syncd/engine.hpp"
#include "syncd/receiver.hpp"
#include "syncd/record.hpp"

namespace syncd_test {

using namespace std::chrono_literals;
using common::Duration;
using common::Time;
using namespace syncd;

inline common::IpAddress ip(const char* text) {
  return *common::IpAddress::parse(text);
}

/// TCP or UDP from the LAN, translated to the virtual address with a port of its own.
inline Flow flow(unsigned n, std::uint8_t protocol = 6, std::uint8_t state = 3) {
  Flow f;
  f.key.protocol = protocol;
  f.key.original = {common::IpAddress::v4(0xc0a86400u + 10 + n / 50000), ip("203.0.113.9"),
                    static_cast<std::uint16_t>(10000 + n % 50000), 80};
  f.reply = {ip("203.0.113.9"), ip("10.10.0.101"), 80, static_cast<std::uint16_t>(1024 + (n * 7919u) % 60000)};
  f.status = status_bits::src_nat | status_bits::seen_reply | status_bits::assured;
  f.timeout = protocol == 6 ? 432000 : 30;
  if (protocol == 6) {
    f.has_tcp = true;
    f.tcp = {.state = state, .flags_original = 3, .flags_reply = 3, .scale_original = 7, .scale_reply = 9};
  }
  return f;
}

/// What of a flow must be the same on both routers.
inline common::Bytes essence(const Flow& f) {
  Record r;
  encode(f, nullptr, r);
  return {r.bytes.begin(), r.bytes.begin() + r.state_end};
}

struct FakeKernel {
  struct Entry {
    Flow flow;
    Time expires;
  };
  std::map<FlowKey, Entry> entries;
  std::map<std::pair<std::uint8_t, Tuple>, FlowKey> by_reply;
  std::vector<FlowChange> events;
  std::set<FlowKey> refuse;  ///< keys that are refused with EINVAL
  std::map<KernelWrite::Op, unsigned> writes;
  std::map<FlowKey, std::vector<syncd::Expectation>> expected;  ///< by master
  bool own_events = true;
  bool refuse_expectations = false;
  bool hears_packets = true;

  void note(ChangeKind kind, bool own, const Flow& f) {
    if (own ? own_events : hears_packets || kind == ChangeKind::destroyed) events.push_back({kind, own, f});
  }
  void put(const Flow& f, Time now, bool own = false) {
    const bool had = entries.contains(f.key);
    if (had) by_reply.erase({f.key.protocol, entries[f.key].flow.reply});
    entries[f.key] = {f, now + std::chrono::seconds(f.timeout)};
    by_reply[{f.key.protocol, f.reply}] = f.key;
    note(had ? ChangeKind::updated : ChangeKind::created, own, f);
  }
  void remove(const FlowKey& key, bool own = false) {
    const auto it = entries.find(key);
    if (it == entries.end()) return;
    const Flow f = it->second.flow;
    by_reply.erase({key.protocol, f.reply});
    entries.erase(it);
    note(ChangeKind::destroyed, own, f);
  }
  void expire(Time now) {
    std::vector<FlowKey> gone;
    for (const auto& [key, e] : entries)
      if (e.expires <= now) gone.push_back(key);
    for (const auto& key : gone) remove(key);
  }
  int write(const KernelWrite& w, Time now) {
    using Op = KernelWrite::Op;
    ++writes[w.op];
    if (refuse.contains(w.flow.key) && w.op != Op::remove) return EINVAL;
    const auto it = entries.find(w.flow.key);
    const bool here = it != entries.end();
    const auto holder = by_reply.find({w.flow.key.protocol, w.flow.reply});
    switch (w.op) {
      case Op::remove:
        if (!here) return ENOENT;
        remove(w.flow.key, true);
        return 0;
      case Op::expect:
        if (!here) return ENOENT;
        if (refuse_expectations) return EOPNOTSUPP;
        expected[w.flow.key] = w.flow.extras->expectations;
        return 0;
      case Op::set_timeout:
        if (!here) return ENOENT;
        it->second.expires = now + std::chrono::seconds(w.flow.timeout);
        return 0;
      case Op::update:
        if (!here) return ENOENT;
        break;
      case Op::create:
      case Op::create_or_update:
        if (here && (w.op == Op::create || it->second.flow.reply != w.flow.reply)) return EEXIST;
        if (!here && holder != by_reply.end()) return EEXIST;
        break;
      case Op::replace: {
        remove(w.flow.key, true);
        const auto other = by_reply.find({w.flow.key.protocol, w.flow.reply});
        if (other != by_reply.end()) remove(FlowKey(other->second), true);
        break;
      }
    }
    Flow f = w.flow;
    // The kernel keeps expectations beside its entries.
    if (f.extras) f.extras = without_expectations(*f.extras);
    if (entries.contains(f.key)) f.reply = entries[f.key].flow.reply;
    put(f, now, true);
    return 0;
  }
};

struct Box {
  std::unique_ptr<Engine> engine;
  FakeKernel kernel;
  common::Config config;
  std::vector<std::byte> key = std::vector<std::byte>(32, std::byte{7});
  bool usable = true;
  bool takes_no_writes = false;             ///< its kernel is so slow that nothing gets done
  bool heard_at_ready = false;              ///< its kernel reported packets when it said ready last
  std::vector<common::NotifyMessage> told;  ///< to vrrpd, without reports
  common::PeerReport report;
  std::vector<common::Reply> replies;
  std::vector<std::string> logs;
  std::string papers;

  template <typename T>
  std::vector<T> messages() const {
    std::vector<T> out;
    for (const auto& m : told)
      if (const T* t = std::get_if<T>(&m)) out.push_back(*t);
    return out;
  }
};

inline common::Config pair_config(int index, common::CommitPolicy policy) {
  common::Config c;
  c.node = index == 0 ? "R1" : "R2";
  c.peer = index == 0 ? "R2" : "R1";
  c.digest = "same";
  common::GroupConfig g;
  g.name = "MAIN-GW";
  g.instances = {
      {.name = "wan", .interface = "eth0", .vrid = 1, .virtual_addresses = {*common::Prefix::parse("10.10.0.101/24")}},
      {.name = "lan",
       .interface = "eth2",
       .vrid = 2,
       .virtual_addresses = {*common::Prefix::parse("192.168.100.1/24")}}};
  c.vrrp = common::VrrpConfig{{g}};
  common::SyncConfig s;
  s.groups = {"MAIN-GW"};
  s.commit = policy;
  const auto a = ip("10.10.10.2"), b = ip("10.10.10.3");
  s.links = {{"eth1", index == 0 ? a : b, index == 0 ? b : a, {}}};
  c.sync = s;
  return c;
}

class Pair {
 public:
  struct Network {
    double loss = 0, duplicate = 0;
    Duration delay = 200us, jitter = 0us;
    bool cut = false;
    std::set<std::string> cut_links;  ///< by interface; the others carry on
    std::size_t mtu = SIZE_MAX;       ///< larger datagrams are dropped without a word
  } network;
  Time now = Time{} + 1000s;
  Box box[2];
  common::Prng prng;
  std::uint64_t datagrams = 0, bytes = 0;
  std::vector<std::pair<int, common::Bytes>> recorded;  ///< everything sent, by sender, when recording
  bool recording = false;
  Duration dump_delay = 1ms;
  std::function<void(int from, common::Bytes&)> damage;  ///< done to each datagram on its way

  explicit Pair(common::CommitPolicy policy = common::CommitPolicy::continuous, std::uint64_t seed = 1) : prng(seed) {
    for (int i : {0, 1}) box[i].config = pair_config(i, policy);
  }

  void start(int i) {
    Secrets secrets;
    secrets.key = box[i].key;
    for (auto& b : secrets.random) b = static_cast<std::byte>(prng.next());
    box[i].engine = std::make_unique<Engine>(box[i].config, secrets, now);
    box[i].kernel.hears_packets = true;
    step(i, LinkChanged{0, box[i].usable});
    step(i, OwnAddresses{{ip(i == 0 ? "10.10.0.102" : "10.10.0.103"), ip(i == 0 ? "192.168.100.2" : "192.168.100.3"),
                          ip(i == 0 ? "10.10.10.2" : "10.10.10.3")}});
  }
  void kill(int i) {
    box[i].engine.reset();
    box[i].kernel.events.clear();
  }
  /// vrrpd connects and says where things stand.
  void welcome(int i, common::GroupState state, common::Term term) {
    step(i, NotifyConnected{});
    step(i, NotifyReceived{common::Welcome{.node = box[i].config.node,
                                           .groups = {{"MAIN-GW", state, common::Phase::idle, term}}}});
  }
  void entered(int i, common::GroupState state, common::Term term) {
    step(i, NotifyReceived{common::Entered{.group = "MAIN-GW", .state = state, .term = term}});
  }
  void notify(int i, common::NotifyMessage m) { step(i, NotifyReceived{std::move(m)}); }
  /// Both up, R1 master of term 1.
  void start_both() {
    start(0), start(1);
    welcome(0, common::GroupState::master, {1, "R1"});
    welcome(1, common::GroupState::backup, {1, "R1"});
    for (int i : {0, 1})
      notify(i,
             common::LocalReport{.groups = {{.group = "MAIN-GW",
                                             .state = i == 0 ? common::GroupState::master : common::GroupState::backup,
                                             .term = {1, "R1"},
                                             .priority = 100}}});
    run(500ms);
  }

  void step(int i, const Event& event) {
    Box& b = box[i];
    if (!b.engine) return;
    Actions actions;
    b.engine->step(event, now, actions);
    for (Action& action : actions) perform(i, action);
    pump(i);
  }

  void perform(int i, Action& action) {
    Box& b = box[i];
    std::visit(common::Overload{
                   [&](SendNotify& a) {
                     if (std::holds_alternative<common::Ready>(a.message)) b.heard_at_ready = b.kernel.hears_packets;
                     if (auto* r = std::get_if<common::PeerReport>(&a.message))
                       b.report = *r;
                     else
                       b.told.push_back(a.message);
                   },
                   [](Publish&) {},
                   [&](StartDump& a) { at(now + dump_delay, [this, i, d = a.dump] { dump(i, d); }); },
                   [&](SyncEvents& a) {
                     at(now + 50us, [this, i, r = a.request] {
                       deliver_events(i);
                       step(i, EventsSynced{r});
                     });
                   },
                   [&](ReadFlows& a) { at(now + 2ms, [this, i, keys = a.keys] { read(i, keys); }); },
                   [&](HearPackets& a) { b.kernel.hears_packets = a.on; },
                   [&](FlushKernel& a) {
                     at(now + 100us, [this, i, r = a.request] {
                       pump(i);
                       step(i, KernelFlushed{r});
                     });
                   },
                   [&](CollectPapers&) { at(now + 50us, [this, i] { step(i, PapersCollected{box[i].papers}); }); },
                   [&](SendReply& a) { b.replies.push_back(a.reply); },
                   [&](Log& a) { b.logs.push_back(a.name + ": " + a.text); },
                   [](Finished&) {},
               },
               action);
  }

  /// What a shell does when the kernel has news of what is expected, too.
  void read(int i, const std::vector<FlowKey>& keys) {
    std::vector<FlowChange> found;
    for (const FlowKey& key : keys) {
      const auto entry = box[i].kernel.entries.find(key);
      if (entry == box[i].kernel.entries.end()) continue;
      Flow f = entry->second.flow;
      syncd::Extras extras = f.extras ? *f.extras : syncd::Extras{};
      if (const auto it = box[i].kernel.expected.find(key); it != box[i].kernel.expected.end())
        extras.expectations = it->second;
      f.extras = extras;
      found.push_back({.kind = ChangeKind::detailed, .flow = f});
    }
    if (!found.empty()) step(i, FlowsChanged{found});
  }

  void dump(int i, std::uint64_t number) {
    std::vector<FlowKey> masters;
    for (const auto& [key, expected] : box[i].kernel.expected)
      if (!expected.empty()) masters.push_back(key);
    std::vector<Flow> all;
    for (const auto& [key, e] : box[i].kernel.entries) {
      all.push_back(e.flow);
      all.back().timeout = static_cast<std::uint32_t>(std::max<std::int64_t>(0, (e.expires - now) / 1s));
    }
    std::size_t from = 0;
    do {
      const std::size_t n = std::min<std::size_t>(all.size() - from, 135);
      step(i, FlowsDumped{number, std::span(all).subspan(from, n), from + n == all.size(), false, masters});
      from += n;
    } while (from < all.size());
  }

  void deliver_events(int i) {
    auto events = std::exchange(box[i].kernel.events, {});
    if (!events.empty()) step(i, FlowsChanged{events});
  }

  /// What a shell does after every turn.
  void pump(int i) {
    Box& b = box[i];
    for (int guard = 0; guard < 100000 && !b.takes_no_writes; ++guard) {
      std::vector<KernelWrite> writes;
      b.engine->poll_kernel(now, 64, writes);
      std::vector<KernelResult> refusals;
      for (const KernelWrite& w : writes)
        if (const int code = b.kernel.write(w, now); code != 0) refusals.push_back({w.token, code});
      if (!refusals.empty()) {
        Actions actions;
        b.engine->step(KernelRefused{refusals}, now, actions);
        for (Action& action : actions) perform(i, action);
      }
      if (writes.empty()) break;
    }
    Datagram d;
    while (b.engine->poll_datagram(now, d)) send(i, d.bytes, d.link);
    arm(i);
  }

  void send(int i, common::Bytes data, std::size_t link) {
    if (damage) damage(i, data);
    ++datagrams;
    bytes += data.size();
    if (recording) recorded.emplace_back(i, data);
    const common::SyncLink from = box[i].config.sync->links.at(link);
    const int copies = prng.chance(network.duplicate) ? 2 : 1;
    for (int c = 0; c < copies; ++c) {
      if (network.cut || network.cut_links.contains(from.interface) || data.size() > network.mtu ||
          prng.chance(network.loss))
        continue;
      const Duration jitter =
          network.jitter > 0us ? Duration(prng.below(static_cast<std::uint64_t>(network.jitter.count()))) : 0us;
      at(now + network.delay + jitter, [this, to = 1 - i, data, from] { arrive(to, data, from); });
    }
  }
  /// Over the link that has the address, if there is one.
  void arrive(int i, const common::Bytes& data, const common::SyncLink& from) {
    const std::vector<common::SyncLink>& links = box[i].config.sync->links;
    const auto to = std::ranges::find_if(
        links, [&](const auto& link) { return link.interface == from.interface && link.local == from.peer; });
    if (to == links.end()) return;
    step(i, DatagramReceived{static_cast<std::size_t>(to - links.begin()), from.local, data});
  }
  void receive(int i, const common::Bytes& data) {
    step(i, DatagramReceived{0, ip(i == 0 ? "10.10.10.3" : "10.10.10.2"), data});
  }

  void at(Time when, std::function<void()> what) { queue_.emplace(std::pair(when, ++order_), std::move(what)); }
  void arm(int i) {
    const auto deadline = box[i].engine->deadline();
    const std::uint64_t number = ++armed_[i];
    // A deadline that is never served would make the shell spin.
    if (now - counted_from_[i] > 100ms) counted_from_[i] = now, steps_[i] = 0;
    if (deadline && *deadline <= now && ++steps_[i] > 3000) throw std::runtime_error("a deadline stays in the past");
    if (deadline)
      at(std::max(*deadline, now + 10us), [this, i, number] {
        if (armed_[i] == number) step(i, Tick{});
      });
  }

  void run(Duration d) {
    const Time end = now + d;
    std::uint64_t turns = 0;
    for (int i : {0, 1})
      if (box[i].engine) deliver_events(i);
    while (!queue_.empty() && queue_.begin()->first.first <= end) {
      auto node = queue_.extract(queue_.begin());
      now = std::max(now, node.key().first);
      node.mapped()();
      for (int i : {0, 1}) {
        if (box[i].kernel.events.empty() || !box[i].engine) continue;
        deliver_events(i);
      }
      if (++turns > 20'000'000) std::abort();
    }
    now = end;
    for (int i : {0, 1}) {
      box[i].kernel.expire(now);
      if (box[i].engine) deliver_events(i);
    }
  }

  /// The kernel of `b` holds exactly the flows of `a`.
  bool same_kernels() const {
    const auto& a = box[0].kernel.entries;
    const auto& b = box[1].kernel.entries;
    if (a.size() != b.size()) return false;
    for (const auto& [key, e] : a) {
      const auto it = b.find(key);
      if (it == b.end() || essence(it->second.flow) != essence(e.flow)) return false;
    }
    return true;
  }
  std::uint64_t counter(int i, const char* name) const { return box[i].engine->status(now).counters.at(name); }

 private:
  std::map<std::pair<Time, std::uint64_t>, std::function<void()>> queue_;
  std::uint64_t order_ = 0;
  std::uint64_t armed_[2] = {0, 0};
  Time counted_from_[2];
  unsigned steps_[2] = {0, 0};
};

/// What vrrpd was told last.
inline common::Ready ready(const Pair& p, int i) {
  const auto all = p.box[i].messages<common::Ready>();
  if (all.empty()) throw std::runtime_error("nothing was said to be ready");
  return all.back();
}

}  // namespace syncd_test
