#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/config.hpp"
#include "syncd/ctnetlink.hpp"

namespace syncd::io {

/// What the kernel says of connections, less what is not replicated; and how often it said something that this program
/// does not understand, by reason.
class Decoder {
 public:
  /// Anything but an error is masked: no part of this program sees what the peer is not to have.
  std::optional<Flow> flow(const ctnetlink::Message& message) {
    auto flow = ctnetlink::decode_flow(message);
    if (!flow) {
      add(flow.error());
      return std::nullopt;
    }
    leave_out(*flow, masks_);
    return *std::move(flow);
  }
  void set_masks(const common::SyncMasks& masks) { masks_ = masks; }

  void add(ctnetlink::DecodeError error) { ++counts_[static_cast<std::size_t>(error)]; }
  /// Under the names that status shows.
  void add_to(std::map<std::string, std::uint64_t>& out) const {
    for (std::size_t i = 0; i < counts_.size(); ++i)
      out["io_ctnetlink_" + std::string(to_string(static_cast<ctnetlink::DecodeError>(i)))] = counts_[i];
  }

 private:
  common::SyncMasks masks_;
  std::array<std::uint64_t, static_cast<std::size_t>(ctnetlink::DecodeError::count)> counts_{};
};

}  // namespace syncd::io
