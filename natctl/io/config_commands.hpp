#pragma once
// `natctl config dump|diff`, `natctl metrics` and `natctl completion`.
#include "natctl/io/cli.hpp"
#include "natctl/report.hpp"

namespace natctl::io {

int config_dump(const Invocation& invocation);
/// 0: the same; 1: not; 2: one of the files cannot be read.
int config_diff(const Invocation& invocation);
/// Asks the daemons each time anew.
using Ask = Answers (*)(const Invocation& invocation);
int run_metrics(const Invocation& invocation, Ask ask);

}  // namespace natctl::io
