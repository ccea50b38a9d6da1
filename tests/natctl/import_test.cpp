// The importers: what they make of whole files, what they say, and that nothing breaks them.
#include "natctl/import.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "common/prng.hpp"
#include "natctl/ruleset.hpp"
#include "tests/natctl/golden_file.hpp"

namespace {

using namespace natctl::importer;
using Lines = std::vector<std::string>;

std::string read(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::string kSource = STEADYNAT_SOURCE_DIR;

std::vector<File> files(const Lines& names) {
  std::vector<File> result;
  for (const std::string& name : names) {
    const bool example = name.starts_with("R");
    result.push_back({name, read(kSource + (example ? "/examples/import/" : "/tests/natctl/import/") + name)});
  }
  return result;
}

std::string said(const Imported& imported) {
  std::string text;
  for (const auto& each : imported.diagnostics) text += each.to_string() + "\n";
  return text;
}

void check_golden(const std::string& name, const std::string& text) {
  natctl::test::check_golden(kSource, name, text);
}

/// The names of the nodes that a file of ours has.
Lines nodes_of(const std::string& config) {
  return common::parse_config(config, "imported", "").unknown_node_choices;
}

/// What `natctl check` would refuse; empty when it accepts the file.
std::string refused(const std::string& config) {
  std::string text;
  for (const std::string& node : nodes_of(config)) {
    const auto loaded = common::parse_config(config, "imported", node);
    for (const auto& each : loaded.diagnostics)
      if (each.severity == common::Diagnostic::Severity::error) text += each.to_string() + "\n";
    if (loaded.config)
      if (const auto rules = natctl::make_ruleset(*loaded.config); !rules) text += rules.error().text + "\n";
  }
  return text;
}

struct Case {
  const char* golden;
  Dialect dialect;
  Lines names;
  Options options = {};
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"import-article", Dialect::vyatta, {"R1.config.boot", "R2.config.boot"}},
      {"import-01", Dialect::vyatta, {"R1.config.boot", "01-slip.boot"}},
      {"import-02", Dialect::vyatta, {"02-vyatta-everything.boot"}},
      {"import-03", Dialect::vyos, {"03-vyos-1.3.boot", "04-vyos-1.4.set"}},
      {"import-04", Dialect::vyos, {"04-vyos-1.4.set"}, {.rewrite_masquerade = true}},
      {"import-05", Dialect::vyos, {"03-vyos-1.3.boot", "05-other-names.boot"}},
      {"import-06",
       Dialect::keepalived,
       {"06-keepalived-R1.conf", "06-keepalived-R2.conf", "06-conntrackd-R1.conf", "06-conntrackd-R2.conf"}},
      {"import-07", Dialect::keepalived, {"07-two-groups.conf"}},
      {"import-08", Dialect::vyos, {"08-two-groups.boot", "08-two-groups-R2.boot"}},
      {"import-19", Dialect::vyatta, {"19-alone.boot"}, {.rewrite_masquerade = true}},
      {"import-20", Dialect::vyos, {"20-vyos-1.4-interfaces.boot"}},
      {"import-22", Dialect::keepalived, {"22-keepalived-tracking.conf"}},
      {"import-23",
       Dialect::keepalived,
       {"06-keepalived-R1.conf", "06-keepalived-R2.conf", "23-conntrackd-R1.conf", "23-conntrackd-R2.conf"}},
      {"import-21", Dialect::conntrackd, {"06-conntrackd-R1.conf", "21-keepalived-ipv6.conf"}},
  };
  return all;
}

}  // namespace

TEST_CASE("whole files become a file that is accepted, and what is not taken over is named") {
  for (const Case& each : cases()) {
    const Imported imported = import_files(each.dialect, files(each.names), each.options);
    INFO(each.golden << "\n" << said(imported));
    check_golden(std::string(each.golden) + ".yaml", imported.config);
    check_golden(std::string(each.golden) + ".said", said(imported));
    CHECK(imported.open_points.empty());
    CHECK(refused(imported.config) == "");
    CHECK(nodes_of(imported.config).size() == imported.ifupdown.size());
    // The same again.
    CHECK(import_files(each.dialect, files(each.names), each.options).config == imported.config);
  }
}

TEST_CASE("the article's pair as our file has it") {
  const Imported imported = import_files(Dialect::vyatta, files({"R1.config.boot", "R2.config.boot"}));
  const auto ours = common::parse_config(imported.config, "imported", "R2");
  const auto example = common::parse_config(read(kSource + "/examples/pair/steadynat.yaml"), "example", "R2");
  REQUIRE(ours.config.has_value());
  REQUIRE(example.config.has_value());
  CHECK(ours.config->vrrp->groups[0].priority == example.config->vrrp->groups[0].priority);
  CHECK(ours.config->sync->links[0].peer == example.config->sync->links[0].peer);
  CHECK(ours.config->nat->source[0].match == example.config->nat->source[0].match);
  CHECK(ours.config->nat->source[0].translate_to == example.config->nat->source[0].translate_to);
}

