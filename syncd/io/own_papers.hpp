#pragma once
// How this router is set up, as the peer may see it.
#include <optional>
#include <string>

#include "common/config.hpp"
#include "common/io/daemon.hpp"
#include "syncd/frame.hpp"

namespace syncd::io {

/// A JSON object: node, digest of the configuration that is in use, config (the file's text as it is now, without what
/// looks like a secret) or null and config_withheld (why), time_ms since 1970, sysctls, helpers. `root` stands before
/// every path of the kernel's.
std::string collect_papers(const common::io::DaemonOptions& options, const common::Config& config,
                           const std::string& root = {});

/// None when the kernel does not tell.
std::optional<TableSize> measure_table(const std::string& root = {});

}  // namespace syncd::io
