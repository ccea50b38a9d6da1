#pragma once
// What the commands of natctl do; `agent` is not among them.
#include "natctl/io/cli.hpp"

namespace natctl::io {

/// Prints the outcome; the exit code of the process.
int run_command(const Invocation& invocation);

}  // namespace natctl::io
