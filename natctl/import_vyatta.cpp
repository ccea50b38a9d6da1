// Vyatta 6.x and VyOS 1.2 to 1.5: the system, interfaces, VRRP and the replication of connections.
#include "natctl/import_vyatta.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace natctl::importer {
namespace {

std::optional<int> number_of(const Words& word, int lowest, int highest) {
  int number = 0;
  const std::string& text = word.text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < lowest || number > highest)
    return std::nullopt;
  return number;
}

int read_number(const VyattaReader& reader, const Words& node, const char* name, int otherwise, int lowest,
                int highest) {
  const Words* word = node.value(name);
  if (!word) return otherwise;
  const auto number = number_of(*word, lowest, highest);
  if (!number)
    reader.warn(*word, fmt::format("{} {} is not a number from {} to {}; {} is taken", name,
                                   common::printable(word->text()), lowest, highest, otherwise));
  return number.value_or(otherwise);
}

void read_system(VyattaReader& reader, const Words& root) {
  if (const Words* system = root.find("system")) {
    if (const Words* name = system->value("host-name")) {
      reader.router.name = name->text();
      reader.router.name_at = name->at();
    }
    reader.router.gateway = system->value_or("gateway-address", "");
  }
  if (const Words* route = root.find({"protocols", "static", "route", "0.0.0.0/0"}))
    reader.router.gateway = route->value_or("next-hop", reader.router.gateway);
}

void read_password(const VyattaReader&, const Words& group, Instance& into) {
  const Words* authentication = group.find("authentication");
  if (!authentication) return;
  for (const char* name : {"password", "plaintext-password"})
    if (const Words* word = authentication->value(name)) {
      into.password = word->text();
      into.password_at = word->at();
    }
  authentication->value("type");
}

void read_scripts(const VyattaReader& reader, const Words& node, const char* name, std::vector<Hook>& into) {
  const Words* scripts = node.find(name);
  if (!scripts) return;
  for (const char* state : {"master", "backup", "fault", "stop"}) {
    const Words* path = scripts->value(state);
    if (!path) continue;
    if (path->text().starts_with('/') && path->text().find(' ') == std::string::npos)
      into.push_back({state, path->text(), path->at()});
    else
      reader.warn(*path, fmt::format("not taken over: a hook is the absolute path of a program, not {}",
                                     common::quoted(path->text())));
  }
}

/// VyOS: what else an instance needs to be fit.
void read_tracking(const VyattaReader& reader, const Words& group, Instance& into) {
  const Words* track = group.find("track");
  const auto interfaces = track ? track->each("interface") : std::vector<const Words*>();
  for (const Words* interface : interfaces) {
    const std::string& name = interface->text();
    if (is_interface(name))
      into.tracks.push_back({safe_name(name), interface->at(), {{"interface", {name}, false}}, nullptr});
    else
      reader.warn(*interface, fmt::format("not taken over: {} is no name of an interface", common::quoted(name)));
  }
  const Words* check = group.find("health-check");
  if (!check) return;
  const Words* script = check->value("script");
  if (!script || !script->text().starts_with('/') || script->text().find(' ') != std::string::npos) {
    check->take();
    reader.warn(*check, "not taken over: health-check: ours is the absolute path of a program, without arguments");
    return;
  }
  const int interval = read_number(reader, *check, "interval", 60, 1, 3600);
  const int failures = read_number(reader, *check, "failure-count", 3, 1, 255);
  into.tracks.push_back({safe_name(into.name + "-health"),
                         check->at(),
                         {{"script", {script->text()}, false},
                          {"arguments", {}, true},
                          {"interval", {fmt::format("{}s", interval)}, false},
                          {"timeout", {fmt::format("{}s", interval)}, false},
                          {"fall", {std::to_string(failures)}, false}},
                         nullptr});
}

