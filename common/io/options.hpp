#pragma once
// The command line that vrrpd, syncd and `natctl agent` have in common.
#include <expected>
#include <string_view>

#include "common/io/daemon.hpp"

namespace common::io {

/// Bad usage or configuration, of every program.
inline constexpr int kExitUsage = 2;

/// Of the package, as --version prints it.
std::string_view version();

/// The options to run with, or the code to exit with at once: 0 after --help and --version, kExitUsage after
/// a mistake (help, version or message have been printed).
std::expected<DaemonOptions, int> parse_daemon_options(int argc, const char* const* argv, std::string_view program,
                                                       std::string_view purpose);

/// Says that the file has no such section; the code to exit with. Under systemd, readiness is reported before an end
/// that is none of failure.
int exit_without_section(const DaemonOptions& options, std::string_view section, std::string_view program);

}  // namespace common::io
