#pragma once
// `natctl top` on a terminal, or in plain lines where there is none.
#include "natctl/io/config_commands.hpp"

namespace natctl::io {

int run_top(const Invocation& invocation, Ask ask);

}  // namespace natctl::io
