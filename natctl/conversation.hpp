#pragma once
// One connection as the kernel tells of it, as far as people ask: who talks with whom, and by which address outside.
#include <array>
#include <cstdint>
#include <optional>

#include "common/address.hpp"

namespace natctl {

struct Conversation {
  std::uint8_t protocol = 0;
  /// Of the original direction, then of the answers: where the two differ, it is translated.
  common::IpAddress source, destination, reply_source, reply_destination;
  std::uint16_t source_port = 0, destination_port = 0, reply_source_port = 0, reply_destination_port = 0;
  std::optional<std::uint64_t> bytes;  ///< both ways; none: the kernel does not count (nf_conntrack_acct)

  bool translated() const {
    return source != reply_destination || destination != reply_source || source_port != reply_destination_port ||
           destination_port != reply_source_port;
  }
  std::array<common::IpAddress, 4> addresses() const { return {source, destination, reply_source, reply_destination}; }
  std::array<std::uint16_t, 4> ports() const {
    return {source_port, destination_port, reply_source_port, reply_destination_port};
  }
};

}  // namespace natctl
