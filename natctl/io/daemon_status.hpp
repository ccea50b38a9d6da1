#pragma once
// Asks a daemon of this router how it is.
#include <string>
#include <string_view>

#include "common/time.hpp"
#include "natctl/report.hpp"

namespace natctl::io {

/// A daemon answers from memory; one that takes longer hangs, and `status` must say so soon.
inline constexpr common::Duration kStatusTimeout = std::chrono::seconds(1);

std::string socket_of(const std::string& run_dir, std::string_view daemon);
/// Its status, JSON; or why there is none, one line.
Answer status_of(const std::string& run_dir, std::string_view daemon);

}  // namespace natctl::io
