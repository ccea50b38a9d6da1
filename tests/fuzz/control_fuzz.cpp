// What comes over the sockets of the daemons, all the way: packets are decoded as the shells do it, and what they ask
// for is asked of a daemon that runs. The first byte chooses whose; a newline ends a packet.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "common/notify.hpp"
#include "common/result.hpp"
#include "natctl/agent.hpp"
#include "syncd/engine.hpp"
#include "vrrpd/engine.hpp"

namespace {

using common::NotifyMessage;
using common::Time;
using namespace std::chrono_literals;

constexpr std::uint64_t kClient = 7;
/// Steps until everything that was asked is answered; more is never.
constexpr int kPatience = 300;
/// Packets in one input: what more of them do, fewer do as well.
constexpr int kMostPackets = 24;

const common::Config& config() {
  static const common::Config config = [] {
    constexpr std::string_view text = R"(version: 1
nodes: { R1: { priority: 200, sync_address: 10.10.10.2 }, R2: { priority: 100, sync_address: 10.10.10.3 } }
vrrp: { groups: { MAIN-GW: { instances: {
  wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] },
  lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] } } } } }
sync: { links: [ { interface: eth1 } ], security: none }
nat: { source: { 10: { outbound_interface: eth0, source_address: 192.168.100.0/24, translate_to: 10.10.0.101 } } }
)";
    const auto loaded = common::parse_config(text, "f", "R1");
    common::check(loaded.config.has_value(), "the configuration is one");
    return *loaded.config;
  }();
  return config;
}

/// One line that natctl can show, or JSON.
void check_reply(const common::Reply& reply) {
  common::check(reply.ok == reply.error.empty(), "a refusal says why, and nothing else does");
  common::check(reply.error.find('\n') == std::string::npos, "the reason is one line");
  common::check(reply.body.empty() || nlohmann::json::accept(reply.body), "what is answered is JSON");
  if (reply.body.size() > common::kNotifyMaxPacket / 4) return;  // goes out in parts
  const auto again = common::decode_notify(common::encode(reply));
  common::check(again && *again == NotifyMessage(reply), "an answer is understood");
}

class Syncd {
 public:
  Syncd() : engine_(config(), {}, now_) {
    step(syncd::LinkChanged{0, true});
    step(syncd::OwnAddresses{});
    step(syncd::NotifyConnected{});
    say(common::Welcome{.node = "R1", .groups = {{"MAIN-GW", common::GroupState::master, {}, {1, "R1"}}}});
    std::vector<syncd::FlowChange> changes;
    for (std::uint16_t port = 1; port <= 20; ++port) {
      syncd::Flow flow;
      flow.key.protocol = port % 2 ? 17 : 132;
      flow.key.original = {common::IpAddress::v4(0xc0a86407), common::IpAddress::v4(0x08080808), port, 53};
      flow.reply = {flow.key.original.destination, common::IpAddress::v4(0x0a0a0065), 53, port};
      changes.push_back({.flow = flow});
      flows_.push_back(flow);
    }
    step(syncd::FlowsChanged{changes});
  }
  void say(const NotifyMessage& message) {
    if (const auto* request = std::get_if<common::Request>(&message)) {
      ++asked_;
      step(syncd::RequestReceived{kClient, *request});
    } else {
      step(syncd::NotifyReceived{message});
    }
  }
  void finish() {
    for (int i = 0; i < kPatience && answered_ < asked_; ++i) {
      if (const auto at = engine_.deadline()) now_ = std::max(now_, *at);
      step(syncd::Tick{});
    }
    common::check(answered_ == asked_, "each question has its answer");
    (void)syncd::to_json(engine_.status(now_));
  }

 private:
  void step(const syncd::Event& event) {
    syncd::Actions actions;
    engine_.step(event, now_, actions);
    std::vector<syncd::KernelWrite> writes;
    engine_.poll_kernel(now_, 64, writes);
    for (const auto& action : actions) {
      if (const auto* reply = std::get_if<common::SendReply>(&action)) {
        ++answered_;
        check_reply(reply->reply);
      } else if (const auto* dump = std::get_if<syncd::StartDump>(&action)) {
        step(syncd::FlowsDumped{.dump = dump->dump, .flows = flows_, .last = true});
      } else if (const auto* flush = std::get_if<syncd::FlushKernel>(&action)) {
        step(syncd::KernelFlushed{flush->request});
      } else if (const auto* sync = std::get_if<syncd::SyncEvents>(&action)) {
        step(syncd::EventsSynced{sync->request});
      }
    }
  }

