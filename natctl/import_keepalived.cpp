// keepalived.conf (its VRRP) and conntrackd.conf: statements with blocks.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "natctl/import_model.hpp"
#include "natctl/import_track.hpp"

namespace natctl::importer {
namespace {

std::optional<int> number_of(std::string_view text, int lowest, int highest) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < lowest || number > highest)
    return std::nullopt;
  return number;
}

const Statement* find(const std::vector<Statement>& block, std::string_view name) {
  const auto found = std::ranges::find_if(block, [&](const Statement& each) { return each.name() == name; });
  if (found == block.end()) return nullptr;
  found->used = true;
  return &*found;
}

void take(const Statement& statement) {
  statement.used = true;
  for (const Statement& each : statement.block) take(each);
}

int read_number(const std::vector<Statement>& block, const char* name, int otherwise, int lowest, int highest,
                Diagnostics& out) {
  const Statement* statement = find(block, name);
  if (!statement) return otherwise;
  const auto number = number_of(statement->value(), lowest, highest);
  if (!number)
    out.warning(statement->at(), fmt::format("{} {} is not a number from {} to {}; {} is taken", name,
                                             common::printable(statement->value()), lowest, highest, otherwise));
  return number.value_or(otherwise);
}

/// Seconds, perhaps with a fraction, as our file has them.
std::string read_interval(const std::vector<Statement>& block, Diagnostics& out) {
  const Statement* statement = find(block, "advert_int");
  if (!statement) return "1s";
  const std::string_view text = statement->value();
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr double kShortest = 0.01, kLongest = 40.95;
  if (error != std::errc() || end != text.data() + text.size() || !(seconds >= kShortest && seconds <= kLongest)) {
    out.warning(statement->at(),
                fmt::format("advert_int {} is not 0.01 to 40.95; 1s is taken", common::printable(text)));
    return "1s";
  }
  const int hundredths = static_cast<int>(seconds * 100 + 0.5);
  return hundredths % 100 == 0 ? fmt::format("{}s", hundredths / 100) : fmt::format("{}ms", hundredths * 10);
}

void read_addresses(const std::vector<Statement>& block, const char* name, const Instance& instance,
                    std::vector<Word>& into, Diagnostics& out) {
  const Statement* list = find(block, name);
  if (!list) return;
  for (const Statement& line : list->block) {
    line.used = true;
    into.push_back(line.words.front());
    for (std::size_t i = 1; i + 1 < line.words.size(); ++i)
      if (line.words[i].text == "dev" && line.words[i + 1].text != instance.interface)
        out.warning(line.words[i].at,
                    fmt::format("{} is for {}, not for the interface of the instance, {}; ours takes that one",
                                line.words.front().text, line.words[i + 1].text, instance.interface));
  }
}

void read_hooks(const std::vector<Statement>& block, std::vector<Hook>& into, Diagnostics& out) {
  for (const auto& [theirs, ours] :
       {std::pair{"notify", "notify"}, std::pair{"notify_master", "master"}, std::pair{"notify_backup", "backup"},
        std::pair{"notify_fault", "fault"}, std::pair{"notify_stop", "stop"}}) {
    const Statement* statement = find(block, theirs);
    if (!statement) continue;
    const std::string path(statement->value());
    if (path.starts_with('/') && path.find(' ') == std::string::npos)
      into.push_back({ours, path, statement->at()});
    else
      out.warning(statement->at(), fmt::format("not taken over: a hook is the absolute path of a program without "
                                               "arguments, not {}",
                                               common::quoted(path)));
  }
}

void read_authentication(const std::vector<Statement>& block, Instance& into) {
  const Statement* authentication = find(block, "authentication");
  if (!authentication) return;
  if (const Statement* password = find(authentication->block, "auth_pass")) {
    into.password = password->value();
    into.password_at = password->at();
  }
  find(authentication->block, "auth_type");
}

void read_instance(const Statement& statement, Trackers& trackers, Router& into, Diagnostics& out) {
  statement.used = true;
  const std::vector<Statement>& block = statement.block;
  Instance instance;
  instance.name = safe_name(statement.value());
  instance.at = statement.at();
  const Statement *interface = find(block, "interface"), *vrid = find(block, "virtual_router_id");
  const auto number = vrid ? number_of(vrid->value(), 1, 255) : std::nullopt;
  if (!interface || !is_interface(interface->value()) || !number) {
    take(statement);
    out.warning(statement.at(),
                fmt::format("not taken over: vrrp_instance {} has no interface or no virtual_router_id, "
                            "1 to 255",
                            common::printable(statement.value())));
    return;
  }
  instance.interface = interface->value();
  instance.vrid = *number;
  instance.vrid_at = vrid->at();
  find(block, "state");  // the priority decides, as it does there but for the first second
  instance.priority = read_number(block, "priority", 100, 1, 254, out);
  instance.interval = read_interval(block, out);
  instance.preempt = !find(block, "nopreempt");
  instance.preempt_delay = read_number(block, "preempt_delay", 0, 0, 3600, out);
  read_authentication(block, instance);
  read_addresses(block, "virtual_ipaddress", instance, instance.addresses, out);
  read_addresses(block, "virtual_ipaddress_excluded", instance, instance.excluded, out);
  read_hooks(block, instance.hooks, out);
  trackers.read(block, instance.tracks, out);
  into.instances.push_back(std::move(instance));
}

