// How large the kernel's tables are: each syncd tells the other, and judges whether what there is has room on both.
#include <catch2/catch.hpp>

#include "tests/syncd/pair.hpp"

namespace {

using namespace syncd_test;

std::vector<std::string> reasons(Pair& p, int who) {
  return p.box[who].engine->status(p.now).reasons;
}

}  // namespace

TEST_CASE("both know both tables, and a change of how full they are is no news for vrrpd") {
  Pair p;
  p.start_both();
  CHECK_FALSE(p.box[0].engine->status(p.now).table);
  CHECK_FALSE(p.box[0].engine->status(p.now).peer_table);  // as of a peer that does not tell
  p.step(0, TableMeasured{{10, 1000, 250}});
  p.step(1, TableMeasured{{5, 500, 125}});
  p.run(1s);
  CHECK(p.box[0].engine->status(p.now).table == TableSize{10, 1000, 250});
  CHECK(p.box[0].engine->status(p.now).peer_table == TableSize{5, 500, 125});
  CHECK(p.box[1].engine->status(p.now).peer_table == TableSize{10, 1000, 250});
  CHECK(reasons(p, 0).empty());
  CHECK(reasons(p, 1).empty());
  p.network.cut = true;
  p.run(1s);
  CHECK_FALSE(p.box[0].engine->status(p.now).peer_table);
}

TEST_CASE("what has no room on the other router would not survive: the reason says where to mend it") {
  Pair p;
  p.start_both();
  p.step(0, TableMeasured{{501, 1000, 250}});
  p.step(1, TableMeasured{{490, 500, 125}});
  p.run(1s);
  CHECK(reasons(p, 0) == std::vector<std::string>{"the connection table of R2 has room for 500 entries, and there are "
                                                  "501 here: raise net.netfilter.nf_conntrack_max there"});
  CHECK(reasons(p, 1) == std::vector<std::string>{"the connection table has room for 500 entries, and there are 501 on "
                                                  "R1: raise net.netfilter.nf_conntrack_max here"});
  p.step(1, TableMeasured{{490, 0, 125}});  // no limit but memory
  p.run(1s);
  CHECK(reasons(p, 0).empty());
  CHECK(reasons(p, 1).empty());
}
