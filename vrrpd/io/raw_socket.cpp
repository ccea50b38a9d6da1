#include "vrrpd/io/raw_socket.hpp"

#include <linux/pkt_sched.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/bytes.hpp"
#include "vrrpd/advert.hpp"

// glibc 2.36 does not know them yet; the kernel does since 4.20 and 4.15.
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

namespace vrrpd::io {
namespace {

using common::Family;
using common::io::UniqueFd;

constexpr int kTtl = kAdvertTtl;
constexpr int kTypeOfService = 0xc0;  ///< internetwork control, as routing protocols use
/// Adverts of many instances that arrive while we are not scheduled must still be there afterwards: losing
/// them would look like the death of the master.
constexpr int kReceiveBuffer = 1 << 20;
/// Of all control messages that we ask for or send.
constexpr std::size_t kControl = 128;

template <typename T>
bool set(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

in6_addr to_in6(const common::IpAddress& address) {
  in6_addr result{};
  std::memcpy(&result, address.bytes().data(), sizeof result);
  return result;
}

common::IpAddress to_address(std::uint32_t network_order) {
  return common::IpAddress::v4(ntohl(network_order));
}

common::IpAddress to_address(const in6_addr& address) {
  return common::IpAddress::v6(std::as_bytes(std::span(address.s6_addr)));
}

ip_mreqn group_v4(int index) {
  return {.imr_multiaddr = {htonl(vrrp_multicast().v4_value())}, .imr_address = {}, .imr_ifindex = index};
}

bool prepare_to_send_v4(int fd, int index) {
  const int off = 0;
  return set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, off) && set(fd, IPPROTO_IP, IP_MULTICAST_TTL, kTtl) &&
         set(fd, IPPROTO_IP, IP_TTL, kTtl) && set(fd, IPPROTO_IP, IP_TOS, kTypeOfService) &&
         set(fd, IPPROTO_IP, IP_MULTICAST_IF, group_v4(index));
}

bool prepare_to_send_v6(int fd, int index) {
  const int off = 0;
  return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, off) && set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kTtl) &&
         set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, kTtl) && set(fd, IPPROTO_IPV6, IPV6_TCLASS, kTypeOfService) &&
         set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
}

bool prepare_v4(int fd, int index) {
  const int off = 0;
  return prepare_to_send_v4(fd, index) && set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, group_v4(index)) &&
         set(fd, IPPROTO_IP, IP_MULTICAST_ALL, off);
}

bool prepare_v6(int fd, int index) {
  ipv6_mreq group{};
  group.ipv6mr_multiaddr = to_in6(vrrp_multicast(Family::ipv6));
  group.ipv6mr_interface = static_cast<unsigned>(index);
  const int off = 0, on = 1;
  return prepare_to_send_v6(fd, index) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, on) &&
         set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, on) && set(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, group) &&
         set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, off);
}

/// Puts one control message into an empty buffer.
template <typename T>
void put_control(msghdr& message, std::span<std::byte> buffer, int level, int type, const T& value) {
  message.msg_control = buffer.data();
  message.msg_controllen = CMSG_SPACE(sizeof value);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

template <typename T>
T value_of(cmsghdr* header) {
  T value{};
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

/// A raw IPv4 socket is given whole packets whose IP header the kernel has checked.
Reading take_v4(std::span<const std::byte> data, AdvertReceived& packet) {
  iphdr ip{};
  if (data.size() < sizeof ip) return Reading::unusable;
  std::memcpy(&ip, data.data(), sizeof ip);
  const std::size_t header_size = std::size_t{ip.ihl} * 4;
  if (header_size < sizeof ip || header_size > data.size()) return Reading::unusable;
  packet.source = to_address(ip.saddr);
  packet.destination = to_address(ip.daddr);
  packet.ttl = ip.ttl;
  const auto payload = data.subspan(header_size);
  packet.payload.assign(payload.begin(), payload.end());
  return Reading::packet;
}

UniqueFd open_bound(Family family, const std::string& interface) {
  const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
  UniqueFd fd(socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kVrrpProtocol));
  if (!fd) return {};
  const auto size = static_cast<socklen_t>(interface.size() + 1);
  if (setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), size) != 0) return {};
  // Best effort, as it needs a privilege. An advert must not wait behind the packets that fill the queue of a busy
  // interface.
  set(fd.get(), SOL_SOCKET, SO_PRIORITY, int{TC_PRIO_CONTROL});
  return fd;
}

}  // namespace

