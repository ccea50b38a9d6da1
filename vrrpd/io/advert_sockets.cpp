#include "vrrpd/io/advert_sockets.hpp"

#include <linux/pkt_sched.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "common/bytes.hpp"
#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using common::io::LogLevel;
using common::io::UniqueFd;

constexpr int kProtocolVrrp = 112;
constexpr std::uint32_t kVrrpGroup = 0xe0000012;  ///< 224.0.0.18
constexpr int kTtl = 255;                         ///< RFC 9568 5.1.1.3: anything else has been routed
constexpr int kTypeOfService = 0xc0;              ///< internetwork control, as routing protocols use
/// Adverts of many instances that arrive while we are not scheduled must still be there afterwards: losing
/// them would look like the death of the master.
constexpr int kReceiveBuffer = 1 << 20;
/// Packets of one interface read in a row; a flood on it must not keep timers waiting.
constexpr int kBurst = 64;
/// The longest IP packet. An advert is a few dozen bytes; a truncated longer one would be misjudged by the
/// decoder.
constexpr std::size_t kMaxPacket = 65535;

template <typename T>
bool set(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

UniqueFd open_socket(const std::string& interface, int index) {
  UniqueFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kProtocolVrrp));
  if (!fd) return {};
  const int s = fd.get();
  const ip_mreqn group{.imr_multiaddr = {htonl(kVrrpGroup)}, .imr_address = {}, .imr_ifindex = index};
  const int off = 0, on = 1;
  const bool ready =
      setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                 static_cast<socklen_t>(interface.size() + 1)) == 0 &&
      set(s, IPPROTO_IP, IP_MULTICAST_LOOP, off) && set(s, IPPROTO_IP, IP_MULTICAST_TTL, kTtl) &&
      set(s, IPPROTO_IP, IP_TTL, kTtl) && set(s, IPPROTO_IP, IP_TOS, kTypeOfService) &&
      set(s, IPPROTO_IP, IP_MULTICAST_IF, group) && set(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, group) &&
      set(s, IPPROTO_IP, IP_MULTICAST_ALL, off) && set(s, SOL_SOCKET, SO_RXQ_OVFL, on);
  if (!ready) return {};
  // Best effort, both need a privilege. An advert must not wait behind the packets that fill the queue of a
  // busy interface.
  set(s, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer);
  set(s, SOL_SOCKET, SO_PRIORITY, int{TC_PRIO_CONTROL});
  return fd;
}

common::IpAddress to_address(std::uint32_t network_order) {
  return common::IpAddress::v4(ntohl(network_order));
}

}  // namespace

AdvertSockets::AdvertSockets(common::io::Loop& loop, Counters& counters, Handler handler)
    : loop_(loop), counters_(counters), handler_(std::move(handler)), buffer_(kMaxPacket) {}

AdvertSockets::~AdvertSockets() {
  for (auto& [interface, socket] : sockets_) close(socket);
}

void AdvertSockets::close(Socket& socket) {
  if (socket.fd) loop_.unwatch(socket.fd.get());
  socket.fd.reset();
}

void AdvertSockets::attach(const std::string& interface, int index) {
  Socket& socket = sockets_[interface];
  if (socket.index == index && (socket.fd || index == 0)) return;
  close(socket);
  socket = Socket{};
  socket.index = index;
  if (index == 0) return;
  socket.fd = open_socket(interface, index);
  if (!socket.fd) {
    ++counters_.advert_socket_errors;
    common::io::log(LogLevel::error, "advert_socket_failed",
                    "cannot open a socket for adverts on " + interface + ": " + std::strerror(errno));
    return;
  }
  // Not before the participants: a flood of packets must not keep their answers waiting. (Timers ask for
  // adverts first.)
  loop_.watch(socket.fd.get(), EPOLLIN, [this, interface](std::uint32_t) { read(interface); });
}

void AdvertSockets::keep(const Links::Watched& interfaces) {
  for (auto& [interface, socket] : sockets_)
    if (!interfaces.contains(interface)) close(socket);
  std::erase_if(sockets_, [&](const auto& entry) { return !interfaces.contains(entry.first); });
}

void AdvertSockets::send(const SendAdvert& advert) {
  const auto found = sockets_.find(advert.interface);
  int error = 0;
  if (found == sockets_.end() || !found->second.fd) {
    error = ENODEV;
  } else {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(kVrrpGroup);
    iovec part{const_cast<std::byte*>(advert.payload.data()), advert.payload.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(in_pktinfo))> control{};
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    // The checksum may cover the source address: the kernel must not choose another one.
    in_pktinfo source{};
    source.ipi_ifindex = found->second.index;
    if (advert.source.is_v4()) source.ipi_spec_dst.s_addr = htonl(advert.source.v4_value());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof source);
    std::memcpy(CMSG_DATA(header), &source, sizeof source);
    if (sendmsg(found->second.fd.get(), &message, MSG_NOSIGNAL) < 0) error = errno;
  }
  if (error != 0) ++counters_.advert_send_errors;
  if (found == sockets_.end() || found->second.last_error == error) return;
  found->second.last_error = error;
  if (error != 0)
    common::io::log(LogLevel::warning, "advert_send_failed",
                    "cannot send adverts on " + advert.interface + ": " + std::strerror(error));
  else
    common::io::log(LogLevel::info, "advert_send_works",
                    "adverts on " + advert.interface + " can be sent again");
}

void AdvertSockets::poll() {
  for (auto& [interface, socket] : sockets_)
    if (socket.fd) read(interface);
}

void AdvertSockets::read(const std::string& interface) {
  for (int i = 0; i < kBurst; ++i) {
    // Looked up each time: the handler may have closed or reopened it.
    const auto found = sockets_.find(interface);
    if (found == sockets_.end() || !found->second.fd || !read_one(interface, found->second)) return;
  }
}

bool AdvertSockets::read_one(const std::string& interface, Socket& socket) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))> control;
  iovec part{buffer_.data(), buffer_.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket.fd.get(), &message, 0);
  if (got < 0) return false;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_RXQ_OVFL) continue;
    std::uint32_t lost = 0;
    std::memcpy(&lost, CMSG_DATA(header), sizeof lost);
    counters_.advert_overflows += lost - socket.overflows;
    socket.overflows = lost;
  }
  // A raw IPv4 socket is given whole packets whose IP header the kernel has checked.
  iphdr ip{};
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof ip) return true;
  std::memcpy(&ip, buffer_.data(), sizeof ip);
  const std::size_t header_size = std::size_t{ip.ihl} * 4;
  if (header_size < sizeof ip || header_size > size) return true;
  const auto payload = std::span(buffer_).subspan(header_size, size - header_size);
  handler_({.interface = interface,
            .source = to_address(ip.saddr),
            .destination = to_address(ip.daddr),
            .ttl = ip.ttl,
            .payload = common::Bytes(payload.begin(), payload.end())});
  return true;
}

}  // namespace vrrpd::io
