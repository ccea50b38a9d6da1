#pragma once
// Clients behind the pair and servers in front of it, and the oracle of what must survive. A flow is held by
// a box once that box has forwarded it, or once the master says that the other box has acknowledged
// everything: from then on that box may not break it, whatever happened in between. What no living box held
// cannot be demanded.
#include <array>
#include <cstdint>
#include <vector>

#include "common/prng.hpp"
#include "tests/sim/box.hpp"

namespace sim {

class World;

class Traffic {
 public:
  Traffic(World& world, int flows, int short_flows, std::uint64_t seed);
  void start();
  void calm_down() { calm_ = true; }  ///< no more short flows
  void forget_holder(int box);        ///< its copy is legitimately gone (reboot)
  void forget_replica(int box);       ///< its syncd died: its copy is gone unless it is the master
  void note_handed_over(int from);    ///< the other box has said that it holds everything
  void note_acknowledged();           ///< looks at the masters' backlog; called now and then

  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t lost() const { return lost_; }
  std::uint64_t excused() const { return excused_; }  ///< broken, but nobody could have known of them

 private:
  struct Flow {
    syncd::FlowKey key;
    std::uint16_t port = 0;  ///< translated source port, once known
    bool established = false;
    std::array<bool, 2> held{};
    common::Time since{}, ends{};
  };
  void open(std::size_t index);
  void send(std::size_t index);
  void answered(std::size_t index);
  void go_on(std::size_t index);
  int way(Segment from, Segment to) const;
  bool there(Flow& flow);  ///< client to server; false: lost or broken
  bool back(Flow& flow);   ///< server to client
  void broken(Flow& flow, int box, const char* how);

  World& world_;
  common::Prng prng_;
  std::vector<Flow> flows_;  ///< behind the first long_ ones each lives for less than a second
  std::size_t long_;
  bool calm_ = false;
  std::uint16_t next_port_ = 10000;
  std::uint64_t delivered_ = 0, lost_ = 0, excused_ = 0;
};

}  // namespace sim
