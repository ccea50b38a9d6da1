#include "common/io/options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

namespace common::io {

std::string_view version() {
  return STEADYNAT_VERSION;
}

std::expected<DaemonOptions, int> parse_daemon_options(int argc, const char* const* argv, std::string_view program,
                                                       std::string_view purpose) {
  DaemonOptions options;
  CLI::App app{std::string(purpose), std::string(program)};
  app.add_option("--config", options.config, "Configuration file of the pair")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--node", options.node, "Name of this router in the file (default: the host name)")->type_name("NAME");
  app.add_option("--run-dir", options.run_dir, "Directory for sockets and state")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_flag("--check", options.check, "Check the configuration and exit");
  app.add_flag("--if-configured", options.if_configured, "End at once, and well, when the file has no section for it");
  app.add_flag("--debug", options.debug, "Log more");
  app.set_version_flag("--version", std::string(program) + " " + std::string(version()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(app.exit(error) == 0 ? 0 : kExitUsage);
  }
  return options;
}

int exit_without_section(const DaemonOptions& options, std::string_view section, std::string_view program) {
  const std::string line = options.config + ": has no section `" + std::string(section) +
                           "`, so there is nothing for " + std::string(program) + " to do";
  std::fprintf(stderr, "%s\n", line.c_str());
  if (!options.if_configured) return kExitUsage;
  notify_status(line);
  notify_ready();
  return 0;
}

}  // namespace common::io
