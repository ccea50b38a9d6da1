#pragma once
// Invariants that hold at every moment, one function each. They look at status values only.
#include <array>
#include <cstdint>
#include <map>

#include "common/term.hpp"
#include "common/time.hpp"

namespace sim {

class World;

class Checkers {
 public:
  void look(World& world);  ///< called every few milliseconds; reports by World::fail
  void rebooted(int box);

 private:
  void one_master_a_term(World& world);
  void terms_grow(World& world);
  void shut_gate_without_mastership(World& world);

  std::array<common::Term, 2> newest_;
  std::array<bool, 2> master_since_boot_{};
  std::array<common::Time, 2> open_since_backup_{};
};

}  // namespace sim
