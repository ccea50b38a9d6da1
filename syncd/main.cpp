// syncd: keeps the connections of one router known to the other. Wires the parts; decides nothing.
#include <cstdio>
#include <exception>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"
#include "common/io/options.hpp"
#include "common/io/serve.hpp"
#include "syncd/io/shell.hpp"

namespace {

int run(int argc, const char* const* argv) {
  const auto options = common::io::parse_daemon_options(argc, argv, "syncd",
                                                        "keeps the connections of this router known to the other one");
  if (!options) return options.error();
  common::io::log_open("syncd", options->debug);
  auto config = common::io::load_config(*options);
  if (!config) return common::io::kExitUsage;
  if (!config->sync) return common::io::exit_without_section(*options, "sync", "syncd");
  std::vector<std::byte> key;
  if (!config->sync->key_file.empty()) {
    auto read = common::io::read_key_file(config->sync->key_file);
    if (!read) {
      std::fprintf(stderr, "%s\n", read.error().text.c_str());
      return common::io::kExitUsage;
    }
    key = std::move(*read);
  }
  if (options->check) return 0;
  return common::io::serve<syncd::io::Shell>(*options, std::move(*config), std::move(key));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "syncd: %s\n", error.what());
    return 1;
  }
}
