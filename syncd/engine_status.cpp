// What the engine says of itself, and how events and actions read in a trace.
#include <fmt/core.h>

#include <algorithm>

#include "common/overload.hpp"
#include "common/pair_sysctls.hpp"
#include "syncd/engine_state.hpp"

namespace syncd {

namespace {

/// After a takeover there is what there was.
bool fits(const TableSize& what, const TableSize& where) {
  return where.most == 0 || what.entries <= where.most;
}

/// Each router's connections are to find room on the other one.
void compare_tables(Status& s) {
  if (!fits(*s.table, *s.peer_table))
    s.reasons.push_back(
        fmt::format("the connection table of {} has room for {} entries, and there are {} here: raise {} there", s.peer,
                    s.peer_table->most, s.table->entries, common::kConntrackMax));
  if (!fits(*s.peer_table, *s.table))
    s.reasons.push_back(
        fmt::format("the connection table has room for {} entries, and there are {} on {}: raise {} here",
                    s.table->most, s.peer_table->entries, s.peer, common::kConntrackMax));
}

/// Redundancy that is gone unseen is missed when the next fault comes.
void name_lost_links(Status& s) {
  for (const LinkStatus& link : s.links) {
    if (!link.trouble.empty())
      s.reasons.push_back("sync link " + link.interface + ": " + link.trouble);
    else if (s.link == common::LinkState::up && link.quiet)
      s.reasons.push_back(s.peer + " is not heard on the sync link " + link.interface);
  }
}

}  // namespace

/// What there is of a group, and why that is not all. True: it is.
bool Engine::State::describe(const Group& g, bool up, Status& s) const {
  const bool master = g.role == Role::master;
  (master ? s.local_flows : s.peer_flows) += g.flows - g.withheld;
  s.withheld_flows += g.withheld;
  if (!master) s.committed_flows += g.in_kernel;
  if (!master && g.refused > 0)
    s.reasons.push_back(fmt::format("{}: the kernel refuses {} of {}'s connections, which a failover would break: {}",
                                    g.name, g.refused, config.peer, refusal_text(commit.last_failure())));
  if (audit.stays_different(g))
    s.reasons.push_back(
        fmt::format("{}: connections of {} differ here although they were fetched again: "
                    "`natctl sync verify` names them",
                    g.name, config.peer));
  if (g.role == Role::unknown) {
    s.reasons.push_back(g.name + ": vrrpd has not said who is master");
    return false;
  }
  if (master ? g.stream.all_sent : holds_everything(g)) return true;
  if (up && master) s.reasons.push_back(fmt::format("{}: {} does not have all connections yet", g.name, config.peer));
  if (up && !master)
    s.reasons.push_back(fmt::format("{}: not all connections of {} are here yet", g.name, config.peer));
  return false;
}

Status Engine::State::status(Time now) const {
  Status s;
  s.peer = config.peer;
  s.link = link.state(now);
  s.links = link.links(now);
  s.lag_ms = common::milliseconds(sender.lag(now));
  s.backlog = sender.backlog();
  s.memory_bytes = store.table.memory();
  s.flow_limit = store.table.limit();
  s.config_differs = peer.config_differs();
  s.table = peer.table();
  s.counters = store.counters.named();
  const bool up = s.link == common::LinkState::up;
  if (up) {
    s.peer_groups = peer.groups();
    s.peer_table = peer.peer_table();
  }
  bool whole = true;
  if (s.link == common::LinkState::none)
    s.reasons.push_back("no sync link is configured");
  else if (const std::string refusal = link.refusal(now); !refusal.empty())
    s.reasons.push_back(refusal);
  else if (!up)
    s.reasons.push_back(config.peer + " is not heard on the sync link");
  if (s.link != common::LinkState::none) name_lost_links(s);
  if (link.changing_key())
    s.reasons.push_back("the sync key was changed here, and " + config.peer +
                        " has not shown the new one: copy the key file there and reload its syncd");
  for (const Group& g : store.groups)
    if (g.replicated && !describe(g, up, s)) whole = false;
  if (auto full = room.reason(); !full.empty()) s.reasons.push_back(std::move(full));
  if (!observer.in_step())
    s.reasons.push_back("the kernel's events and its table are being compared: some changes may not be known yet");
  if (up && s.config_differs) s.reasons.push_back("the configuration differs from that of " + config.peer);
  if (s.table && s.peer_table) compare_tables(s);
  s.state = !up ? SyncState::disconnected : whole && observer.in_step() ? SyncState::synced : SyncState::syncing;
  return s;
}

std::string to_string(const Event& event) {
  return std::visit(common::Overload{
                        [](const Tick&) -> std::string { return "Tick"; },
                        [](const DatagramReceived& e) {
                          return fmt::format("DatagramReceived {} bytes on link {}", e.bytes.size(), e.link);
                        },
                        [](const LinkChanged& e) {
                          return fmt::format("LinkChanged {} {}", e.link, e.usable ? "usable" : "unusable");
                        },
                        [](const FlowsChanged& e) { return fmt::format("FlowsChanged {}", e.changes.size()); },
                        [](const FlowsDumped& e) {
                          return fmt::format("FlowsDumped {}: {}{}{}", e.dump, e.flows.size(), e.last ? " last" : "",
                                             e.failed ? " failed" : "");
                        },
                        [](const EventsLost&) -> std::string { return "EventsLost"; },
                        [](const EventsSynced& e) { return fmt::format("EventsSynced {}", e.request); },
                        [](const KernelRefused& e) { return fmt::format("KernelRefused {}", e.results.size()); },
                        [](const KernelFlushed& e) { return fmt::format("KernelFlushed {}", e.request); },
                        [](const OwnAddresses& e) { return fmt::format("OwnAddresses {}", e.addresses.size()); },
                        [](const NotifyReceived& e) { return "NotifyReceived " + common::encode(e.message); },
                        [](const NotifyConnected&) -> std::string { return "NotifyConnected"; },
                        [](const NotifyDisconnected&) -> std::string { return "NotifyDisconnected"; },
                        [](const RequestReceived& e) { return "RequestReceived " + e.request.verb; },
                        [](const PapersCollected& e) { return fmt::format("PapersCollected {}", e.text.size()); },
                        [](const TableMeasured& e) { return fmt::format("TableMeasured {}", e.size.entries); },
                        [](const Stop&) -> std::string { return "Stop"; },
                        [](const Reload&) -> std::string { return "Reload"; },
                    },
                    event);
}

std::string to_string(const Action& action) {
  return std::visit(common::Overload{
                        [](const SendNotify& a) { return "SendNotify " + common::encode(a.message); },
                        [](const Publish& a) { return "Publish " + common::encode(a.report); },
                        [](const StartDump& a) { return fmt::format("StartDump {}", a.dump); },
                        [](const SyncEvents& a) { return fmt::format("SyncEvents {}", a.request); },
                        [](const ReadFlows& a) { return fmt::format("ReadFlows {}", a.keys.size()); },
                        [](const HearPackets& a) { return fmt::format("HearPackets {}", a.on); },
                        [](const FlushKernel& a) { return fmt::format("FlushKernel {}", a.request); },
                        [](const CollectPapers&) -> std::string { return "CollectPapers"; },
                        [](const SendReply& a) { return "SendReply " + common::encode(a.reply); },
                        [](const Log& a) { return "Log " + a.name + ": " + a.text; },
                        [](const Finished&) -> std::string { return "Finished"; },
                    },
                    action);
}

}  // namespace syncd
