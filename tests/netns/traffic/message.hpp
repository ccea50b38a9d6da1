#pragma once
// What is sent, so that whoever receives it can tell right from wrong without having kept a copy.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "traffic/net.hpp"

namespace traffic {

/// One message of an echo connection. The echo must be the same bytes, in order; `check` ties the fields
/// together.
struct Message {
  std::uint32_t connection = 0;
  std::uint32_t sequence = 0;
  Nanoseconds sent_at = 0;
  std::uint64_t check = 0;

  static std::uint64_t check_of(std::uint32_t connection, std::uint32_t sequence, Nanoseconds sent_at) {
    std::uint64_t x = (std::uint64_t{connection} << 32 | sequence) ^ static_cast<std::uint64_t>(sent_at);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
  }
  static Message make(std::uint32_t connection, std::uint32_t sequence, Nanoseconds sent_at) {
    return {connection, sequence, sent_at, check_of(connection, sequence, sent_at)};
  }
  bool valid() const { return check == check_of(connection, sequence, sent_at); }
};
static_assert(sizeof(Message) == 24);

/// The answer to a UDP message: the port it came from is where the NAT has put the flow, and must not change.
struct EchoedMessage {
  Message message;
  std::uint64_t seen_port = 0;
};

/// First bytes of a download: how fast the server shall send.
struct DownloadRequest {
  static constexpr std::uint64_t kMagic = 0x736e2d646f776e31;
  std::uint64_t magic = kMagic;
  std::uint64_t bytes_per_second = 0;
};

/// The endless content of bulk transfers: byte `offset` is known to both ends. The period is a prime, so that
/// a lost or repeated segment never fits by accident.
class Pattern {
 public:
  Pattern();
  /// The longest contiguous piece from this offset on.
  std::span<const std::byte> at(std::uint64_t offset) const;
  bool matches(std::uint64_t offset, std::span<const std::byte> data) const;

 private:
  static constexpr std::size_t kPeriod = 65521;
  std::vector<std::byte> bytes_;
};

}  // namespace traffic
