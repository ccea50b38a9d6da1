#pragma once
// Which multicast addresses a sync link can have: for the reader of our file and for the importer of others'.
#include "common/address.hpp"

namespace common {

/// RFC 4291 2.7: what is sent to scope 0 (reserved) or 1 (interface-local) never leaves its router.
inline bool leaves_the_router(const IpAddress& group) {
  return group.is_v4() || std::to_integer<unsigned>(group.bytes()[1] & std::byte{0x0f}) > 1;
}

inline bool can_be_sync_group(const IpAddress& group, Family family) {
  return group.is_multicast() && leaves_the_router(group) && group.family() == family;
}

}  // namespace common
