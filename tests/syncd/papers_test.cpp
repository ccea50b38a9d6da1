// What one router shows the other on demand.
#include "syncd/papers.hpp"

#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

namespace {

using namespace syncd_test;

void ask(Pair& p, int who, std::uint64_t id) {
  p.step(who, RequestReceived{1, {.id = id, .verb = "peer.papers", .arguments = {}}});
}

std::string long_text(std::size_t size) {
  std::string text(size, ' ');
  common::Prng prng(5);
  for (char& c : text) c = static_cast<char>('a' + prng.below(26));
  return text;
}

}  // namespace

TEST_CASE("either router is shown the other's papers, short or long") {
  const int who = GENERATE(0, 1);
  Pair p;
  p.start_both();
  p.box[0].papers = "{\"node\":\"R1\"}";
  p.box[1].papers = long_text(4 << 20);
  ask(p, who, 5);
  p.run(2s);
  REQUIRE(p.box[who].replies.size() == 1);
  CHECK(p.box[who].replies[0].id == 5);
  CHECK(p.box[who].replies[0].ok);
  CHECK(p.box[who].replies[0].body == p.box[1 - who].papers);
  // As they are now, not as they were.
  p.box[1 - who].papers = "other";
  ask(p, who, 6);
  p.run(1s);
  REQUIRE(p.box[who].replies.size() == 2);
  CHECK(p.box[who].replies[1].body == "other");
  CHECK(p.box[0].engine->status(p.now).counters.at("frame_verify_form") == 0);
}

TEST_CASE("papers come over a link that loses and doubles, and both ways at once") {
  Pair p(common::CommitPolicy::continuous, 3);
  p.start_both();
  p.network.loss = 0.2;
  p.network.duplicate = 0.1;
  p.network.jitter = 300us;
  for (int i : {0, 1}) p.box[i].papers = long_text(60000 + static_cast<std::size_t>(i));
  for (int i : {0, 1}) ask(p, i, 7);
  p.run(10s);
  for (int i : {0, 1}) {
    REQUIRE(p.box[i].replies.size() == 1);
    CHECK(p.box[i].replies[0].body == p.box[1 - i].papers);
  }
}

TEST_CASE("papers that cannot be had: a line that says why, and the next question is answered") {
  Pair p;
  p.start_both();
  p.box[1].papers = "there";
  SECTION("the link is cut before") {
    p.network.cut = true;
    p.run(1s);
    ask(p, 0, 1);
    REQUIRE(p.box[0].replies.size() == 1);
    CHECK(p.box[0].replies[0].error == "R2 is not heard on the sync link");
  }
  SECTION("the link is cut meanwhile") {
    p.box[1].papers = long_text(1 << 20);
    ask(p, 0, 1);
    p.run(2ms);
    CHECK(p.box[0].replies.empty());
    p.network.cut = true;
    p.run(5s);
    REQUIRE(p.box[0].replies.size() == 1);
    CHECK(p.box[0].replies[0].error == "the sync link went down meanwhile: try again");
  }
  SECTION("the peer has none") {
    p.box[1].papers = "";
    ask(p, 0, 1);
    p.run(5s);
    REQUIRE(p.box[0].replies.size() == 1);
    CHECK(p.box[0].replies[0].error == "R2 does not answer: its syncd may be of an older release");
  }
  SECTION("somebody asks already") {
    p.box[1].papers = long_text(1 << 20);
    ask(p, 0, 1);
    ask(p, 0, 2);
    REQUIRE(p.box[0].replies.size() == 1);
    CHECK(p.box[0].replies[0].id == 2);
    CHECK_FALSE(p.box[0].replies[0].ok);
  }
  p.network.cut = false;
  p.run(5s);
  p.box[0].replies.clear();
  p.box[1].papers = "there";
  ask(p, 0, 9);
  p.run(2s);
  REQUIRE(p.box[0].replies.size() == 1);
  CHECK(p.box[0].replies[0].body == "there");
}
