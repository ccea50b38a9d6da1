#pragma once
// Puts vrrpd's engine into the world: turns what happens into events, and does what the engine answers, in
// its order.
#include <deque>
#include <memory>
#include <string>

#include "common/io/daemon.hpp"
#include "common/io/loop.hpp"
#include "common/io/notify_socket.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/addresses.hpp"
#include "vrrpd/io/advert_sockets.hpp"
#include "vrrpd/io/announcer.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/devices.hpp"
#include "vrrpd/io/hooks.hpp"
#include "vrrpd/io/links.hpp"
#include "vrrpd/io/routes.hpp"
#include "vrrpd/io/term_store.hpp"
#include "vrrpd/io/tracks.hpp"

namespace vrrpd::io {

class Shell {
 public:
  Shell(common::io::Loop& loop, common::io::DaemonOptions options, common::Config config);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// Opens everything and tells the engine how things stand. Fails with one line.
  common::Status start();

 private:
  common::Status open_server();
  std::vector<std::string> hook_environment() const;
  void make_engine();

  void feed(Event event);
  void tick();
  void follow(const common::Config& config);
  void look_after();
  void link_changed(const LinkChanged& change);
  void client_connected(ClientId client, const common::io::PeerCredentials& who);
  void client_message(ClientId client, const common::NotifyMessage& message);
  void answer_status(ClientId client, const common::Request& request);
  void terminate();
  void reload();

  void perform(const Action& action);
  void set_device(const SetDevice& action);
  void announce(const Announce& action);
  void store(const StoreTerm& action);
  void finish();

  common::io::Loop& loop_;
  common::io::DaemonOptions options_;
  common::Config config_;
  Counters counters_;
  Hooks hooks_;
  TermStore terms_;
  AdvertSockets adverts_;
  std::unique_ptr<common::io::NotifyServer> server_;
  std::unique_ptr<Links> links_;
  std::optional<Announcer> announcer_;
  std::optional<Addresses> addresses_;
  std::optional<Devices> devices_;
  std::optional<Routes> routes_;
  Tracks tracks_;
  std::optional<Engine> engine_;
  std::unique_ptr<common::io::Loop::Timer> timer_, exit_timer_, tidy_timer_;
  std::deque<Event> events_;
  Actions actions_;
  bool stepping_ = false;
  bool stopping_ = false, finished_ = false;
  int announce_error_ = 0;
  bool terms_failed_ = false;
  bool something_missing_ = false;  ///< of what we have put on interfaces: looked after again and again
  Devices::Wanted followed_devices_;
  Links::Watched followed_;  ///< of the configuration before a reload: it may still have to be left
};

}  // namespace vrrpd::io
