#include "natctl/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

/// Families in the order in which they were first spoken of, each with its lines together, as the format demands.
class Exposition {
 public:
  void gauge(std::string_view name, std::string_view help, double value, const Labels& labels = {}) {
    add(name, "gauge", help, value, labels);
  }
  void counter(std::string_view name, std::string_view help, double value, const Labels& labels = {}) {
    add(name, "counter", help, value, labels);
  }
  std::string take() const {
    std::string out;
    for (const Family& family : families_)
      out += fmt::format("# HELP steadynat_{0} {1}\n# TYPE steadynat_{0} {2}\n{3}", family.name, family.help,
                         family.type, family.lines);
    return out;
  }

 private:
  struct Family {
    std::string name, help, type, lines;
  };

  void add(std::string_view name, std::string_view type, std::string_view help, double value, const Labels& labels) {
    const auto [at, fresh] = index_.try_emplace(std::string(name), families_.size());
    if (fresh) families_.push_back({std::string(name), std::string(help), std::string(type), ""});
    std::string text;
    for (const auto& [key, label] : labels)
      text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", key, escaped(label));
    if (!text.empty()) text = "{" + text + "}";
    families_[at->second].lines += fmt::format("steadynat_{}{} {}\n", name, text, value);
  }

  std::vector<Family> families_;
  std::map<std::string, std::size_t> index_;
};

/// As keepalived's exporters count them.
double state_number(const std::string& state) {
  static constexpr std::array<std::string_view, 4> kStates{"initialize", "backup", "master", "fault"};
  for (std::size_t i = 0; i < kStates.size(); ++i)
    if (state == kStates[i]) return static_cast<double>(i);
  return 0;
}

/// A counter that has a family of its own, and its name there.
struct Known {
  std::string_view counter, family, help;
};

constexpr Known kInstance[] = {
    {"sent", "vrrp_advertisements_sent_total", "Adverts sent."},
    {"received", "vrrp_advertisements_received_total", "Adverts of others received and accepted."},
    {"sent_leaving", "vrrp_priority_zero_sent_total", "Adverts sent with priority 0."},
    {"received_leaving", "vrrp_priority_zero_received_total", "Adverts received with priority 0."},
};
constexpr Known kSync[] = {
    {"datagrams_sent", "sync_messages_sent_total", "Datagrams sent on the sync link."},
    {"datagrams_received", "sync_messages_received_total", "Datagrams received on the sync link."},
    {"datagrams_lost", "sync_messages_lost_total", "Datagrams that the peer did not acknowledge in time."},
    {"bytes_sent", "sync_bytes_sent_total", "Bytes sent on the sync link."},
    {"bytes_received", "sync_bytes_received_total", "Bytes received on the sync link."},
    {"events_lost", "sync_netlink_overruns_total", "Times that the kernel lost events of conntrack."},
    {"commit_failed", "sync_commit_failures_total", "Connections that the kernel refused for good."},
    {"events", "sync_kernel_events_total", "Events of conntrack, not of our own doing."},
    {"flows_sent", "sync_flows_sent_total", "States of connections sent."},
    {"flows_received", "sync_flows_received_total", "States of connections received."},
};
constexpr Known kNat[] = {
    {"transactions", "nat_transactions_total", "Transactions of nftables that were asked for."},
    {"transactions_failed", "nat_transactions_failed_total", "Those that the kernel refused."},
    {"table_restored", "nat_table_restored_total", "Times that somebody else's change of the table was undone."},
};