/// What Vyatta and VyOS say in the same words.
void read_group_body(const VyattaReader& reader, const Words& group, Instance& into) {
  into.interval = fmt::format("{}s", read_number(reader, group, "advertise-interval", 1, 1, 40));
  into.priority = read_number(reader, group, "priority", 100, 1, 254);
  into.preempt_delay = read_number(reader, group, "preempt-delay", 0, 0, 3600);
  into.preempt = group.value_or("preempt", "true") != "false" && !group.has("no-preempt");
  for (const char* name : {"virtual-address", "address"})
    for (const Words* address : group.each(name)) {
      address->find("interface");
      into.addresses.push_back({address->text(), address->at()});
    }
  for (const Words* address : group.each("excluded-address")) {
    address->find("interface");
    into.excluded.push_back({address->text(), address->at()});
  }
  group.value("description");
  read_password(reader, group, into);
  read_tracking(reader, group, into);
  read_scripts(reader, group, "run-transition-scripts", into.hooks);
  read_scripts(reader, group, "transition-script", into.hooks);
}

bool disabled(const VyattaReader& reader, const Words& group, const std::string& name) {
  if (!group.has("disable")) return false;
  reader.warn(group, fmt::format("not taken over: VRRP group {} is disabled", name));
  group.take();
  return true;
}

/// `vrrp vrrp-group 10` below an interface.
void read_interface_vrrp(VyattaReader& reader, const Words& interface, const std::string& name) {
  const Words* vrrp = interface.find("vrrp");
  if (!vrrp) return;
  for (const Words* group : vrrp->each("vrrp-group")) {
    Instance instance;
    instance.name = safe_name(fmt::format("{}-{}", name, group->text()));
    if (disabled(reader, *group, instance.name)) continue;
    const auto vrid = number_of(*group, 1, 255);
    if (!vrid) {
      reader.warn(*group, fmt::format("not taken over: {} is no VRRP group, 1 to 255", common::quoted(group->text())));
      group->take();
      continue;
    }
    instance.at = instance.vrid_at = group->at();
    instance.interface = name;
    instance.vrid = *vrid;
    instance.group = group->value_or("sync-group", "");
    read_group_body(reader, *group, instance);
    reader.router.instances.push_back(std::move(instance));
  }
}

void read_interface(VyattaReader& reader, const Words& interface, const std::string& name) {
  for (const Words* address : interface.each("address")) {
    if (common::Prefix::parse(address->text()))
      reader.router.addresses.push_back({name, address->text(), address->at()});
    else
      reader.warn(*address, fmt::format("{} gets its address by {}: nothing of it is taken over", name,
                                        common::printable(address->text())));
  }
  read_interface_vrrp(reader, interface, name);
  read_interface_firewall(reader, interface, name);
  interface.value("description");
  for (const char* tag : {"vif", "vif-s", "vif-c"})
    for (const Words* vlan : interface.each(tag)) read_interface(reader, *vlan, name + "." + vlan->text());
}

void read_interfaces(VyattaReader& reader, const Words& root) {
  const Words* interfaces = root.find("interfaces");
  if (!interfaces) return;
  for (const auto& kind : interfaces->children())
    for (const Words* interface : interfaces->each(kind->text())) {
      if (is_interface(interface->text())) {
        read_interface(reader, *interface, interface->text());
        continue;
      }
      interface->take();
      reader.warn(*interface,
                  fmt::format("not taken over: {} is no name of an interface", common::quoted(interface->text())));
    }
}

