#pragma once
// Starts a program in a session of its own, with nothing of ours: no descriptors, priority, signal mask or
// rights.
#include <string>
#include <vector>

#include "common/result.hpp"

namespace vrrpd::io {

struct Command {
  std::string path;
  std::vector<std::string> arguments;    ///< without the program's own name
  std::vector<std::string> environment;  ///< "NAME=value"
  std::string user;                      ///< empty: ours
};

/// Exit code of a child that could not become the program; it has said why, in the log.
inline constexpr int kNotStarted = 127;

/// The process id, which is that of its process group too.
common::Result<int> start_process(const Command& command);

}  // namespace vrrpd::io
