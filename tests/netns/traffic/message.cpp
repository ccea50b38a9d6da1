#include "traffic/message.hpp"

#include <algorithm>
#include <cstring>

namespace traffic {

Pattern::Pattern() : bytes_(2 * kPeriod) {
  std::uint64_t state = 88172645463325252U;
  for (std::size_t i = 0; i < kPeriod; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes_[i] = bytes_[i + kPeriod] = static_cast<std::byte>(state);
  }
}

std::span<const std::byte> Pattern::at(std::uint64_t offset) const {
  return {bytes_.data() + offset % kPeriod, kPeriod};
}

bool Pattern::matches(std::uint64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    const auto expected = at(offset);
    const std::size_t length = std::min(expected.size(), data.size());
    if (std::memcmp(expected.data(), data.data(), length) != 0) return false;
    offset += length;
    data = data.subspan(length);
  }
  return true;
}

}  // namespace traffic
