#include "vrrpd/io/announcer.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/pkt_sched.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "common/bytes.hpp"

namespace vrrpd::io {
namespace {

constexpr common::MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

common::ByteView view(const common::MacAddress& mac) {
  return std::as_bytes(std::span(mac.bytes));
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1   RFC 826
// +-------------------------------+-------------------------------+
// |       hardware: Ethernet      |        protocol: IPv4         |
// +---------------+---------------+-------------------------------+
// |    length 6   |    length 4   |      operation: request       |
// +---------------+---------------+-------------------------------+
// | sender: our MAC, the address; target: broadcast, the address  |
// +---------------------------------------------------------------+
// A request and not a reply: RFC 5227 3 names it as what the most receivers understand.
common::Bytes gratuitous_request(const common::MacAddress& mac, const common::IpAddress& address) {
  common::Bytes frame;
  common::ByteWriter out(frame);
  out.u16(ARPHRD_ETHER);
  out.u16(ETHERTYPE_IP);
  out.u8(ETH_ALEN);
  out.u8(4);
  out.u16(ARPOP_REQUEST);
  out.view(view(mac));
  out.view(address.bytes());
  out.view(view(kBroadcast));
  out.view(address.bytes());
  return frame;
}

}  // namespace

common::Result<Announcer> Announcer::open() {
  // Protocol 0: it sends only. SOCK_DGRAM: the kernel writes the Ethernet header with the interface's
  // address.
  common::io::UniqueFd fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    const int error = errno;
    return common::fail(std::string("cannot open a packet socket: ") + std::strerror(error) +
                            "; vrrpd needs to run as root or with CAP_NET_RAW",
                        error);
  }
  // Best effort: not behind the packets that fill the queue of a busy interface.
  const int priority = TC_PRIO_CONTROL;
  setsockopt(fd.get(), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);
  return Announcer(std::move(fd));
}

int Announcer::announce(int index, const common::MacAddress& mac, const common::IpAddress& address) {
  if (!address.is_v4()) return EAFNOSUPPORT;
  if (index == 0) return ENODEV;
  const common::Bytes frame = gratuitous_request(mac, address);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_ARP);
  to.sll_ifindex = index;
  to.sll_halen = ETH_ALEN;
  std::memcpy(to.sll_addr, kBroadcast.bytes.data(), ETH_ALEN);
  const ssize_t sent = sendto(fd_.get(), frame.data(), frame.size(), MSG_NOSIGNAL,
                              reinterpret_cast<sockaddr*>(&to), sizeof to);
  return sent < 0 ? errno : 0;
}

}  // namespace vrrpd::io
