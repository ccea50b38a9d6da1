#pragma once
// Puts syncd's engine into the world. Every turn of the loop takes in a portion of what came (reports of the
// kernel, datagrams, messages), and then moves a portion of the bulk that the engine has: datagrams to the
// links, entries to the kernel. Portions are a few milliseconds, so that a million flows on their way keep
// neither the link nor a timer waiting; nor other programs, but during a takeover, for which everything waits.
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/io/daemon.hpp"
#include "common/io/loop.hpp"
#include "common/io/notify_socket.hpp"
#include "syncd/engine.hpp"
#include "syncd/io/breather.hpp"
#include "syncd/io/conntrack_dump.hpp"
#include "syncd/io/conntrack_events.hpp"
#include "syncd/io/conntrack_reader.hpp"
#include "syncd/io/conntrack_writer.hpp"
#include "syncd/io/counters.hpp"
#include "syncd/io/decoder.hpp"
#include "syncd/io/gathering.hpp"
#include "syncd/io/interfaces.hpp"
#include "syncd/io/link_sockets.hpp"

namespace syncd::io {

class Shell {
 public:
  /// The key is empty with `security: none`.
  Shell(common::io::Loop& loop, common::io::DaemonOptions options, common::Config config, std::vector<std::byte> key);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// Opens everything and tells the engine how things stand. Fails with one line.
  common::Status start();

 private:
  /// A request to read what the kernel has queued, and how much has been read since.
  struct Sync {
    std::uint64_t request = 0;
    std::size_t read = 0;
  };

  common::Status open_server();
  common::Status open_kernel();
  void connect();
  void begin();

  void feed(const Event& event);
  void turn();
  void tick();
  void check_now_and_then();
  struct Portion {
    std::size_t count = 0;
    bool emptied = false;
  };
  void serve_reports();
  Portion read_events();
  void read_soon(const std::vector<FlowKey>& masters);
  void read_details();
  void follow_config();
  void follow_interfaces();
  bool move_datagrams();
  bool move_writes();
  void message(std::uint64_t client, const common::NotifyMessage& message);
  void answer(std::uint64_t client, const common::Request& request);
  void answer_status(std::uint64_t client, std::uint64_t id);
  void terminate();
  void reload();
  std::vector<std::byte> changed_key(const common::SyncConfig& config);

  void hear_packets(bool on);
  void perform(const Action& action);

  common::io::Loop& loop_;
  common::io::DaemonOptions options_;
  common::Config config_;
  std::vector<std::byte> key_;
  std::string reload_fault_;  ///< what the last reload did not take over, and why; a reason until one does
  Counters counters_;
  Decoder decoder_;
  std::optional<Engine> engine_;
  std::optional<ConntrackWriter> writer_;
  std::optional<ConntrackEvents> events_;
  std::optional<ConntrackReader> reader_;
  std::unique_ptr<Interfaces> interfaces_;
  std::optional<ConntrackDump> dump_;
  std::optional<LinkSockets> links_;
  std::unique_ptr<common::io::NotifyServer> server_;
  std::unique_ptr<common::io::NotifyClient> vrrpd_;
  std::unique_ptr<common::io::Loop::Timer> timer_, more_, gather_timer_, check_timer_, exit_timer_, detail_timer_;
  Actions actions_;
  std::vector<Sync> syncs_;
  std::vector<std::uint64_t> flushes_;
  std::vector<FlowKey> masters_;  ///< flows to be read anew
  std::vector<KernelWrite> writes_;
  std::vector<KernelResult> refused_;
  std::vector<common::IpAddress> own_addresses_;
  std::set<std::uint64_t> agents_;            ///< clients of our socket that want reports
  std::optional<common::PeerReport> report_;  ///< the last one, for an agent that comes later
  bool kernel_reports_ = true;                ///< net.netfilter.nf_conntrack_events was found on
  bool deaf_ = false;                         ///< the kernel was to report what packets do, and refused
  Breather breather_;
  Gathering gathering_;         ///< of the kernel's reports
  bool papers_wanted_ = false;  ///< the engine has asked for them
  bool stepping_ = false;
  bool stopping_ = false;
};

}  // namespace syncd::io
