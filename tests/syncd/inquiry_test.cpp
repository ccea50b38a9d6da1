#include "syncd/inquiry.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/syncd/pair.hpp"

using namespace syncd_test;
using common::CommitPolicy;
using Words = std::vector<std::string>;

namespace {

common::Reply ask(Pair& p, int i, const char* verb, Words words = {}) {
  p.box[i].replies.clear();
  p.step(i, RequestReceived{7, {.id = 3, .verb = verb, .arguments = std::move(words)}});
  p.run(100ms);
  REQUIRE(p.box[i].replies.size() == 1);
  CHECK(p.box[i].replies[0].id == 3);
  return p.box[i].replies[0];
}

std::size_t listed(Pair& p, int i, const Words& words) {
  const auto reply = ask(p, i, "connections", words);
  REQUIRE(reply.ok);
  return nlohmann::json::parse(reply.body).at("connections").size();
}

}  // namespace

TEST_CASE("connections are listed, and words narrow the list") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 30; ++n) p.box[0].kernel.put(flow(n, n < 10 ? 17 : 6), p.now);
  p.run(100ms);
  const auto first = nlohmann::json::parse(ask(p, 0, "connections", {"10007"}).body);
  CHECK_FALSE(first.at("more"));
  CHECK(first.at("connections") == nlohmann::json::array({{{"group", "MAIN-GW"},
                                                           {"owner", "own"},
                                                           {"in_kernel", true},
                                                           {"withheld", false},
                                                           {"flow", to_string(flow(7, 17))}}}));
  const auto second = nlohmann::json::parse(ask(p, 1, "connections", {"10007"}).body).at("connections").at(0);
  CHECK(second.at("owner") == "peer");
  CHECK_FALSE(second.at("in_kernel"));
  CHECK(listed(p, 1, {}) == 30);
  CHECK(listed(p, 1, {"udp"}) == 10);
  CHECK(listed(p, 1, {"tcp", "10020"}) == 1);
  CHECK(listed(p, 1, {"udp", "10020"}) == 0);
  CHECK(listed(p, 1, {"203.0.113.0/24"}) == 30);
  CHECK(listed(p, 1, {"192.168.100.10", "peer"}) == 30);
  CHECK(listed(p, 1, {"192.168.100.11"}) == 0);
  CHECK(listed(p, 1, {"own"}) == 0);
  for (const char* word : {"http", "0", "70000", "10.0.0.0/33", ""}) {
    const auto reply = ask(p, 1, "connections", {word});
    CHECK_FALSE(reply.ok);
    CHECK_THAT(reply.error, Catch::Contains("is no protocol"));
  }
}

TEST_CASE("a long list ends somewhere and says so; too many questions are refused") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 20000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  const auto all = nlohmann::json::parse(ask(p, 0, "connections").body);
  CHECK(all.at("connections").size() == kMostListed);
  CHECK(all.at("more"));
  // The last slot is in a later slice of the table.
  CHECK(listed(p, 0, {"29999"}) == 1);
  p.box[0].replies.clear();
  Actions actions;
  for (unsigned n = 0; n < 20; ++n)
    p.box[0].engine->step(RequestReceived{n, {.id = n, .verb = "connections", .arguments = {"1"}}}, p.now, actions);
  std::size_t refused = 0;
  for (const Action& action : actions)
    if (const auto* reply = std::get_if<SendReply>(&action)) refused += reply->reply.ok ? 0 : 1;
  CHECK(refused > 0);
}

TEST_CASE("flush forgets the replica and fetches it again, and is refused where that would lose it") {
  Pair p(CommitPolicy::on_takeover);
  p.start_both();
  for (unsigned n = 0; n < 20000; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(1s);
  REQUIRE(p.box[1].engine->status(p.now).peer_flows == 20000);
  const auto bulks = p.counter(1, "bulks_received");
  p.network.delay = 20ms;
  p.box[1].replies.clear();
  p.step(1, RequestReceived{7, {.id = 3, .verb = "sync.flush", .arguments = {}}});
  p.run(10ms);  // less than the peer's answer takes
  REQUIRE(p.box[1].replies.size() == 1);
  CHECK(nlohmann::json::parse(p.box[1].replies[0].body).at("forgotten") == 20000);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 0);
  CHECK_FALSE(p.box[1].report.replicas.at(0).complete);
  p.run(2s);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 20000);
  CHECK(p.box[1].report.replicas.at(0).complete);
  CHECK(p.counter(1, "bulks_received") == bulks + 1);
  CHECK_FALSE(ask(p, 0, "sync.flush").ok);
  p.network.cut = true;
  p.run(1s);
  CHECK_FALSE(ask(p, 1, "sync.flush").ok);
  CHECK(p.box[1].engine->status(p.now).peer_flows == 20000);
}

TEST_CASE("flush leaves what the kernel has, until the peer's list says otherwise") {
  Pair p;
  p.start_both();
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(n), p.now);
  p.run(100ms);
  CHECK(nlohmann::json::parse(ask(p, 1, "sync.flush").body).at("forgotten") == 0);
  CHECK(p.same_kernels());
  p.run(500ms);
  CHECK(p.same_kernels());
  CHECK(p.box[1].report.replicas.at(0).complete);
}

TEST_CASE("a new key on one router, then on the other: the link stays up, and says how far it is") {
  Pair p;
  p.start_both();
  const auto sessions = p.counter(0, "sessions");
  const auto changed = [](const Box& box) {
    return std::ranges::any_of(box.logs, [](const std::string& line) { return line.starts_with("key_changed: "); });
  };
  const auto key = std::vector<std::byte>(32, std::byte{0x55});
  p.step(0, Reload{p.box[0].config, key});
  p.run(5s);
  CHECK(p.box[0].report.link == common::LinkState::up);
  CHECK(p.box[1].report.link == common::LinkState::up);
  CHECK(p.counter(0, "sessions") == sessions);
  CHECK(p.counter(1, "hello_wrong_key") > 0);
  CHECK_THAT(p.box[0].engine->status(p.now).reasons.at(0), Catch::Contains("the sync key was changed here"));
  CHECK_FALSE(changed(p.box[0]));
  p.network.cut = true;  // lost and found in between: with the old key
  p.run(1s);
  p.network.cut = false;
  p.run(1s);
  CHECK(p.box[1].report.link == common::LinkState::up);
  p.step(1, Reload{p.box[1].config, key});
  p.run(2s);
  for (const Box& box : p.box) {
    CHECK(box.report.link == common::LinkState::up);
    CHECK(box.engine->status(p.now).reasons.empty());
    CHECK(changed(box));
  }
}
