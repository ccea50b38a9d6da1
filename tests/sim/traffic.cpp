#include "tests/sim/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/world.hpp"

namespace sim {

using namespace std::chrono_literals;

namespace {
const common::IpAddress kVirtual = common::IpAddress::v4(0x0a0a0065u);  // 10.10.0.101
const common::IpAddress kServer = common::IpAddress::v4(0x0a0a0001u);
}  // namespace

Traffic::Traffic(World& world, int flows, int short_flows, std::uint64_t seed)
    : world_(world),
      prng_(seed),
      flows_(static_cast<std::size_t>(flows + short_flows)),
      long_(static_cast<std::size_t>(flows)) {}

void Traffic::start() {
  for (std::size_t i = 0; i < flows_.size(); ++i)
    world_.queue.after(std::chrono::milliseconds(prng_.below(5000)), [this, i] {
      open(i);
      send(i);
    });
}

void Traffic::open(std::size_t index) {
  Flow& flow = flows_[index];
  flow = Flow{};
  flow.key.protocol = index % 3 == 2 ? 17 : 6;
  const auto client = static_cast<std::uint32_t>(0xc0a8640bu + index % 2);
  flow.key.original = {common::IpAddress::v4(client), kServer, next_port_++, 80};
  flow.since = world_.queue.now();
  flow.ends =
      world_.queue.now() + std::chrono::milliseconds(index < long_ ? 2000 + prng_.below(60000) : 20 + prng_.below(500));
}

void Traffic::forget_holder(int box) {
  for (Flow& flow : flows_) flow.held[static_cast<std::size_t>(box)] = false;
}

void Traffic::forget_replica(int box) {
  if (!world_.box(box).forwards()) forget_holder(box);
}

void Traffic::note_handed_over(int from) {
  for (Flow& flow : flows_)
    if (flow.held[static_cast<std::size_t>(from)]) flow.held[static_cast<std::size_t>(1 - from)] = true;
}

void Traffic::note_acknowledged() {
  for (int i = 0; i < 2; ++i) {
    if (!world_.box(i).forwards()) continue;
    const auto unshared = [&](const Flow& flow) {
      // What was established a moment ago may still be on its way from the kernel to syncd.
      return flow.established && flow.held[static_cast<std::size_t>(i)] &&
             !flow.held[static_cast<std::size_t>(1 - i)] && world_.queue.now() - flow.since > 10ms;
    };
    if (std::ranges::none_of(flows_, unshared)) continue;  // to ask for the status costs much more
    const auto& status = world_.box(i).sync_status();
    const auto& replica = world_.box(1 - i).sync_status();
    if (!status || status->state != syncd::SyncState::synced || status->backlog != 0) continue;
    if (!replica || replica->state != syncd::SyncState::synced) continue;
    for (Flow& flow : flows_)
      if (unshared(flow)) flow.held[static_cast<std::size_t>(1 - i)] = true;
  }
}

/// The box that hosts of `from` send to, if it can pass packets on to `to`; -1 if none.
int Traffic::way(Segment from, Segment to) const {
  const int box = world_.arp(from);
  if (box < 0 || !world_.connected(box, from) || !world_.connected(box, to)) return -1;
  return world_.box(box).forwards() ? box : -1;
}

void Traffic::broken(Flow& flow, int box, const char* how) {
  if (flow.held[static_cast<std::size_t>(box)])
    world_.fail(fmt::format("R{} broke a flow that it held: {} ({})", box + 1, syncd::to_string(flow.key), how));
  else
    ++excused_;
  flow.ends = world_.queue.now();
}

bool Traffic::there(Flow& flow) {
  const int b = way(Segment::lan, Segment::wan);
  if (b < 0) return false;
  Box& box = world_.box(b);
  box.kernel.expire(world_.queue.now());
  Kernel::Entry* entry = box.kernel.find(flow.key);
  if (!entry) {
    if (flow.established && flow.key.protocol == 6) return broken(flow, b, "reset: no entry"), false;
    if (flow.established) return broken(flow, b, "translated anew"), false;
    entry = &box.kernel.create(flow.key, kVirtual, flow.key.protocol == 6 ? 120 : kUdpTimeout, world_.queue.now());
  }
  const std::uint16_t port = entry->flow.reply.destination_port;
  if (flow.established && flow.port != port) return broken(flow, b, "translated to another port"), false;
  flow.port = port;
  box.kernel.packet(*entry, false, world_.queue.now());
  box.kernel_changed();
  return true;
}

bool Traffic::back(Flow& flow) {
  const int b = way(Segment::wan, Segment::lan);
  if (b < 0) return false;
  Box& box = world_.box(b);
  const syncd::Tuple reply{kServer, kVirtual, 80, flow.port};
  Kernel::Entry* entry = box.kernel.find_reply(reply, flow.key.protocol);
  if (!entry || entry->flow.key != flow.key) {
    if (flow.established) broken(flow, b, "answer without entry");
    return false;
  }
  box.kernel.packet(*entry, true, world_.queue.now());
  box.kernel_changed();
  if (!flow.established) {
    flow.established = true;
    flow.since = world_.queue.now();
    for (std::size_t i = 0; i < 2; ++i) flow.held[i] = static_cast<int>(i) == b;
  }
  return true;
}

void Traffic::send(std::size_t index) {
  if (world_.failed()) return;
  Flow& flow = flows_[index];
  if (!there(flow)) {
    ++lost_;
    return go_on(index);
  }
  if (world_.options.round_trip == Duration{}) return answered(index);
  world_.queue.after(world_.options.round_trip, [this, index] { answered(index); });
}

void Traffic::answered(std::size_t index) {
  if (world_.failed()) return;
  Flow& flow = flows_[index];
  if (back(flow))
    ++delivered_;
  else
    ++lost_;
  go_on(index);
}

void Traffic::go_on(std::size_t index) {
  Flow& flow = flows_[index];
  if (flow.ends <= world_.queue.now()) {
    for (int i = 0; i < 2; ++i) {  // a close passes whoever forwards
      if (way(Segment::lan, Segment::wan) != i) continue;
      world_.box(i).kernel.destroy(flow.key, false);
      world_.box(i).kernel_changed();
    }
    if (calm_ && index >= long_) return;
    open(index);
  }
  const auto pause = index < long_ ? 20 + prng_.below(400) : 5 + prng_.below(50);
  world_.queue.after(std::chrono::milliseconds(pause), [this, index] { send(index); });
}

}  // namespace sim
