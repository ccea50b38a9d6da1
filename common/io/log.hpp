#pragma once
// Log lines on stderr (with a priority prefix that journald understands when it listens), one line each.
#include <string_view>

#include "common/actions.hpp"

namespace common::io {

using LogLevel = Log::Level;

/// Once, in main. `program` stands at the start of each line when stderr is not the journal.
void log_open(std::string_view program, bool debug);
void log(LogLevel level, std::string_view name, std::string_view text);

}  // namespace common::io
