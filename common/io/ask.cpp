#include <poll.h>

#include <cerrno>
#include <thread>

#include "common/io/notify_packet.hpp"
#include "common/io/notify_socket.hpp"

namespace common::io {

namespace {

// Between two attempts while a daemon is too busy to take connections.
constexpr Duration kRetryEvery = 10ms;

Error unreachable(const std::string& path, int code) {
  std::string hint;
  if (code == ENOENT || code == ECONNREFUSED) hint = " (is the daemon running?)";
  if (code == EACCES || code == EPERM) hint = " (run as root)";
  return {code, path + ": " + error_text(code) + hint};
}

Error no_answer(const std::string& path) {
  return {ETIMEDOUT, path + ": no answer in time"};
}

Result<UniqueFd> connect_until(const std::string& path, Time deadline) {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  for (;;) {
    UniqueFd fd = new_packet_socket();
    const int error = fd ? connect_to(fd.get(), *address) : errno;
    if (error == 0) return fd;
    if (error != EAGAIN) return std::unexpected(unreachable(path, error));
    if (now() >= deadline) return std::unexpected(no_answer(path));
    std::this_thread::sleep_for(kRetryEvery);
  }
}

/// False when the deadline has come first.
bool wait_for(int fd, short events, Time deadline) {
  for (;;) {
    const Duration left = deadline - now();
    if (left <= 0ns) return false;
    pollfd item{fd, events, 0};
    const int result = poll(&item, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    if (result > 0) return true;
    if (result == 0 || errno != EINTR) return false;
  }
}

Status send_until(const UniqueFd& fd, const std::string& path, const NotifyMessage& message, Time deadline) {
  Outbox out;
  auto result = out.push(fd.get(), encode(message));
  while (result == Outbox::Result::queued) {
    if (!wait_for(fd.get(), POLLOUT, deadline)) return std::unexpected(no_answer(path));
    result = out.flush(fd.get());
  }
  if (result == Outbox::Result::too_long) return fail("the request is too long", EMSGSIZE);
  if (result != Outbox::Result::sent) return std::unexpected(unreachable(path, EPIPE));
  return {};
}

}  // namespace

Result<Reply> ask(const std::string& path, Request request, Duration timeout) {
  const Time deadline = now() + timeout;
  if (request.id == 0) request.id = 1;
  const std::uint64_t id = request.id;
  const auto fd = connect_until(path, deadline);
  if (!fd) return std::unexpected(fd.error());
  for (const NotifyMessage& message :
       {NotifyMessage(Hello{.role = Role::control, .node = {}, .terms = {}}), NotifyMessage(std::move(request))})
    if (auto sent = send_until(*fd, path, message, deadline); !sent) return std::unexpected(sent.error());

  std::string body;
  while (wait_for(fd->get(), POLLIN, deadline)) {
    Received received = receive(fd->get());
    if (received.what == Received::What::end) return fail(path + ": the daemon closed the connection", ECONNRESET);
    auto* reply = std::get_if<Reply>(&received.message);
    if (received.what != Received::What::message || reply == nullptr || reply->id != id) continue;
    body += reply->body;
    if (reply->more) continue;
    reply->body = std::move(body);
    return std::move(*reply);
  }
  return std::unexpected(no_answer(path));
}

}  // namespace common::io
