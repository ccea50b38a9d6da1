#include "tests/sim/box.hpp"

#include <fmt/format.h>

#include "common/overload.hpp"
#include "tests/sim/world.hpp"

namespace sim {

using common::Overload;
using namespace std::chrono_literals;

namespace {

constexpr Duration kNotifyDelay = 100us;  // one hop over a Unix socket, with the wake-up of the other side
constexpr Duration kReconnect = 50ms;     // NotifyClient::kReconnectEvery
constexpr std::size_t kWritesPerTurn = 64;

std::size_t slot(Daemon d) {
  return static_cast<std::size_t>(d);
}
const char* interface_of(Segment s) {
  return s == Segment::wan ? "eth0" : "eth2";
}

}  // namespace

Box::Box(World& world, int index_, std::uint64_t seed) : index(index_), kernel(seed), world_(world), prng_(seed + 1) {
  clock.offset = std::chrono::seconds(100 + prng_.below(100000));
  clock.parts_per_million = static_cast<std::int64_t>(prng_.below(400)) - 200;
}

common::Time Box::local_now() const {
  return clock.local(world_.queue.now());
}

bool Box::runs(Daemon daemon) const {
  switch (daemon) {
    case Daemon::vrrpd:
      return vrrpd_.has_value();
    case Daemon::syncd:
      return syncd_.has_value();
    case Daemon::agent:
      return agent_.has_value();
  }
  return false;
}

void Box::start(Daemon daemon) {
  if (runs(daemon)) return;
  ++life_[slot(daemon)];
  world_.trace(fmt::format("R{} start {}", index + 1, slot(daemon)));
  const common::Config& config = world_.config(index);
  switch (daemon) {
    case Daemon::vrrpd: {
      vrrpd::Inheritance inheritance{.terms = {}, .table_was_loaded = table_loaded_};
      for (const auto& [group, kept] : stored_terms_) {
        inheritance.terms.push_back({group, kept.term});
        if (kept.held) inheritance.held.push_back(group);
      }
      new_vrrpd_ = true;
      vrrpd_.emplace(config, inheritance, prng_.next(), local_now());
      step(vrrpd::Event(link_state(Segment::wan)));
      step(vrrpd::Event(link_state(Segment::lan)));
      step(vrrpd::Event(vrrpd::Tick{}));
      break;
    }
    case Daemon::syncd: {
      syncd::Secrets secrets;
      if (!world_.options.plain) secrets.key.assign(32, std::byte{7});
      for (auto& b : secrets.random) b = static_cast<std::byte>(prng_.next());
      syncd_.emplace(config, secrets, local_now());
      kernel.hear_packets(true);
      step(syncd::Event(syncd::LinkChanged{0, world_.connected(index, Segment::sync)}));
      own_addresses();
      step(syncd::Event(syncd::Tick{}));
      break;
    }
    case Daemon::agent: {
      agent_.emplace(config, local_now());
      natctl::TableFound found{table_exists, {}};
      if (table_exists) found.gates_open["MAIN-GW"] = gate_open;
      step(natctl::Event(found));
      break;
    }
  }
  connect();
}

void Box::kill(Daemon daemon) {
  if (!runs(daemon)) return;
  ++life_[slot(daemon)];
  ++armed_[slot(daemon)];
  world_.trace(fmt::format("R{} kill {}", index + 1, slot(daemon)));
  switch (daemon) {
    case Daemon::vrrpd:
      vrrpd_.reset();
      paused_ = false;
      missed_.clear();
      if (std::exchange(sync_client_, 0))
        world_.queue.after(kNotifyDelay, [this] { step(syncd::Event(syncd::NotifyDisconnected{})); });
      if (std::exchange(agent_client_, 0))
        world_.queue.after(kNotifyDelay, [this] { step(natctl::Event(natctl::VrrpdClosed{})); });
      break;
    case Daemon::syncd:
      differed_before_ = differed();
      syncd_.reset();
      agent_to_syncd_ = false;
      changes_.clear();
      close_client(std::exchange(sync_client_, 0));
      break;
    case Daemon::agent:
      agent_.reset();
      agent_to_syncd_ = false;
      close_client(std::exchange(agent_client_, 0));
      break;
  }
  connect();
}

void Box::close_client(vrrpd::ClientId client) {
  if (client != 0)
    world_.queue.after(kNotifyDelay, [this, client] { step(vrrpd::Event(vrrpd::ClientClosed{client})); });
}

void Box::terminate_vrrpd() {
  step(vrrpd::Event(vrrpd::Stop{}));
}

void Box::pause_vrrpd() {
  if (vrrpd_) paused_ = true;
}

void Box::resume_vrrpd() {
  if (!paused_) return;
  paused_ = false;
  world_.trace(fmt::format("R{} resumes vrrpd", index + 1));
  // The timer is what a process that wakes up sees first; then the sockets' queues, late.
  step(vrrpd::Event(vrrpd::Tick{}));
  for (std::deque<vrrpd::Event> missed = std::exchange(missed_, {}); !missed.empty(); missed.pop_front())
    step(missed.front());
}

void Box::reboot() {
  for (const Daemon d : {Daemon::vrrpd, Daemon::syncd, Daemon::agent}) kill(d);
  kernel.reboot();
  table_exists = gate_open = table_loaded_ = false;
  stored_terms_.clear();
  changes_.clear();
  clock.offset = std::chrono::seconds(5 + prng_.below(60)) - world_.queue.now().time_since_epoch();
}

vrrpd::LinkChanged Box::link_state(Segment segment) const {
  const bool wan = segment == Segment::wan;
  const std::uint32_t host =
      wan ? 0x0a0a0066u + static_cast<unsigned>(index) : 0xc0a86402u + static_cast<unsigned>(index);
  return {.interface = interface_of(segment),
          .exists = true,
          .running = world_.carrier(index, segment),
          .primary = common::IpAddress::v4(host),
          .mac = {}};
}

void Box::carrier_changed(Segment segment) {
  if (segment == Segment::sync)
    step(syncd::Event(syncd::LinkChanged{0, world_.carrier(index, segment)}));
  else
    step(vrrpd::Event(link_state(segment)));
}

/// Connects whatever of the three runs, and goes on trying like NotifyClient.
void Box::connect() {
  if (reconnecting_) return;
  reconnecting_ = true;
  world_.queue.after(std::chrono::milliseconds(1 + prng_.below(50)), [this] {
    reconnecting_ = false;
    if (vrrpd_ && !paused_ && syncd_ && sync_client_ == 0) {
      sync_client_ = next_client_++;
      step(vrrpd::Event(vrrpd::ClientConnected{sync_client_, true}));
      step(syncd::Event(syncd::NotifyConnected{}));
    }
    if (vrrpd_ && !paused_ && agent_ && agent_client_ == 0) {
      agent_client_ = next_client_++;
      step(vrrpd::Event(vrrpd::ClientConnected{agent_client_, true}));
      step(natctl::Event(natctl::VrrpdConnected{}));
    }
    if (syncd_ && agent_) agent_to_syncd_ = true;
    if ((vrrpd_ && syncd_ && sync_client_ == 0) || (vrrpd_ && agent_ && agent_client_ == 0)) {
      world_.queue.after(kReconnect, [this] { connect(); });
    }
  });
}

void Box::arm(Daemon daemon, common::Deadline deadline) {
  const std::uint64_t number = ++armed_[slot(daemon)];
  if (!deadline) return;
  // A real timer is never early and a little late; a deadline in the past is served at the next turn of the
  // loop.
  const common::Time when = std::max(clock.world(*deadline), world_.queue.now() + 10us);
  world_.queue.at(when, [this, daemon, number] {
    if (armed_[slot(daemon)] != number) return;
    switch (daemon) {
      case Daemon::vrrpd:
        step(vrrpd::Event(vrrpd::Tick{}));
        break;
      case Daemon::syncd:
        step(syncd::Event(syncd::Tick{}));
        break;
      case Daemon::agent:
        step(natctl::Event(natctl::Tick{}));
        break;
    }
  });
}

// --- vrrpd
// ---------------------------------------------------------------------------------------------------------

void Box::step(const vrrpd::Event& event) {
  if (!vrrpd_) return;
  if (paused_) {
    if (!std::holds_alternative<vrrpd::Tick>(event)) missed_.push_back(event);
    return;
  }
  if (!std::holds_alternative<vrrpd::Tick>(event)) world_.trace_engine(index, "", event);
  vrrpd::Actions actions;
  vrrpd_->step(event, local_now(), actions);
  group_is_new_ = false;
  const std::uint64_t life = life_[slot(Daemon::vrrpd)];
  for (vrrpd::Action& action : actions) {
    world_.trace_engine(index, "  ", action);
    perform(action);
    if (life != life_[slot(Daemon::vrrpd)]) return;
  }
  arm(Daemon::vrrpd, vrrpd_->deadline());
}

void Box::perform(vrrpd::Action& action) {
  std::visit(
      Overload{
          [&](vrrpd::SendAdvert& a) { world_.send_advert(index, a); },
          [&](vrrpd::AddAddress& a) { address(a.interface, a.address, true, a.lifetime); },
          [&](vrrpd::RemoveAddress& a) { address(a.interface, a.address, false, {}); },
          // No instance here has a virtual MAC or routes.
          [&](vrrpd::SetDevice&) {},
          [&](vrrpd::AddRoute&) {},
          [&](vrrpd::RemoveRoute&) {},
          [&](vrrpd::Announce& a) { world_.announce(index, a.interface == "eth0" ? Segment::wan : Segment::lan); },
          [&](vrrpd::SendMessage& a) { to_vrrpd_client(a.client, a.message); },
          [&](vrrpd::CloseClient& a) { world_.fail(fmt::format("R{} vrrpd closed a client: {}", index + 1, a.why)); },
          [&](vrrpd::RunHook&) {},
          [&](vrrpd::StoreTerm& a) { stored_terms_[a.group] = a; },
          [&](vrrpd::Log&) {},
          [&](vrrpd::Finished&) { kill(Daemon::vrrpd); },
      },
      action);
}

void Box::to_vrrpd_client(vrrpd::ClientId client, const common::NotifyMessage& message) {
  const bool sync = client == sync_client_;
  if (!sync && client != agent_client_) return;
  world_.queue.after(kNotifyDelay, [this, client, sync, message] {
    if (sync && client == sync_client_) step(syncd::Event(syncd::NotifyReceived{message}));
    if (!sync && client == agent_client_) step(natctl::Event(natctl::VrrpdMessage{message}));
  });
}

void Box::address(const std::string& interface, const common::Prefix& prefix, bool add, std::chrono::seconds lifetime) {
  const std::string name = interface + " " + prefix.to_string();
  const bool had = kernel.addresses.contains(name);
  if (add)
    kernel.addresses[name] = world_.queue.now() + lifetime;
  else
    kernel.addresses.erase(name);
  if (had != add) own_addresses();
  const std::uint64_t life = life_[slot(Daemon::vrrpd)];
  world_.queue.after(30us, [=, this] {
    if (life == life_[slot(Daemon::vrrpd)]) step(vrrpd::Event(vrrpd::AddressResult{interface, prefix, add, 0}));
  });
}

bool Box::has_addresses() {
  kernel.expire(world_.queue.now());
  return kernel.addresses.size() == 2;
}

const std::optional<vrrpd::GroupStatus>& Box::group() const {
  if (!vrrpd_)
    group_.reset();
  else if (!group_ || !group_is_new_)
    group_ = vrrpd_->status(local_now()).groups.at(0);
  group_is_new_ = true;
  return group_;
}

void Box::request(const std::string& verb, std::vector<std::string> arguments) {
  const vrrpd::ClientId client = next_client_++;
  step(vrrpd::Event(vrrpd::ClientConnected{client, true}));
  step(vrrpd::Event(vrrpd::ClientMessage{client, common::Hello{.role = common::Role::control}}));
  step(vrrpd::Event(vrrpd::ClientMessage{client, common::Request{1, verb, std::move(arguments)}}));
  step(vrrpd::Event(vrrpd::ClientClosed{client}));
}

// --- syncd
// ---------------------------------------------------------------------------------------------------------

void Box::own_addresses() {
  const auto last = static_cast<unsigned>(index);
  syncd::OwnAddresses own{{common::IpAddress::v4(0x0a0a0066u + last), common::IpAddress::v4(0xc0a86402u + last),
                           common::IpAddress::v4(0x0a0a0a02u + last), common::IpAddress::v4(0x7f000001u)}};
  for (const auto& [name, expires] : kernel.addresses)
    own.addresses.push_back(common::Prefix::parse(name.substr(name.find(' ') + 1))->address);
  step(syncd::Event(own));
}

void Box::step(const syncd::Event& event) {
  if (!syncd_) return;
  syncd::Actions actions;
  syncd_->step(event, local_now(), actions);
  sync_is_new_ = false;
  for (syncd::Action& action : actions) {
    world_.trace_engine(index, "  ", action);
    perform(action);
    if (!syncd_) return;
  }
  pump_sync();
  arm(Daemon::syncd, syncd_->deadline());
}

void Box::perform(syncd::Action& action) {
  const std::uint64_t life = life_[slot(Daemon::syncd)];
  const auto later = [this, life](Duration delay, std::function<void()> deed) {
    world_.queue.after(delay, [this, life, deed = std::move(deed)] {
      if (life == life_[slot(Daemon::syncd)]) deed();
    });
  };
  std::visit(Overload{
                 [&](syncd::SendNotify& a) {
                   if (sync_client_ == 0) return;
                   const auto* drained = std::get_if<common::Drained>(&a.message);
                   if (drained && drained->confirmed && !gate_open) world_.handed_over(index);
                   world_.queue.after(kNotifyDelay, [this, client = sync_client_, message = a.message] {
                     if (client == sync_client_) step(vrrpd::Event(vrrpd::ClientMessage{client, message}));
                   });
                 },
                 [&](syncd::Publish& a) {
                   if (!agent_to_syncd_) return;
                   world_.queue.after(kNotifyDelay,
                                      [this, report = a.report] { step(natctl::Event(natctl::SyncdMessage{report})); });
                 },
                 [&](syncd::StartDump& a) {
                   later(1ms, [this, dump = a.dump] {
                     kernel.expire(world_.queue.now());
                     const auto flows = kernel.dump(world_.queue.now());
                     step(syncd::Event(syncd::FlowsDumped{dump, flows, true, false}));
                   });
                 },
                 [](syncd::ReadFlows&) {},  // nobody announces a connection here
                 [&](syncd::SyncEvents& a) {
                   later(50us, [this, request = a.request] {
                     kernel_changed();
                     const auto changes = std::exchange(changes_, {});
                     if (!changes.empty()) step(syncd::Event(syncd::FlowsChanged{changes}));
                     step(syncd::Event(syncd::EventsSynced{request}));
                   });
                 },
                 [&](syncd::HearPackets& a) { kernel.hear_packets(a.on); },
                 [&](syncd::FlushKernel& a) {
                   later(100us, [this, request = a.request] {
                     write_kernel();
                     step(syncd::Event(syncd::KernelFlushed{request}));
                   });
                 },
                 [](const auto&) {},  // replies, logs, papers: nobody asks here
                 [&](syncd::Finished&) { kill(Daemon::syncd); },
             },
             action);
}

void Box::pump_sync() {
  if (pumping_) return;
  pumping_ = true;
  sync_is_new_ = false;
  syncd::Datagram datagram;
  while (syncd_ && syncd_->poll_datagram(local_now(), datagram)) world_.send_datagram(index, datagram);
  if (syncd_ && syncd_->kernel_pending()) {
    const std::uint64_t life = life_[slot(Daemon::syncd)];
    world_.queue.after(50us, [this, life] {
      if (life != life_[slot(Daemon::syncd)]) return;
      write_kernel();
      arm(Daemon::syncd, syncd_ ? syncd_->deadline() : common::Deadline{});
    });
  }
  pumping_ = false;
}

void Box::write_kernel() {
  std::vector<syncd::KernelWrite> writes;
  std::vector<syncd::KernelResult> refused;
  kernel.expire(world_.queue.now());
  sync_is_new_ = false;
  while (syncd_ && syncd_->kernel_pending()) {
    writes.clear();
    syncd_->poll_kernel(local_now(), kWritesPerTurn, writes);
    if (writes.empty()) break;
    for (const syncd::KernelWrite& w : writes)
      if (const int code = kernel.write(w, world_.queue.now())) refused.push_back({w.token, code});
    if (!refused.empty()) {
      const auto results = std::exchange(refused, {});
      syncd::Actions actions;
      syncd_->step(syncd::Event(syncd::KernelRefused{results}), local_now(), actions);
      for (syncd::Action& action : actions) perform(action);
    }
  }
  kernel_changed();
}

void Box::kernel_changed() {
  for (auto& change : kernel.take_events())
    if (syncd_) changes_.push_back(std::move(change));
  if (changes_.empty() || delivering_) return;
  delivering_ = true;
  world_.queue.after(std::chrono::microseconds(20 + prng_.below(100)), [this] {
    delivering_ = false;
    const auto changes = std::exchange(changes_, {});
    if (!changes.empty()) step(syncd::Event(syncd::FlowsChanged{changes}));
  });
}

void Box::lose_events() {
  if (!syncd_) return;
  changes_.clear();
  kernel.take_events();
  step(syncd::Event(syncd::EventsLost{}));
}

const std::optional<syncd::Status>& Box::sync_status() const {
  if (!syncd_)
    sync_.reset();
  else if (!sync_ || !sync_is_new_)
    sync_ = syncd_->status(local_now());
  sync_is_new_ = true;
  return sync_;
}

// --- agent
// ---------------------------------------------------------------------------------------------------------

void Box::step(const natctl::Event& event) {
  if (!agent_) return;
  natctl::Actions actions;
  agent_->step(event, local_now(), actions);
  for (natctl::Action& action : actions) {
    world_.trace_engine(index, "  agent ", action);
    perform(action);
  }
  arm(Daemon::agent, agent_->deadline());
}

void Box::perform(natctl::Action& action) {
  std::visit(Overload{
                 [&](natctl::Transaction& a) {
                   // Of the text only what it says of the gate is read: a shut gate jumps to the chain that
                   // covers.
                   const bool open = !a.text.contains("jump cover_");
                   const std::uint64_t life = life_[slot(Daemon::agent)];
                   world_.queue.after(transaction_time(), [this, id = a.id, open, life] {
                     table_exists = true;
                     gate_open = open;
                     world_.trace(fmt::format("R{} gate {}", index + 1, open ? "open" : "shut"));
                     if (life == life_[slot(Daemon::agent)]) finish_transaction(id);
                   });
                 },
                 [&](natctl::SendNotify& a) {
                   if (const auto* report = std::get_if<common::TableReport>(&a.message))
                     table_loaded_ |= report->loaded;
                   if (agent_client_ == 0) return;
                   world_.queue.after(kNotifyDelay, [this, client = agent_client_, message = a.message] {
                     if (client == agent_client_) step(vrrpd::Event(vrrpd::ClientMessage{client, message}));
                   });
                 },
                 [&](natctl::SendReply&) {},
                 [&](natctl::Log&) {},
                 [&](natctl::Finished&) { kill(Daemon::agent); },
             },
             action);
}

/// libnftables, measured 70 us and up; on a busy router it waits for a processor.
common::Duration Box::transaction_time() {
  const auto most = static_cast<std::uint64_t>(world_.options.transaction / 1us);
  return most <= 300 ? Duration(300us) : std::chrono::microseconds(70 + prng_.below(most - 70));
}

void Box::finish_transaction(std::uint64_t id) {
  step(natctl::Event(natctl::TransactionDone{id, ""}));
}

}  // namespace sim
