#include "natctl/io/cli.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace {

using namespace natctl::io;

std::expected<Invocation, int> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "natctl");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("every command is understood") {
  const std::vector<std::pair<std::vector<const char*>, Command>> commands = {
      {{"agent"}, Command::agent},
      {{"status"}, Command::status},
      {{"check"}, Command::check},
      {{"keygen"}, Command::keygen},
      {{"switchover"}, Command::switchover},
      {{"release"}, Command::release},
      {{"sync", "verify"}, Command::sync_verify},
      {{"sync", "resync"}, Command::sync_resync},
      {{"sync", "flush"}, Command::sync_flush},
      {{"sync", "commit"}, Command::sync_commit},
      {{"nat", "check"}, Command::nat_check},
      {{"nat", "apply"}, Command::nat_apply},
      {{"nat", "clear"}, Command::nat_clear},
      {{"show", "vrrp"}, Command::show_vrrp},
      {{"show", "sync"}, Command::show_sync},
      {{"show", "nat"}, Command::show_nat},
      {{"show", "connections"}, Command::show_connections},
      {{"show", "connections", "--kernel", "udp"}, Command::show_connections},
      {{"show", "events"}, Command::show_events},
      {{"config", "check"}, Command::check},
      {{"config", "dump"}, Command::config_dump},
      {{"config", "diff"}, Command::config_diff},
      {{"metrics"}, Command::metrics},
      {{"doctor"}, Command::doctor},
      {{"mon"}, Command::monitor},
      {{"top", "--interval", "2s", "--count", "3"}, Command::top},
      {{"completion", "bash"}, Command::completion},
  };
  for (const auto& [words, command] : commands) {
    INFO(words.back());
    const auto parsed = parse(words);
    REQUIRE(parsed);
    CHECK(parsed->command == command);
    CHECK(!parsed->json);
    CHECK(parsed->options.run_dir == "/run/steadynat");
    CHECK(parsed->options.config == "/etc/steadynat/steadynat.yaml");
    CHECK(parsed->options.node.empty());
  }
}

TEST_CASE("connections take words to look for") {
  const auto parsed = parse({"show", "connections", "tcp", "10.0.0.1", "--json"});
  REQUIRE(parsed);
  CHECK(parsed->command == Command::show_connections);
  CHECK(parsed->filter == std::vector<std::string>{"tcp", "10.0.0.1"});
}

TEST_CASE("words may be cut short as long as only one begins so") {
  auto parsed = parse({"sh", "vr"});
  REQUIRE(parsed);
  CHECK(parsed->command == Command::show_vrrp);
  parsed = parse({"--node", "sh", "--json", "sy", "v"});
  REQUIRE(parsed);
  CHECK(parsed->command == Command::sync_verify);
  CHECK(parsed->options.node == "sh");
  parsed = parse({"sw", "re"});  // the name of a group is not a command
  REQUIRE(parsed);
  CHECK(parsed->command == Command::switchover);
  CHECK(parsed->group == "re");
  CHECK(parse({"s"}).error() == 2);
  CHECK(parse({"co", "dump"}).error() == 2);  // completion, config
  CHECK(parse({"conf", "du"})->command == Command::config_dump);
}

TEST_CASE("the common options may stand in any place") {
  const std::vector<std::vector<const char*>> lines = {
      {"--json", "--node", "R1", "--config", "c.yaml", "--run-dir", "/r", "sync", "verify"},
      {"sync", "--json", "--node", "R1", "verify", "--config", "c.yaml", "--run-dir", "/r"},
      {"--run-dir=/r", "sync", "verify", "--config=c.yaml", "--node=R1", "--json"},
      {"sync", "verify", "--json", "--node", "R1", "--config", "c.yaml", "--run-dir", "/r"},
  };
  for (const auto& line : lines) {
    const auto parsed = parse(line);
    REQUIRE(parsed);
    CHECK(parsed->command == Command::sync_verify);
    CHECK(parsed->json);
    CHECK(parsed->options.node == "R1");
    CHECK(parsed->options.config == "c.yaml");
    CHECK(parsed->options.run_dir == "/r");
  }
}

TEST_CASE("switchover takes a group and --force") {
  auto parsed = parse({"switchover", "MAIN-GW", "--force"});
  REQUIRE(parsed);
  CHECK(parsed->group == "MAIN-GW");
  CHECK(parsed->force);
  parsed = parse({"--node", "R1", "switchover", "--force", "--json"});
  REQUIRE(parsed);
  CHECK(parsed->group.empty());
  CHECK(parsed->force);
  CHECK(parsed->json);
  parsed = parse({"release", "B"});
  REQUIRE(parsed);
  CHECK(parsed->group == "B");
}

TEST_CASE("the agent takes the options of a daemon") {
  const auto parsed = parse({"agent", "--check", "--debug", "--node", "R2"});
  REQUIRE(parsed);
  CHECK(parsed->options.check);
  CHECK(parsed->options.debug);
  CHECK(parsed->options.node == "R2");
}

TEST_CASE("bad usage exits with 2, help and version with 0") {
  const std::vector<std::vector<const char*>> bad = {
      {},
      {"stauts"},
      {"show"},
      {"show", "vrp"},
      {"status", "extra"},
      {"--bogus", "status"},
      {"status", "--node"},
      {"status", "--force"},
      {"sync"},
      {"status", "--check"},
      {"release", "A", "B"},
  };
  for (const auto& line : bad) {
    const auto parsed = parse(line);
    REQUIRE(!parsed);
    CHECK(parsed.error() == 2);
  }
  for (const std::vector<const char*>& line :
       std::vector<std::vector<const char*>>{{"--help"}, {"--version"}, {"status", "--help"}, {"sync", "-h"}}) {
    const auto parsed = parse(line);
    REQUIRE(!parsed);
    CHECK(parsed.error() == 0);
  }
}

TEST_CASE("the completion for bash knows every command and its options") {
  const auto parsed = parse({"completion", "bash"});
  REQUIRE(parsed);
  CHECK(parsed->command == Command::completion);
  CHECK_THAT(parsed->script, Catch::Contains("'natctl sync') words='verify resync flush commit'"));
  CHECK_THAT(parsed->script, Catch::Contains("'natctl switchover') words='' options='--help --force'"));
  CHECK_THAT(parsed->script, Catch::Contains("--config|--node|--run-dir) ((++i))"));
}
