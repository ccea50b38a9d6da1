#pragma once
// `natctl monitor`.
#include "natctl/io/config_commands.hpp"

namespace natctl::io {

/// Until it is ended by a signal.
int run_monitor(const Invocation& invocation, Ask ask);

}  // namespace natctl::io
