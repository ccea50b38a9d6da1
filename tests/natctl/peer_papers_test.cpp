// What the other router shows, and how two files differ.
#include "natctl/peer_papers.hpp"

#include <catch2/catch.hpp>

using namespace natctl;

namespace {

const std::string kFile = R"(version: 1
nodes: { R1: { priority: 200 }, R2: { priority: 100 } }
vrrp:
  groups:
    MAIN-GW:
      instances:
        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

}  // namespace

TEST_CASE("papers are read, and what is missing or something else does no harm") {
  const auto papers = read_papers(R"({"node":"R2","digest":"d","config":"version: 1\n","time_ms":1700000000123,)"
                                  R"("sysctls":{"a.b":"1","c":2},"helpers":["ftp",3],"more":[]})");
  REQUIRE(papers);
  CHECK(papers->node == "R2");
  CHECK(papers->digest == "d");
  CHECK(papers->config == "version: 1\n");
  CHECK(papers->time_ms == 1700000000123);
  CHECK(papers->sysctls == std::map<std::string, std::string>{{"a.b", "1"}});
  CHECK(papers->helpers == std::vector<std::string>{"ftp"});
  const auto bare = read_papers(R"({"node":"R2","digest":"d","config":null})");
  REQUIRE(bare);
  CHECK_FALSE(bare->config);
  CHECK(read_papers(R"({"node":"R2","digest":"d","config_withheld":"no key"})")->config_withheld == "no key");
  CHECK_FALSE(bare->helpers);
  CHECK(bare->time_ms == 0);
  for (const char* wrong : {"-5", "1e300", "\"12:00\"", "null"})
    CHECK(read_papers(std::string(R"({"node":"R2","digest":"d","time_ms":)") + wrong + "}")->time_ms == 0);
  for (const char* bad : {"", "[]", "{}", "null", R"({"node":"R2"})", R"({"node":1,"digest":2})"})
    CHECK_FALSE(read_papers(bad));
}

TEST_CASE("two files: what they mean comes first, then how they stand") {
  CHECK(file_diff(kFile, kFile, "R1") == "");
  CHECK(file_diff(kFile, replaced(kFile, "vrid: 1", "vrid: 7"), "R1") ==
        "- vrrp.groups.MAIN-GW.instances.wan.vrid: 1\n+ vrrp.groups.MAIN-GW.instances.wan.vrid: 7\n");
  CHECK(file_diff(kFile, replaced(kFile, "100", "90"), "R1") ==
        "- vrrp.groups.MAIN-GW.peer_priority: 100\n+ vrrp.groups.MAIN-GW.peer_priority: 90\n");
  // The same in other words.
  CHECK(file_diff(kFile, kFile + "# a note\n", "R1") == "+ # a note\n");
  // One that cannot be read.
  CHECK(file_diff(kFile, "version: 1\n", "R1").starts_with("- nodes:"));
  // One with a secret that does not belong there: ours is not shown either.
  CHECK(file_diff("password: a\n", "password: (left out)\nx: 1\n", "R1") == "+ x: 1\n");
}
