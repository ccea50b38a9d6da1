#pragma once
// How many flows the table takes: what this router's kernel takes, as more could not be committed at a takeover, and
// some that have ended and that the peer has yet to be told of. An overflow is a state: it begins with the first flow
// that finds no room, is said once, and ends when there is room again and what was left out has been read anew.
#include <cstdint>
#include <string>

#include "syncd/frame.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// Beside those that the kernel may have: a quarter, and as many as a small router's may end between two datagrams.
inline constexpr std::size_t kRoomForEnded = 4096;
/// There is room again when a sixteenth of the table is free, and nothing was turned away for so many looks at it, of
/// which there is one a second: everything is read anew then, which a table that is full at once again should not cause
/// all the time.
inline constexpr std::size_t kRoomAgain = 16;
inline constexpr int kRoomLooks = 3;

/// The kernel's limit is 0 where there is none.
std::size_t room_for(std::uint64_t kernel_limit);

class Room {
 public:
  enum class News : std::uint8_t { none, full, again };

  explicit Room(Store& store) : store_(store) {}
  /// The kernel's table was looked at. `again`: what was left out is to be read.
  News measured(const TableSize& kernel);
  /// Why something is left out, and what to do about it; empty: nothing is.
  std::string reason() const;

 private:
  Store& store_;
  std::uint64_t kernel_limit_ = 0;
  std::uint64_t turned_away_ = 0;  ///< until the last look
  int quiet_looks_ = 0;
  bool full_ = false;
};

}  // namespace syncd
