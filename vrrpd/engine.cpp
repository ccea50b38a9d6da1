#include "vrrpd/engine.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "common/overload.hpp"
#include "common/settings.hpp"
#include "vrrpd/advert.hpp"
#include "vrrpd/group.hpp"
#include "vrrpd/participants.hpp"
#include "vrrpd/peer.hpp"
#include "vrrpd/reload.hpp"

namespace vrrpd {

using common::Role;

namespace {

/// A step this much after its deadline means that the process did not run. Less is the scheduler's everyday jitter.
constexpr common::Duration kLate = std::chrono::milliseconds(20);

}  // namespace

// Routes events to the groups, tells the peer what they say, merges their deadlines. Has no rules of its own.
struct Engine::State {
  struct Entry {
    Group group;
    bool retiring = false;
  };

  State(common::Config new_config, const Inheritance& inheritance, Time now);

  void handle(const Tick&, Context& ctx);
  void handle(const AdvertReceived& packet, Context& ctx);
  void handle(const LinkChanged& link, Context& ctx);
  void handle(const ClientConnected& who, Context& ctx);
  void handle(const ClientMessage& said, Context& ctx);
  void handle(const ClientClosed& who, Context& ctx);
  void handle(const AddressResult& result, Context& ctx);
  void handle(const Disturbed& event, Context& ctx);
  void handle(const Tracked& look, Context& ctx);
  void handle(const Stop&, Context& ctx);
  void handle(const Reload& reload, Context& ctx);

  void on_hello(ClientId client, const common::Hello& hello, Context& ctx);
  void on_request(ClientId client, const common::Request& request, Context& ctx);
  void refuse(ClientId client, const std::string& why, Context& ctx);
  void add_group(const common::GroupConfig& group_config, Context& ctx);
  GroupSettings settings(const std::string& group) const;
  Group* find(std::string_view name);
  void finish(Context& ctx);
  void report(Context& ctx);
  common::LocalReport local_report(const Context& ctx) const;
  common::Duration report_every() const;
  common::Deadline deadline() const;

