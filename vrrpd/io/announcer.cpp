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
/// RFC 2464 7: that of ff02::1.
constexpr common::MacAddress kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
const common::IpAddress kAllNodes = *common::IpAddress::parse("ff02::1");

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

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1   RFC 8200 3
// +-------------------------------+---------------+---------------+
// | version 6, class, flow label                                  |
// | payload length 32             | next: ICMPv6  | hop limit 255 |
// | source: the address (16 bytes); destination: ff02::1 (16)     |
// +---------------+---------------+-------------------------------+   RFC 4861 4.4
// | type 136      | code 0        | checksum                      |
// |R|S|O| reserved                                                |
// | target: the address (16 bytes)                                |
// | option 2, length 1 (8 bytes)  | our MAC                       |
// +---------------------------------------------------------------+
// R because a virtual router is one (hosts drop a default router that says it is none), O because the MAC that they
// know is the old one, not S because nobody has asked.
common::Bytes unsolicited_advertisement(const common::MacAddress& mac, const common::IpAddress& address) {
  constexpr std::uint8_t kIcmp = 58, kAdvertisement = 136, kTargetLinkLayer = 2;
  constexpr std::uint32_t kRouter = 0x80000000, kOverride = 0x20000000;
  common::Bytes message;
  common::ByteWriter body(message);
  body.u8(kAdvertisement);
  body.u8(0);
  body.u16(0);
  body.u32(kRouter | kOverride);
  body.view(address.bytes());
  body.u8(kTargetLinkLayer);
  body.u8(1);
  body.view(view(mac));
  std::uint64_t sum = common::checksum_add(0, address.bytes());
  sum = common::checksum_add(sum, kAllNodes.bytes()) + kIcmp + message.size();
  const std::uint16_t checksum = common::checksum_finish(common::checksum_add(sum, message));
  message[2] = static_cast<std::byte>(checksum >> 8);
  message[3] = static_cast<std::byte>(checksum & 0xff);

  common::Bytes packet;
  common::ByteWriter out(packet);
  out.u32(0x60000000);
  out.u16(static_cast<std::uint16_t>(message.size()));
  out.u8(kIcmp);
  out.u8(255);  // RFC 4861 7.1.2: any other has been routed
  out.view(address.bytes());
  out.view(kAllNodes.bytes());
  out.view(message);
  return packet;
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
  if (index == 0) return ENODEV;
  const bool v4 = address.is_v4();
  const common::Bytes frame = v4 ? gratuitous_request(mac, address) : unsolicited_advertisement(mac, address);
  const common::MacAddress& receiver = v4 ? kBroadcast : kAllNodesMac;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(v4 ? ETH_P_ARP : ETH_P_IPV6);
  to.sll_ifindex = index;
  to.sll_halen = ETH_ALEN;
  std::memcpy(to.sll_addr, receiver.bytes.data(), ETH_ALEN);
  const ssize_t sent =
      sendto(fd_.get(), frame.data(), frame.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), sizeof to);
  return sent < 0 ? errno : 0;
}

}  // namespace vrrpd::io
