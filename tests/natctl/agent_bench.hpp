#pragma once
// An agent, the kernel's answers to it, and what it has said.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "natctl/agent.hpp"
#include "tests/natctl/article.hpp"

namespace natctl::test {

using namespace common;
using natctl::Log;
using namespace std::chrono_literals;

inline const Term kFirst{7, "R1"}, kNext{8, "R1"}, kPeers{9, "R2"};

struct Bench {
  explicit Bench(Config config = article()) : agent(std::move(config), now) {}

  void give(const Event& event) {
    agent.step(event, now, actions);
    settle();
  }
  /// Answers transactions at once, as the shell does, unless told to hold them back.
  void settle() {
    for (std::size_t i = 0; i < actions.size(); ++i) {
      const Action action = actions[i];
      if (const auto* t = std::get_if<Transaction>(&action)) {
        texts.push_back(t->text);
        last_id = t->id;
        const bool taken = refuse_tables_only && t->text.find("delete table") == std::string::npos;
        if (!hold) agent.step(TransactionDone{t->id, taken ? "" : refuse}, now, actions);
      }
      if (const auto* s = std::get_if<SendNotify>(&action)) said.push_back(encode(s->message));
      if (const auto* r = std::get_if<SendReply>(&action)) replies.push_back(r->reply);
      if (const auto* l = std::get_if<Log>(&action)) logs.push_back(l->name);
    }
    actions.clear();
  }
  void vrrpd(const NotifyMessage& message) { give(VrrpdMessage{message}); }
  void wait(Duration d) {
    const Time end = now + d;
    while (const auto at = agent.deadline()) {
      if (*at > end) break;
      now = std::max(now, *at);
      give(Tick{});
      REQUIRE(agent.deadline() != at);
    }
    now = end;
  }
  /// Started with no table, connected, backup.
  void start() {
    give(TableFound{});
    give(VrrpdConnected{});
    vrrpd(Welcome{.node = "R1", .groups = {{"MAIN-GW", GroupState::backup, Phase::idle, Term{6, "R2"}}}});
    forget();
  }
  void master(const Term& term = kFirst) {
    vrrpd(Prepare{"MAIN-GW", term, 1000});
    vrrpd(Open{"MAIN-GW", term, OpenReason::ready});
    forget();
  }
  void forget() {
    texts.clear();
    said.clear();
    replies.clear();
    logs.clear();
  }
  bool open() { return agent.status(now).gates_open.at("MAIN-GW"); }
  std::uint64_t counter(const std::string& name) { return agent.status(now).counters.at(name); }
  bool whole(std::size_t i = 0) { return texts.at(i).find("delete table") != std::string::npos; }

  Time now = Time(1h);
  Agent agent;
  Actions actions;
  std::vector<std::string> texts, said, logs;
  std::vector<Reply> replies;
  std::string refuse;
  bool refuse_tables_only = false;  ///< switches of a table that stands are taken
  bool hold = false;
  std::uint64_t last_id = 0;
};

using Lines = std::vector<std::string>;

inline std::string ready(const Term& term, bool ok = true, const std::string& detail = {}) {
  return encode(Ready{"MAIN-GW", term, ok, detail});
}
inline std::string gate_shut(const Term& term) {
  return encode(GateShut{"MAIN-GW", term});
}
inline std::string report(bool loaded, const std::string& error = {}) {
  return encode(TableReport{loaded, error});
}
inline std::string hello(std::vector<Hello::Seen> terms) {
  return encode(Hello{.role = Role::agent, .node = "R1", .terms = std::move(terms)});
}
inline PeerReport peer(bool heard, GroupState state = GroupState::backup, const Term& term = {}) {
  PeerReport result;
  result.link = heard ? LinkState::up : LinkState::down;
  result.heard = heard;
  GroupReport g;
  g.group = "MAIN-GW";
  g.state = state;
  g.term = term;
  result.groups = {g};
  return result;
}
inline RequestReceived ask(const std::string& verb) {
  return {3, {.id = 5, .verb = verb, .arguments = {}}};
}

}  // namespace natctl::test
