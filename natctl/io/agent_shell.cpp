#include "natctl/io/agent_shell.hpp"

#include <sys/epoll.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <utility>

#include "common/io/log.hpp"
#include "common/io/loop.hpp"
#include "common/io/notify_socket.hpp"
#include "common/io/options.hpp"
#include "common/overload.hpp"
#include "natctl/agent.hpp"
#include "natctl/io/nft_counters.hpp"
#include "natctl/io/nftables.hpp"
#include "natctl/nft.hpp"
#include "natctl/ruleset.hpp"

namespace natctl::io {

using common::io::LogLevel;
using common::io::Loop;
using common::io::NotifyClient;
using common::io::NotifyServer;

namespace {

// Below vrrpd and syncd, above all that is ordinary: a takeover waits for the gate.
constexpr int kRealTimePriority = 8;
constexpr const char* kConntrackEvents = "/proc/sys/net/netfilter/nf_conntrack_events";

/// Entries that are made while this is off stay silent for life, whatever is set later. False: try again once
/// conntrack is there.
bool switch_events_on() {
  if (const auto value = common::io::read_file(kConntrackEvents); value && value->starts_with('1')) return true;
  std::FILE* file = std::fopen(kConntrackEvents, "we");
  if (file == nullptr) return false;
  const bool written = std::fputs("1\n", file) >= 0;
  return (std::fclose(file) == 0) && written;
}

class AgentShell {
 public:
  AgentShell(const common::io::DaemonOptions& options, common::Config config);
  common::Status start();
  int run();

 private:
  void step(Event event);
  void perform(Action& action);
  void execute(const Transaction& transaction);
  void look();
  void answer(std::uint64_t client, const common::Request& request);
  void remember_table();
  void reload();
  NotifyClient::Callbacks from_vrrpd();
  NotifyClient::Callbacks from_syncd();
  NotifyServer::Callbacks from_clients();

