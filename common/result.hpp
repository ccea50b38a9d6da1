#pragma once
// Results of what can fail for reasons outside the program. A bug in the program is a check(), which is always on.
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>

namespace common {

/// One line for a person: what failed, on what, and what to do. `code` is an errno value, or 0.
struct Error {
  int code = 0;
  std::string text;
  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> fail(std::string text, int code = 0) {
  return std::unexpected(Error{code, std::move(text)});
}

/// Stops the program when an invariant of ours does not hold. Must not be reachable from packets, files or the kernel.
inline void check(bool invariant, const char* what) {
  if (invariant) return;
  std::fprintf(stderr, "bug: invariant does not hold: %s\n", what);
  std::abort();
}

}  // namespace common
