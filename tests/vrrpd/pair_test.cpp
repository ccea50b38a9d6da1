#include <catch2/catch.hpp>

#include "pair.hpp"

using namespace pair;

TEST_CASE("first start: the preferred router becomes master, the other its complete backup", "[pair]") {
  World world;
  world.settle();
  CHECK(world.r1().state() == GroupState::master);
  CHECK(world.r2().state() == GroupState::backup);
  CHECK(world.r1().serves());
  CHECK(world.r2().syncd.complete);
  CHECK(world.r1().status().reasons == std::vector<std::string>{});
  CHECK(world.r2().status().reasons == std::vector<std::string>{});
}
