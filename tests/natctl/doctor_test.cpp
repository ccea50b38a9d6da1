// What the doctor finds in facts that are not as they should be.
#include "natctl/doctor.hpp"

#include <catch2/catch.hpp>

#include "tests/natctl/article.hpp"

namespace {

using namespace natctl;

Facts healthy() {
  Facts facts;
  for (const std::string& name : wanted_sysctls(test::article())) facts.sysctls[name] = "1";
  for (const char* interface : {"all", "eth0", "eth2"})
    facts.sysctls[std::string("net.ipv4.conf.") + interface + ".rp_filter"] = "2";
  facts.sysctls["net.ipv4.neigh.default.gc_thresh3"] = "1024";
  for (const char* interface : {"eth0", "eth1", "eth2"}) facts.interfaces[interface] = {true, 1500};
  facts.conntrack_count = 10;
  facts.conntrack_max = 1000;
  facts.conntrack_buckets = 250;
  return facts;
}

std::vector<std::string> found(const Facts& facts, const common::Config& config = test::article()) {
  std::vector<std::string> lines;
  for (const Finding& each : examine(config, facts)) {
    CHECK_FALSE(each.remedy.empty());
    lines.push_back((each.weight == Finding::Weight::error ? "error: " : "warning: ") + each.what);
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a healthy router") {
  CHECK(found(healthy()) == Lines{});
  CHECK(findings_text(examine(test::article(), healthy())) == "nothing found that would make a failover fail\n");
}

TEST_CASE("each sysctl that makes a failover fail is found alone") {
  Facts facts = healthy();
  std::string expected;
  SECTION("forwarding") {
    facts.sysctls["net.ipv4.ip_forward"] = "0";
    expected = "error: net.ipv4.ip_forward is 0: this router forwards nothing";
  }
  SECTION("events of conntrack") {
    facts.sysctls["net.netfilter.nf_conntrack_events"] = "0";
    expected = "error: net.netfilter.nf_conntrack_events is 0: changes of connections are not told, so not replicated";
  }
  SECTION("the strict reverse path filter") {
    facts.sysctls["net.ipv4.conf.all.rp_filter"] = "0";
    facts.sysctls["net.ipv4.conf.eth2.rp_filter"] = "1";
    expected = "warning: rp_filter of eth2 is 1: packets that come back over the other router for a moment are dropped";
  }
  SECTION("secondary addresses") {
    facts.sysctls["net.ipv4.conf.eth0.promote_secondaries"] = "0";
    expected =
        "warning: net.ipv4.conf.eth0.promote_secondaries is 0: when the first address of a network goes, the virtual "
        "one beside it goes with it";
  }
  SECTION("answers for addresses of other interfaces") {
    facts.sysctls["net.ipv4.conf.all.arp_ignore"] = "0";
    facts.sysctls["net.ipv4.conf.eth0.arp_ignore"] = "0";
    expected = "warning: arp_ignore of eth0 is 0: it answers for addresses of other interfaces";
  }
  SECTION("questions in the name of another network") {
    facts.sysctls["net.ipv4.conf.all.arp_announce"] = "0";
    facts.sysctls["net.ipv4.conf.eth2.arp_announce"] = "0";
    expected = "warning: arp_announce of eth2 is 0: it may ask for neighbours in the name of another network";
  }
  SECTION("a table that is nearly full") {
    facts.conntrack_count = 801;
    expected = "error: 801 of 1000 connections: the table is nearly full";
  }
  SECTION("too few buckets") {
    facts.conntrack_buckets = 100;
    expected = "warning: 100 buckets for up to 1000 connections: chains grow long when the table fills";
  }
  SECTION("no connection tracking") {
    facts.conntrack_max.reset();
    expected = "error: the kernel has no connection tracking: nothing can be translated or replicated";
  }
  SECTION("more neighbours than fit") {
    facts.sysctls["net.ipv4.neigh.default.gc_thresh3"] = "500";
    expected =
        "warning: net.ipv4.neigh.default.gc_thresh3 is 500, but the networks beside this router have room for 508 "
        "hosts";
  }
  CHECK(found(facts) == Lines{expected});
}

TEST_CASE("each other thing that makes a failover fail is found alone") {
  Facts facts = healthy();
  common::Config config = test::article();
  std::string expected;
  SECTION("an interface that is not there") {
    facts.interfaces["eth2"].exists = false;
    expected = "error: there is no interface eth2";
  }
  SECTION("a link that carries little") {
    facts.interfaces["eth1"].mtu = 1279;
    expected = "error: the MTU of the link eth1 is 1279: syncd does not use it";
  }
  SECTION("a link that is to be multicast and cannot be") {
    facts.interfaces["eth1"].multicast = false;
    CHECK(found(facts, config) == Lines{});
    config.sync->links.front().multicast = test::address("225.0.0.50");
    expected = "warning: the link eth1 is to send to 225.0.0.50, and the interface is one without multicast";
  }
  SECTION("masquerade") {
    config.nat->source.front().translate_to.reset();
    expected = "warning: source rule 10 is masquerade: no such connection survives a failover";
  }
  SECTION("rules that the kernel refuses") {
    facts.table_fault = "no";
    expected = "error: the kernel would refuse the table: no";
  }
  SECTION("another daemon") {
    facts.daemons = {"keepalived (process 7)"};
    expected = "error: keepalived (process 7) runs here, too: the two get in each other's way";
  }
  SECTION("the key") {
    facts.key_fault = "key: others can read it";
    expected = "error: key: others can read it";
  }
  SECTION("a hook") {
    facts.hook_faults["/n"] = "it is not executable";
    expected = "warning: the hook /n cannot run: it is not executable";
  }
  CHECK(found(facts, config) == Lines{expected});
}

TEST_CASE("what is not alike on the two routers is found alone") {
  Facts facts = healthy();
  facts.helpers = {"ftp"};
  facts.peer = PeerPapers{.node = "R2",
                          .digest = test::article().digest,
                          .config = std::nullopt,
                          .time_ms = 0,
                          .sysctls = facts.sysctls,
                          .helpers = facts.helpers};
  facts.clocks_apart_ms = -999;
  CHECK(found(facts) == Lines{});
  std::string expected;
  SECTION("the table's size") {
    facts.peer->sysctls["net.netfilter.nf_conntrack_max"] = "500";
    expected =
        "warning: net.netfilter.nf_conntrack_max is 1 here and 500 on R2: after a failover to the smaller table "
        "connections do not fit";
  }
  SECTION("its buckets") {
    facts.peer->sysctls["net.netfilter.nf_conntrack_buckets"] = "2";
    expected =
        "warning: net.netfilter.nf_conntrack_buckets is 1 here and 2 on R2: the router with less is slower under the "
        "same load";
  }
  SECTION("what is picked up in the midst") {
    facts.peer->sysctls["net.netfilter.nf_conntrack_tcp_loose"] = "0";
    expected =
        "warning: net.netfilter.nf_conntrack_tcp_loose is 1 here and 0 on R2: what passes on one router does not pass "
        "on the other";
  }
  SECTION("a helper that the other router lacks") {
    facts.helpers = {"ftp", "sip"};
    expected = "warning: the helper for sip is not loaded on R2: connections that it makes room for fail there";
  }
  SECTION("a helper that this router lacks") {
    facts.peer->helpers = {"ftp", "tftp"};
    expected = "warning: the helper for tftp is not loaded on R1: connections that it makes room for fail there";
  }
  SECTION("the file") {
    facts.peer->digest = "other";
    expected = "warning: R2 runs with another configuration than this file";
  }
  SECTION("clocks, ahead") {
    facts.clocks_apart_ms = 1000;
    expected = "warning: the clock of R2 is 1.0 s ahead of this one: what the two log cannot be laid side by side";
  }
  SECTION("clocks, behind") {
    facts.clocks_apart_ms = -86400000;
    expected = "warning: the clock of R2 is 86400.0 s behind this one: what the two log cannot be laid side by side";
  }
  SECTION("it does not say") {
    facts.peer.reset();
    facts.peer_fault = "R2 is not heard on the sync link";
    expected = "warning: what R2 is like is not known: R2 is not heard on the sync link";
  }
  CHECK(found(facts) == Lines{expected});
}

TEST_CASE("a sync link that is lost is named, and only that") {
  Facts facts = healthy();
  facts.lost_links = lost_links(
      R"({"link":"up","peer":"R2","links":[{"interface":"eth1","usable":true,"quiet":false,"heard_ms":2,"trouble":""},)"
      R"({"interface":"eth3","usable":true,"quiet":true,"heard_ms":5000,"trouble":""},)"
      R"({"interface":"eth4","usable":false,"quiet":false,"heard_ms":null,"trouble":"eth4 is down"}]})");
  CHECK(found(facts) == Lines{"warning: the sync link eth3 is lost: R2 is not heard over it",
                              "warning: the sync link eth4 is lost: eth4 is down"});
  CHECK(lost_links("no JSON").empty());
}

TEST_CASE("connections that are picked up in the midst keep the right ones out, unless rules guard them") {
  Facts facts = healthy();
  common::Config config = test::article();
  CHECK(found(facts, config) == Lines{});
  config.nat.reset();
  CHECK(found(facts, config) ==
        Lines{"warning: net.netfilter.nf_conntrack_tcp_loose is 1: in a failover a packet from the midst of a "
              "connection makes an entry that keeps the right one out"});
  facts.sysctls["net.netfilter.nf_conntrack_tcp_loose"] = "0";
  CHECK(found(facts, config) == Lines{});
}

TEST_CASE("errors come first, and what could not be read is not judged") {
  Facts facts = healthy();
  facts.sysctls["net.ipv4.conf.eth0.promote_secondaries"] = "0";
  facts.daemons = {"conntrackd (process 8)"};
  const auto findings = examine(test::article(), facts);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].weight == Finding::Weight::error);
  CHECK(findings_json(findings).find("\"severity\": \"warning\"") != std::string::npos);
  Facts unknown = healthy();
  unknown.sysctls = {{"net.ipv4.ip_forward", "x"}};
  CHECK(found(unknown) == Lines{});
}