/// VyOS: `high-availability vrrp`.
void read_high_availability(VyattaReader& reader, const Words& root) {
  const Words* vrrp = root.find({"high-availability", "vrrp"});
  if (!vrrp) return;
  for (const Words* group : vrrp->each("group")) {
    if (disabled(reader, *group, group->text())) continue;
    const Words *interface = group->value("interface"), *vrid = group->value("vrid");
    const auto number = vrid ? number_of(*vrid, 1, 255) : std::nullopt;
    if (!interface || !is_interface(interface->text()) || !number) {
      reader.warn(*group,
                  fmt::format("not taken over: VRRP group {} has no interface or no vrid, 1 to 255", group->text()));
      group->take();
      continue;
    }
    Instance instance;
    instance.name = safe_name(group->text());
    instance.at = group->at();
    instance.interface = interface->text();
    instance.vrid = *number;
    instance.vrid_at = vrid->at();
    read_group_body(reader, *group, instance);
    reader.router.instances.push_back(std::move(instance));
  }
  for (const Words* sync : vrrp->each("sync-group")) {
    std::vector<Hook> hooks;
    read_scripts(reader, *sync, "transition-script", hooks);
    for (Hook& hook : hooks) reader.router.group_hooks.emplace_back(sync->text(), std::move(hook));
    for (const Words* member : sync->each("member")) {
      const auto found = std::ranges::find(reader.router.instances, safe_name(member->text()), &Instance::name);
      if (found == reader.router.instances.end())
        reader.warn(*member, fmt::format("sync-group {}: there is no group {}", sync->text(), member->text()));
      else
        found->group = sync->text();
    }
  }
}

void explain_sync(const VyattaReader& reader, const Words& service) {
  const auto not_needed = [&](const char* name, std::string_view why) {
    const Words* node = service.find(name);
    if (!node) return;
    node->take();
    reader.warn(*node, fmt::format("not taken over: {}: {}", name, why));
  };
  not_needed("mcast-group", "the link is between the two addresses alone");
  not_needed("sync-queue-size", "the queue is bounded by the number of connections");
  not_needed("event-listen-queue-size", "an overrun is answered by reading the table again");
  not_needed("ignore-address", "connections of a router's own addresses are never sent");
  not_needed("accept-protocol", "connections of all protocols are sent");
  not_needed("startup-resync", "a router that starts always fetches what it lacks");
  not_needed("disable-external-cache", "`commit: continuous` is the default");
  not_needed("purge-timeout", "nothing is purged by time");
  not_needed("disable-syslog", "logs go to the standard error output");
}

void read_sync(VyattaReader& reader, const Words& root) {
  const Words* service = root.find({"service", "conntrack-sync"});
  if (!service) return;
  if (const Words* cluster = service->find({"failover-mechanism", "cluster"})) {
    cluster->take();
    reader.out.error(cluster->at(), "failover by `cluster` is not VRRP; nothing of it can be taken over");
    return;
  }
  if (const Words* vrrp = service->find({"failover-mechanism", "vrrp"}))
    for (const std::string& group : vrrp->values("sync-group")) reader.router.sync_groups.push_back(group);
  const std::string listen = service->value_or("listen-address", "");
  for (const Words* interface : service->each("interface")) {
    SyncLinkModel link{interface->text(), interface->at(), listen, interface->value_or("peer", "")};
    if (const Words* port = interface->find("port")) {
      port->take();
      reader.warn(*port, "not taken over: port: ours is 3781 by default, so that both can run side by side");
    }
    reader.router.links.push_back(std::move(link));
  }
  explain_sync(reader, *service);
}

/// Settings of the kernel that other programs of the system keep.
void explain_system(const VyattaReader& reader, const Words& root) {
  if (const Words* conntrack = root.find({"system", "conntrack"})) {
    conntrack->take();
    reader.warn(*conntrack,
                "not taken over: system conntrack: sizes and timeouts are sysctl settings; set them on both routers");
  }
}

}  // namespace

bool read_vyatta(std::string_view text, Diagnostics& out, bool rewrite_masquerade, Router& into) {
  const auto root = parse_words(text, out);
  if (!root) return false;
  VyattaReader reader{into, out, rewrite_masquerade};
  read_system(reader, *root);
  read_groups(reader, *root);
  read_firewall_sets(reader, *root);
  read_interfaces(reader, *root);
  read_high_availability(reader, *root);
  read_sync(reader, *root);
  read_nat(reader, *root);
  read_firewall_hooks(reader, *root);
  explain_system(reader, *root);
  root->list_unused(out);
  return !out.failed();
}

}  // namespace natctl::importer