/// Those with a family of their own go there, and are there before they have counted anything: else the first thing
/// that happens would be no change of theirs. Names that begin with "drop_" or end with "_packets" are kinds of one
/// thing; the rest are events.
void add_counters(Exposition& out, const Json& counters, std::span<const Known> known, std::string_view part,
                  const Labels& labels) {
  constexpr std::string_view kDrop = "drop_", kPackets = "_packets";
  if (!counters.is_object()) return;
  for (const Known& each : known) out.counter(each.family, each.help, number_of(counters, each.counter), labels);
  for (const auto& [name, value] : counters.items()) {
    if (!value.is_number() || std::ranges::find(known, name, &Known::counter) != known.end()) continue;
    const double number = value.get<double>();
    Labels more = labels;
    if (name.starts_with(kDrop)) {
      more.emplace_back("reason", name.substr(kDrop.size()));
      out.counter(fmt::format("{}_receive_errors_total", part), "Packets dropped, by what was wrong with them.", number,
                  more);
    } else if (name.ends_with(kPackets)) {
      more.emplace_back("what", name.substr(0, name.size() - kPackets.size()));
      out.counter(fmt::format("{}_packets_total", part), "Packets that the table stopped, by why.", number, more);
    } else {
      more.emplace_back("event", name);
      out.counter(fmt::format("{}_events_total", part), "Other things that happened, by name.", number, more);
    }
  }
}

void add_group(Exposition& out, const Json& group, const Json& gates) {
  const std::string name = text_of(group, "name");
  const Labels labels{{"group", name}};
  out.gauge("group_state", "State of the group: 0 initialize, 1 backup, 2 master, 3 fault.",
            state_number(text_of(group, "state")), labels);
  out.gauge("group_last_transition_timestamp_seconds", "When the group got its state.",
            epoch_seconds(text_of(group, "since")), labels);
  out.gauge("group_priority", "Effective priority.", number_of(group, "priority"), labels);
  out.gauge("group_held", "1: switched over by an operator and not yet released.", flag_of(group, "held") ? 1 : 0,
            labels);
  out.gauge("group_term", "Counter of the newest term.", number_of(field(group, "term"), "counter"), labels);
  if (const Json& gate = field(gates, name); gate.is_boolean())
    out.gauge("group_gate_open", "1: traffic of the group is let through.", gate.get<bool>() ? 1 : 0, labels);
  add_counters(out, field(group, "counters"), {}, "group", labels);
}

void add_instances(Exposition& out, const Json& group) {
  for (const Json& instance : array_of(group, "instances")) {
    const Labels labels{{"group", text_of(group, "name")},
                        {"instance", text_of(instance, "name")},
                        {"interface", text_of(instance, "interface")},
                        {"vrid", fmt::format("{:.0f}", number_of(instance, "vrid"))}};
    out.gauge("vrrp_state", "State of the instance: 0 initialize, 1 backup, 2 master, 3 fault.",
              state_number(text_of(instance, "state")), labels);
    out.gauge("vrrp_priority", "Effective priority of the instance.", number_of(instance, "priority"), labels);
    add_counters(out, field(instance, "counters"), kInstance, "vrrp", labels);
  }
}

void add_vrrpd(Exposition& out, const Json& vrrpd, const Json& agent) {
  if (vrrpd.is_null()) return;
  out.gauge("peer_alive", "1: the other router is heard.", flag_of(vrrpd, "peer_alive") ? 1 : 0);
  for (const Json& group : array_of(vrrpd, "groups")) add_group(out, group, field(agent, "gates_open"));
  for (const Json& group : array_of(vrrpd, "groups")) add_instances(out, group);
  add_counters(out, field(vrrpd, "counters"), {}, "vrrp", {});
}

/// One of several that is lost leaves everything else as it was.
void add_links(Exposition& out, const Json& syncd) {
  for (const Json& link : array_of(syncd, "links"))
    out.gauge("sync_link_up", "1: the other router is heard over this link.",
              text_of(syncd, "link") == "up" && flag_of(link, "usable") && !flag_of(link, "quiet") ? 1 : 0,
              {{"interface", text_of(link, "interface")}});
}

