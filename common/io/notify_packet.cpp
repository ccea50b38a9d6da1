#include "common/io/notify_packet.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace common::io {

std::string error_text(int code) {
  return std::strerror(code);
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(path + ": the path of a socket must be shorter than " + std::to_string(sizeof address.sun_path) +
                    " bytes; use another --run-dir",
                ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  return address;
}

UniqueFd new_packet_socket() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int connect_to(int fd, const sockaddr_un& address) {
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

Received receive(int fd) {
  static thread_local std::vector<char> buffer(kNotifyMaxPacket);
  for (;;) {
    // MSG_TRUNC makes the result the true length of a packet that was too long.
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), MSG_TRUNC);
    if (size == 0) return {Received::What::end, {}, {}};
    if (size > 0) {
      if (static_cast<std::size_t>(size) > buffer.size())
        return {Received::What::garbage, {}, "message of " + std::to_string(size) + " bytes is too long"};
      auto message = decode_notify({buffer.data(), static_cast<std::size_t>(size)});
      if (!message) return {Received::What::garbage, {}, message.error().text};
      return {Received::What::message, std::move(*message), {}};
    }
    // A peer that closed without having read all leaves ECONNRESET once; what it sent before lies behind it.
    if (errno == EINTR || errno == ECONNRESET) continue;
    return {errno == EAGAIN ? Received::What::nothing : Received::What::end, {}, {}};
  }
}

std::vector<std::string> packets_of(const NotifyMessage& message) {
  const auto* reply = std::get_if<Reply>(&message);
  if (reply == nullptr || reply->body.size() <= kReplyPiece) return {encode(message)};
  Reply piece{.id = reply->id, .ok = reply->ok, .error = reply->error, .body = {}, .more = false};
  if (reply->body.size() > kMaxReplyBody) {
    piece.ok = false;
    piece.error = "the answer is too long: ask for less";
    return {encode(piece)};
  }
  std::vector<std::string> packets;
  for (std::size_t at = 0; at < reply->body.size();) {
    std::size_t end = std::min(at + kReplyPiece, reply->body.size());
    // Not within a character of UTF-8, which has at most three bytes after the first.
    for (int i = 0; i < 3 && end < reply->body.size() && (reply->body[end] & 0xc0) == 0x80; ++i) --end;
    piece.body = reply->body.substr(at, end - at);
    piece.more = reply->more || end < reply->body.size();
    packets.push_back(encode(piece));
    at = end;
  }
  return packets;
}

Outbox::Result Outbox::push(int fd, std::string packet) {
  if (packet.size() > kNotifyMaxPacket) return Result::too_long;
  if (queue_.empty()) {
    const Result result = try_send(fd, packet);
    if (result != Result::queued) return result;
  }
  if (bytes_ + packet.size() > kMaxQueuedBytes) return Result::full;
  bytes_ += packet.size();
  queue_.push_back(std::move(packet));
  return Result::queued;
}

Outbox::Result Outbox::flush(int fd) {
  while (!queue_.empty()) {
    const Result result = try_send(fd, queue_.front());
    if (result != Result::sent) return result;
    bytes_ -= queue_.front().size();
    queue_.pop_front();
  }
  return Result::sent;
}

void Outbox::clear() {
  queue_.clear();
  bytes_ = 0;
}

Outbox::Result Outbox::try_send(int fd, const std::string& packet) {
  for (;;) {
    if (::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) >= 0) return Result::sent;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? Result::queued : Result::broken;
  }
}

}  // namespace common::io
