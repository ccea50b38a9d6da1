// The agent's engine under events in any order.
#include "common/prng.hpp"
#include "tests/natctl/agent_bench.hpp"

using namespace natctl;
using namespace natctl::test;
using namespace common;
using namespace std::chrono_literals;

namespace {

Event any_event(Prng& prng) {
  const auto term = [&] { return Term{1 + prng.below(8), prng.chance(0.5) ? "R1" : "R2"}; };
  switch (prng.below(13)) {
    case 0:
      return TableFound{.exists = prng.chance(0.5), .gates_open = {}, .complete = {}, .terms = {}};
    case 1:
      return VrrpdConnected{};
    case 2:
      return VrrpdClosed{};
    case 3:
      return VrrpdMessage{Prepare{"MAIN-GW", term(), 1000}};
    case 4:
      return VrrpdMessage{Open{"MAIN-GW", term(), OpenReason::ready}};
    case 5:
      return VrrpdMessage{Open{"MAIN-GW", term(), OpenReason::deadline}};
    case 6:
      return VrrpdMessage{Shut{"MAIN-GW", term(), ""}};
    case 7:
      return VrrpdMessage{Welcome{.node = "R1", .groups = {{"MAIN-GW", GroupState::master, Phase::idle, term()}}}};
    case 8:
      return SyncdMessage{peer(prng.chance(0.5), GroupState::master, term())};
    case 9:
      return ask(prng.chance(0.3) ? "nat.clear" : "nat.apply");
    case 10:
      return Reload{prng.chance(0.5) ? article() : wide()};
    case 11:
      return VrrpdMessage{LocalReport{.groups = {}, .peer_alive = prng.chance(0.5)}};
    default:
      return Tick{};
  }
}

}  // namespace

TEST_CASE("whatever comes in whatever order: one transaction at a time, and it comes to rest") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Prng prng(seed);
    Bench b(prng.chance(0.5) ? article() : wide());
    b.hold = true;
    bool running = false;
    for (int i = 0; i < 200; ++i) {
      INFO("seed " << seed << " step " << i);
      const std::size_t before = b.texts.size();
      b.now += std::chrono::milliseconds(prng.chance(0.2) ? prng.below(3000) : 0);
      if (running && prng.chance(0.5)) {
        running = false;
        b.give(TransactionDone{b.last_id, prng.chance(0.2) ? "no" : ""});
      } else {
        b.give(any_event(prng));
      }
      REQUIRE(b.texts.size() <= before + 1);
      if (b.texts.size() == before) continue;
      REQUIRE_FALSE(running);
      running = true;
    }
    // Left alone, with a kernel that takes everything: the table stands, and nothing more is written.
    b.hold = false;
    b.give(TransactionDone{b.last_id, ""});
    b.give(TableFound{});
    b.give(ask("nat.apply"));
    b.wait(1min);
    CHECK(b.agent.status(b.now).active);
    b.forget();
    b.give(Tick{});
    CHECK(b.texts.empty());
  }
}
