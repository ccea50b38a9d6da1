#pragma once
#include <array>
#include <cstdint>

#include "syncd/ctnetlink.hpp"

namespace syncd::io {

/// How often the kernel said something that this program does not understand, by reason.
class DecodeCounters {
 public:
  void add(ctnetlink::DecodeError error) { ++counts_[static_cast<std::size_t>(error)]; }
  std::uint64_t of(ctnetlink::DecodeError error) const { return counts_[static_cast<std::size_t>(error)]; }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(ctnetlink::DecodeError::count)> counts_{};
};

}  // namespace syncd::io
