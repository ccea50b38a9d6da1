#pragma once
// `natctl doctor`: collects what doctor.hpp examines.
#include "natctl/io/cli.hpp"

namespace natctl::io {

/// 0: nothing found, or warnings only; 1: an error; 2: the file cannot be read.
int run_doctor(const Invocation& invocation);

}  // namespace natctl::io
