#include "tests/sim/world.hpp"

#include <fmt/format.h>

#include "syncd/audit.hpp"
#include "syncd/frame.hpp"
#include "syncd/session.hpp"

namespace sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kLinesKept = 400;
constexpr Duration kLookEvery = 5ms;
// A turn of the audit, the round that it begins with, the repair, and the second of rest.
constexpr Duration kAuditHealsWithin = syncd::kAuditTurn + 3s;
constexpr Duration kArpEvery = 1s;  // hosts probe a neighbour that does not answer after about a second

std::string config_text(const Options& o) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(o.advertise_interval).count();
  return fmt::format(R"(version: 1
nodes:
  R1: {{ priority: 200, sync_address: 10.10.10.2 }}
  R2: {{ priority: 100, sync_address: 10.10.10.3 }}
vrrp:
  groups:
    MAIN-GW:
      advertise_interval: {}ms
      instances:
        wan: {{ interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }}
        lan: {{ interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }}
sync:
  links: [ {{ interface: eth1 }} ]
  {}
  commit: {}
nat:
  source:
    10:
      outbound_interface: eth0
      source_address: 192.168.100.0/24
      translate_to: 10.10.0.101
      port_mapping: fully-random
)",
                     ms, o.plain ? "security: none" : "key_file: /etc/steadynat/sync.key",
                     o.continuous ? "continuous" : "on-takeover");
}

}  // namespace

World::World(const Options& o, Story story) : options(o), prng(o.seed), story_(story) {
  for (int i = 0; i < 2; ++i) {
    auto loaded = common::parse_config(config_text(options), "sim.yaml", i == 0 ? "R1" : "R2");
    for (const auto& d : loaded.diagnostics)
      if (d.severity == common::Diagnostic::Severity::error) fail(d.to_string());
    common::check(loaded.config.has_value(), "the simulation's configuration is valid");
    configs_[static_cast<std::size_t>(i)] = *loaded.config;
    boxes_.push_back(std::make_unique<Box>(*this, i, prng.next()));
  }
  traffic_ = std::make_unique<Traffic>(*this, options.flows, options.short_flows, prng.next());
}

void World::trace(std::string line) {
  if (story_ == Story::untold) return;
  line = fmt::format("{:11.6f} {}", common::milliseconds(queue.now().time_since_epoch()) / 1000, line);
  if (story_ == Story::printed) fmt::print("{}\n", line);
  lines_.push_back(std::move(line));
  if (lines_.size() > kLinesKept) lines_.pop_front();
}

void World::trace_engine_line(int box, const std::string& line) {
  if (line.find("SendAdvert") != std::string::npos && story_ != Story::printed) return;
  trace(fmt::format("R{} {}", box + 1, line));
}

void World::fail(std::string what) {
  if (failure_.empty())
    failure_ = fmt::format("at {:.6f} s: {}", common::milliseconds(queue.now().time_since_epoch()) / 1000, what);
}

bool World::carrier(int box, Segment segment) const {
  return port(box, segment).carrier;
}

bool World::connected(int box, Segment segment) const {
  return port(box, segment).plugged && port(box, segment).carrier;
}

void World::send_advert(int from, const vrrpd::SendAdvert& advert) {
  const Segment segment = advert.interface == "eth0" ? Segment::wan : Segment::lan;
  const int to = 1 - from;
  if (!connected(from, segment) || (!healing_ && prng.chance(options.advert_loss))) return;
  const auto delay = options.delay_min + std::chrono::microseconds(prng.below(200));
  queue.after(delay, [this, to, segment, advert] {
    if (!connected(to, segment)) return;
    box(to).advert({.interface = advert.interface,
                    .source = advert.source,
                    .destination = common::IpAddress::v4(0xe0000012u),
                    .ttl = 255,
                    .payload = advert.payload});
  });
}

