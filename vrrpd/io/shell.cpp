#include "vrrpd/io/shell.hpp"

#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstring>

#include "common/io/log.hpp"
#include "common/overload.hpp"
#include "vrrpd/io/passwords.hpp"

namespace vrrpd::io {
namespace {

using common::io::log;
using common::io::LogLevel;

/// How long the process stays for hooks that still run when everything else is done.
constexpr common::Duration kHooksAtExit = std::chrono::seconds(5);

/// A group that is not in the configuration any more has left its interfaces by then.
constexpr common::Duration kLeaveTime = std::chrono::seconds(1);

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  // Never fails nor blocks for 8 bytes once the system has booted; and only the jitter of timers hangs on it.
  [[maybe_unused]] const ssize_t got = getrandom(&seed, sizeof seed, 0);
  return seed;
}

Links::Watched interfaces_of(const common::Config& config) {
  Links::Watched result;
  if (!config.vrrp) return result;
  for (const auto& group : config.vrrp->groups) {
    for (const auto& track : group.tracks)
      if (track.kind == common::TrackConfig::Kind::interface) result.try_emplace(track.target);
    for (const auto& instance : group.instances) {
      Links::Watch& watch = result[instance.interface];
      watch.families.insert(instance.family());
      if (group.owns(instance)) continue;
      for (const auto& prefix : instance.all_addresses()) watch.virtual_addresses.insert(prefix.address);
    }
  }
  return result;
}

Devices::Wanted devices_of(const common::Config& config) {
  Devices::Wanted result;
  if (!config.vrrp) return result;
  for (const auto& group : config.vrrp->groups)
    for (const auto& instance : group.instances)
      if (!instance.virtual_mac.empty())
        result[instance.virtual_mac] = {instance.interface, virtual_mac(instance.family(), instance.vrid)};
  return result;
}

}  // namespace

Shell::Shell(common::io::Loop& loop, common::io::DaemonOptions options, common::Config config)
    : loop_(loop),
      options_(std::move(options)),
      config_(std::move(config)),
      hooks_(loop, counters_, hook_environment()),
      terms_(options_.run_dir + "/state/terms"),
      adverts_(loop, counters_, [this](AdvertReceived advert) { feed(std::move(advert)); }),
      tracks_(loop, counters_, hook_environment(), [this](const Tracked& look) { feed(look); }) {}

Shell::~Shell() {
  if (routes_) loop_.unwatch(routes_->fd());
}

std::vector<std::string> Shell::hook_environment() const {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "STEADYNAT_NODE=" + config_.node,
          "STEADYNAT_PEER=" + config_.peer, "STEADYNAT_CONFIG=" + options_.config,
          "STEADYNAT_RUN_DIR=" + options_.run_dir};
}

common::Status Shell::start() {
  // First of all: it fails when another vrrpd serves this directory, before anything of that one is touched.
  if (auto opened = open_server(); !opened) return opened;
  auto announcer = Announcer::open();
  if (!announcer) return std::unexpected(announcer.error());
  announcer_.emplace(std::move(*announcer));
  auto links = Links::open(loop_, counters_, [this](const LinkChanged& change) { link_changed(change); });
  if (!links) return std::unexpected(links.error());
  links_ = std::move(*links);
  auto addresses = Addresses::open(options_.run_dir + "/state/addresses", *links_, counters_);
  if (!addresses) return std::unexpected(addresses.error());
  addresses_.emplace(std::move(*addresses));
  auto devices = Devices::open(*links_, counters_);
  if (!devices) return std::unexpected(devices.error());
  devices_.emplace(std::move(*devices));
  auto routes = Routes::open(*links_, counters_);
  if (!routes) return std::unexpected(routes.error());
  routes_.emplace(std::move(*routes));
  links_->when_less([this] { look_after(); });
  loop_.watch(routes_->fd(), EPOLLIN, [this](std::uint32_t) { look_after(); }, common::io::Loop::Priority::urgent);

  timer_ = loop_.timer([this] { tick(); });
  exit_timer_ = loop_.timer([this] { loop_.stop(); });
  tidy_timer_ = loop_.timer([this] { follow(config_); }, common::io::Loop::Priority::normal);
  hooks_.when_idle([this] {
    if (finished_) loop_.stop();
  });
  loop_.on_signals([this] { terminate(); }, [this] { reload(); });
  make_engine();
  follow(config_);
  tracks_.want(config_);
  return {};
}

