// The table as text, against golden files; and back from what nft lists.
#include "natctl/nft.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "tests/natctl/article.hpp"
#include "tests/natctl/golden_file.hpp"

namespace {

using namespace natctl;
using namespace natctl::test;

void check_golden(const std::string& name, const std::string& text) {
  test::check_golden(STEADYNAT_SOURCE_DIR, name, text);
}

Ruleset rules(const common::Config& config) {
  auto made = make_ruleset(config);
  INFO((made ? std::string() : made.error().text));
  REQUIRE(made.has_value());
  return *made;
}

}  // namespace

TEST_CASE("the article's table, shut and open") {
  check_golden("article-shut.nft", render_table(rules(article()), {}));
  check_golden("article-open.nft",
               render_table(rules(article()), {{"MAIN-GW", {.open = true, .complete = true, .term = {7, "R1"}}}}));
}

TEST_CASE("two groups, IPv6, all that a rule can say") {
  check_golden("wide.nft", render_table(rules(wide()), {}));
}

TEST_CASE("each thing that a rule of the file can say") {
  const std::string folder = STEADYNAT_SOURCE_DIR "/tests/natctl/golden/";
  std::ifstream file(folder + "features.yaml");
  std::stringstream text;
  text << file.rdbuf();
  for (const std::string node : {"R1", "R2"}) {
    const auto loaded = common::parse_config(text.str(), "features.yaml", node);
    std::string said;
    for (const auto& each : loaded.diagnostics) said += each.to_string() + "\n";
    INFO(said);
    REQUIRE(loaded.config.has_value());
    check_golden("features-" + node + ".nft", render_table(rules(*loaded.config), {}));
    check_golden("features.warnings", said);
  }
}

TEST_CASE("counters are kept where the rule is the same") {
  const std::string table =
      "table inet steadynat {\n"
      "  counter shut_A { }\n"
      "  counter shut_B { }\n"
      "    oifname \"x\" counter drop comment \"10: a counter of mine #00000001\"\n"
      "    counter drop comment \"default #00000002\"\n"
      "    iifname \"counter\" counter drop comment \"11 #00000003\"\n"
      "    counter drop\n"
      "}\n";
  const CountsByKey known{{"shut_A", {3, 9}},
                          {counts_key("10: another description #00000001"), {5, 6}},
                          {counts_key("default #00000002"), {7, 8}},
                          {counts_key("12 #00000003"), {70, 80}}};
  CHECK(keep_counters(table, known) ==
        "table inet steadynat {\n"
        "  counter shut_A { packets 3 bytes 9 }\n"
        "  counter shut_B { }\n"
        "    oifname \"x\" counter packets 5 bytes 6 drop comment \"10: a counter of mine #00000001\"\n"
        "    counter packets 7 bytes 8 drop comment \"default #00000002\"\n"
        "    iifname \"counter\" counter drop comment \"11 #00000003\"\n"
        "    counter drop\n"
        "}\n");
  CHECK(keep_counters(table, {}) == table);
  CHECK(counts_key("10: a #b #00000001") == "10#00000001");
  CHECK(counts_key("no mark") == "");
  CHECK(counts_key("") == "");
}

TEST_CASE("the switches alone") {
  const std::string shut = render_gates({{"MAIN-GW", {}}});
  CHECK(shut ==
        "flush chain inet steadynat gate_MAIN-GW\n"
        "flush chain inet steadynat gateout_MAIN-GW\n"
        "flush chain inet steadynat strict_MAIN-GW\n"
        "add rule inet steadynat gate_MAIN-GW jump cover_MAIN-GW\n"
        "add rule inet steadynat gateout_MAIN-GW jump coverout_MAIN-GW\n"
        "add rule inet steadynat strict_MAIN-GW drop\n");
  const std::string open = render_gates({{"MAIN-GW", {.open = true, .complete = true, .term = {7, "R1"}}}});
  CHECK(open ==
        "flush chain inet steadynat gate_MAIN-GW\n"
        "flush chain inet steadynat gateout_MAIN-GW\n"
        "flush chain inet steadynat strict_MAIN-GW\n"
        "add rule inet steadynat strict_MAIN-GW reject with tcp reset comment \"term 7 R1\"\n");
}