void World::send_datagram(int from, const syncd::Datagram& datagram) {
  const int to = 1 - from;
  if (!connected(from, Segment::sync) || (!healing_ && prng.chance(options.loss))) return;
  common::Bytes bytes = datagram.bytes;
  if (corrupting_) damage(bytes);
  const int copies = !healing_ && prng.chance(options.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const auto spread = static_cast<std::uint64_t>(options.delay_spread / 1us) + 1;
    queue.after(options.delay_min + std::chrono::microseconds(prng.below(spread)), [this, from, to, bytes] {
      if (!connected(to, Segment::sync)) return;
      box(to).datagram(bytes, common::IpAddress::v4(0x0a0a0a02u + static_cast<unsigned>(from)));
    });
  }
}

void World::announce(int from, Segment segment) {
  if (connected(from, segment)) arp_[static_cast<std::size_t>(segment)] = from;
}

void World::handed_over(int from) {
  traffic_->note_handed_over(from);
}

/// A host whose router does not answer any more asks again, and believes whoever has the address.
void World::refresh_arp() {
  for (const Segment s : {Segment::wan, Segment::lan}) {
    int& now = arp_[static_cast<std::size_t>(s)];
    const auto answers = [&](int b) { return connected(b, s) && box(b).has_addresses(); };
    if (now >= 0 && answers(now)) continue;
    for (int b = 0; b < 2; ++b)
      if (answers(b)) now = b;
  }
  queue.after(kArpEvery, [this] { refresh_arp(); });
}

void World::plug(int b, bool on) {
  for (const Segment s : {Segment::wan, Segment::lan, Segment::sync}) port(b, s).plugged = on;
}

// --- faults
// --------------------------------------------------------------------------------------------------------

void World::every(Duration mean, void (World::*fault)()) {
  if (mean == Duration{}) return;
  const auto wait = mean / 2 + std::chrono::microseconds(prng.below(static_cast<std::uint64_t>(mean / 1us)));
  queue.after(wait, [this, mean, fault] {
    if (healing_) return;
    (this->*fault)();
    every(mean, fault);
  });
}

void World::schedule_faults() {
  every(options.power_cut, &World::fault_power);
  every(options.reboot, &World::fault_reboot);
  every(options.carrier, &World::fault_carrier);
  every(options.sync_cut, &World::fault_sync);
  every(options.daemon_kill, &World::fault_kill);
  every(options.pause, &World::fault_pause);
  every(options.overrun, &World::fault_overrun);
  every(options.switchover, &World::fault_switchover);
  every(options.carrier_both, &World::fault_carrier_both);
}

void World::fault_power() {
  const int b = static_cast<int>(prng.below(2));
  note_fault(fmt::format("R{} unplugged", b + 1));
  plug(b, false);
  queue.after(std::chrono::milliseconds(500 + prng.below(6000)), [this, b] {
    trace(fmt::format("R{} plugged in", b + 1));
    plug(b, true);
  });
}

void World::fault_reboot() {
  const int b = static_cast<int>(prng.below(2));
  note_fault(fmt::format("R{} reboots", b + 1));
  box(b).reboot();
  traffic_->forget_holder(b);
  checkers_.rebooted(b);
  plug(b, false);
  const Duration down = std::chrono::milliseconds(1000 + prng.below(5000));
  for (const Daemon d : {Daemon::vrrpd, Daemon::syncd, Daemon::agent})
    queue.after(down + std::chrono::milliseconds(prng.below(500)), [this, b, d] {
      plug(b, true);
      box(b).start(d);
    });
}

void World::fault_carrier() {
  const int b = static_cast<int>(prng.below(2));
  const auto segment = static_cast<Segment>(prng.below(2));
  note_fault(fmt::format("R{} loses carrier on {}", b + 1, segment == Segment::wan ? "wan" : "lan"));
  set_carrier(b, segment, false);
  queue.after(std::chrono::milliseconds(200 + prng.below(5000)), [=, this] { set_carrier(b, segment, true); });
}

/// Of a switch that both hang on: both see it go, and come back, at nearly the same time.
void World::fault_carrier_both() {
  const auto segment = static_cast<Segment>(prng.below(2));
  note_fault(fmt::format("both lose carrier on {}", segment == Segment::wan ? "wan" : "lan"));
  const auto down = std::chrono::milliseconds(200 + prng.below(5000));
  for (int b = 0; b < 2; ++b) {
    const auto lost = std::chrono::microseconds(prng.below(20000));
    queue.after(lost, [=, this] { set_carrier(b, segment, false); });
    queue.after(down + std::chrono::microseconds(prng.below(30000)), [=, this] { set_carrier(b, segment, true); });
  }
}

