#include "vrrpd/io/route_socket.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

namespace vrrpd::io {
namespace {

/// A burst of notifications (thousands of interfaces going down with their switch) should fit while we do
/// something else; beyond it everything is read anew.
constexpr int kMonitorBuffer = 4 << 20;
/// A dump is torn when the table changes under it; it is then repeated. A table that changes all the time
/// must not keep us here.
constexpr int kDumpAttempts = 5;

common::Result<SocketPtr> connect_route() {
  SocketPtr socket(nl_socket_alloc());
  if (!socket) return common::fail("cannot allocate a netlink socket", ENOMEM);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0)
    return common::fail(std::string("cannot open a route netlink socket: ") + nl_geterror(error));
  return socket;
}

int keep_errno(sockaddr_nl*, nlmsgerr* answer, void* where) {
  *static_cast<int*>(where) = -answer->error;
  return NL_STOP;
}

int call_visitor(nl_msg* message, void* visitor) {
  (*static_cast<const RouteSocket::Visitor*>(visitor))(nlmsg_hdr(message));
  return NL_OK;
}

MessagePtr dump_request(int type, int family, int interface) {
  MessagePtr message(nlmsg_alloc_simple(type, NLM_F_DUMP));
  if (!message) return nullptr;
  bool put = false;
  if (type == RTM_GETLINK) {
    ifinfomsg header{};
    header.ifi_family = static_cast<unsigned char>(family);
    put = nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
          nla_put_u32(message.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) == 0;
  } else if (type == RTM_GETNEIGH) {
    ndmsg header{};
    header.ndm_family = static_cast<unsigned char>(family);
    put = nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
          nla_put_u32(message.get(), NDA_IFINDEX, static_cast<std::uint32_t>(interface)) == 0;
  } else {
    ifaddrmsg header{};
    header.ifa_family = static_cast<unsigned char>(family);
    put = nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0;
  }
  return put ? std::move(message) : nullptr;
}

}  // namespace

void FreeSocket::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}
void FreeMessage::operator()(nl_msg* message) const {
  nlmsg_free(message);
}

int RouteMonitor::fd() const {
  return nl_socket_get_fd(socket_.get());
}

common::Result<RouteSocket> RouteSocket::open() {
  auto socket = connect_route();
  if (!socket) return std::unexpected(socket.error());
  return RouteSocket(std::move(*socket));
}

int RouteSocket::request(nl_msg* message) {
  int refused = 0;
  nl_socket_modify_err_cb(socket_.get(), NL_CB_CUSTOM, keep_errno, &refused);
  int outcome = nl_send_auto(socket_.get(), message);
  if (outcome >= 0) outcome = nl_wait_for_ack(socket_.get());
  if (refused != 0) return refused;
  return outcome < 0 ? EIO : 0;
}

common::Status RouteSocket::dump(int type, int family, const Visitor& visit, int interface) {
  int refused = 0;
  nl_socket_modify_err_cb(socket_.get(), NL_CB_CUSTOM, keep_errno, &refused);
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, call_visitor, const_cast<Visitor*>(&visit));
  int outcome = 0;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    const MessagePtr message = dump_request(type, family, interface);
    if (!message) return common::fail("cannot build a netlink request", ENOMEM);
    outcome = nl_send_auto(socket_.get(), message.get());
    if (outcome >= 0) outcome = nl_recvmsgs_default(socket_.get());
    if (outcome != -NLE_DUMP_INTR) break;
  }
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_DEFAULT, nullptr, nullptr);
  // A dump that is still torn shows what there is; what changed meanwhile comes as a notification.
  if (outcome < 0 && outcome != -NLE_DUMP_INTR)
    return common::fail(std::string("cannot list the interfaces: ") + nl_geterror(outcome), refused);
  return {};
}

common::Result<RouteMonitor> RouteMonitor::open() {
  auto socket = connect_route();
  if (!socket) return std::unexpected(socket.error());
  nl_sock* raw = socket->get();
  nl_socket_disable_seq_check(raw);
  int error = nl_socket_add_memberships(raw, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0);
  if (error == 0) error = nl_socket_set_nonblocking(raw);
  if (error < 0) return common::fail(std::string("cannot subscribe to changes of interfaces: ") + nl_geterror(error));
  // Best effort: without the privilege the system's default size stays.
  setsockopt(nl_socket_get_fd(raw), SOL_SOCKET, SO_RCVBUFFORCE, &kMonitorBuffer, sizeof kMonitorBuffer);
  return RouteMonitor(std::move(*socket));
}

common::Result<RouteMonitor> RouteMonitor::open_routes(unsigned char protocol) {
  auto socket = connect_route();
  if (!socket) return std::unexpected(socket.error());
  nl_sock* raw = socket->get();
  nl_socket_disable_seq_check(raw);
  RouteMonitor monitor(std::move(*socket));
  if (const int error = monitor.filter(protocol, {}); error != 0)
    return common::fail("cannot filter changes of routes", error);
  int error = nl_socket_add_memberships(raw, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
  if (error == 0) error = nl_socket_set_nonblocking(raw);
  if (error < 0) return common::fail(std::string("cannot subscribe to changes of routes: ") + nl_geterror(error));
  return monitor;
}

int RouteMonitor::filter(unsigned char protocol, const std::set<std::uint8_t>& replaced_lengths) {
  constexpr unsigned kProtocol = NLMSG_HDRLEN + offsetof(rtmsg, rtm_protocol);
  constexpr unsigned kLength = NLMSG_HDRLEN + offsetof(rtmsg, rtm_dst_len);
  constexpr unsigned kFlags = offsetof(nlmsghdr, nlmsg_flags);
  // The program reads numbers as the network has them, and the header is as the machine has them.
  const unsigned replaces = htons(NLM_F_REPLACE);
  const sock_filter take = BPF_STMT(BPF_RET | BPF_K, 0xffffffffU), leave = BPF_STMT(BPF_RET | BPF_K, 0);
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kProtocol), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 0, 1),  take,
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kFlags),    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, replaces, 1, 0), leave,
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kLength)};
  for (const std::uint8_t length : replaced_lengths) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, length, 0, 1));
    program.push_back(take);
  }
  program.push_back(leave);
  const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
  return setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &whole, sizeof whole) == 0 ? 0 : errno;
}

RouteMonitor::Outcome RouteMonitor::read(const RouteSocket::Visitor& visit) {
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, call_visitor,
                      const_cast<RouteSocket::Visitor*>(&visit));
  Outcome outcome = Outcome::drained;
  for (;;) {
    const int result = nl_recvmsgs_default(socket_.get());
    if (result == -NLE_AGAIN) return outcome;
    if (result < 0) {
      // ENOBUFS arrives once and the queue can be read on; any other error would come back for ever.
      outcome = Outcome::overrun;
      if (result != -NLE_NOMEM) return outcome;
    }
  }
}

}  // namespace vrrpd::io