TEST_CASE("a list of set commands says the same as blocks") {
  const std::string blocks = read(kSource + "/examples/import/R1.config.boot");
  // Each leaf of the blocks as a line, as `show configuration commands` does.
  std::string list;
  Lines path;
  std::vector<std::size_t> depths;
  std::stringstream stream(blocks);
  for (std::string line; std::getline(stream, line);) {
    line.erase(0, line.find_first_not_of(' '));
    if (line.starts_with("/*")) continue;
    std::string prefix = "set";
    for (const std::string& word : path) prefix += " " + word;
    if (line == "}") {
      path.resize(depths.back());
      depths.pop_back();
    } else if (line.ends_with(" {")) {
      depths.push_back(path.size());
      path.push_back(line.substr(0, line.size() - 2));
      list += prefix + " " + path.back() + "\n";
    } else if (!line.empty()) {
      list += prefix + " " + line + "\n";
    }
  }
  const File other{"R2", read(kSource + "/examples/import/R2.config.boot")};
  const Imported from_blocks = import_files(Dialect::vyatta, {{"R1", blocks}, other});
  const Imported from_list = import_files(Dialect::vyatta, {{"R1", list}, other});
  CHECK(from_list.config == from_blocks.config);
  CHECK(from_list.diagnostics.size() == from_blocks.diagnostics.size());
}

TEST_CASE("the interfaces' own addresses, for the operating system") {
  const Imported imported = import_files(Dialect::vyatta, files({"R1.config.boot", "R2.config.boot"}));
  CHECK(imported.ifupdown.at("R2") ==
        "# /etc/network/interfaces.d/steadynat on R2\n"
        "\nauto eth0\niface eth0 inet static\n    address 10.10.0.103/24\n    gateway 10.10.0.1\n"
        "\nauto eth1\niface eth1 inet static\n    address 10.10.10.3/24\n"
        "\nauto eth2\niface eth2 inet static\n    address 192.168.100.3/24\n");
  CHECK(imported.networkd.at("R1") ==
        "# Files of /etc/systemd/network on R1\n"
        "\n# 10-eth0.network\n[Match]\nName=eth0\n\n[Network]\nAddress=10.10.0.102/24\nGateway=10.10.0.1\n"
        "\n# 10-eth1.network\n[Match]\nName=eth1\n\n[Network]\nAddress=10.10.10.2/24\n"
        "\n# 10-eth2.network\n[Match]\nName=eth2\n\n[Network]\nAddress=192.168.100.2/24\n");
  const Imported vlan = import_files(Dialect::vyatta, files({"02-vyatta-everything.boot"}));
  CHECK(vlan.networkd.begin()->second.find("[NetDev]\nName=bond0.100\nKind=vlan\n\n[VLAN]\nId=100\n") !=
        std::string::npos);
  CHECK(vlan.networkd.begin()->second.find("Name=bond0\n\n[Network]\nVLAN=bond0.100\n") != std::string::npos);
  // On the second router under its own names.
  const Imported other = import_files(Dialect::vyos, files({"03-vyos-1.3.boot", "05-other-names.boot"}));
  CHECK(other.ifupdown.at("edge2").find("iface eth1 inet static\n    address 203.0.113.13/24") != std::string::npos);
}