  common::io::DaemonOptions options_;
  std::string node_;
  Loop loop_;
  Nftables nftables_;
  Agent agent_;
  std::unique_ptr<Loop::Timer> timer_;
  std::optional<TableWatch> watch_;
  std::unique_ptr<NotifyServer> server_;
  std::unique_ptr<NotifyClient> vrrpd_, syncd_;
  std::deque<Event> queue_;
  bool stepping_ = false;
  bool events_on_ = false;
  std::optional<bool> remembered_;  ///< what state/table-loaded says
};

AgentShell::AgentShell(const common::io::DaemonOptions& options, common::Config config)
    : options_(options), node_(config.node), agent_(std::move(config), common::io::now()) {}

common::Status AgentShell::start() {
  timer_ = loop_.timer([this] { step(Tick{}); });
  loop_.on_signals([this] { step(Stop{}); }, [this] { reload(); });
  auto server = NotifyServer::open(loop_, options_.run_dir + "/agent.sock", from_clients());
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  events_on_ = switch_events_on();
  auto watch = TableWatch::open();
  if (!watch) {
    common::io::log(LogLevel::warning, "not_watched", watch.error().text);
  } else {
    watch_ = std::move(*watch);
    loop_.watch(watch_->fd(), EPOLLIN, [this](std::uint32_t) {
      if (watch_->touched() > 0) look();
    });
  }
  look();
  if (!events_on_ && !switch_events_on())
    common::io::log(LogLevel::warning, "conntrack_events",
                    std::string(kConntrackEvents) + " cannot be set to 1: connections may be missed by syncd");
  vrrpd_ = std::make_unique<NotifyClient>(loop_, options_.run_dir + "/vrrpd.sock", from_vrrpd());
  syncd_ = std::make_unique<NotifyClient>(loop_, options_.run_dir + "/syncd.sock", from_syncd());
  common::io::start_watchdog(loop_);
  common::io::notify_ready();
  return {};
}

int AgentShell::run() {
  loop_.run();
  if (watch_) loop_.unwatch(watch_->fd());
  return loop_.exit_code();
}

NotifyClient::Callbacks AgentShell::from_vrrpd() {
  return {.connected = [this] { step(VrrpdConnected{}); },
          .message = [this](const common::NotifyMessage& message) { step(VrrpdMessage{message}); },
          .closed = [this] { step(VrrpdClosed{}); }};
}

NotifyClient::Callbacks AgentShell::from_syncd() {
  return {.connected =
              [this] {
                common::Hello hello;
                hello.role = common::Role::agent;
                hello.node = node_;
                syncd_->send(hello);
              },
          .message = [this](const common::NotifyMessage& message) { step(SyncdMessage{message}); },
          .closed = [] {}};
}

NotifyServer::Callbacks AgentShell::from_clients() {
  return {.connected = [](std::uint64_t, const common::io::PeerCredentials&) {},
          .message =
              [this](std::uint64_t client, const common::NotifyMessage& message) {
                if (const auto* request = std::get_if<common::Request>(&message)) answer(client, *request);
              },
          .closed = [](std::uint64_t) {}};
}

/// Events are taken one after the other; what an action brings about comes after the actions.
void AgentShell::step(Event event) {
  queue_.push_back(std::move(event));
  if (stepping_) return;
  stepping_ = true;
  while (!queue_.empty()) {
    const Event next = std::move(queue_.front());
    queue_.pop_front();
    if (options_.debug) common::io::log(LogLevel::debug, "event", to_string(next));
    Actions actions;
    agent_.step(next, common::io::now(), actions);
    for (Action& action : actions) perform(action);
  }
  stepping_ = false;
  timer_->set(agent_.deadline());
  remember_table();
}

void AgentShell::perform(Action& action) {
  if (options_.debug && !std::holds_alternative<Log>(action))
    common::io::log(LogLevel::debug, "action", to_string(action));
  std::visit(common::Overload{
                 [this](const Transaction& a) { execute(a); },
                 [this](const SendNotify& a) {
                   if (vrrpd_) vrrpd_->send(a.message);
                 },
                 [this](const SendReply& a) { server_->send(a.client, a.reply); },
                 [](const Log& a) { common::io::log(a.level, a.name, a.text); },
                 [this](const Finished&) {
                   common::io::notify_stopping();
                   loop_.stop(0);
                 },
             },
             action);
}

void AgentShell::execute(const Transaction& transaction) {
  int touched = watch_ ? watch_->touched() : 0;
  // As late as can be: what is counted between this and the transaction is lost to the counters.
  const auto counts = transaction.whole ? counted_with_rules() : CountsByKey();
  const auto done =
      nftables_.run(counts && !counts->empty() ? keep_counters(transaction.text, *counts) : transaction.text);
  queue_.emplace_back(TransactionDone{transaction.id, done ? std::string() : done.error().text});
  // The kernel has told of it before it said that it is done. More than our own: somebody else was at it.
  if (watch_) touched += watch_->touched();
  if (touched > (done ? 1 : 0)) look();
}

/// Tells the engine what stands in the kernel.
void AgentShell::look() {
  TableFound found;
  auto listing = nftables_.list();
  if (!listing) {
    common::io::log(LogLevel::error, "not_listed", listing.error().text);
  } else if (const auto gates = read_gates(*listing)) {
    found.exists = true;
    for (const auto& [group, gate] : *gates) {
      found.gates_open[group] = gate.open;
      found.complete[group] = gate.complete;
      if (gate.term.valid()) found.terms[group] = gate.term;
    }
  }
  step(std::move(found));
}

void AgentShell::answer(std::uint64_t client, const common::Request& request) {
  if (request.verb == "status") {
    if (const auto counts = counted()) step(CountersRead{sum_counters(*counts)});
  } else if (!server_->trusted(client)) {
    const char* const why = "not permitted: run it as root or as the user of the agent";
    server_->send(client, common::Reply{.id = request.id, .ok = false, .error = why, .body = {}, .more = false});
    return;
  }
  step(RequestReceived{client, request});
}

/// For vrrpd, which may be restarted without us: a router whose table was never loaded must not become
/// master.
void AgentShell::remember_table() {
  const bool active = agent_.status(common::io::now()).active;
  if (remembered_ == active) return;
  const std::string path = options_.run_dir + "/state/table-loaded";
  if (active) {
    if (auto written = common::io::write_file(path, "1\n"); !written)
      common::io::log(LogLevel::error, "not_written", written.error().text);
  } else {
    std::remove(path.c_str());
  }
  remembered_ = active;
}

void AgentShell::reload() {
  auto config = common::io::load_config(options_);
  if (!config) {
    common::io::log(LogLevel::error, "reload_refused", options_.config + ": nothing is changed");
    return;
  }
  common::io::log(LogLevel::info, "reload", options_.config);
  step(Reload{std::move(*config)});
}

}  // namespace

int run_agent(const common::io::DaemonOptions& options) {
  common::io::log_open("natctl agent", options.debug);
  auto config = common::io::load_config(options);
  if (!config) return common::io::kExitUsage;
  if (const auto rules = make_ruleset(*config); !rules) {
    std::fprintf(stderr, "%s: error: %s\n", options.config.c_str(), rules.error().text.c_str());
    return common::io::kExitUsage;
  }
  if (options.check) return 0;
  if (auto ready = common::io::prepare_run_dir(options.run_dir); !ready) {
    common::io::log(LogLevel::error, "run_dir", ready.error().text);
    return 1;
  }
  if (!config->has_table())
    common::io::log(LogLevel::info, "no_table",
                    "the configuration has neither a nat nor a firewall section: nothing to load");
  common::io::prefer_real_time(kRealTimePriority);
  common::io::lock_memory();
  AgentShell shell(options, std::move(*config));
  if (auto started = shell.start(); !started) {
    common::io::log(LogLevel::error, "start", started.error().text);
    return 1;
  }
  return shell.run();
}

}  // namespace natctl::io