void add_syncd(Exposition& out, const Json& syncd) {
  if (syncd.is_null()) return;
  const std::string state = text_of(syncd, "state");
  constexpr double kMilli = 1000;
  out.gauge("sync_connected", "1: the link to the other router is up.", text_of(syncd, "link") == "up" ? 1 : 0);
  add_links(out, syncd);
  out.gauge("sync_state", "0 disconnected, 1 syncing, 2 synced.", state == "synced" ? 2 : state == "syncing" ? 1 : 0);
  out.gauge("sync_lag_seconds", "Age of the oldest change that the peer has not acknowledged.",
            number_of(syncd, "lag_ms") / kMilli);
  out.gauge("sync_queue_depth", "Connections whose newest state the peer has not acknowledged.",
            number_of(syncd, "backlog"));
  out.gauge("sync_cache_entries", "Connections of this router (internal) and of the peer (external).",
            number_of(syncd, "local_flows"), {{"cache", "internal"}});
  out.gauge("sync_cache_entries", "", number_of(syncd, "peer_flows"), {{"cache", "external"}});
  out.gauge("sync_withheld_connections", "Connections of this router that sync.filter keeps from the peer.",
            number_of(syncd, "withheld_flows"));
  out.gauge("sync_committed_entries", "Of the peer's connections, those in the kernel.",
            number_of(syncd, "committed_flows"));
  out.gauge("sync_memory_bytes", "Memory of the table of connections.", number_of(syncd, "memory_bytes"));
  if (const Json& differs = field(syncd, "config_differs"); differs.is_boolean())
    out.gauge("config_differs", "1: the two routers have different files. Not there while that is not known.",
              differs.get<bool>() ? 1 : 0);
  add_counters(out, field(syncd, "counters"), kSync, "sync", {});
}

void add_agent(Exposition& out, const Json& agent) {
  if (agent.is_null()) return;
  out.gauge("nat_active", "1: the table is loaded.", flag_of(agent, "active") ? 1 : 0);
  out.gauge("nat_rules", "Rules of NAT.", number_of(agent, "rules"));
  add_counters(out, field(agent, "counters"), kNat, "nat", {});
}

}  // namespace

double epoch_seconds(std::string_view text) {
  // "YYYY-MM-DDThh:mm:ss", perhaps a fraction, "Z"
  constexpr std::size_t kSeconds = 19;
  if (text.size() < kSeconds + 1 || text.back() != 'Z') return 0;
  const auto number = [&](std::size_t at, std::size_t length) {
    int value = -1;
    std::from_chars(text.data() + at, text.data() + at + length, value);
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return 0;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  double fraction = 0;
  double worth = 0.1;
  for (std::size_t i = kSeconds + 1; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i, worth /= 10)
    fraction += (text[i] - '0') * worth;
  return static_cast<double>(days) * 86400 + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2) + fraction;
}

std::string metrics_text(const Answers& answers, std::string_view version) {
  const auto body = [](const Answer& answer) { return answer.body ? parse_json(*answer.body) : Json(); };
  const Json vrrpd = body(answers.vrrpd), syncd = body(answers.syncd), agent = body(answers.agent);
  Exposition out;
  const std::string said = text_of(vrrpd, "node");
  out.gauge("build_info", "Always 1; the labels say what runs where.", 1,
            {{"version", std::string(version)}, {"node", said.empty() ? answers.node : said}});
  const auto up = [&](std::string_view daemon, const Json& json, const std::optional<bool>& expected) {
    if (expected.value_or(true) || !json.is_null())
      out.gauge("up", "1: the daemon answers.", json.is_null() ? 0 : 1, {{"daemon", std::string(daemon)}});
  };
  up("vrrpd", vrrpd, answers.vrrpd_expected);
  up("syncd", syncd, answers.syncd_expected);
  up("agent", agent, answers.agent_expected);
  out.gauge("failover_ready", "1: a failover now would keep all connections.",
            make_status(answers).exit_code == kReady ? 1 : 0);
  add_vrrpd(out, vrrpd, agent);
  add_syncd(out, syncd);
  add_agent(out, agent);
  return out.take();
}

}  // namespace natctl
