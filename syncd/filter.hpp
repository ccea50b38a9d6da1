#pragma once
// What `sync.filter` says of a connection, apart from its age.
#include <cstdint>

#include "common/config.hpp"
#include "syncd/flow.hpp"

namespace syncd {

enum class Verdict : std::uint8_t { replicated, not_included, excluded };

class Filter {
 public:
  Filter() = default;
  explicit Filter(const common::SyncFilter& config) : include_(config.include), exclude_(config.exclude) {}

  /// Without rules every connection is replicated, and there is nothing to ask.
  bool has_rules() const { return !include_.empty() || !exclude_.empty(); }
  /// The state of TCP stands apart from the flow, as reports leave out what has not changed.
  Verdict judge(const Flow& flow, std::uint8_t tcp_state) const;

 private:
  std::vector<common::SyncMatch> include_, exclude_;
};

}  // namespace syncd
