#pragma once
#include <fmt/core.h>

#include "common/overload.hpp"
#include "pair.hpp"
#include "vrrpd/advert.hpp"

namespace pair {

inline constexpr Duration kWire = 100us;
inline constexpr Duration kKeepalive = 50ms;
inline constexpr Duration kLinkDown = 175ms;

inline common::Config make_config(int node, Duration interval) {
  common::Config config;
  config.node = node == 0 ? "R1" : "R2";
  config.peer = node == 0 ? "R2" : "R1";
  common::GroupConfig group;
  group.name = kGroup;
  group.priority = node == 0 ? 200 : 100;
  group.peer_priority = node == 0 ? 100 : 200;
  group.advertise_interval = interval;
  group.hooks.notify = "/notify";
  common::InstanceConfig wan, lan;
  wan.name = wan.interface = "wan";
  wan.vrid = 1;
  wan.virtual_addresses = {*common::Prefix::parse("10.10.0.101/24")};
  lan.name = lan.interface = "lan";
  lan.vrid = 2;
  lan.virtual_addresses = {*common::Prefix::parse("192.168.100.1/24")};
  group.instances = {wan, lan};
  config.vrrp = common::VrrpConfig{{group}};
  config.sync = common::SyncConfig{};
  config.sync->groups = {std::string(kGroup)};
  config.nat = common::NatConfig{};
  return config;
}

inline common::IpAddress own_address(int node, const std::string& interface) {
  const std::string net = interface == "wan" ? "10.10.0." : "192.168.100.";
  return *common::IpAddress::parse(net + std::to_string((interface == "wan" ? 102 : 2) + node));
}

// --- world ---------------------------------------------------------------------------------------------------------

inline World::World(Duration advert_interval, const std::function<void(int, common::Config&)>& change)
    : interval(advert_interval), observed(now) {
  for (int i = 0; i < 2; ++i) {
    configs[static_cast<std::size_t>(i)] = make_config(i, interval);
    change(i, configs[static_cast<std::size_t>(i)]);
    Node& node = nodes[static_cast<std::size_t>(i)];
    node.world = this;
    node.index = i;
    node.start();
    at(Duration(i * 7ms), [&node] { node.syncd_tick(); });
  }
}

inline void World::at(Duration after, std::function<void()> what) {
  queue.push({now + after, ++sequence, std::move(what)});
}

inline void World::observe() {
  int serving = 0;
  for (const Node& node : nodes) serving += node.serves() ? 1 : 0;
  // What holds now is taken to have held since the last look: looks come at least every millisecond.
  if (serving == 2) overlap += now - observed;
  if (serving == 0 && !silent_since) silent_since = observed;
  if (silent_since) longest_silence = std::max(longest_silence, now - *silent_since);
  if (serving > 0) silent_since.reset();
  observed = now;
}

inline void World::run(Duration time) {
  const Time end = now + time;
  while (now < end) {
    const Time next = std::min(end, now + 1ms);
    while (!queue.empty() && queue.top().time <= next) {
      const Item item = queue.top();
      queue.pop();
      now = std::max(now, item.time);
      item.what();
    }
    now = next;
    observe();
  }
}

inline bool World::until(const std::function<bool()>& condition, Duration most) {
  const Time end = now + most;
  while (!condition()) {
    if (now >= end) return false;
    run(1ms);
  }
  return true;
}

inline int World::masters() const {
  int result = 0;
  for (const Node& node : nodes) result += node.state() == GroupState::master ? 1 : 0;
  return result;
}

inline void World::settle() {
  until([&] { return r1().serves() && r2().syncd.complete; }, 20 * interval + 10s);
  run(2 * interval + 100ms);
  forget();
}

inline void World::forge(int to, const std::string& interface, int vrid, int priority, Duration advert_interval,
                         const std::string& source) {
  vrrpd::Advert advert;
  advert.vrid = static_cast<std::uint8_t>(vrid);
  advert.priority = static_cast<std::uint8_t>(priority);
  advert.interval = advert_interval;
  advert.addresses = {*common::IpAddress::parse(vrid == 1 ? "10.10.0.101" : "192.168.100.1")};
  const auto from = *common::IpAddress::parse(source);
  nodes[static_cast<std::size_t>(to)].feed(
      vrrpd::AdvertReceived{interface, from, vrrpd::vrrp_multicast(), 255,
                            vrrpd::encode(advert, from, vrrpd::vrrp_multicast(), vrrpd::ChecksumForm::rfc5798)});
}

// --- node ----------------------------------------------------------------------------------------------------------

inline void Node::start() {
  ++generation;
  vrrpd::Inheritance inheritance;
  for (const auto& [group, kept] : stored) {
    inheritance.terms.push_back({group, kept.term});
    if (kept.held) inheritance.held.push_back(group);
  }
  inheritance.table_was_loaded = table_loaded;
  engine.emplace(world->configs[static_cast<std::size_t>(index)], inheritance, 1, world->now);
  finished = stopped = false;
  timer.reset();
  for (const auto& [interface, on] : carrier) set_carrier(interface, on);
  world->at(20ms, [this, g = generation] {
    if (g == generation && syncd.alive) connect(common::Role::syncd);
  });
  world->at(30ms, [this, g = generation] {
    if (g == generation && agent.alive) connect(common::Role::agent);
  });
}

inline void Node::connect(common::Role role) {
  if (!engine) return;
  const vrrpd::ClientId client = next_client++;
  feed(vrrpd::ClientConnected{client, true});
  common::Hello hello{.role = role, .node = "x", .terms = {}};
  if (role == common::Role::syncd) {
    syncd.connection = client;
    syncd.reported.reset();
    say(client, hello);
  } else {
    agent.connection = client;
    if (agent.term.valid()) hello.terms.push_back({std::string(kGroup), agent.term});
    say(client, hello);
    say(client, common::TableReport{true, {}});
    table_loaded = true;
  }
}

inline void Node::kill() {
  engine.reset();
  ++generation;
  waiting.clear();
  syncd.connection.reset();
  agent.connection.reset();
  syncd.local.clear();  // syncd takes back what a lost vrrpd said
  syncd_send();
  const Duration patience = common::down_interval(world->interval, 100) / 2;
  world->at(patience, [this] {
    if (!agent.connection) agent.open = false;
  });
}

inline void Node::feed(vrrpd::Event event) {
  if (!engine) return;
  if (stopped) {
    waiting.push_back(std::move(event));
    return;
  }
  run(event);
}

inline void Node::go_on() {
  stopped = false;
  std::vector<vrrpd::Event> late;
  late.swap(waiting);
  run(vrrpd::Tick{});
  for (const vrrpd::Event& event : late) run(event);
}

inline void Node::run(const vrrpd::Event& event) {
  vrrpd::Actions actions;
  engine->step(event, world->now, actions);
  for (const vrrpd::Action& action : actions) {
    if (world->trace && !std::holds_alternative<vrrpd::SendAdvert>(action))
      fmt::print("{:10.3f} R{} {}\n", common::milliseconds(world->now.time_since_epoch()) - 1e6, index + 1,
                 vrrpd::to_string(action));
    perform(action);
  }
  if (finished) {
    kill();
    return;
  }
  arm();
}

inline void Node::arm() {
  const auto due = engine->deadline();
  if (!due || (timer && *timer <= *due && *timer > world->now)) return;
  timer = std::max(*due, world->now);
  world->queue.push({*timer, ++world->sequence, [this, g = generation, at = *timer] {
                       if (g != generation || !engine || timer != at) return;
                       timer.reset();
                       if (stopped) return;
                       run(vrrpd::Tick{});
                     }});
}

inline void Node::cut_power() {
  plugged["wan"] = plugged["lan"] = plugged["sync"] = false;
}
inline void Node::restore_power() {
  plugged["wan"] = plugged["lan"] = plugged["sync"] = true;
}

inline void Node::reboot() {
  kill();
  stored.clear();
  addresses.clear();
  table_loaded = false;
  syncd = Syncd{};
  agent = Agent{};
  restore_power();
  start();
}

inline void Node::set_carrier(const std::string& interface, bool on) {
  carrier[interface] = on;
  feed(vrrpd::LinkChanged{interface, true, on, own_address(index, interface), {}});
}

inline void Node::request(const std::string& verb, std::vector<std::string> arguments) {
  const vrrpd::ClientId client = next_client++;
  feed(vrrpd::ClientConnected{client, true});
  feed(vrrpd::ClientMessage{client, common::Hello{.role = common::Role::control, .node = {}, .terms = {}}});
  feed(vrrpd::ClientMessage{client, common::Request{7, verb, std::move(arguments)}});
}

inline vrrpd::GroupStatus Node::status() const {
  return engine->status(world->now).groups.at(0);
}

inline std::uint64_t Node::counter(const std::string& name) const {
  if (!engine) return 0;
  const auto counters = status().counters;
  const auto found = counters.find(name);
  return found == counters.end() ? 0 : found->second;
}

inline bool Node::has_addresses() const {
  int live = 0;
  for (const auto& [address, until] : addresses) live += until > world->now ? 1 : 0;
  return live == 2;
}

/// Packets of hosts would pass: addresses live, gate open, cables in.
inline bool Node::serves() const {
  const bool cables = plugged.at("wan") && plugged.at("lan") && carrier.at("wan") && carrier.at("lan");
  return cables && has_addresses() && agent.open;
}

inline void Node::perform(const vrrpd::Action& action) {
  std::visit(
      common::Overload{
          [&](const vrrpd::SendAdvert& a) {
            ++adverts;
            last_advert = world->now;
            if (std::to_integer<int>(a.payload[2]) == 0) ++goodbyes;
            Node& other = world->nodes[static_cast<std::size_t>(1 - index)];
            if (!plugged[a.interface] || !carrier[a.interface]) return;
            world->at(kWire, [&other, a] {
              if (!other.plugged[a.interface] || !other.carrier[a.interface]) return;
              other.feed(vrrpd::AdvertReceived{a.interface, a.source, vrrpd::vrrp_multicast(), 255, a.payload});
            });
          },
          [&](const vrrpd::AddAddress& a) { addresses[a.address.to_string()] = world->now + a.lifetime; },
          [&](const vrrpd::RemoveAddress& a) { addresses.erase(a.address.to_string()); },
          // No instance here has a virtual MAC or routes.
          [&](const vrrpd::SetDevice&) {}, [&](const vrrpd::AddRoute&) {}, [&](const vrrpd::RemoveRoute&) {},
          [&](const vrrpd::Announce&) {
            ++announces;
            last_announce = world->now;
          },
          [&](const vrrpd::SendMessage& a) { to_client(a.client, a.message); },
          [&](const vrrpd::CloseClient& a) {
            if (syncd.connection == a.client) syncd.connection.reset();
            if (agent.connection == a.client) agent.connection.reset();
          },
          [&](const vrrpd::RunHook& a) {
            hooks.push_back(a.arguments[0] + " " + a.arguments[1] + " " + a.arguments[2]);
          },
          [&](const vrrpd::StoreTerm& a) { stored[a.group] = a; }, [&](const vrrpd::Log& a) { logs.push_back(a.name); },
          [&](const vrrpd::Finished&) { finished = true; }},
      action);
}

inline void Node::to_client(vrrpd::ClientId client, const common::NotifyMessage& message) {
  if (syncd.alive && syncd.connection == client)
    syncd_hears(message);
  else if (agent.alive && agent.connection == client)
    agent_hears(message);
  else if (const auto* reply = std::get_if<common::Reply>(&message))
    replies.push_back(*reply);
}

inline void Node::say(vrrpd::ClientId client, common::NotifyMessage message, Duration after) {
  world->at(after, [this, g = generation, client, message] {
    if (g == generation) feed(vrrpd::ClientMessage{client, message});
  });
}

// --- stand-ins -----------------------------------------------------------------------------------------------------

inline void Node::agent_hears(const common::NotifyMessage& message) {
  if (const auto* m = std::get_if<common::Prepare>(&message)) {
    agent.term = m->term;
    agent.open = false;
    if (agent.answers) say(*agent.connection, common::Ready{m->group, m->term, true, {}}, 500us);
  } else if (const auto* o = std::get_if<common::Open>(&message)) {
    if (o->term >= agent.term) agent.open = true;
  } else if (const auto* s = std::get_if<common::Shut>(&message)) {
    if (!agent.answers) return;
    world->at(agent.shuts_after, [this, g = generation, shut = *s] {
      if (shut.term >= agent.term) agent.open = false;
      if (g == generation && agent.connection) say(*agent.connection, common::GateShut{shut.group, shut.term});
    });
  } else if (const auto* e = std::get_if<common::Entered>(&message)) {
    if (e->state != GroupState::master) agent.open = false;
  } else if (const auto* w = std::get_if<common::Welcome>(&message)) {
    for (const auto& group : w->groups)
      if (group.state != GroupState::master) agent.open = false;
  }
}

inline void Node::syncd_hears(const common::NotifyMessage& message) {
  if (const auto* p = std::get_if<common::Prepare>(&message)) {
    if (syncd.role != GroupState::master) syncd.made_apart = syncd.served_apart = 0;
    syncd.role = GroupState::master;
    if (syncd.answers) say(*syncd.connection, common::Ready{p->group, p->term, true, {}}, syncd.ready_after);
  } else if (const auto* d = std::get_if<common::Drain>(&message)) {
    Node& other = world->nodes[static_cast<std::size_t>(1 - index)];
    ++syncd.drains;
    if (agent.open) ++syncd.drains_before_shut;
    const bool confirmed =
        syncd.confirms && other.syncd.alive && other.syncd.complete && plugged["sync"] && other.plugged["sync"];
    if (syncd.answers) say(*syncd.connection, common::Drained{d->group, d->term, confirmed, {}}, 2ms);
  } else if (const auto* e = std::get_if<common::Entered>(&message)) {
    // Another master begins with another replica.
    if (e->state == GroupState::backup && syncd.role == GroupState::master) {
      syncd.complete = false;
      syncd.linked_since = world->now;
    }
    syncd.role = e->state;
  } else if (const auto* l = std::get_if<common::LocalReport>(&message)) {
    const bool changed = syncd.told != l->groups;
    syncd.local = syncd.told = l->groups;
    syncd.local_at = world->now;
    if (changed || l->probe) syncd_send();
  }
}

inline void Node::syncd_send() {
  if (!syncd.alive) return;
  Node& other = world->nodes[static_cast<std::size_t>(1 - index)];
  for (common::GroupReport& group : syncd.local) {
    group.made_apart = syncd.made_apart;
    group.served_apart = syncd.served_apart;
  }
  world->at(kWire, [this, &other, local = syncd.local] {
    if (!plugged["sync"] || !other.plugged["sync"] || !other.syncd.alive) return;
    other.syncd.heard_at = world->now;
    const bool was_up = other.syncd.linked_since.has_value();
    if (!was_up) {
      other.syncd.linked_since = world->now;
      syncd_send();  // the greeting is answered at once
    }
    const bool news = other.syncd.heard != local || !was_up;
    other.syncd.heard = local;
    if (news) other.syncd_report();
  });
}

inline void Node::syncd_tick() {
  world->at(kKeepalive, [this] { syncd_tick(); });
  if (!syncd.alive) return;
  for (const common::GroupReport& group : syncd.local)
    if (world->now > syncd.local_at + std::chrono::milliseconds(group.valid_for_ms)) {
      syncd.local.clear();
      break;
    }
  syncd_send();
  if (syncd.heard_at && world->now > *syncd.heard_at + kLinkDown) {
    syncd.heard_at.reset();
    syncd.linked_since.reset();
    syncd.heard.clear();
    syncd.made_apart = syncd.served_apart = 0;
  }
  if (!syncd.linked_since && serves()) ++syncd.made_apart, ++syncd.served_apart;
  if (syncd.linked_since && world->now > *syncd.linked_since + 5s) syncd.made_apart = syncd.served_apart = 0;
  const bool from_master = !syncd.heard.empty() && syncd.heard[0].state == GroupState::master;
  if (syncd.linked_since && from_master && world->now > *syncd.linked_since + syncd.bulk_takes) syncd.complete = true;
  syncd_report();
}

inline void Node::syncd_report() {
  if (!engine || !syncd.connection) return;
  common::PeerReport report;
  report.link = syncd.linked_since ? common::LinkState::up : common::LinkState::down;
  report.node = index == 0 ? "R2" : "R1";
  report.heard = syncd.linked_since.has_value();
  report.groups = syncd.heard;
  report.replicas = {{std::string(kGroup), syncd.complete, 0, syncd.made_apart, syncd.served_apart}};
  common::PeerReport brief = report;
  brief.replicas[0].made_apart = brief.replicas[0].served_apart = 0;  // alone no reason to report
  if (brief == syncd.reported && world->now < syncd.reported_at + 1s) return;
  syncd.reported = brief;
  syncd.reported_at = world->now;
  say(*syncd.connection, report);
}

}  // namespace pair
