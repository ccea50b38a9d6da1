#include "syncd/io/netlink_socket.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace syncd::io {
namespace {

common::Error system_error(const std::string& what, const std::string& did) {
  const int code = errno;
  std::string text = what + ": " + did + ": " + std::strerror(code);
  if (code == EPERM || code == EACCES) text += " (run as root, or with CAP_NET_ADMIN)";
  return {code, text};
}

}  // namespace

void NetlinkSocket::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

common::Result<NetlinkSocket> NetlinkSocket::open(int bus, const std::string& what) {
  NetlinkSocket result;
  result.what_ = what;
  result.socket_.reset(mnl_socket_open2(bus, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!result.socket_) return std::unexpected(system_error(what, "cannot open a netlink socket"));
  if (mnl_socket_bind(result.socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    return std::unexpected(system_error(what, "cannot bind the netlink socket"));
  return result;
}

int NetlinkSocket::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

std::uint32_t NetlinkSocket::port() const {
  return mnl_socket_get_portid(socket_.get());
}

common::Status NetlinkSocket::join(unsigned group) const {
  int value = static_cast<int>(group);
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &value, sizeof value) < 0)
    return std::unexpected(system_error(what_, "cannot subscribe to group " + std::to_string(group)));
  return {};
}

common::Status NetlinkSocket::leave(unsigned group) const {
  int value = static_cast<int>(group);
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_DROP_MEMBERSHIP, &value, sizeof value) < 0)
    return std::unexpected(system_error(what_, "cannot leave group " + std::to_string(group)));
  return {};
}

void NetlinkSocket::receive_buffer(int bytes) {
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

void NetlinkSocket::short_errors() {
  int on = 1;
  mnl_socket_setsockopt(socket_.get(), NETLINK_CAP_ACK, &on, sizeof on);
}

common::Status NetlinkSocket::send(common::ByteView bytes) const {
  for (;;) {
    if (mnl_socket_sendto(socket_.get(), bytes.data(), bytes.size()) >= 0) return {};
    if (errno != EINTR) return std::unexpected(system_error(what_, "cannot send to the kernel"));
  }
}

NetlinkSocket::Received NetlinkSocket::receive(std::span<std::byte> buffer, common::ByteView& out) const {
  for (;;) {
    const ssize_t size = ::recv(fd(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Received::nothing;
    if (size < 0) return errno == ENOBUFS ? Received::lost : Received::failed;
    // A message longer than our buffers is cut by the kernel without a word; to the reader it is a lost one.
    if (static_cast<std::size_t>(size) > buffer.size()) return Received::lost;
    out = common::ByteView(buffer).first(static_cast<std::size_t>(size));
    return Received::datagram;
  }
}

}  // namespace syncd::io
