#pragma once
// Raw sockets for VRRP packets of one interface, IPv4 or IPv6: how they are opened, and one packet out or in.
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/address.hpp"
#include "common/io/unique_fd.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd::io {

/// Bound to the interface and joined to the group of VRRP. Not open: errno says why.
common::io::UniqueFd open_raw_socket(common::Family family, const std::string& interface, int index);

/// For sending only, with the MAC of this interface and addresses of another.
common::io::UniqueFd open_raw_sender(common::Family family, const std::string& interface, int index);

/// 0, or an errno value.
int send_raw(int fd, int index, const SendAdvert& advert);

enum class Reading { nothing, packet, unusable };

/// Reads one packet. `packet` is filled but for its interface; `lost`, when the kernel says it, is how many packets it
/// has dropped at this socket so far.
Reading receive_raw(int fd, common::Family family, std::span<std::byte> buffer, AdvertReceived& packet,
                    std::optional<std::uint32_t>& lost);

}  // namespace vrrpd::io