TEST_CASE("names survive the way into the table and back") {
  for (const std::string name : {"MAIN-GW", "a_b", "a b",
                                 "gr\xc3\xbc"
                                 "n",
                                 "x/41", "\"; drop", "", "out_A"}) {
    INFO(name);
    const std::string text = encode_name(name);
    CHECK(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") ==
          std::string::npos);
    CHECK(decode_name(text) == name);
  }
}

TEST_CASE("switches are read back from nft's listing") {
  const std::string head = R"({"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"name":"steadynat"}},)";
  const std::string chains =
      R"({"chain":{"name":"gate_MAIN-GW"}},{"chain":{"name":"strict_MAIN-GW"}},{"chain":{"name":"forward"}})";
  SECTION("open, complete, with its term") {
    const auto gates = read_gates(
        head + chains +
        R"(,{"rule":{"chain":"strict_MAIN-GW","comment":"term 7 R1","expr":[{"reject":{"type":"tcp reset"}}]}}]})");
    REQUIRE(gates.has_value());
    CHECK(*gates == GateStates{{"MAIN-GW", {.open = true, .complete = true, .term = {7, "R1"}}}});
  }
  SECTION("shut") {
    const auto gates = read_gates(head + chains +
                                  R"(,{"rule":{"chain":"gate_MAIN-GW","expr":[{"jump":{"target":"cover_MAIN-GW"}}]}},)"
                                  R"({"rule":{"chain":"strict_MAIN-GW","expr":[{"drop":null}]}}]})");
    REQUIRE(gates.has_value());
    CHECK(*gates == GateStates{{"MAIN-GW", {}}});
  }
  SECTION("a comment that is no term") {
    for (const char* comment : {"term", "term x R1", "term 7", "term 7 ", "hello"}) {
      INFO(comment);
      const auto gates =
          read_gates(head + chains + R"(,{"rule":{"chain":"strict_MAIN-GW","comment":")" + comment + R"("}}]})");
      REQUIRE(gates.has_value());
      CHECK(gates->at("MAIN-GW").term.node.empty());
    }
  }
  SECTION("no table, or no listing") {
    CHECK_FALSE(read_gates("").has_value());
    CHECK_FALSE(read_gates("Error: No such file or directory").has_value());
    CHECK_FALSE(read_gates("[1]").has_value());
    CHECK_FALSE(read_gates(R"({"nftables":3})").has_value());
    CHECK(read_gates(R"({"nftables":[1,{"chain":3},{"rule":[]}]})").has_value());
  }
}

TEST_CASE("counters are summed over the groups") {
  CHECK(sum_counters({{"shut_A", {3, 1}}, {"shut_B", {4, 1}}, {"other", {5, 1}}, {"untranslated_A", {6, 1}}}) ==
        std::map<std::string, std::uint64_t>{
            {"shut_packets", 7}, {"invalid_packets", 0}, {"midstream_packets", 0}, {"untranslated_packets", 6}});
}

TEST_CASE("rules that nftables would not take, or take differently, are refused by name") {
  common::Config config = article();
  auto& nat = config.nat->source.front();
  auto& rule = config.firewall.front().rules.front();
  std::string expected;
  SECTION("families") {
    nat.translate_to = range("2001:db8::1");
    expected = "nat source 10: mixes IPv4 and IPv6 addresses";
  }
  SECTION("families of a firewall rule") {
    rule.match.source = addresses("10.0.0.0/8");
    rule.match.destination = addresses("2001:db8::/32");
    expected = "firewall internet_to_protected rule 10: mixes IPv4 and IPv6 addresses";
  }
  SECTION("group") {
    nat.group = "OTHER";
    expected = "nat source 10: group \"OTHER\" does not exist";
  }
  SECTION("interface") {
    nat.match.outbound = {{"et*h"}, {}};
    expected =
        "nat source 10: interface \"et*h\" has a character that nftables cannot take; rename the "
        "interface";
  }
  const auto made = make_ruleset(config);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().text == expected);
}
