#include "tests/sim/checkers.hpp"

#include <fmt/format.h>

#include "tests/sim/world.hpp"

namespace sim {

using namespace std::chrono_literals;

namespace {
// From the decision to leave until the transaction is in force: notify hop, libnftables, and some scheduling.
constexpr Duration kGateShutsWithin = 20ms;
}  // namespace

void Checkers::look(World& world) {
  one_master_a_term(world);
  terms_grow(world);
  shut_gate_without_mastership(world);
}

void Checkers::rebooted(int box) {
  newest_[static_cast<std::size_t>(box)] = {};
  master_since_boot_[static_cast<std::size_t>(box)] = false;
}

/// A term names one mastership: two boxes may both be master (a partition), never in the same term.
void Checkers::one_master_a_term(World& world) {
  const auto &a = world.box(0).group(), &b = world.box(1).group();
  if (a && b && a->state == common::GroupState::master && b->state == common::GroupState::master && a->term == b->term)
    world.fail(fmt::format("two masters in term {}", common::to_string(a->term)));
}

void Checkers::terms_grow(World& world) {
  for (int i = 0; i < 2; ++i) {
    const auto& group = world.box(i).group();
    if (!group) continue;
    const auto index = static_cast<std::size_t>(i);
    common::Term& newest = newest_[index];
    // A term of its own that a box knows from the other one only, since it was rebooted, is not kept for a successor of
    // its vrrpd, which would take it for a mastership whose connections are here.
    const bool own = newest.node == (i == 0 ? "R1" : "R2");
    if (world.box(i).take_new_vrrpd() && own && !master_since_boot_[index]) newest = {};
    if (group->state == common::GroupState::master) master_since_boot_[index] = true;
    if (group->term < newest)
      world.fail(fmt::format("R{} went back from term {} to {}", i + 1, common::to_string(newest),
                             common::to_string(group->term)));
    newest = group->term;
  }
}

/// A backup's gate is shut. vrrpd and the agent must both be there for this to be anybody's fault.
void Checkers::shut_gate_without_mastership(World& world) {
  for (int i = 0; i < 2; ++i) {
    Box& box = world.box(i);
    const auto& group = box.group();
    common::Time& since = open_since_backup_[static_cast<std::size_t>(i)];
    // A vrrpd that stands still tells nobody.
    const bool wrong = group && !box.vrrpd_paused() && box.runs(Daemon::agent) && box.forwards() &&
                       group->state == common::GroupState::backup && group->phase == common::Phase::idle;
    if (!wrong)
      since = {};
    else if (since == common::Time{})
      since = world.queue.now();
    // A daemon that was started again needs its connections first.
    else if (world.queue.now() - since > kGateShutsWithin + 200ms)
      world.fail(fmt::format("R{} is backup and its gate is open", i + 1));
  }
}

}  // namespace sim
