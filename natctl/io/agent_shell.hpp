#pragma once
// The shell of `natctl agent`: carries out what the engine decides about the nftables table.
#include "common/io/daemon.hpp"

namespace natctl::io {

/// Runs in the foreground until SIGTERM; the exit code of the process.
int run_agent(const common::io::DaemonOptions& options);

}  // namespace natctl::io
