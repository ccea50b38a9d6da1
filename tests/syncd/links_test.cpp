// Several sync links: what becomes of them when the file is read anew, and what is said of one that is lost.
#include <catch2/catch.hpp>

#include "syncd/link.hpp"
#include "tests/syncd/pair.hpp"

using namespace syncd_test;

namespace {

common::SyncLink link_of(int i, const char* interface, const char* first, const char* second) {
  return {interface, ip(i == 0 ? first : second), ip(i == 0 ? second : first), {}};
}
common::SyncLink eth1(int i) {
  return link_of(i, "eth1", "10.10.10.2", "10.10.10.3");
}
common::SyncLink eth3(int i) {
  return link_of(i, "eth3", "10.10.11.2", "10.10.11.3");
}

/// As a shell does: the file, and at once what its sockets say of its links.
void reload(Pair& p, int i, std::vector<common::SyncLink> links) {
  p.box[i].config.sync->links = std::move(links);
  Reload event{.config = p.box[i].config};
  for (std::size_t n = 0; n < event.config.sync->links.size(); ++n) event.links.push_back({.link = n, .usable = true});
  p.step(i, event);
}

common::LinkState state(const Pair& p, int i) {
  return p.box[i].engine->status(p.now).link;
}
bool both_up(const Pair& p) {
  return state(p, 0) == common::LinkState::up && state(p, 1) == common::LinkState::up;
}

bool was_down(const Pair& p, int i) {
  return std::ranges::any_of(p.box[i].logs, [](const std::string& line) { return line.starts_with("link_down"); });
}

using Reasons = std::vector<std::string>;

Reasons reasons(const Pair& p, int i) {
  return p.box[i].engine->status(p.now).reasons;
}

/// With two links, both of which can be used.
void start_with_two(Pair& p) {
  for (int i : {0, 1}) p.box[i].config.sync->links = {eth1(i), eth3(i)};
  p.start_both();
  for (int i : {0, 1}) p.step(i, LinkChanged{1, true});
  p.run(2s);
}

void put(Pair& p, unsigned first) {
  for (unsigned n = 0; n < 100; ++n) p.box[0].kernel.put(flow(first + n), p.now);
}

}  // namespace

TEST_CASE("a link that the file has gained carries the pair when the first one is cut, and when it is taken out") {
  Pair p;
  p.start_both();
  for (int i : {0, 1}) {
    reload(p, i, {eth1(i), eth3(i)});
    p.run(100ms);  // one router before the other
  }
  p.network.cut_links = {"eth1"};
  p.run(1s);
  put(p, 0);
  p.run(100ms);
  CHECK(p.same_kernels());
  for (int i : {0, 1}) {
    reload(p, i, {eth3(i)});
    p.run(1s);
    CHECK(both_up(p));
  }
  put(p, 100);
  p.run(100ms);
  CHECK(p.same_kernels());
  CHECK(p.box[1].kernel.entries.size() == 200);
  for (int i : {0, 1}) CHECK_FALSE(was_down(p, i));
}

TEST_CASE("links that stand in another order have not been down") {
  Pair p;
  p.start_both();
  const auto sessions = p.counter(0, "sessions");
  for (int i : {0, 1}) reload(p, i, {eth3(i), eth1(i)});
  CHECK(both_up(p));
  p.network.cut_links = {"eth3"};
  p.run(1s);
  CHECK(both_up(p));
  for (int i : {0, 1}) CHECK_FALSE(was_down(p, i));
  CHECK(p.counter(0, "sessions") == sessions);
}

TEST_CASE("other addresses in the file, with a key and without") {
  Pair p;
  if (GENERATE(true, false))
    for (Box& box : p.box) box.key.clear();
  p.start_both();
  const auto moved = [](int i) { return link_of(i, "eth1", "10.10.12.2", "10.10.12.3"); };
  reload(p, 0, {moved(0)});
  p.run(1s);
  CHECK(state(p, 0) == common::LinkState::down);
  reload(p, 1, {moved(1)});
  p.run(1s);
  CHECK(both_up(p));
  put(p, 0);
  p.run(100ms);
  CHECK(p.same_kernels());
}