void Shell::make_engine() {
  if (terms_.damaged()) ++counters_.state_file_errors;
  Inheritance inheritance;
  inheritance.terms = terms_.terms();
  inheritance.held = terms_.held();
  // Written by the agent, into a directory that a reboot empties.
  inheritance.table_was_loaded = access((options_.run_dir + "/state/table-loaded").c_str(), F_OK) == 0;
  engine_.emplace(config_, std::move(inheritance), random_seed(), common::io::now());
}

common::Status Shell::open_server() {
  common::io::NotifyServer::Callbacks callbacks{
      .connected = [this](ClientId client, const common::io::PeerCredentials& who) { client_connected(client, who); },
      .message = [this](ClientId client, const common::NotifyMessage& message) { client_message(client, message); },
      .closed = [this](ClientId client) { feed(ClientClosed{client}); }};
  auto server = common::io::NotifyServer::open(loop_, options_.run_dir + "/vrrpd.sock", std::move(callbacks));
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  return {};
}

// --- events --------------------------------------------------------------------------------------

/// Results of actions are events too: they wait until all actions of this step are done.
void Shell::feed(Event event) {
  events_.push_back(std::move(event));
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    actions_.clear();
    if (options_.debug && !std::holds_alternative<Tick>(next)) log(LogLevel::debug, "event", to_string(next));
    engine_->step(next, common::io::now(), actions_);
    addresses_->note_additions(actions_);
    for (const Action& action : actions_) {
      if (options_.debug) log(LogLevel::debug, "action", to_string(action));
      perform(action);
    }
    addresses_->flush();
  }
  stepping_ = false;
  timer_->set(engine_->deadline());
}

/// What has arrived before the time was up counts as arrived in time, however late we were scheduled: a
/// master must not be taken for dead while its adverts wait in our socket.
void Shell::tick() {
  links_->poll();
  adverts_.poll();
  if (something_missing_) look_after();
  feed(Tick{});
}

/// What somebody else has removed. Asked when the kernel has told of a removal, and on until nothing is missing.
void Shell::look_after() {
  links_->poll();  // or what we have just added seems to be missing
  std::vector<Disturbed> found = devices_->missing();
  for (auto& more : {addresses_->missing(), routes_->missing()}) found.insert(found.end(), more.begin(), more.end());
  something_missing_ = !found.empty();
  for (Disturbed& each : found) feed(std::move(each));
}

void Shell::link_changed(const LinkChanged& change) {
  adverts_.attach(change.interface, links_->index(change.interface));
  devices_->parent_changed(change.interface);
  LinkChanged told = change;
  told.trouble = devices_->trouble(change.interface);
  feed(std::move(told));
}

/// Listens on the interfaces of a configuration. Those of the one before stay until this is called again: the
/// engine may still be leaving them.
void Shell::follow(const common::Config& config) {
  Links::Watched now = interfaces_of(config);
  Links::Watched both = now;
  for (const auto& [interface, watch] : followed_) {
    both[interface].virtual_addresses.insert(watch.virtual_addresses.begin(), watch.virtual_addresses.end());
    both[interface].families.insert(watch.families.begin(), watch.families.end());
  }
  Devices::Wanted devices = devices_of(config);
  Devices::Wanted all_devices = devices;
  all_devices.merge(followed_devices_);
  devices_->want(std::move(all_devices));
  followed_devices_ = std::move(devices);
  adverts_.want(both);
  followed_ = std::move(now);
  links_->watch(std::move(both));
}

void Shell::client_connected(ClientId client, const common::io::PeerCredentials& who) {
  feed(ClientConnected{client, who.trusted()});
}

void Shell::client_message(ClientId client, const common::NotifyMessage& message) {
  if (const auto* request = std::get_if<common::Request>(&message); request != nullptr && request->verb == "status")
    return answer_status(client, *request);
  feed(ClientMessage{client, message});
}

