#pragma once
// What stands in this router's connection tracking table, told by the kernel itself: what `show connections` says is
// syncd's knowledge, and where the two seem to differ one wants to see the other side.
#include <functional>
#include <string>

#include "common/result.hpp"
#include "natctl/conversation.hpp"
#include "natctl/io/cli.hpp"

namespace natctl::io {

/// Prints one connection a line, as conntrack(8) does, or one JSON document; returns the exit code.
int show_kernel_connections(const Invocation& invocation);

/// Calls `see` for each connection of the kernel. Fails with one line that says what to do.
common::Status each_conversation(const std::function<void(const Conversation&)>& see);

}  // namespace natctl::io
