// The table takes what the kernel takes. What finds no room is said once, and read anew when there is room again.
#include "syncd/room.hpp"

#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

namespace {

using namespace syncd_test;

constexpr std::uint64_t kKernelLimit = 100;
constexpr unsigned kFlows = 6000;

/// As the shell looks every second.
void look(Pair& p, std::uint64_t first, std::uint64_t second, int seconds = 1) {
  for (int i = 0; i < seconds; ++i) {
    p.step(0, TableMeasured{{.entries = 1, .most = first, .buckets = 1}});
    p.step(1, TableMeasured{{.entries = 1, .most = second, .buckets = 1}});
    p.run(1s);
  }
}

std::vector<std::string> reasons(const Pair& p, int i, const std::string& about) {
  auto all = p.box[i].engine->status(p.now).reasons;
  std::erase_if(all, [&](const std::string& r) { return r.find(about) == std::string::npos; });
  return all;
}

auto logged(const Pair& p, int i, const std::string& beginning) {
  return std::ranges::count_if(p.box[i].logs, [&](const std::string& line) { return line.starts_with(beginning); });
}

const std::vector<std::string> kTooSmall{
    "there are more connections than syncd has room for (4221, as net.netfilter.nf_conntrack_max is 100): some are not "
    "replicated, and a failover would break them: raise net.netfilter.nf_conntrack_max here"};

}  // namespace

TEST_CASE("there is room for what the kernel takes and for some that have ended, up to a limit of its own") {
  CHECK(room_for(0) == kMaxFlows);  // no limit but memory
  CHECK(room_for(1000) == 1000 + 250 + 4096);
  CHECK(room_for(1u << 20) == (1u << 20) + (1u << 18) + 4096);
  CHECK(room_for(kMaxFlows) == kMaxFlows);
  CHECK(room_for(UINT64_MAX) == kMaxFlows);
}

TEST_CASE("a master whose table is full says so once, until its flows fit again and those left out are known") {
  Pair p;
  p.start_both();
  look(p, kKernelLimit, 0);
  CHECK(p.box[0].engine->status(p.now).flow_limit == 4221);
  CHECK(p.box[1].engine->status(p.now).flow_limit == kMaxFlows);
  for (unsigned n = 0; n < kFlows; ++n) p.box[0].kernel.put(flow(n), p.now);
  look(p, kKernelLimit, 0, 3);
  CHECK(p.counter(0, "table_full") >= kFlows - 4221);
  CHECK(p.box[0].engine->status(p.now).local_flows == 4221);
  CHECK(p.box[1].kernel.entries.size() == 4221);
  CHECK(reasons(p, 0, "than syncd has room") == kTooSmall);
  CHECK(logged(p, 0, "table_full") == 1);

  for (unsigned n = 0; n < 3000; ++n) p.box[0].kernel.remove(flow(n).key);
  look(p, kKernelLimit, 0, 5);
  CHECK(reasons(p, 0, "than syncd has room").empty());
  CHECK(logged(p, 0, "table_full") == 1);
  CHECK(logged(p, 0, "table_has_room") == 1);
  CHECK(p.box[0].kernel.entries.size() == kFlows - 3000);
  CHECK(p.same_kernels());
}

TEST_CASE("a backup with the smaller table says so, and has everything soon after the limit was raised") {
  Pair p;
  p.start_both();
  look(p, 0, kKernelLimit);
  for (unsigned n = 0; n < kFlows; ++n) p.box[0].kernel.put(flow(n), p.now);
  look(p, 0, kKernelLimit, 20);  // the comparison with the peer has found what lacks, and asked for it in vain
  CHECK(p.counter(1, "table_full") >= kFlows - 4221);
  CHECK(p.box[1].kernel.entries.size() == 4221);
  CHECK(reasons(p, 1, "than syncd has room") == kTooSmall);
  CHECK(reasons(p, 0, "than syncd has room").empty());
  CHECK(logged(p, 1, "table_full") == 1);

  look(p, 0, 2 * kFlows, 5);
  CHECK(reasons(p, 1, "than syncd has room").empty());
  CHECK(logged(p, 1, "table_full") == 1);
  CHECK(p.same_kernels());
}
