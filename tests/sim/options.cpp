#include "tests/sim/options.hpp"

#include <fmt/format.h>

namespace sim {

using common::Duration;
using namespace std::chrono_literals;

Options Options::draw(std::uint64_t seed) {
  common::Prng prng(seed * 0x9e3779b97f4a7c15ULL + 1);
  Options o;
  o.seed = seed;
  const Duration intervals[] = {10ms, 100ms, 100ms, 1s};
  o.advertise_interval = intervals[prng.below(4)];
  o.continuous = prng.chance(0.5);
  o.plain = prng.chance(0.2);
  o.flows = static_cast<int>(5 + prng.below(40));
  if (prng.chance(0.4)) o.loss = static_cast<double>(prng.below(20)) / 100;
  if (prng.chance(0.3)) o.duplicate = static_cast<double>(prng.below(20)) / 100;
  if (prng.chance(0.2)) o.advert_loss = static_cast<double>(prng.below(5)) / 100;
  if (prng.chance(0.3)) o.delay_spread = std::chrono::microseconds(100 + prng.below(5000));
  const auto rate = [&](double chance) -> Duration {
    return prng.chance(chance) ? std::chrono::milliseconds(3000 + prng.below(15000)) : Duration{};
  };
  o.power_cut = rate(0.5);
  o.reboot = rate(0.3);
  o.carrier = rate(0.4);
  o.sync_cut = rate(0.3);
  o.daemon_kill = rate(0.4);
  o.pause = rate(0.3);
  o.overrun = rate(0.2);
  o.switchover = rate(0.4);
  if (prng.chance(0.5)) o.short_flows = static_cast<int>(5 + prng.below(20));
  if (prng.chance(0.5)) o.round_trip = std::chrono::microseconds(100 + prng.below(20000));
  if (prng.chance(0.5)) o.transaction = std::chrono::microseconds(300 + prng.below(6000));
  o.carrier_both = rate(0.2);
  return o;
}

std::string Options::to_string() const {
  const auto s = [](Duration d) { return common::milliseconds(d) / 1000; };
  return fmt::format(
      "interval {}s {} {} flows {} loss {} dup {} advert-loss {} jitter {}s | power {} reboot {} carrier {} "
      "sync {} "
      "kill {} pause {} overrun {} switchover {}",
      s(advertise_interval), continuous ? "continuous" : "on-takeover", plain ? "plain" : "sealed", flows, loss,
      duplicate, advert_loss, s(delay_spread), s(power_cut), s(reboot), s(carrier), s(sync_cut), s(daemon_kill),
      s(pause), s(overrun), s(switchover));
}

}  // namespace sim
