#include "natctl/top.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "natctl/json_reader.hpp"
#include "natctl/talkers.hpp"

namespace natctl {
namespace {

using Tone = TopLine::Tone;

/// Reasons on the screen; `natctl status` has them all.
constexpr std::size_t kMostReasons = 4;

/// What two samples say of the time between them; 0 without an earlier one.
struct Rates {
  double events = 0, flows_sent = 0, flows_received = 0, bytes_sent = 0, bytes_received = 0, lost = 0;
};

/// A sample taken apart.
struct View {
  Json status;  ///< as `natctl status --json` has it
  Json vrrpd;
  Rates rates;
};

double seconds_between(const TopSample& now, const TopSample* before) {
  return before ? std::chrono::duration<double>(now.at - before->at).count() : 0;
}

View view_of(const TopSample& now, const TopSample* before) {
  View view{parse_json(make_status(now.answers).json), parse_json(now.answers.vrrpd.body.value_or("")), {}};
  const double seconds = seconds_between(now, before);
  if (seconds <= 0) return view;
  const Json earlier = parse_json(before->answers.syncd.body.value_or(""));
  const Json &here = field(field(view.status, "sync"), "counters"), &there = field(earlier, "counters");
  // A counter that went back began anew with its daemon.
  const auto rate = [&](const char* name) {
    const double value = number_of(here, name), old = number_of(there, name);
    return !there.is_object() ? 0 : (value >= old ? value - old : value) / seconds;
  };
  view.rates = {rate("events"),     rate("flows_sent"),     rate("flows_received"),
                rate("bytes_sent"), rate("bytes_received"), rate("datagrams_lost")};
  return view;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string state_text(const Json& group) {
  const std::string phase = text_of(group, "phase");
  return upper(text_of(group, "state")) + (phase.empty() || phase == "idle" ? "" : " (" + phase + ")") +
         (flag_of(group, "held") ? " held" : "");
}

/// The peer's word on the group, if there is one.
const Json& of_peer(const Json& status, const std::string& group) {
  static const Json kNone;
  for (const Json& each : array_of(field(status, "sync"), "peer_groups"))
    if (text_of(each, "name") == group) return each;
  return kNone;
}

Tone tone_of(const Json& group) {
  const std::string state = text_of(group, "state");
  return state == "master" ? Tone::good : state == "backup" ? Tone::plain : Tone::bad;
}

/// "2026-11-22T21:00:00Z", without the fraction.
std::string to_the_second(const std::string& time) {
  constexpr std::size_t kSeconds = 19;
  return time.size() > kSeconds ? time.substr(0, kSeconds) + "Z" : time;
}

void add_groups(const View& view, std::vector<TopLine>& out) {
  out.push_back({Tone::head, fmt::format("{:<12} {:<8} {:<20} {:>4}", "GROUP", "ROUTER", "STATE", "PRIO")});
  const std::string node = text_of(view.status, "node"), peer = text_of(field(view.status, "sync"), "peer");
  for (const Json& group : array_of(view.status, "groups")) {
    const std::string name = text_of(group, "name"), gate = text_of(group, "gate");
    out.push_back({tone_of(group), fmt::format("{:<12} {:<8} {:<20} {:>4.0f}  {}{}", name, node, state_text(group),
                                               number_of(group, "priority"), gate.empty() ? "" : "gate " + gate + "  ",
                                               to_the_second(text_of(group, "since")))});
    const Json& other = of_peer(view.status, name);
    if (other.is_null())
      out.push_back({Tone::bad, fmt::format("{:<12} {:<8} not heard on the link", "", peer.empty() ? "?" : peer)});
    else
      out.push_back(
          {tone_of(other),
           fmt::format("{:<12} {:<8} {:<20} {:>4.0f}  {}", "", peer, state_text(other), number_of(other, "priority"),
                       flag_of(other, "complete") ? "has all connections" : "lacks connections")});
  }
}

void add_sync(const View& view, std::vector<TopLine>& out) {
  const Json& sync = field(view.status, "sync");
  if (sync.is_null()) return;
  const Rates& r = view.rates;
  out.push_back({text_of(sync, "state") == "synced" ? Tone::plain : Tone::bad,
                 fmt::format("sync   {}  lag {:.1f} ms  waiting {:.0f}  lost {:.0f}/s", text_of(sync, "state"),
                             number_of(sync, "lag_ms"), number_of(sync, "backlog"), r.lost)});
  out.push_back({Tone::plain, fmt::format("flows  {:.0f} own  {:.0f} of the peer, {:.0f} of these in the kernel",
                                          number_of(sync, "local_flows"), number_of(sync, "peer_flows"),
                                          number_of(sync, "committed_flows"))});
  out.push_back(
      {Tone::plain, fmt::format("rates  {:.0f} events/s  sent {:.0f}/s, {}  received {:.0f}/s, {}", r.events,
                                r.flows_sent, rate_text(r.bytes_sent), r.flows_received, rate_text(r.bytes_received))});
}

void add_nat(const View& view, std::vector<TopLine>& out) {
  const Json& nat = field(view.status, "nat");
  if (nat.is_null()) return;
  const bool active = flag_of(nat, "active");
  out.push_back({active ? Tone::plain : Tone::bad,
                 fmt::format("nat    {}  gate {}  {:.0f} rule{}", active ? "active" : "not loaded",
                             text_of(nat, "gate"), number_of(nat, "rules"), number_of(nat, "rules") == 1 ? "" : "s")});
}

/// The newest change of state of any group.
void add_last(const View& view, std::vector<TopLine>& out) {
  std::string newest, text;
  for (const Json& group : array_of(view.vrrpd, "groups"))
    for (const Json& event : array_of(group, "transitions")) {
      const std::string at = text_of(event, "at");
      if (at < newest) continue;
      newest = at;
      text = fmt::format("last   {}  {} {} -> {}: {}", to_the_second(at), text_of(group, "name"),
                         text_of(event, "from"), text_of(event, "to"), text_of(event, "cause"));
    }
  if (!text.empty()) out.push_back({Tone::plain, text});
}

void add_talkers(const TopSample& now, const TopSample* before, std::size_t room, std::vector<TopLine>& out) {
  constexpr std::size_t kHeads = 2;
  if (room <= kHeads) return;
  out.push_back({});
  if (!now.why_no_conversations.empty()) {
    out.push_back({Tone::head, "BUSIEST CONNECTIONS"});
    out.push_back({Tone::plain, "  " + now.why_no_conversations});
    return;
  }
  const bool counted = has_bytes(now.conversations);
  out.push_back(
      {Tone::head, counted ? "BUSIEST TRANSLATED CONNECTIONS"
                           : "HOSTS WITH MOST TRANSLATED CONNECTIONS (bytes: net.netfilter.nf_conntrack_acct=1)"});
  if (counted && (before == nullptr || !before->why_no_conversations.empty())) return;
  const auto between = before ? now.at - before->at : common::Duration{};
  for (std::string& line :
       top_talkers(now.conversations, before ? before->conversations : now.conversations, between, room - kHeads))
    out.push_back({Tone::plain, std::move(line)});
}

/// Cut to width in characters; what is no printable character is shown as "?", for names and causes may come from
/// outside.
std::string fitted(const std::string& text, std::size_t columns) {
  std::string out;
  std::size_t width = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xc0) == 0x80;
    if (!continues && width++ == columns) break;
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return out;
}

std::string headline(const View& view) {
  const bool ready = flag_of(view.status, "failover_ready");
  return fmt::format("{}  {}", text_of(view.status, "node"), ready ? "ready to fail over" : "NOT ready to fail over");
}

}  // namespace

std::vector<TopLine> top_screen(const TopSample& now, const TopSample* before, TopSize size) {
  const auto rows = static_cast<std::size_t>(std::max(size.rows, 1)),
             columns = static_cast<std::size_t>(std::max(size.columns, 1));
  const View view = view_of(now, before);
  const std::string head = headline(view), right = now.clock + "  q quits";
  const std::size_t gap = columns > head.size() + right.size() ? columns - head.size() - right.size() : 2;
  std::vector<TopLine> out{
      {flag_of(view.status, "failover_ready") ? Tone::good : Tone::bad, head + std::string(gap, ' ') + right}};
  const Json& reasons = array_of(view.status, "reasons");
  for (std::size_t i = 0; i < std::min(reasons.size(), kMostReasons); ++i)
    if (reasons[i].is_string()) out.push_back({Tone::bad, "  - " + reasons[i].get<std::string>()});
  if (reasons.size() > kMostReasons)
    out.push_back({Tone::bad, fmt::format("  and {} more: natctl status", reasons.size() - kMostReasons)});
  out.push_back({});
  add_groups(view, out);
  out.push_back({});
  add_sync(view, out);
  add_nat(view, out);
  add_last(view, out);
  add_talkers(now, before, rows > out.size() ? rows - out.size() : 0, out);
  if (out.size() > rows) out.resize(rows);
  for (TopLine& line : out) line.text = fitted(line.text, columns);
  return out;
}

std::string top_line(const TopSample& now, const TopSample* before) {
  const View view = view_of(now, before);
  std::string out = now.clock + "  " + headline(view);
  for (const Json& group : array_of(view.status, "groups")) {
    const Json& other = of_peer(view.status, text_of(group, "name"));
    out += fmt::format("  {} {}, peer {}", text_of(group, "name"), state_text(group),
                       other.is_null() ? "not heard" : state_text(other));
  }
  const Json& sync = field(view.status, "sync");
  if (!sync.is_null())
    out +=
        fmt::format("  flows {:.0f} own {:.0f} peer  {:.0f} events/s  lag {:.1f} ms  link {} out {} in",
                    number_of(sync, "local_flows"), number_of(sync, "peer_flows"), view.rates.events,
                    number_of(sync, "lag_ms"), rate_text(view.rates.bytes_sent), rate_text(view.rates.bytes_received));
  return fitted(out, out.size());
}

std::string top_json(const TopSample& now, const TopSample* before) {
  const View view = view_of(now, before);
  const Rates& r = view.rates;
  return dump(Json{{"clock", now.clock},
                   {"status", view.status},
                   {"rates",
                    {{"seconds", seconds_between(now, before)},
                     {"events", r.events},
                     {"flows_sent", r.flows_sent},
                     {"flows_received", r.flows_received},
                     {"bytes_sent", r.bytes_sent},
                     {"bytes_received", r.bytes_received},
                     {"datagrams_lost", r.lost}}}},
              -1);
}

}  // namespace natctl
