#pragma once
// The world: two boxes, three segments between them, clients and servers, faults. Everything happens in the
// order of one queue on virtual time. First a phase of faults with the safety checks on, then everything is
// healed and the pair must come to rest: one master, equal tables, nothing pending.
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "tests/sim/box.hpp"
#include "tests/sim/checkers.hpp"
#include "tests/sim/options.hpp"
#include "tests/sim/queue.hpp"
#include "tests/sim/traffic.hpp"

namespace sim {

class World {
 public:
  /// Putting what happens into words takes as long as making it happen: a run that failed is done again, with words.
  enum class Story { untold, kept, printed };
  explicit World(const Options& options, Story story);

  /// Runs both phases. Empty: all well; else what went wrong.
  std::string run();

  // For the boxes.
  const common::Config& config(int box) const { return configs_[static_cast<std::size_t>(box)]; }
  bool carrier(int box, Segment segment) const;
  bool connected(int box, Segment segment) const;  ///< powered, and plugged into the segment's switch
  void send_advert(int from, const vrrpd::SendAdvert& advert);
  void send_datagram(int from, const syncd::Datagram& datagram);
  void announce(int from, Segment segment);
  void handed_over(int from);  ///< that box says that the other one has acknowledged everything
  void trace(std::string line);
  /// `item`: an event or an action of an engine.
  template <typename Item>
  void trace_engine(int box, const char* prefix, const Item& item) {
    if (story_ != Story::untold) trace_engine_line(box, prefix + to_string(item));
  }
  void fail(std::string what);

  Box& box(int index) { return *boxes_[static_cast<std::size_t>(index)]; }
  int arp(Segment segment) const { return arp_[static_cast<std::size_t>(segment)]; }
  bool failed() const { return !failure_.empty(); }
  const std::deque<std::string>& last_lines() const { return lines_; }

  const Options options;
  Queue queue;
  common::Prng prng;

 private:
  struct Port {
    bool plugged = true;  ///< silently off its switch when false: carrier stays
    bool carrier = true;
  };
  Port& port(int box, Segment s) { return ports_[static_cast<std::size_t>(box)][static_cast<std::size_t>(s)]; }
  const Port& port(int box, Segment s) const {
    return ports_[static_cast<std::size_t>(box)][static_cast<std::size_t>(s)];
  }
  void plug(int box, bool on);
  void trace_engine_line(int box, const std::string& line);
  void every(Duration mean, void (World::*fault)());
  void schedule_faults();
  void fault_power();
  void fault_reboot();
  void fault_carrier();
  void fault_carrier_both();
  void set_carrier(int box, Segment segment, bool up);
  void fault_sync();
  void fault_kill();
  void fault_pause();
  void fault_overrun();
  void fault_switchover();
  void heal();
  void refresh_arp();
  void note_fault(const std::string& what);
  std::string pending();
  bool at_rest(Duration within);
  void corrupt();
  void damage(common::Bytes& datagram);
  void check_audit();

  std::array<common::Config, 2> configs_;
  std::array<std::array<Port, 3>, 2> ports_{};
  std::array<int, 3> arp_{-1, -1, -1};  ///< to which box the hosts of the segment send for the virtual address
  std::vector<std::unique_ptr<Box>> boxes_;
  std::unique_ptr<Traffic> traffic_;
  Checkers checkers_;
  Story story_;
  bool healing_ = false;
  bool corrupting_ = false;
  std::string failure_;
  std::deque<std::string> lines_;
};

}  // namespace sim
