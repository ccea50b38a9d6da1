#pragma once
// What every engine may ask of its shell.
#include <cstdint>
#include <string>

#include "common/notify.hpp"

namespace common {

/// Something that an operator should read. `name` is a stable identifier.
struct Log {
  enum class Level { debug, info, warning, error } level = Level::info;
  std::string name;
  std::string text;
  bool operator==(const Log&) const = default;
};

/// To a client of the daemon's own socket. `client` is the shell's number for it.
struct SendReply {
  std::uint64_t client = 0;
  Reply reply;
  bool operator==(const SendReply&) const = default;
};

/// Answer to Stop: nothing is left to do, the process may end.
struct Finished {
  bool operator==(const Finished&) const = default;
};

}  // namespace common