  Time now_ = Time{} + 1000s;
  syncd::Engine engine_;
  std::vector<syncd::Flow> flows_;  ///< in its kernel
  int asked_ = 0, answered_ = 0;
};

class Vrrpd {
 public:
  Vrrpd() : engine_(config(), {}, 1, now_) {
    for (const char* name : {"eth0", "eth2"})
      step(vrrpd::LinkChanged{.interface = name,
                              .exists = true,
                              .running = true,
                              .primary = common::IpAddress::v4(0x0a0a0066),
                              .mac = {},
                              .link_local = {},
                              .addresses = {},
                              .trouble = {}});
    step(vrrpd::ClientConnected{kClient, true});
  }
  void say(const NotifyMessage& message) {
    step(vrrpd::ClientMessage{kClient, message});
    if (!closed_) return;
    closed_ = false;
    step(vrrpd::ClientClosed{kClient});
    step(vrrpd::ClientConnected{kClient, true});
    pass();
  }
  void finish() {
    pass();
    step(vrrpd::Stop{});
    for (int i = 0; i < kPatience && !finished_; ++i) pass();
    common::check(finished_, "nothing that was said keeps it from leaving");
  }

 private:
  void pass() {
    if (const auto at = engine_.deadline()) now_ = std::max(now_, *at);
    step(vrrpd::Tick{});
  }
  void step(const vrrpd::Event& event) {
    vrrpd::Actions actions;
    engine_.step(event, now_, actions);
    for (const auto& action : actions) {
      if (const auto* said = std::get_if<vrrpd::SendMessage>(&action)) {
        if (const auto* reply = std::get_if<common::Reply>(&said->message)) check_reply(*reply);
      } else if (const auto* address = std::get_if<vrrpd::AddAddress>(&action)) {
        step(vrrpd::AddressResult{address->interface, address->address, true, 0});
      } else if (const auto* gone = std::get_if<vrrpd::RemoveAddress>(&action)) {
        step(vrrpd::AddressResult{gone->interface, gone->address, false, 0});
      } else if (std::holds_alternative<vrrpd::CloseClient>(action)) {
        closed_ = true;
      } else if (std::holds_alternative<common::Finished>(action)) {
        finished_ = true;
      }
    }
  }

  Time now_ = Time{} + 1000s;
  vrrpd::Engine engine_;
  bool closed_ = false, finished_ = false;
};

class Agent {
 public:
  Agent() : agent_(config(), now_) {
    step(natctl::TableFound{});
    step(natctl::VrrpdConnected{});
  }
  void say(const NotifyMessage& message) {
    if (const auto* request = std::get_if<common::Request>(&message)) {
      ++asked_;
      step(natctl::RequestReceived{kClient, *request});
    } else if (std::holds_alternative<common::PeerReport>(message)) {
      step(natctl::SyncdMessage{message});
    } else {
      step(natctl::VrrpdMessage{message});
    }
  }
  void finish() {
    for (int i = 0; i < kPatience && answered_ < asked_; ++i) {
      if (const auto at = agent_.deadline()) now_ = std::max(now_, *at);
      step(natctl::Tick{});
    }
    common::check(answered_ == asked_, "each question has its answer");
  }

 private:
  void step(const natctl::Event& event) {
    natctl::Actions actions;
    agent_.step(event, now_, actions);
    for (const auto& action : actions) {
      if (const auto* reply = std::get_if<common::SendReply>(&action)) {
        ++answered_;
        check_reply(reply->reply);
      } else if (const auto* transaction = std::get_if<natctl::Transaction>(&action)) {
        step(natctl::TransactionDone{transaction->id, {}});
      }
    }
  }

  Time now_ = Time{} + 1000s;
  natctl::Agent agent_;
  int asked_ = 0, answered_ = 0;
};

template <typename Daemon>
void talk_to(std::string_view packets) {
  Daemon daemon;
  for (int n = 0; n < kMostPackets && !packets.empty(); ++n) {
    const std::size_t end = std::min(packets.find('\n'), packets.size());
    if (const auto message = common::decode_notify(packets.substr(0, end))) daemon.say(*message);
    packets.remove_prefix(std::min(end + 1, packets.size()));
  }
  daemon.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view packets(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      talk_to<Syncd>(packets);
      break;
    case 1:
      talk_to<Vrrpd>(packets);
      break;
    default:
      talk_to<Agent>(packets);
      break;
  }
  return 0;
}
