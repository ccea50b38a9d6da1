#pragma once
// Which connections an operator asks for, in words: "tcp", "192.168.100.0/24", "443", "own". Each word narrows it.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/address.hpp"
#include "common/result.hpp"

namespace common {

class ConnectionFilter {
 public:
  /// Words: a protocol, an address or prefix, a port, "own" or "peer".
  static Result<ConnectionFilter> parse(const std::vector<std::string>& words);

  /// All addresses and ports of the connection, of both directions: one that fits is enough.
  bool wants(std::uint8_t protocol, std::span<const IpAddress> addresses, std::span<const std::uint16_t> ports) const;
  /// Whose connections are wanted: true of this router, false of the peer; none: all.
  std::optional<bool> own() const { return own_; }

 private:
  std::vector<std::uint8_t> protocols_;  ///< none: all
  std::vector<Prefix> networks_;
  std::vector<std::uint16_t> ports_;
  std::optional<bool> own_;
};

}  // namespace common
