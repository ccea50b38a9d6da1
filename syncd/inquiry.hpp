#pragma once
// `natctl show connections` and `natctl sync flush`: what an operator asks for and a table of millions cannot give in
// one step, or the link would look dead meanwhile. Both walk over the table, a slice a step.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/connection_filter.hpp"
#include "common/result.hpp"
#include "syncd/engine.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Entries looked at in one step: about a millisecond.
inline constexpr std::size_t kInquirySlice = 16384;
/// Connections in one answer: more would not be read, and a filter finds what is looked for.
inline constexpr std::size_t kMostListed = 2000;
/// Inquiries that wait for their answers. More is a mistake, and each holds its lines.
inline constexpr std::size_t kMostInquiries = 8;

class Inquiries {
 public:
  explicit Inquiries(Store& store) : store_(store) {}

  /// The reply comes later, or at once when it cannot be.
  void list(std::uint64_t client, const common::Request& request, Actions& out);
  /// Forgets what the peer told of and our kernel does not have. False: refused. Else the caller asks the peer to tell
  /// it all again.
  bool forget(std::uint64_t client, const common::Request& request, bool link_up, Actions& out);

  void advance(Actions& out);
  bool working() const { return !waiting_.empty(); }

 private:
  struct Inquiry {
    std::uint64_t client = 0, id = 0;
    std::optional<common::ConnectionFilter> filter;  ///< none: forget
    Slot cursor = 0;
    std::size_t found = 0;
    std::string lines;  ///< the JSON of what was found so far
    bool more = false;
  };
  bool admit(std::uint64_t client, std::uint64_t id, Actions& out);
  void look_at(Inquiry& inquiry);
  void forget(Inquiry& inquiry);
  static void refuse(std::uint64_t client, std::uint64_t id, std::string why, Actions& out);

  Store& store_;
  std::vector<Inquiry> waiting_;
};

}  // namespace syncd
