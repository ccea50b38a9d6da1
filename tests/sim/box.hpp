#pragma once
// One router: three engines, the notify connections between them, and a kernel. A daemon can be killed,
// started and paused by itself; a reboot ends all of them and empties the kernel and what the daemons had
// stored.
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "natctl/agent.hpp"
#include "syncd/engine.hpp"
#include "tests/sim/clock.hpp"
#include "tests/sim/kernel.hpp"
#include "tests/sim/queue.hpp"
#include "vrrpd/engine.hpp"

namespace sim {

class World;

enum class Daemon { vrrpd, syncd, agent };
enum class Segment { wan, lan, sync, count };

class Box {
 public:
  Box(World& world, int index, std::uint64_t seed);

  void start(Daemon daemon);
  void kill(Daemon daemon);
  void terminate_vrrpd();
  void pause_vrrpd();
  void resume_vrrpd();
  void reboot();
  void carrier_changed(Segment segment);
  void lose_events();                                                              ///< the netlink socket overran
  void request(const std::string& verb, std::vector<std::string> arguments = {});  ///< to vrrpd
  void resync() { step(syncd::Event(syncd::RequestReceived{0, {.id = 1, .verb = "sync.resync", .arguments = {}}})); }

  void advert(const vrrpd::AdvertReceived& packet) { step(packet); }
  void datagram(const common::Bytes& bytes, const common::IpAddress& source) {
    step(syncd::Event(syncd::DatagramReceived{0, source, bytes}));
  }
  void kernel_changed();  ///< deliver what the kernel has noted

  bool runs(Daemon daemon) const;
  bool vrrpd_paused() const { return paused_; }
  bool take_new_vrrpd() { return std::exchange(new_vrrpd_, false); }  ///< it was started since this was asked last
  bool forwards() const { return table_exists && gate_open; }
  bool has_addresses();
  const std::optional<vrrpd::GroupStatus>& group() const;
  const std::optional<syncd::Status>& sync_status() const;
  /// Parts that looked different to the audit, in all lives of syncd.
  std::uint64_t differed() const {
    return differed_before_ + (syncd_ ? syncd_->status(local_now()).counters.at("audit_differing") : 0);
  }
  common::Time local_now() const;

  int index;
  Kernel kernel;
  bool table_exists = false, gate_open = false;  ///< kernel state: outlives the agent
  NodeClock clock;

 private:
  void step(const vrrpd::Event& event);
  void step(const syncd::Event& event);
  void step(const natctl::Event& event);
  void perform(vrrpd::Action& action);
  void perform(syncd::Action& action);
  void perform(natctl::Action& action);
  void pump_sync();
  void write_kernel();
  void arm(Daemon daemon, common::Deadline deadline);
  void connect();
  void own_addresses();
  vrrpd::LinkChanged link_state(Segment segment) const;
  void to_vrrpd_client(vrrpd::ClientId client, const common::NotifyMessage& message);
  void close_client(vrrpd::ClientId client);
  void address(const std::string& interface, const common::Prefix& prefix, bool add, std::chrono::seconds lifetime);
  common::Duration transaction_time();
  void finish_transaction(std::uint64_t id);

  World& world_;
  common::Prng prng_;
  std::optional<vrrpd::Engine> vrrpd_;
  std::optional<syncd::Engine> syncd_;
  std::optional<natctl::Agent> agent_;
  std::array<std::uint64_t, 3> life_{};   ///< counts starts and kills: what was meant for an earlier life is void
  std::array<std::uint64_t, 3> armed_{};  ///< the newest timer of each daemon
  bool paused_ = false;
  std::deque<vrrpd::Event> missed_;                                       ///< what waits for a paused vrrpd
  vrrpd::ClientId next_client_ = 1, sync_client_ = 0, agent_client_ = 0;  ///< 0: not connected
  bool agent_to_syncd_ = false, reconnecting_ = false, delivering_ = false, pumping_ = false;
  std::uint64_t differed_before_ = 0;  ///< in earlier lives
  std::vector<syncd::FlowChange> changes_;
  std::map<std::string, vrrpd::StoreTerm> stored_terms_;
  bool table_loaded_ = false, new_vrrpd_ = false;
  // A status is made when somebody looks and the engine has moved since: the checkers look much more often.
  mutable std::optional<vrrpd::GroupStatus> group_;
  mutable std::optional<syncd::Status> sync_;
  mutable bool group_is_new_ = false, sync_is_new_ = false;
};

}  // namespace sim
