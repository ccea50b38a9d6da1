// Exit codes of the commands that need no daemon.
#include "natctl/io/commands.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

using namespace natctl::io;

/// A directory that goes away with the test.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "natctl-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
};

Invocation invocation(Command command, const std::string& config, const Folder& folder) {
  Invocation result;
  result.command = command;
  result.options.config = config;
  result.options.node = "R1";
  result.options.run_dir = folder.path.string();
  return result;
}

std::string example_with_key(const std::string& key) {
  std::stringstream text;
  text << std::ifstream(STEADYNAT_SOURCE_DIR "/examples/pair/steadynat.yaml").rdbuf();
  std::string result = text.str();
  const std::string original = "/etc/steadynat/sync.key";
  const std::size_t at = result.find("key_file: " + original);
  REQUIRE(at != std::string::npos);
  return result.replace(at + std::string("key_file: ").size(), original.size(), key);
}

}  // namespace

TEST_CASE("check: 0 for a good file, 2 for a bad one, an unknown node, and a key that others can read") {
  const Folder folder;
  const std::string key = folder.file("key", "RoZGc9DL2UlLUs2bDtlkh0SJF0Jm2mBSWEr4j3VrBzg=\n");
  const std::string good = folder.file("good.yaml", example_with_key(key));
  chmod(key.c_str(), 0600);
  CHECK(run_command(invocation(Command::check, good, folder)) == 0);
  Invocation unknown = invocation(Command::check, good, folder);
  unknown.options.node = "R3";
  CHECK(run_command(unknown) == 2);
  chmod(key.c_str(), 0640);
  CHECK(run_command(invocation(Command::check, good, folder)) == 2);
  const std::string bad = folder.file("bad.yaml", "version: 1\n");
  CHECK(run_command(invocation(Command::check, bad, folder)) == 2);
  CHECK(run_command(invocation(Command::check, (folder.path / "missing.yaml").string(), folder)) == 2);
}

TEST_CASE("without daemons status is 3 and everything that asks one of them is 1") {
  const Folder folder;
  const std::string missing = (folder.path / "missing.yaml").string();
  CHECK(run_command(invocation(Command::status, missing, folder)) == 3);
  for (const Command command :
       {Command::switchover, Command::release, Command::sync_verify, Command::sync_resync, Command::nat_apply,
        Command::show_vrrp, Command::show_sync, Command::show_nat, Command::show_connections, Command::show_events})
    CHECK(run_command(invocation(command, missing, folder)) == 1);
}

TEST_CASE("keygen succeeds") {
  const Folder folder;
  CHECK(run_command(invocation(Command::keygen, "", folder)) == 0);
}