TEST_CASE("damaged files: a line, a column, and no file of ours") {
  const auto say = [](Dialect dialect, const std::string& name) {
    const Imported imported = import_files(dialect, files({name}));
    CHECK(imported.failed());
    Lines lines;
    for (const auto& each : imported.diagnostics)
      if (each.severity == common::Diagnostic::Severity::error) lines.push_back(each.to_string());
    return lines;
  };
  using enum Dialect;
  CHECK(say(vyatta, "09-cluster.boot") ==
        Lines{"09-cluster.boot:4:13: error: failover by `cluster` is not VRRP; nothing of it can be taken over"});
  CHECK(say(vyatta, "10-truncated.boot") ==
        Lines{"10-truncated.boot:5:26: error: the file ends before this block does"});
  CHECK(say(vyatta, "11-one-brace-too-many.boot") ==
        Lines{"11-one-brace-too-many.boot:6:1: error: this brace closes nothing"});
  CHECK(
      say(vyatta, "12-three-words.boot") ==
      Lines{"12-three-words.boot:2:19: error: expected a name, a value and then the end of the line, found 'address'"});
  CHECK(say(vyos, "13-delete.set") == Lines{"13-delete.set:2:1: error: expected `set` and a path, found 'delete'"});
  CHECK(say(vyos, "14-open-quote.boot") == Lines{"14-open-quote.boot:2:15: error: this quotation does not end"});
  CHECK(say(vyos, "15-open-comment.boot") == Lines{"15-open-comment.boot:1:1: error: this comment does not end"});
  CHECK(say(vyos, "16-nothing.boot") ==
        Lines{"16-nothing.boot:1:1: error: nothing in it that natctl import vyos could take over"});
  CHECK(say(keepalived, "17-truncated.conf") ==
        Lines{"17-truncated.conf:3:21: error: the file ends before this block does"});
  CHECK(say(keepalived, "18-open-quote.conf") == Lines{"18-open-quote.conf:2:13: error: this quotation does not end"});
  // The file of another system.
  CHECK(say(keepalived, "03-vyos-1.3.boot").size() == 1);
  CHECK(say(vyatta, "06-keepalived-R1.conf").size() == 1);
  const File one{"a", "system { }\n"};
  CHECK(import_files(vyatta, {one, one, one}).failed());
  CHECK(import_files(vyatta, {}).failed());
  CHECK(import_files(vyatta, {{"a", std::string(kMostBytes + 1, ' ')}}).failed());
  CHECK(import_files(vyatta, {{"a", std::string(100, '{')}}).failed());
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "a {\n";
  CHECK(import_files(vyatta, {{"a", deep}}).diagnostics.front().text == "blocks within blocks, more than 40");
}

TEST_CASE("a mebibyte of noise is refused with its place") {
  common::Prng random(7);
  std::string noise(1 << 20, ' ');
  for (char& c : noise) c = static_cast<char>(random.below(256));
  std::string words(1 << 20, ' ');
  for (char& c : words) c = "ab \n{}\"'/*#!;0.\\"[random.below(17)];
  for (const Dialect dialect : {Dialect::vyatta, Dialect::vyos, Dialect::keepalived, Dialect::conntrackd})
    for (const std::string* text : {&noise, &words}) {
      const Imported imported = import_files(dialect, {{"noise", *text}, {"noise", *text}});
      CHECK(imported.failed());
      REQUIRE_FALSE(imported.diagnostics.empty());
      CHECK(imported.diagnostics.front().at.line > 0);
    }
}

TEST_CASE("whatever a file is turned into: no crash, and what comes out is accepted") {
  common::Prng random(11);
  std::size_t taken = 0;
  for (int round = 0; round < 1500; ++round) {
    const Case& chosen = cases()[random.below(cases().size())];
    std::vector<File> mutated = files(chosen.names);
    File& victim = mutated[random.below(mutated.size())];
    for (std::size_t n = 1 + random.below(4); n > 0; --n) {
      const std::size_t at = random.below(victim.text.size());
      switch (random.below(5)) {
        case 0:
          victim.text[at] = static_cast<char>(32 + random.below(95));
          break;
        case 1:
          victim.text.erase(at, 1 + random.below(12));
          break;
        case 2:
          victim.text.resize(std::max<std::size_t>(at, 1));
          break;
        case 3: {  // a line twice
          const std::size_t begin = victim.text.rfind('\n', at) + 1, end = victim.text.find('\n', at);
          victim.text.insert(begin, victim.text.substr(begin, end == std::string::npos ? end : end + 1 - begin));
          break;
        }
        default: {  // a line less
          const std::size_t begin = victim.text.rfind('\n', at) + 1, end = victim.text.find('\n', at);
          victim.text.erase(begin, end == std::string::npos ? end : end + 1 - begin);
        }
      }
      if (victim.text.empty()) victim.text = " ";
    }
    const Imported imported = import_files(chosen.dialect, mutated, chosen.options);
    if (imported.failed()) {
      CHECK_FALSE(imported.diagnostics.empty());
      continue;
    }
    if (!imported.open_points.empty()) {
      // Only what nobody but a person can know.
      for (const std::string& each : imported.open_points)
        if (each.find("'protects' is missing") == std::string::npos &&
            each.find("needs the section vrrp") == std::string::npos)
          FAIL_CHECK(each << "\n" << victim.text << "\n" << imported.config);
      continue;
    }
    ++taken;
    const std::string errors = refused(imported.config);
    INFO(victim.name << ":\n" << victim.text << "\n" << imported.config << "\n" << said(imported));
    CHECK(errors == "");
  }
  CHECK(taken > 300);
}
