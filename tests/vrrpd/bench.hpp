#pragma once
// One engine on a bench: a test feeds it events, moves its time, and looks at its actions.
#include <algorithm>
#include <string>
#include <vector>

#include "vrrpd/advert.hpp"
#include "vrrpd/engine.hpp"

namespace bench {

using common::Duration;
using common::GroupState;
using common::Time;
using namespace std::chrono_literals;

inline common::IpAddress ip(std::string_view text) {
  return *common::IpAddress::parse(text);
}

/// Of a plain router: priority 100 at 1 s.
inline constexpr Duration kSkew = Duration(1s) * 156 / 256;
inline constexpr Duration kDown = 3s + kSkew;

/// A plain router: group G, priority 100, 1 s, one instance `wan` with VRID 10 unless more are asked for.
inline common::Config plain(int members = 1) {
  common::Config config;
  config.node = "R1";
  config.peer = "R2";
  common::GroupConfig group;
  group.name = "G";
  group.hooks.notify = "/notify";
  group.hooks.master = "/master";
  group.hooks.user = "nobody";
  const char* names[] = {"wan", "lan"};
  for (int i = 0; i < members; ++i) {
    common::InstanceConfig instance;
    instance.name = instance.interface = names[i];
    instance.vrid = static_cast<std::uint8_t>(10 + i);
    instance.virtual_addresses = {{ip(i == 0 ? "10.0.0.254" : "10.1.0.254"), 24}};
    group.instances.push_back(instance);
  }
  config.vrrp = common::VrrpConfig{{group}};
  return config;
}

struct Bench {
  explicit Bench(common::Config c = plain(), vrrpd::Inheritance inheritance = {})
      : config(std::move(c)), engine(config, std::move(inheritance), 1, now) {}

  /// Feeds the event; `actions` are then those of this step.
  Bench& feed(vrrpd::Event event) {
    actions.clear();
    engine.step(event, now, actions);
    return *this;
  }
  /// Time passes, ticks come when they are due; `actions` gathers all of it.
  Bench& pass(Duration time) {
    std::vector<vrrpd::Action> all;
    const Time end = now + time;
    while (engine.deadline() && *engine.deadline() <= end) {
      now = std::max(now, *engine.deadline());
      feed(vrrpd::Tick{});
      all.insert(all.end(), actions.begin(), actions.end());
    }
    now = end;
    actions = std::move(all);
    return *this;
  }
  Bench& links_up() {
    for (const auto& instance : config.vrrp->groups[0].instances) feed(link(instance.interface));
    return *this;
  }
  static vrrpd::LinkChanged link(const std::string& interface) {
    vrrpd::LinkChanged up{interface, true, true, own(interface), {}};
    up.link_local = ip("fe80::2");
    up.addresses = {up.primary, up.link_local};
    return up;
  }
  /// Any advert, as multicast of its family.
  Bench& packet(const vrrpd::Advert& advert, const std::string& from = "10.0.0.3", std::string_view password = {},
                const std::string& interface = "wan") {
    const auto to = vrrpd::vrrp_multicast(ip(from).family());
    return feed(vrrpd::AdvertReceived{interface, ip(from), to, 255,
                                      vrrpd::encode(advert, ip(from), to, vrrpd::ChecksumForm::rfc5798, password)});
  }
  Bench& advert(int priority, const std::string& from = "10.0.0.3", Duration interval = 1s,
                const std::string& interface = "wan", int vrid = 10,
                vrrpd::ChecksumForm form = vrrpd::ChecksumForm::rfc5798) {
    vrrpd::Advert a;
    a.vrid = static_cast<std::uint8_t>(vrid);
    a.priority = static_cast<std::uint8_t>(priority);
    a.interval = interval;
    a.addresses = {ip(vrid == 10 ? "10.0.0.254" : "10.1.0.254")};
    return feed(vrrpd::AdvertReceived{interface, ip(from), vrrpd::vrrp_multicast(), 255,
                                      vrrpd::encode(a, ip(from), vrrpd::vrrp_multicast(), form)});
  }
  Bench& connect(vrrpd::ClientId client, common::Role role, bool may = true) {
    feed(vrrpd::ClientConnected{client, may});
    vrrpd::Actions all = actions;
    feed(vrrpd::ClientMessage{client, common::Hello{.role = role, .node = "R1", .terms = {}}});
    all.insert(all.end(), actions.begin(), actions.end());
    actions = std::move(all);
    return *this;
  }
  Bench& say(vrrpd::ClientId client, common::NotifyMessage message) {
    return feed(vrrpd::ClientMessage{client, std::move(message)});
  }
  /// Master, with everything that came on the way forgotten.
  Bench& make_master() {
    links_up();
    pass(4s);
    actions.clear();
    return *this;
  }

  static common::IpAddress own(const std::string& interface) {
    return ip(interface == "wan" ? "10.0.0.2" : "10.1.0.2");
  }

  template <typename T>
  std::vector<T> got() const {
    std::vector<T> result;
    for (const vrrpd::Action& action : actions)
      if (const T* found = std::get_if<T>(&action)) result.push_back(*found);
    return result;
  }
  /// Messages of one type to one client.
  template <typename T>
  std::vector<T> told(vrrpd::ClientId client) const {
    std::vector<T> result;
    for (const auto& message : got<vrrpd::SendMessage>())
      if (const T* found = std::get_if<T>(&message.message); found && message.client == client)
        result.push_back(*found);
    return result;
  }
  std::vector<int> sent_priorities() const {
    std::vector<int> result;
    for (const auto& advert : got<vrrpd::SendAdvert>()) result.push_back(std::to_integer<int>(advert.payload[2]));
    return result;
  }
  vrrpd::GroupStatus group() const { return engine.status(now).groups.at(0); }
  GroupState state() const { return group().state; }
  std::uint64_t counter(const std::string& name, std::size_t instance = 0) const {
    const auto counters = group().instances.at(instance).counters;
    const auto found = counters.find(name);
    return found == counters.end() ? 0 : found->second;
  }

  common::Config config;
  Time now = Time{} + 100s;
  vrrpd::Engine engine;
  vrrpd::Actions actions;
};

}  // namespace bench