void Shell::answer_status(ClientId client, const common::Request& request) {
  Status status = engine_->status(common::io::now());
  counters_.add_to(status.counters);
  status.restart_due = common::io::program_replaced();
  status.counters["io_notify_decode_errors"] = server_->decode_errors();
  status.counters["io_notify_slow_clients"] = server_->slow_clients();
  status.counters["io_notify_crowded_out"] = server_->crowded_out();
  status.counters["io_notify_socket_lost"] = server_->socket_lost();
  server_->send(
      client,
      common::Reply{
          .id = request.id, .ok = true, .error = {}, .body = to_json(status, common::io::wall_clock), .more = false});
}

void Shell::terminate() {
  if (finished_) return loop_.stop();  // asked twice: hooks are not waited for any longer
  if (!stopping_) common::io::notify_stopping();
  stopping_ = true;
  feed(Stop{});
}

void Shell::reload() {
  if (stopping_) return;
  auto config = common::io::load_config(options_);
  if (config && !config->vrrp) {
    log(LogLevel::error, "reload_refused", options_.config + ": has no section `vrrp`");
    config.reset();
  }
  if (config)
    if (const auto read = read_passwords(*config); !read) {
      log(LogLevel::error, "reload_refused", read.error().text);
      config.reset();
    }
  if (!config) {
    log(LogLevel::error, "reload_refused", "the configuration stays as it was");
    return;
  }
  config_ = std::move(*config);
  // First the ground: what is new of it is there when the engine asks for it.
  follow(config_);
  feed(Reload{config_});
  tracks_.want(config_);
  tidy_timer_->set(common::io::now() + kLeaveTime);
  log(LogLevel::info, "reloaded", "the configuration has been read anew");
}

// --- actions -------------------------------------------------------------------------------------

void Shell::perform(const Action& action) {
  std::visit(
      common::Overload{[&](const SendAdvert& a) { adverts_.send(a); },
                       [&](const AddAddress& a) { events_.push_back(addresses_->add(a)); },
                       [&](const RemoveAddress& a) { events_.push_back(addresses_->remove(a)); },
                       [&](const SetDevice& a) { set_device(a); }, [&](const AddRoute& a) { routes_->add(a); },
                       [&](const RemoveRoute& a) { routes_->remove(a); }, [&](const Announce& a) { announce(a); },
                       [&](const SendMessage& a) { server_->send(a.client, a.message); },
                       [&](const CloseClient& a) {
                         log(LogLevel::warning, "client_closed",
                             "client " + std::to_string(a.client) + " disconnected: " + a.why);
                         server_->close(a.client);
                       },
                       [&](const RunHook& a) { hooks_.run(a); }, [&](const StoreTerm& a) { store(a); },
                       [&](const Log& a) { log(a.level, a.name, a.text); }, [&](const Finished&) { finish(); }},
      action);
}

void Shell::set_device(const SetDevice& action) {
  if (!action.up) adverts_.detach_sender(action.device);
  const int error = devices_->set(action);
  if (action.up && error == 0) adverts_.attach_sender(action.device, links_->index(action.device));
}

void Shell::announce(const Announce& action) {
  const int error =
      announcer_->announce(links_->index(action.interface), links_->mac(action.interface), action.address);
  if (error != 0) ++counters_.announce_errors;
  if (error != 0 && error != announce_error_)
    log(LogLevel::warning, "announce_failed",
        "cannot announce addresses on " + action.interface + ": " + std::strerror(error));
  announce_error_ = error;
}

void Shell::store(const StoreTerm& action) {
  const auto stored = terms_.store(action);
  if (!stored) {
    ++counters_.state_file_errors;
    if (!terms_failed_) log(LogLevel::warning, "terms_not_stored", stored.error().text);
  }
  terms_failed_ = !stored;
}

void Shell::finish() {
  finished_ = true;
  tidy_timer_->set(std::nullopt);
  devices_->want({});
  if (hooks_.idle()) return loop_.stop();
  exit_timer_->set(common::io::now() + kHooksAtExit);
}

}  // namespace vrrpd::io
