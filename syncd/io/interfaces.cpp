#include "syncd/io/interfaces.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "common/io/log.hpp"
#include "syncd/ctnetlink.hpp"

// <net/if.h> hides this one of the kernel's flags, and <linux/if.h> cannot be included beside it.
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

namespace syncd::io {
namespace {

using common::ByteView;
using common::IpAddress;

/// An interface with many virtual functions is described in some ten kilobytes.
constexpr std::size_t kBufferSize = 65536;
/// Some thousand changes of addresses at once.
constexpr int kReceiveBuffer = 4 << 20;

template <typename T>
std::optional<T> header_of(ByteView payload) {
  if (payload.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, payload.data(), sizeof(T));
  return value;
}

constexpr std::size_t align(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

/// The attribute of this type behind the header, or nothing.
std::optional<ByteView> attribute(ByteView payload, std::size_t header, std::uint16_t type) {
  if (payload.size() < align(header)) return std::nullopt;
  payload = payload.subspan(align(header));
  while (payload.size() >= sizeof(rtattr)) {
    const auto found = *header_of<rtattr>(payload);
    if (found.rta_len < sizeof(rtattr) || found.rta_len > payload.size()) return std::nullopt;
    if (found.rta_type == type) return payload.subspan(sizeof(rtattr), found.rta_len - sizeof(rtattr));
    payload = payload.subspan(std::min(align(found.rta_len), payload.size()));
  }
  return std::nullopt;
}

std::optional<IpAddress> address_of(ByteView payload) {
  // With a peer on the other end of a point-to-point interface, IFA_LOCAL is ours.
  auto found = attribute(payload, sizeof(ifaddrmsg), IFA_LOCAL);
  if (!found) found = attribute(payload, sizeof(ifaddrmsg), IFA_ADDRESS);
  if (!found) return std::nullopt;
  if (found->size() == 4) return IpAddress::v4(found->first<4>());
  if (found->size() == 16) return IpAddress::v6(found->first<16>());
  return std::nullopt;
}

common::Result<NetlinkSocket> open_monitor() {
  auto monitor = NetlinkSocket::open(NETLINK_ROUTE, "interfaces");
  if (!monitor) return monitor;
  monitor->receive_buffer(kReceiveBuffer);
  for (const unsigned group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR})
    if (const auto joined = monitor->join(group); !joined) return std::unexpected(joined.error());
  return monitor;
}

}  // namespace

common::Result<std::unique_ptr<Interfaces>> Interfaces::open(common::io::Loop& loop, Counters& counters,
                                                             std::function<void()> changed) {
  // Subscribed before the dump: a change in between is told twice rather than never.
  auto monitor = open_monitor();
  if (!monitor) return std::unexpected(monitor.error());
  std::unique_ptr<Interfaces> result(new Interfaces(loop, counters, std::move(changed), std::move(*monitor)));
  if (auto read = result->read_all(); !read) return std::unexpected(read.error());
  return result;
}

Interfaces::Interfaces(common::io::Loop& loop, Counters& counters, std::function<void()> changed, NetlinkSocket monitor)
    : loop_(loop),
      counters_(counters),
      changed_(std::move(changed)),
      monitor_(std::move(monitor)),
      buffer_(kBufferSize) {
  loop_.watch(monitor_.fd(), EPOLLIN, [this](std::uint32_t) { poll(); });
}

Interfaces::~Interfaces() {
  loop_.unwatch(monitor_.fd());
}

const Interfaces::Interface* Interfaces::find(const std::string& name) const {
  for (const auto& [index, interface] : interfaces_)
    if (interface.name == name) return &interface;
  return nullptr;
}

std::vector<IpAddress> Interfaces::addresses() const {
  std::set<IpAddress> all;
  for (const auto& [index, interface] : interfaces_) all.insert(interface.addresses.begin(), interface.addresses.end());
  return {all.begin(), all.end()};
}

common::Status Interfaces::read_all() {
  auto before = std::exchange(interfaces_, {});
  auto result = dump(RTM_GETLINK);
  if (result) result = dump(RTM_GETADDR);
  if (!result) interfaces_ = std::move(before);
  return result;
}

/// The kernel writes a dump while it is being read, so that the socket is never empty before the end of it.
common::Status Interfaces::dump(std::uint16_t type) {
  const auto socket = NetlinkSocket::open(NETLINK_ROUTE, "interfaces");
  if (!socket) return std::unexpected(socket.error());
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtgen_family = AF_UNSPEC;
  if (auto sent = socket->send(std::as_bytes(std::span(&request, 1))); !sent) return sent;
  for (;;) {
    ByteView datagram;
    if (socket->receive(buffer_, datagram) != NetlinkSocket::Received::datagram)
      return common::fail("interfaces: the kernel's list of them could not be read");
    if (apply(datagram)) return {};
  }
}

void Interfaces::poll() {
  for (;;) {
    ByteView datagram;
    const auto received = monitor_.receive(buffer_, datagram);
    if (received == NetlinkSocket::Received::datagram) {
      apply(datagram);
      continue;
    }
    if (received != NetlinkSocket::Received::lost) break;
    ++counters_.netlink_overruns;
    if (const auto read = read_all(); !read) {
      common::io::log(common::io::LogLevel::error, "netlink_failed", read.error().text);
      break;
    }
  }
  changed_();
}

bool Interfaces::apply(ByteView datagram) {
  while (const auto message = ctnetlink::next_message(datagram)) {
    switch (message->type) {
      case NLMSG_DONE:
      case NLMSG_ERROR:
        return true;
      case RTM_NEWLINK:
      case RTM_DELLINK:
        apply_link(message->type, message->payload);
        break;
      case RTM_NEWADDR:
      case RTM_DELADDR:
        apply_address(message->type, message->payload);
        break;
      default:
        break;  // other kinds belong to groups that were not joined
    }
  }
  return false;
}

void Interfaces::apply_link(std::uint16_t type, ByteView payload) {
  const auto header = header_of<ifinfomsg>(payload);
  if (!header || header->ifi_family != AF_UNSPEC) return;  // a bridge tells of its ports
  if (type == RTM_DELLINK) {
    interfaces_.erase(header->ifi_index);
    return;
  }
  const auto name = attribute(payload, sizeof(ifinfomsg), IFLA_IFNAME);
  if (!name || name->empty()) return;
  Interface& interface = interfaces_[header->ifi_index];
  interface.index = header->ifi_index;
  interface.name.assign(reinterpret_cast<const char*>(name->data()), name->size() - 1);
  if (const auto mtu = attribute(payload, sizeof(ifinfomsg), IFLA_MTU); mtu && mtu->size() == sizeof interface.mtu)
    std::memcpy(&interface.mtu, mtu->data(), sizeof interface.mtu);
  // The carrier itself. The operational state (IFF_RUNNING) follows up to a second later, and to send too
  // early does no harm here.
  constexpr unsigned kNeeded = IFF_UP | IFF_LOWER_UP;
  const bool was_running = std::exchange(interface.running, (header->ifi_flags & kNeeded) == kNeeded);
  if (was_running && !interface.running) ++interface.interruptions;
}

void Interfaces::apply_address(std::uint16_t type, ByteView payload) {
  const auto header = header_of<ifaddrmsg>(payload);
  const auto address = address_of(payload);
  if (!header || !address) return;
  const auto found = interfaces_.find(static_cast<int>(header->ifa_index));
  if (found == interfaces_.end()) return;
  std::uint32_t flags = header->ifa_flags;
  if (const auto wide = attribute(payload, sizeof(ifaddrmsg), IFA_FLAGS); wide && wide->size() == sizeof flags)
    std::memcpy(&flags, wide->data(), sizeof flags);
  // An IPv6 address cannot be bound before the network has been asked whether it is free.
  const bool usable = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
  if (type == RTM_NEWADDR && usable)
    found->second.addresses.insert(*address);
  else
    found->second.addresses.erase(*address);
}

}  // namespace syncd::io
