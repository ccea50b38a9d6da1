#include "syncd/io/breather.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using syncd::io::Breather;

namespace {

/// Rests in a second of turns that take `work` of the processor, and wait for `wait` after it.
int rests(common::Duration work, common::Duration wait) {
  Breather breather;
  common::Time now(1h);
  common::Duration used = 7s;
  breather.tired(now, used);
  int count = 0;
  for (const common::Time end = now + 1s; now < end; now += wait) {
    now += work, used += work;
    if (!breather.tired(now, used)) continue;
    now += Breather::kRest;
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("work that goes on and on leaves a tenth of the processor to others") {
  CHECK(rests(1ms, 0ms) == 91);
  CHECK(rests(100us, 0ms) == 91);
  CHECK(rests(1ms, 200us) > 80);
}

TEST_CASE("a long turn is followed by a rest, and no more than one") {
  CHECK(rests(100ms, 0ms) == 10);
}

TEST_CASE("who waits now and then need not rest") {
  CHECK(rests(1ms, 300us) == 0);
  CHECK(rests(5ms, 5ms) == 0);
  CHECK(rests(0ms, 1ms) == 0);
}

TEST_CASE("the time before a pause counts as little as the pause") {
  Breather breather;
  breather.tired(common::Time(1h), 0s);
  CHECK_FALSE(breather.tired(common::Time(2h), 9ms));
  CHECK_FALSE(breather.tired(common::Time(2h) + 9ms, 18ms));
  CHECK(breather.tired(common::Time(2h) + 10ms, 19ms));
}