void World::set_carrier(int b, Segment segment, bool up) {
  if (healing_ && !up) return;
  port(b, segment).carrier = up;
  box(b).carrier_changed(segment);
}

void World::fault_sync() {
  const int b = static_cast<int>(prng.below(2));
  note_fault(fmt::format("R{} sync link cut", b + 1));
  port(b, Segment::sync).plugged = false;
  queue.after(std::chrono::milliseconds(50 + prng.below(4000)), [this, b] { port(b, Segment::sync).plugged = true; });
}

void World::fault_kill() {
  const int b = static_cast<int>(prng.below(2));
  const auto daemon = static_cast<Daemon>(prng.below(3));
  note_fault(fmt::format("R{} daemon {} dies", b + 1, static_cast<int>(daemon)));
  if (daemon == Daemon::vrrpd && prng.chance(0.5))
    box(b).terminate_vrrpd();
  else
    box(b).kill(daemon);
  if (daemon == Daemon::syncd) traffic_->forget_replica(b);
  queue.after(std::chrono::milliseconds(20 + prng.below(3000)), [this, b, daemon] { box(b).start(daemon); });
}

void World::fault_pause() {
  const int b = static_cast<int>(prng.below(2));
  note_fault(fmt::format("R{} vrrpd is stopped", b + 1));
  box(b).pause_vrrpd();
  queue.after(std::chrono::milliseconds(100 + prng.below(6000)), [this, b] { box(b).resume_vrrpd(); });
}

void World::note_fault(const std::string& what) {
  trace("FAULT " + what);
}

void World::fault_overrun() {
  box(static_cast<int>(prng.below(2))).lose_events();
}

void World::fault_switchover() {
  box(static_cast<int>(prng.below(2))).request("switchover");
}

// --- healing
// -------------------------------------------------------------------------------------------------------

void World::heal() {
  trace("HEAL");
  healing_ = true;
  traffic_->calm_down();
  for (int b = 0; b < 2; ++b) {
    plug(b, true);
    for (const Segment s : {Segment::wan, Segment::lan, Segment::sync}) {
      port(b, s).carrier = true;
      box(b).carrier_changed(s);
    }
    box(b).resume_vrrpd();
    for (const Daemon d : {Daemon::vrrpd, Daemon::syncd, Daemon::agent}) box(b).start(d);
  }
  // Once more when the last switchover that was asked for has come to its end: it may take ten seconds.
  for (const Duration after : {2s, 11s})
    queue.after(after, [this] {
      for (int b = 0; b < 2; ++b) box(b).request("release");
    });
}

/// What is still missing for the pair to be at rest, as a sentence; empty when nothing is.
std::string World::pending() {
  for (int b = 0; b < 2; ++b) {
    const auto& group = box(b).group();
    if (!group) return fmt::format("R{}: vrrpd does not run", b + 1);
    const auto wanted = b == 0 ? common::GroupState::master : common::GroupState::backup;
    if (group->state != wanted || group->phase != common::Phase::idle)
      return fmt::format("R{} is {} ({}), term {}", b + 1, common::to_string(group->state),
                         common::to_string(group->phase), common::to_string(group->term));
    if (box(b).forwards() != (b == 0))
      return fmt::format("R{}: gate is {}", b + 1, box(b).forwards() ? "open" : "shut");
    if (box(b).has_addresses() != (b == 0)) return fmt::format("R{}: addresses are wrong", b + 1);
    const auto& sync = box(b).sync_status();
    if (!sync) return fmt::format("R{}: syncd does not run", b + 1);
    if (sync->state != syncd::SyncState::synced) return fmt::format("R{}: syncd is not synced", b + 1);
  }
  if (arp(Segment::wan) != 0 || arp(Segment::lan) != 0) return "hosts still send to R2";
  const auto &local = box(0).sync_status(), &replica = box(1).sync_status();
  if (local->backlog != 0) return fmt::format("R1 has {} flows that R2 has not acknowledged", local->backlog);
  if (local->local_flows != replica->peer_flows)
    return fmt::format("R1 has {} flows, R2 holds {}", local->local_flows, replica->peer_flows);
  if (!options.continuous) return "";
  for (const auto& [key, entry] : box(0).kernel.entries()) {
    const auto* copy = box(1).kernel.find(key);
    if (!copy) return "missing in R2's kernel: " + syncd::to_string(entry.flow);
    if (copy->flow.reply != entry.flow.reply) return "differs in R2's kernel: " + syncd::to_string(entry.flow);
  }
  if (box(0).kernel.size() != box(1).kernel.size())
    return fmt::format("R2's kernel has {} entries, R1's {}", box(1).kernel.size(), box(0).kernel.size());
  return "";
}

