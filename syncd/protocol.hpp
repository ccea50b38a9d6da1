#pragma once
// Versions of what is spoken over the link, of everything in it at once: the head of each datagram has the one that it
// is in. Routers are upgraded one after the other, so each release speaks the version before its own, too. A node
// greets in its newest; who hears a greeting answers in the version of the greeting, or not at all if that is unknown.
// So of two unlike nodes the older one's greeting counts, and both speak its version until it is upgraded.
#include <cstdint>

namespace syncd {

/// 1: before streams had kinds and a statement said what was let go; spoken by no release. 2: before records had
/// extras.
inline constexpr std::uint8_t kProtocol = 3;
inline constexpr std::uint8_t kOldestProtocol = 2;
inline constexpr std::uint8_t kProtocolOfExtras = 3;

}  // namespace syncd
