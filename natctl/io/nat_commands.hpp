#pragma once
// The commands about the nftables table, which must work without the agent as well.
#include "natctl/io/cli.hpp"

namespace natctl::io {

int nat_check(const Invocation& invocation);
int nat_clear(const Invocation& invocation);

}  // namespace natctl::io