UniqueFd open_raw_socket(Family family, const std::string& interface, int index) {
  UniqueFd fd = open_bound(family, interface);
  if (!fd) return {};
  const int s = fd.get(), on = 1;
  const bool prepared = family == Family::ipv4 ? prepare_v4(s, index) : prepare_v6(s, index);
  if (!prepared || !set(s, SOL_SOCKET, SO_RXQ_OVFL, on)) return {};
  // Best effort, as it needs a privilege.
  set(s, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer);
  return fd;
}

UniqueFd open_raw_sender(Family family, const std::string& interface, int index) {
  UniqueFd fd = open_bound(family, interface);
  if (!fd) return {};
  const int s = fd.get(), on = 1;
  if (family == Family::ipv4) return prepare_to_send_v4(s, index) ? std::move(fd) : UniqueFd();
  // A link-local source is looked for on this very interface, but it is that of the one below.
  return prepare_to_send_v6(s, index) && set(s, IPPROTO_IPV6, IPV6_FREEBIND, on) ? std::move(fd) : UniqueFd();
}

int send_raw(int fd, int index, const SendAdvert& advert) {
  const bool v4 = advert.destination.is_v4();
  sockaddr_in to4{};
  sockaddr_in6 to6{};
  iovec part{const_cast<std::byte*>(advert.payload.data()), advert.payload.size()};
  alignas(cmsghdr) std::array<std::byte, kControl> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // The checksum covers the source address: the kernel must not choose another one.
  if (v4) {
    to4.sin_family = AF_INET;
    to4.sin_addr.s_addr = htonl(advert.destination.v4_value());
    message.msg_name = &to4;
    message.msg_namelen = sizeof to4;
    in_pktinfo source{};
    source.ipi_ifindex = index;
    if (advert.source.is_v4()) source.ipi_spec_dst.s_addr = htonl(advert.source.v4_value());
    put_control(message, control, IPPROTO_IP, IP_PKTINFO, source);
  } else {
    to6.sin6_family = AF_INET6;
    to6.sin6_addr = to_in6(advert.destination);
    to6.sin6_scope_id = static_cast<std::uint32_t>(index);
    message.msg_name = &to6;
    message.msg_namelen = sizeof to6;
    in6_pktinfo source{};
    source.ipi6_ifindex = static_cast<unsigned>(index);
    source.ipi6_addr = to_in6(advert.source);
    put_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, source);
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

Reading receive_raw(int fd, Family family, std::span<std::byte> buffer, AdvertReceived& packet,
                    std::optional<std::uint32_t>& lost) {
  alignas(cmsghdr) std::array<std::byte, kControl> control;
  iovec part{buffer.data(), buffer.size()};
  sockaddr_in6 from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(fd, &message, 0);
  if (got < 0) return Reading::nothing;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_RXQ_OVFL) lost = value_of<std::uint32_t>(header);
    if (header->cmsg_level != IPPROTO_IPV6) continue;
    if (header->cmsg_type == IPV6_HOPLIMIT) packet.ttl = static_cast<std::uint8_t>(value_of<int>(header));
    if (header->cmsg_type == IPV6_PKTINFO) packet.destination = to_address(value_of<in6_pktinfo>(header).ipi6_addr);
  }
  const auto data = buffer.first(static_cast<std::size_t>(got));
  if (family == Family::ipv4) return take_v4(data, packet);
  // Of an IPv6 packet the header stays in the kernel, which tells the parts that matter beside it.
  packet.source = to_address(from.sin6_addr);
  packet.payload.assign(data.begin(), data.end());
  return Reading::packet;
}

}  // namespace vrrpd::io