void read_sync_group(const Statement& statement, Trackers& trackers, Router& into, Diagnostics& out) {
  statement.used = true;
  const std::string name(statement.value());
  if (const Statement* members = find(statement.block, "group"))
    for (const Statement& line : members->block) {
      line.used = true;
      for (const Word& word : line.words) {
        const auto found = std::ranges::find(into.instances, safe_name(word.text), &Instance::name);
        if (found == into.instances.end())
          out.warning(word.at, fmt::format("vrrp_sync_group {}: there is no vrrp_instance {}", name, word.text));
        else
          found->group = name;
      }
    }
  std::vector<Hook> hooks;
  read_hooks(statement.block, hooks, out);
  for (Hook& hook : hooks) into.group_hooks.emplace_back(name, std::move(hook));
  std::vector<Track> tracks;
  trackers.read(statement.block, tracks, out);
  for (Track& track : tracks) into.group_tracks.emplace_back(name, std::move(track));
}

void read_global(const std::vector<Statement>& statements, Router& into) {
  const Statement* global = find(statements, "global_defs");
  if (!global) return;
  if (const Statement* id = find(global->block, "router_id")) {
    into.name = safe_name(id->value());
    into.name_at = id->at();
  }
  if (const Statement* version = find(global->block, "vrrp_version")) version->used = version->value() == "3";
}

/// The link is named in whatever way the messages travel there.
void read_link(const Statement& transport, Router& into, Diagnostics& out) {
  transport.used = true;
  SyncLinkModel link;
  link.at = transport.at();
  const auto text = [&](const char* name) {
    const Statement* statement = find(transport.block, name);
    return statement ? std::string(statement->value()) : std::string();
  };
  link.interface = text("Interface");
  if (transport.name() == "Multicast") {
    link.local = text("IPv4_interface");
    if (link.local.empty()) link.local = text("IPv6_interface");
    link.multicast = text("IPv4_address");
    if (link.multicast.empty()) link.multicast = text("IPv6_address");
  } else {
    link.local = text("IPv4_address");
    if (link.local.empty()) link.local = text("IPv6_address");
    link.peer = text("IPv4_Destination_Address");
    if (link.peer.empty()) link.peer = text("IPv6_Destination_Address");
  }
  for (const char* name : {"Port", "Group", "SndSocketBuffer", "RcvSocketBuffer", "Checksum"})
    find(transport.block, name);  // of their own protocol
  if (link.interface.empty()) {
    out.warning(transport.at(), "not taken over: a link without an interface");
    return;
  }
  into.links.push_back(std::move(link));
}

void explain_general(const Statement& general, Diagnostics& out) {
  general.used = true;
  for (const char* name : {"HashSize", "HashLimit", "LogFile", "Syslog", "LockFile", "Nice", "NetlinkBufferSize",
                           "NetlinkBufferSizeMaxGrowth", "NetlinkOverrunResync", "NetlinkEventsReliable", "PollSecs",
                           "EventIterationLimit", "Systemd", "Scheduler", "UNIX"})
    if (const Statement* statement = find(general.block, name)) take(*statement);
  const Statement* filter = find(general.block, "Filter");
  if (!filter) return;
  take(*filter);
  out.warning(filter->at(),
              "not taken over: Filter: connections of all protocols are sent, and those of a router's own addresses "
              "never are");
}

void read_mode(const Statement& mode, Diagnostics& out) {
  take(mode);
  if (mode.value() == "NOTRACK" || mode.value() == "ALARM")
    out.warning(mode.at(),
                fmt::format("Mode {}: ours sends each change once and repeats what is not acknowledged", mode.value()));
}

}  // namespace

bool read_keepalived(std::string_view text, Diagnostics& out, Router& into) {
  std::vector<Statement> statements;
  if (!parse_statements(text, Comments::keepalived, out, statements)) return false;
  read_global(statements, into);
  Trackers trackers(statements);
  for (const Statement& statement : statements)
    if (statement.name() == "vrrp_instance") read_instance(statement, trackers, into, out);
  for (const Statement& statement : statements)
    if (statement.name() == "vrrp_sync_group") read_sync_group(statement, trackers, into, out);
  list_unused(statements, out);
  return !out.failed();
}

bool read_conntrackd(std::string_view text, Diagnostics& out, Router& into) {
  std::vector<Statement> statements;
  if (!parse_statements(text, Comments::conntrackd, out, statements)) return false;
  if (const Statement* sync = find(statements, "Sync")) {
    for (const Statement& statement : sync->block) {
      const std::string& name = statement.name();
      if (name == "Multicast" || name == "UDP" || name == "TCP") read_link(statement, into, out);
      if (name == "Mode") read_mode(statement, out);
    }
  }
  if (const Statement* general = find(statements, "General")) explain_general(*general, out);
  list_unused(statements, out);
  return !out.failed();
}

}  // namespace natctl::importer
