#pragma once
// Who uses the pair most: out of two looks at the kernel's table.
#include <string>
#include <vector>

#include "common/time.hpp"
#include "natctl/conversation.hpp"

namespace natctl {

/// "1.2 kB/s", always of at most three digits before the point.
std::string rate_text(double bytes_per_second);

/// The translated connections that carried most between the two looks. Where the kernel does not count bytes, the hosts
/// with most translated connections. Lines of at most `most` entries, the greatest first.
std::vector<std::string> top_talkers(const std::vector<Conversation>& now, const std::vector<Conversation>& before,
                                     common::Duration between, std::size_t most);

/// Whether the kernel counts the bytes of any of them.
bool has_bytes(const std::vector<Conversation>& conversations);

}  // namespace natctl
