#include "natctl/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

using Reasons = std::vector<std::string>;

/// No reason against a failover: the old program does its work as before.
constexpr const char* kRestartDue =
    "vrrpd has been upgraded and still runs as it was: restart it, the router in backup first "
    "(systemctl restart steadynat-vrrpd)";

void add(Reasons& reasons, std::string reason) {
  if (!reason.empty() && std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(std::move(reason));
}

/// What the three said, as far as it could be read.
struct Parts {
  Json vrrpd, syncd, agent;
  bool sync_expected = false, agent_expected = false;
};

Json body_of(const Answer& answer) {
  Json json = answer.body ? parse_json(*answer.body) : Json();
  return json.is_object() ? json : Json();
}

Parts parts_of(const Answers& answers) {
  Parts parts{body_of(answers.vrrpd), body_of(answers.syncd), body_of(answers.agent)};
  const std::string link = text_of(parts.vrrpd, "link");
  const bool gated = std::ranges::any_of(array_of(parts.vrrpd, "groups"),
                                         [](const Json& group) { return !text_of(group, "gate").empty(); });
  parts.sync_expected = answers.syncd_expected.value_or(!parts.syncd.is_null() || (!link.empty() && link != "none") ||
                                                        flag_of(parts.vrrpd, "syncd_connected"));
  parts.agent_expected =
      answers.agent_expected.value_or(!parts.agent.is_null() || gated || flag_of(parts.vrrpd, "agent_connected"));
  return parts;
}

void check_answered(const Answer& answer, const Json& body, bool expected, std::string_view daemon, Reasons& reasons) {
  if (!body.is_null() || !expected) return;
  if (answer.body) {
    add(reasons,
        fmt::format("{} answers with something that is no status; are all programs of the same release?", daemon));
  } else {
    add(reasons, fmt::format("{} does not answer{}", daemon, answer.error.empty() ? "" : ": " + answer.error));
  }
}

void check_group(const Json& group, const Parts& parts, Reasons& reasons) {
  const std::string name = text_of(group, "name"), state = text_of(group, "state"), phase = text_of(group, "phase");
  const std::size_t before = reasons.size();
  for (const Json& reason : array_of(group, "reasons"))
    if (reason.is_string()) add(reasons, fmt::format("{}: {}", name, reason.get<std::string>()));
  const bool explained = reasons.size() > before;
  if (!explained && state == "fault") add(reasons, name + ": is in fault");
  if (!explained && state != "master" && state != "backup" && state != "fault")
    add(reasons, name + ": has not started yet");
  if (!explained && phase != "idle") add(reasons, fmt::format("{}: a change of state is under way ({})", name, phase));
  const Json& gate = field(field(parts.agent, "gates_open"), name);
  if (!gate.is_boolean() || state == "fault") return;
  const std::string why = text_of(field(parts.agent, "causes"), name);
  const std::string cause = why.empty() ? "" : " (" + why + ")";
  if (state == "master" && !gate.get<bool>())
    add(reasons,
        fmt::format("{}: nothing is forwarded: the gate is shut although this router is master{}", name, cause));
  if (state == "backup" && gate.get<bool>())
    add(reasons, fmt::format("{}: the gate is open although this router is backup{}", name, cause));
}

void check_vrrp(const Parts& parts, Reasons& reasons) {
  if (parts.vrrpd.is_null()) return;
  const std::size_t before = reasons.size();
  for (const Json& group : array_of(parts.vrrpd, "groups")) check_group(group, parts, reasons);
  if (reasons.size() > before) return;  // these say already what follows from a peer or a daemon that is not there
  if (!flag_of(parts.vrrpd, "peer_alive")) add(reasons, "the other router is not heard");
  if (parts.sync_expected && !flag_of(parts.vrrpd, "syncd_connected")) add(reasons, "syncd is not connected to vrrpd");
  if (parts.agent_expected && !flag_of(parts.vrrpd, "agent_connected"))
    add(reasons, "the agent is not connected to vrrpd");
}

/// Once is enough.
std::string of_sync(const std::string& reason) {
  return (reason.starts_with("sync ") ? "" : "sync: ") + reason;
}

void check_sync(const Parts& parts, Reasons& reasons) {
  if (parts.syncd.is_null()) return;
  const std::string link = text_of(parts.syncd, "link"), state = text_of(parts.syncd, "state");
  const std::size_t before = reasons.size();
  for (const Json& reason : array_of(parts.syncd, "reasons"))
    if (reason.is_string()) add(reasons, of_sync(reason.get<std::string>()));
  const bool explained = reasons.size() > before;
  if (explained) return;
  if (flag_of(parts.syncd, "config_differs")) add(reasons, "sync: the two routers have different configuration files");
  if (link == "refused") {
    add(reasons, "sync: what comes over the link is refused: the routers have different keys");
  } else if (state == "disconnected") {
    add(reasons, "sync: the other router is not reached over the link");
  } else if (state != "synced") {
    add(reasons, "sync: connections are still being copied");
  }
}

void check_nat(const Parts& parts, Reasons& reasons) {
  if (parts.agent.is_null()) return;
  const std::string error = text_of(parts.agent, "error");
  if (!flag_of(parts.agent, "active"))
    add(reasons, "nat: the table is not loaded" + (error.empty() ? "" : ": " + error));
  else if (!error.empty())
    add(reasons, "nat: " + error);
}

std::string gate_word(const Json& gates) {
  bool any_open = false, any_shut = false;
  if (gates.is_object())
    for (const auto& [group, open] : gates.items())
      (open.is_boolean() && open.get<bool>() ? any_open : any_shut) = true;
  return any_open && any_shut ? "mixed" : any_open ? "open" : "shut";
}

Json groups_json(const Json& vrrpd) {
  if (vrrpd.is_null()) return {};
  Json groups = array_of(vrrpd, "groups");
  for (Json& group : groups)
    if (group.is_object()) group.erase("transitions");  // `show events` has them; a status is read often
  return groups;
}

/// The fields of the contract first, then what else the daemon said.
Json sync_json(const Json& syncd) {
  if (syncd.is_null()) return {};
  Json json;
  for (const char* name : {"state", "peer", "lag_ms", "local_flows", "peer_flows", "committed_flows"})
    json[name] = field(syncd, name);
  for (const auto& [name, value] : syncd.items())
    if (!json.contains(name)) json[name] = value;
  return json;
}

Json nat_json(const Json& agent) {
  if (agent.is_null()) return {};
  const Json& gates = field(agent, "gates_open");
  Json json{{"active", flag_of(agent, "active")}, {"gate", gate_word(gates)}, {"rules", field(agent, "rules")}};
  for (const auto& [name, value] : agent.items())
    if (!json.contains(name)) json[name] = value;
  return json;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string join(const Json& texts) {
  std::string out;
  for (const Json& text : texts)
    if (text.is_string()) out += (out.empty() ? "" : " ") + text.get<std::string>();
  return out;
}

std::string term_text(const Json& term) {
  const double counter = number_of(term, "counter");
  return counter == 0 ? "none" : fmt::format("{:.0f}@{}", counter, text_of(term, "node"));
}

std::string group_text(const Json& group) {
  const std::string phase = text_of(group, "phase");
  std::string out =
      fmt::format("{}  {}{}{}  since {}  term {}\n", text_of(group, "name"), upper(text_of(group, "state")),
                  phase == "idle" ? "" : " (" + phase + ")", flag_of(group, "held") ? " held" : "",
                  text_of(group, "since"), term_text(field(group, "term")));
  for (const Json& instance : array_of(group, "instances"))
    out += fmt::format("  {:<10} {:<10} vrid {:<3}  {:<10}  priority {:<3}  {}\n", text_of(instance, "name"),
                       text_of(instance, "interface"), number_of(instance, "vrid"), upper(text_of(instance, "state")),
                       number_of(instance, "priority"), join(array_of(instance, "virtual_addresses")));
  return out;
}

/// The other router, as its own words came over the link.
std::string peer_text(const Json& syncd) {
  std::string out;
  for (const Json& group : array_of(syncd, "peer_groups")) {
    const std::string phase = text_of(group, "phase");
    out += fmt::format("{}  {}{}{}  on {}  priority {:.0f}  {}\n", text_of(group, "name"),
                       upper(text_of(group, "state")), phase == "idle" ? "" : " (" + phase + ")",
                       flag_of(group, "held") ? " held" : "", text_of(syncd, "peer"), number_of(group, "priority"),
                       flag_of(group, "complete") ? "has all connections" : "lacks connections");
  }
  return out;
}

std::string sync_line(const Json& syncd) {
  const std::string peer = text_of(syncd, "peer"), state = text_of(syncd, "state");
  const char* const joined = state == "disconnected" ? " from " : " with ";
  std::string lines = fmt::format(
      "sync  {}{}  lag {:.1f} ms\n"
      "      connections: {:.0f} own, {:.0f} of the peer, {:.0f} of these in the kernel\n",
      state, peer.empty() ? "" : joined + peer, number_of(syncd, "lag_ms"), number_of(syncd, "local_flows"),
      number_of(syncd, "peer_flows"), number_of(syncd, "committed_flows"));
  if (const double withheld = number_of(syncd, "withheld_flows"); withheld > 0)
    lines += fmt::format("      {:.0f} more of this router are not replicated: sync.filter\n", withheld);
  return lines;
}

/// No reason either, as long as what there is has room on both.
std::string table_line(const Json& syncd) {
  const Json &ours = field(syncd, "table"), &theirs = field(syncd, "peer_table");
  if (!ours.is_object() || !theirs.is_object()) return "";
  const auto room = [](const Json& table) {
    const double most = number_of(table, "max");
    return most == 0 ? std::string("as many entries as memory") : fmt::format("{:.0f} entries", most);
  };
  if (number_of(ours, "max") == number_of(theirs, "max")) return "";
  return fmt::format("  the connection tables are not alike: room for {} here, {} on {}\n", room(ours), room(theirs),
                     text_of(syncd, "peer"));
}

std::string nat_line(const Json& agent) {
  return fmt::format("nat   {}  gate {}  {:.0f} rule{}\n", flag_of(agent, "active") ? "active" : "not loaded",
                     gate_word(field(agent, "gates_open")), number_of(agent, "rules"),
                     number_of(agent, "rules") == 1 ? "" : "s");
}

std::string screen(const std::string& node, const Parts& parts, const Reasons& reasons) {
  std::string out = fmt::format("{}  {}\n", node, reasons.empty() ? "ready to fail over" : "NOT ready to fail over");
  for (const std::string& reason : reasons) out += "  - " + reason + "\n";
  if (flag_of(parts.vrrpd, "restart_due")) out += std::string("  ") + kRestartDue + "\n";
  if (!parts.syncd.is_null()) out += table_line(parts.syncd);
  for (const Json& group : array_of(parts.vrrpd, "groups")) out += group_text(group);
  if (!parts.syncd.is_null()) out += peer_text(parts.syncd) + sync_line(parts.syncd);
  if (!parts.agent.is_null()) out += nat_line(parts.agent);
  return out;
}

}  // namespace

Report make_status(const Answers& answers) {
  const Parts parts = parts_of(answers);
  Reasons reasons;
  check_answered(answers.vrrpd, parts.vrrpd, answers.vrrpd_expected.value_or(true), "vrrpd", reasons);
  check_answered(answers.syncd, parts.syncd, parts.sync_expected, "syncd", reasons);
  check_answered(answers.agent, parts.agent, parts.agent_expected, "the agent", reasons);
  check_vrrp(parts, reasons);
  check_sync(parts, reasons);
  check_nat(parts, reasons);
  const bool silent = parts.vrrpd.is_null() && parts.syncd.is_null() && parts.agent.is_null();
  if (silent && reasons.empty()) add(reasons, "no daemon answers");

  const std::string said = text_of(parts.vrrpd, "node");
  const std::string node = said.empty() ? answers.node : said;
  Json json{{"node", node}, {"failover_ready", reasons.empty()}, {"reasons", reasons}};
  json["groups"] = groups_json(parts.vrrpd);
  json["sync"] = sync_json(parts.syncd);
  json["nat"] = nat_json(parts.agent);
  for (const char* name : {"link", "peer_alive", "restart_due", "counters"})
    if (const Json& value = field(parts.vrrpd, name); !value.is_null()) json[name] = value;
  return {dump(json, 2) + "\n", screen(node, parts, reasons),
          silent            ? kNoAnswer
          : reasons.empty() ? kReady
                            : kDegraded};
}

}  // namespace natctl