std::string World::run() {
  for (int b = 0; b < 2; ++b)
    for (const Daemon d : {Daemon::vrrpd, Daemon::syncd, Daemon::agent})
      queue.after(std::chrono::milliseconds(prng.below(300)), [this, b, d] { box(b).start(d); });
  queue.after(kArpEvery, [this] { refresh_arp(); });
  std::function<void()> look = [this, &look] {
    checkers_.look(*this);
    traffic_->note_acknowledged();
    queue.after(kLookEvery, look);
  };
  queue.after(kLookEvery, look);
  traffic_->start();
  // Undisturbed at first: the pair must come up by itself.
  const Duration settle = 5s + 5 * options.advertise_interval;
  queue.after(settle, [this] { schedule_faults(); });
  const common::Time quiet = queue.now() + settle + options.faults_for;
  queue.at(quiet, [this] { heal(); });
  while (!failed() && queue.step(quiet)) {
  }
  if (!failed() && at_rest(options.heal_within)) check_audit();
  if (failed() || !options.plain) return failure_;
  corrupt();
  at_rest(kAuditHealsWithin);
  return failure_;
}

/// For a second on end, before so much time has passed.
bool World::at_rest(Duration within) {
  const common::Time last = queue.now() + within;
  std::string missing = "nobody has looked";
  common::Time checked{};
  common::Duration calm{};
  while (!failed() && queue.step(last)) {
    if (queue.now() - checked < 50ms) continue;
    calm = missing.empty() ? calm + (queue.now() - checked) : Duration{};
    checked = queue.now();
    missing = pending();
    if (missing.empty() && calm > 1s) return true;
  }
  if (!failed() && !missing.empty()) fail("not at rest: " + missing);
  return !failed();
}

// --- the audit
// -----------------------------------------------------------------------------------------------------------

/// Whatever has happened, connections that are replicated by rule never look different to the audit.
void World::check_audit() {
  for (int b = 0; b < 2; ++b) {
    const std::uint64_t differing = box(b).differed();
    if (differing != 0) fail(fmt::format("R{}: {} buckets differed, and nobody had damaged any", b + 1, differing));
  }
  if (box(1).sync_status()->counters.at("audit_compared") == 0) fail("R2 has compared nothing");
}

/// Everything is sent once more, over a link that changes what it carries, without a key that would show it.
void World::corrupt() {
  note_fault("the sync link damages records");
  corrupting_ = true;
  box(0).resync();
  const common::Time end = queue.now() + 300ms;
  while (!failed() && queue.step(end)) {
  }
  corrupting_ = false;
}

/// What remains is a datagram that is taken in and acknowledged.
void World::damage(common::Bytes& datagram) {
  const auto payload = common::ByteView(datagram).subspan(syncd::kSealedHeader);
  const auto frame = syncd::decode_frame(payload, {"R1", "R2"});
  if (!frame) return;
  if (frame->repair) corrupting_ = false;  // or what is repaired would have to be found out first
  for (const syncd::FlowsBlock& block : frame->flows) {
    if (block.records.empty()) continue;
    const auto records = static_cast<std::size_t>(block.records.data() - datagram.data());
    constexpr std::size_t kTypeBefore = 7;  // type, length and epoch stand before the records
    constexpr std::byte kUnknownType{0x7f};
    if (prng.chance(0.5))
      datagram[records - kTypeBefore] = kUnknownType;
    else
      datagram[records + prng.below(block.records.size())] ^= static_cast<std::byte>(1u << prng.below(8));
  }
}

}  // namespace sim
