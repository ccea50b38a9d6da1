#pragma once
// What a run is made of, all of it drawn from the seed: each seed has its own mix of faults (swarm testing),
// so that some runs are gentle enough to go deep and others rough enough to go wide.
#include <cstdint>
#include <string>

#include "common/prng.hpp"
#include "common/time.hpp"

namespace sim {

struct Options {
  std::uint64_t seed = 0;
  common::Duration advertise_interval = std::chrono::milliseconds(100);
  bool continuous = true;
  bool plain = false;  ///< security: none
  int flows = 20;
  int short_flows = 0;            ///< of these each lives for less than a second: somebody is always beginning
  common::Duration round_trip{};  ///< from the pair to a server and back
  common::Duration transaction = std::chrono::microseconds(300);  ///< of nftables, at most

  double loss = 0, duplicate = 0;  ///< of each datagram on the sync link
  double advert_loss = 0;
  common::Duration delay_min = std::chrono::microseconds(50), delay_spread = std::chrono::microseconds(200);

  // Mean time between faults of a kind; zero: never.
  common::Duration power_cut{}, reboot{}, carrier{}, carrier_both{}, sync_cut{}, daemon_kill{}, pause{}, overrun{},
      switchover{};
  common::Duration faults_for = std::chrono::seconds(30);
  common::Duration heal_within = std::chrono::seconds(25);

  static Options draw(std::uint64_t seed);
  std::string to_string() const;
};

}  // namespace sim