  common::Config config;
  std::vector<Entry> groups;
  Participants participants;
  Peer peer;
  std::map<std::string, LinkChanged> links;
  std::map<std::string, Inherited> inherited;
  bool table_loaded = false;
  bool stopping = false, finished = false;
  common::Deadline promised;  ///< the deadline after the last step
  common::Deadline report_due;
  std::optional<common::LocalReport> reported;
  std::map<std::string, std::uint64_t> counters;
};

Engine::State::State(common::Config new_config, const Inheritance& inheritance, Time now)
    : config(std::move(new_config)), table_loaded(inheritance.table_was_loaded) {
  for (const common::Hello::Seen& seen : inheritance.terms) inherited[seen.group].term = seen.term;
  for (const std::string& group : inheritance.held) inherited[group].held = true;
  participants.expect(config.sync.has_value(), config.has_table());
  if (!config.vrrp) return;
  for (const common::GroupConfig& group : config.vrrp->groups)
    groups.push_back({Group(group, settings(group.name), inherited[group.name], now)});
}

GroupSettings Engine::State::settings(const std::string& group) const {
  return {config.node, config.replicates(group), config.has_table()};
}

Group* Engine::State::find(std::string_view name) {
  for (Entry& entry : groups)
    if (entry.group.name() == name && !entry.retiring) return &entry.group;
  return nullptr;
}

// --- events --------------------------------------------------------------------------------------------------------

void Engine::State::handle(const Tick&, Context& ctx) {
  for (Entry& entry : groups) entry.group.on_tick(ctx);
}

void Engine::State::handle(const AdvertReceived& packet, Context& ctx) {
  for (Entry& entry : groups)
    if (entry.group.on_advert(packet, ctx)) return;
  // Nobody's: decoded all the same, so that the counter names the first thing that was wrong with it.
  const auto decoded = decode({packet.source, packet.destination, packet.ttl, packet.payload}, {.v2 = true});
  ++counters[std::string(to_string(decoded ? DecodeError::vrid : decoded.error()))];
}

void Engine::State::handle(const LinkChanged& link, Context& ctx) {
  links[link.interface] = link;
  for (Entry& entry : groups) entry.group.on_link(link, ctx);
}

/// Whoever says nothing looks on: `socat -u` can say no hello.
void Engine::State::handle(const ClientConnected& who, Context& ctx) {
  participants.connected(who.client, who.may_participate);
  common::Welcome welcome{.node = config.node, .groups = {}};
  for (const Entry& entry : groups)
    if (!entry.retiring) welcome.groups.push_back(entry.group.snapshot());
  ctx.out.push_back(SendMessage{who.client, std::move(welcome)});
}

void Engine::State::handle(const ClientClosed& who, Context& ctx) {
  const auto lost = participants.closed(who.client);
  if (!lost) return;
  if (*lost == Role::syncd) peer.on_syncd_lost(ctx.now);
  for (Entry& entry : groups) entry.group.on_lost(*lost, ctx);
}

void Engine::State::handle(const AddressResult& result, Context& ctx) {
  for (Entry& entry : groups) entry.group.on_address_result(result, ctx);
}

void Engine::State::handle(const Disturbed& event, Context& ctx) {
  for (Entry& entry : groups) entry.group.on_disturbed(event, ctx);
}

void Engine::State::handle(const Tracked& look, Context& ctx) {
  if (Group* group = find(look.group)) group->on_tracked(look, ctx);
}

void Engine::State::handle(const Stop&, Context& ctx) {
  stopping = true;
  for (Entry& entry : groups) entry.group.stop(ctx);
}

void Engine::State::handle(const Reload& reload, Context& ctx) {
  config = reload.config;
  participants.expect(config.sync.has_value(), config.has_table());
  std::vector<std::string> running;
  for (Entry& entry : groups) {
    if (entry.retiring) continue;
    running.push_back(entry.group.name());
    switch (compare(entry.group.config(), config)) {
      case Change::adopt:
        entry.group.reconfigure(*config.group(entry.group.name()), settings(entry.group.name()), ctx);
        for (const auto& [interface, link] : links) entry.group.on_link(link, ctx);
        break;
      case Change::restart:
      case Change::retire:
        entry.retiring = true;  // finish() puts the new one in its place
        entry.group.stop(ctx);
        break;
    }
  }
  for (const std::string& name : added(running, config)) add_group(*config.group(name), ctx);
}

void Engine::State::add_group(const common::GroupConfig& group_config, Context& ctx) {
  groups.push_back({Group(group_config, settings(group_config.name), inherited[group_config.name], ctx.now)});
  for (const auto& [name, link] : links) groups.back().group.on_link(link, ctx);
}

// --- clients -------------------------------------------------------------------------------------------------------

void Engine::State::handle(const ClientMessage& said, Context& ctx) {
  const ClientId client = said.client;
  const bool syncd = participants.is(client, Role::syncd), agent = participants.is(client, Role::agent);
  const auto unexpected = [&] { refuse(client, "sent what its role does not send", ctx); };
  std::visit(common::Overload{[&](const common::Hello& hello) { on_hello(client, hello, ctx); },
                              [&](const common::Request& request) { on_request(client, request, ctx); },
                              [&](const common::Ready& ready) {
                                if (!syncd && !agent) return unexpected();
                                if (Group* group = find(ready.group))
                                  group->on_ready(ready, syncd ? Role::syncd : Role::agent, ctx);
                              },
                              [&](const common::GateShut& shut) {
                                if (!agent) return unexpected();
                                if (Group* group = find(shut.group)) group->on_gate_shut(shut, ctx);
                              },
                              [&](const common::Drained& drained) {
                                if (!syncd) return unexpected();
                                if (Group* group = find(drained.group)) group->on_drained(drained, ctx);
                              },
                              [&](const common::PeerReport& report) {
                                if (!syncd) return unexpected();
                                peer.on_report(report, ctx.now);
                                for (Entry& entry : groups) entry.group.on_peer(ctx);
                              },
                              [&](const common::TableReport& table) {
                                if (!agent) return unexpected();
                                table_loaded = table_loaded || table.loaded;
                                ctx.table_loaded = table_loaded;
                                for (Entry& entry : groups) entry.group.on_change(ctx);
                              },
                              [&](const auto&) { unexpected(); }},
             said.message);
}

void Engine::State::refuse(ClientId client, const std::string& why, Context& ctx) {
  ++counters["protocol_errors"];
  ctx.out.push_back(CloseClient{client, why});
  handle(ClientClosed{client}, ctx);
}

void Engine::State::on_hello(ClientId client, const common::Hello& hello, Context& ctx) {
  const auto role = participants.hello(client, hello, ctx.out);
  if (!role) return;
  if (*role != Role::syncd && *role != Role::agent) return;
  reported.reset();  // the newcomer has not heard it
  for (Entry& entry : groups) entry.group.on_joined(*role, hello, ctx);
}

void Engine::State::on_request(ClientId client, const common::Request& request, Context& ctx) {
  const Ticket ticket{client, request.id};
  const auto no = [&](const std::string& error) {
    ctx.out.push_back(SendMessage{client, common::Reply{.id = request.id, .ok = false, .error = error}});
  };
  if (request.verb != "switchover" && request.verb != "release")
    return no(fmt::format("vrrpd does not know the request {}", common::quoted(request.verb)));
  if (!participants.may_command(client)) return no("not permitted: run it as root or as the user of vrrpd");
  bool force = false;
  std::string name;
  for (const std::string& argument : request.arguments) {
    if (argument == "--force")
      force = true;
    else
      name = argument;
  }
  if (name.empty() && groups.size() == 1) name = groups.front().group.name();
  std::string known;
  for (const Entry& entry : groups) known += (known.empty() ? "" : ", ") + entry.group.name();
  if (name.empty()) return no(fmt::format("name one of the groups: {}", known));
  Group* group = find(name);
  if (group == nullptr) return no(fmt::format("there is no group {}; there are: {}", common::quoted(name), known));
  if (request.verb == "release")
    group->release(ticket, ctx);
  else
    group->switchover(force, ticket, ctx);
}

// --- after each step -----------------------------------------------------------------------------------------------

/// Takes away the groups that have stopped, and puts their successors in place.
void Engine::State::finish(Context& ctx) {
  std::vector<std::string> gone;
  std::erase_if(groups, [&](const Entry& entry) {
    if (!entry.retiring || !entry.group.finished()) return false;
    gone.push_back(entry.group.name());
    inherited[entry.group.name()] = entry.group.legacy();
    return true;
  });
  for (const std::string& name : gone)
    if (const common::GroupConfig* next = config.group(name); next != nullptr && !stopping) add_group(*next, ctx);
  if (!stopping || finished) return;
  finished = std::all_of(groups.begin(), groups.end(), [](const Entry& entry) { return entry.group.finished(); });
}

common::LocalReport Engine::State::local_report(const Context& ctx) const {
  common::LocalReport result;
  for (const Entry& entry : groups) {
    result.groups.push_back(entry.group.report(ctx));
    result.peer_alive = result.peer_alive || entry.group.peer_alive(ctx);
  }
  return result;
}

common::Duration Engine::State::report_every() const {
  common::Duration result = common::kPeerReportEvery;
  for (const Entry& entry : groups) result = std::min(result, entry.group.interval());
  return result;
}

/// On every change, and often enough that the statements in it stay valid.
void Engine::State::report(Context& ctx) {
  if (!participants.present(Role::syncd) && !participants.present(Role::agent)) {
    report_due.reset();
    return;
  }
  common::LocalReport current = local_report(ctx);
  const bool changed = reported != current;
  if (!changed && !ctx.probe && report_due && ctx.now < *report_due) return;
  if (changed) participants.send(Role::agent, current, ctx.out);
  reported = current;
  current.probe = ctx.probe;
  participants.send(Role::syncd, current, ctx.out);
  report_due = ctx.now + report_every();
}

common::Deadline Engine::State::deadline() const {
  common::Deadline result = report_due;
  for (const Entry& entry : groups) result = common::earliest(result, entry.group.deadline());
  return result;
}

// --- the engine ----------------------------------------------------------------------------------------------------

Engine::Engine(common::Config config, Inheritance inheritance, std::uint64_t, Time now)
    : state_(std::make_unique<State>(std::move(config), inheritance, now)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;

void Engine::step(const Event& event, Time now, Actions& out) {
  State& s = *state_;
  if (s.finished) return;
  Actions hooks;
  Context ctx{now, out, hooks, s.participants, s.peer, s.table_loaded};
  if (s.promised && now > *s.promised + kLate)
    for (State::Entry& entry : s.groups) entry.group.on_overslept(now - *s.promised, ctx);
  std::visit([&](const auto& e) { s.handle(e, ctx); }, event);
  s.finish(ctx);
  s.report(ctx);
  out.insert(out.end(), std::make_move_iterator(hooks.begin()), std::make_move_iterator(hooks.end()));
  if (s.finished) out.push_back(Finished{});
  s.promised = s.deadline();
}

std::optional<Time> Engine::deadline() const {
  return state_->finished ? std::nullopt : state_->deadline();
}

Status Engine::status(Time now) const {
  const State& s = *state_;
  Actions none, no_hooks;
  const Context ctx{now, none, no_hooks, s.participants, s.peer, s.table_loaded};
  Status result;
  result.node = s.config.node;
  result.link = s.peer.link();
  result.syncd_connected = s.participants.present(Role::syncd);
  result.agent_connected = s.participants.present(Role::agent);
  result.counters = s.counters;
  for (const State::Entry& entry : s.groups) {
    result.groups.push_back(entry.group.status(ctx));
    result.peer_alive = result.peer_alive || entry.group.peer_alive(ctx);
  }
  return result;
}

}  // namespace vrrpd
