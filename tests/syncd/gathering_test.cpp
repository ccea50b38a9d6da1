#include "syncd/io/gathering.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using syncd::io::Gathering;

namespace {

constexpr Gathering::Rule kRule{.soon = 500us, .turns = 3, .portion = 4};

/// After `turns` portions of one message each, `apart` from each other.
Gathering after(int turns, common::Duration apart) {
  Gathering gathering(kRule);
  for (int i = 0; i < turns; ++i) gathering.served(common::Time(1s) + apart * i, 1);
  return gathering;
}

}  // namespace

TEST_CASE("messages that come one by one are never left to gather") {
  CHECK_FALSE(after(1000, 500us).on());
}

TEST_CASE("a stream is what comes fast several times in a row") {
  CHECK_FALSE(after(3, 100us).on());
  CHECK(after(4, 100us).on());
}

TEST_CASE("a pause begins the count anew") {
  Gathering gathering = after(3, 100us);
  CHECK_FALSE(gathering.served(common::Time(2s), 1));
  CHECK_FALSE(gathering.served(common::Time(2s) + 100us, 1));
}

TEST_CASE("a stream lasts for as long as enough of it gathers, however long that takes") {
  Gathering gathering = after(4, 100us);
  CHECK(gathering.served(common::Time(2s), 4));
  CHECK(gathering.served(common::Time(3s), 100));
  CHECK_FALSE(gathering.served(common::Time(3s) + 1ms, 3));
  CHECK_FALSE(gathering.served(common::Time(3s) + 1100us, 1));
}

TEST_CASE("a stream that is not to gather any more begins anew") {
  Gathering gathering = after(4, 100us);
  gathering.stop();
  CHECK_FALSE(gathering.on());
  CHECK_FALSE(gathering.served(common::Time(1s) + 400us, 1));
}