TEST_CASE("the only link that can be used is taken out of the file, and comes back") {
  Pair p;
  for (int i : {0, 1}) p.box[i].config.sync->links = {eth1(i), eth3(i)};
  p.network.cut_links = {"eth3"};
  p.start_both();
  for (int i : {0, 1}) {
    p.step(i, LinkChanged{1, true});
    reload(p, i, {eth3(i)});
  }
  p.run(1s);
  for (int i : {0, 1}) CHECK(state(p, i) == common::LinkState::down);
  put(p, 0);
  for (int i : {0, 1}) reload(p, i, {eth1(i), eth3(i)});
  p.run(1s);
  CHECK(both_up(p));
  CHECK(p.same_kernels());
}

TEST_CASE("one of two links is lost: both say which, and when it is back") {
  Pair p;
  start_with_two(p);
  for (int i : {0, 1}) CHECK(reasons(p, i).empty());
  p.network.cut_links = {"eth3"};
  p.run(kQuietAfter - 200ms);
  for (int i : {0, 1}) CHECK(reasons(p, i).empty());
  p.run(5s);
  CHECK(both_up(p));
  CHECK(reasons(p, 0) == Reasons{"R2 is not heard on the sync link eth3"});
  CHECK(reasons(p, 1) == Reasons{"R1 is not heard on the sync link eth3"});
  const Status status = p.box[0].engine->status(p.now);
  REQUIRE(status.links.size() == 2);
  CHECK(status.links[0].interface == "eth1");
  CHECK(status.links[0].usable);
  CHECK(status.links[0].heard_ms.value_or(9999) < 100);
  CHECK(status.links[1].usable);
  CHECK(status.links[1].heard_ms.value_or(0) > 5000);
  CHECK(p.box[0].logs.back() == "link_quiet: R2 is not heard on the sync link eth3; another one is left");
  p.network.cut_links.clear();
  p.run(200ms);
  for (int i : {0, 1}) CHECK(reasons(p, i).empty());
  CHECK(p.box[0].logs.back() == "link_heard: R2 is heard on the sync link eth3");
  p.network.cut_links = {"eth1"};
  p.run(2s);
  CHECK(reasons(p, 0) == Reasons{"R2 is not heard on the sync link eth1"});
}

TEST_CASE("a link over which nothing has ever come is named, and so is why one cannot be used") {
  Pair p;
  p.network.cut_links = {"eth3"};
  start_with_two(p);
  CHECK(reasons(p, 0) == Reasons{"R2 is not heard on the sync link eth3"});
  CHECK_FALSE(p.box[0].engine->status(p.now).links[1].heard_ms.has_value());
  p.step(0, LinkChanged{.link = 1, .trouble = "there is no interface eth3"});
  CHECK(reasons(p, 0) == Reasons{"sync link eth3: there is no interface eth3"});
  CHECK(p.box[0].engine->status(p.now).links[1].trouble == "there is no interface eth3");
  // When it can be used again it has its time before it is named.
  p.step(0, LinkChanged{1, true});
  CHECK(reasons(p, 0).empty());
  p.run(2s);
  CHECK(reasons(p, 0) == Reasons{"R2 is not heard on the sync link eth3"});
  // With nothing left it is the peer that is not heard, and why.
  p.network.cut_links = {"eth1", "eth3"};
  p.step(0, LinkChanged{.link = 0, .trouble = "eth1 is down or has no carrier"});
  p.run(2s);
  const Reasons all = reasons(p, 0);
  CHECK(std::ranges::count(all, "R2 is not heard on the sync link") == 1);
  CHECK(std::ranges::count(all, "sync link eth1: eth1 is down or has no carrier") == 1);
  CHECK(std::ranges::count(all, "R2 is not heard on the sync link eth3") == 0);
}

TEST_CASE("a peer that comes back over both links leaves neither of them named") {
  Pair p;
  start_with_two(p);
  p.network.cut = true;
  p.run(10s);
  p.network.cut = false;
  const auto told = p.box[0].logs.size();
  p.run(3s);
  CHECK(both_up(p));
  for (int i : {0, 1}) CHECK(reasons(p, i).empty());
  for (std::size_t n = told; n < p.box[0].logs.size(); ++n) CHECK_FALSE(p.box[0].logs[n].starts_with("link_quiet"));
}
