#pragma once
// `natctl import`: reads the files, prints what the importers make of them. Exit code 0, or 1 when the file must be
// completed by hand, or 2 when theirs could not be read.
#include "natctl/io/cli.hpp"

namespace natctl::io {

int run_import(const Invocation& invocation);

}  // namespace natctl::io
