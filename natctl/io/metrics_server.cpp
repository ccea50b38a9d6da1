#include "natctl/io/metrics_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "common/address.hpp"
#include "common/io/unique_fd.hpp"
#include "common/traffic.hpp"
#include "natctl/io/cli.hpp"

namespace natctl::io {
namespace {

using common::io::UniqueFd;

/// A scraper that does not ask or does not read holds nobody else up for longer.
constexpr int kPatienceSeconds = 2;
constexpr std::size_t kLongestRequest = 4096;
constexpr int kBacklog = 8;

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

/// "127.0.0.1:9781" or "[::1]:9781"; none when it is no loopback address.
std::optional<Endpoint> endpoint_of(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = common::IpAddress::parse(host);
  const auto port = common::PortRange::parse(text.substr(colon + 1));
  if (!address || !port || !port->single()) return std::nullopt;
  Endpoint result;
  if (address->is_v4()) {
    if (address->v4_value() >> 24 != 127) return std::nullopt;
    auto* in = reinterpret_cast<sockaddr_in*>(&result.address);
    in->sin_family = AF_INET;
    in->sin_port = htons(port->first);
    std::memcpy(&in->sin_addr, address->bytes().data(), sizeof in->sin_addr);
    result.size = sizeof *in;
  } else {
    if (*address != *common::IpAddress::parse("::1")) return std::nullopt;
    auto* in = reinterpret_cast<sockaddr_in6*>(&result.address);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port->first);
    std::memcpy(&in->sin6_addr, address->bytes().data(), sizeof in->sin6_addr);
    result.size = sizeof *in;
  }
  return result;
}

/// The first line, once the head is whole; empty when it does not come.
std::string request_of(int fd) {
  std::string head;
  std::array<char, 512> buffer;
  while (head.size() < kLongestRequest && head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return {};
    head.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return head.substr(0, head.find("\r\n"));
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (size <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

void answer(int fd, const std::function<std::string()>& text) {
  const std::string request = request_of(fd);
  if (request.empty()) return;
  const bool known = request.starts_with("GET /metrics ") || request.starts_with("GET /metrics?");
  const std::string body = known ? text() : std::string("GET /metrics is what there is\n");
  send_all(fd, fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                           "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                           known ? "200 OK" : "404 Not Found", body.size(), body));
}

}  // namespace

int serve_metrics(const std::string& address, const std::function<std::string()>& text) {
  const auto endpoint = endpoint_of(address);
  if (!endpoint)
    return misused(address +
                   " is not a loopback address with a port, such as 127.0.0.1:9781; put a proxy before it to let "
                   "others in");
  UniqueFd listener(socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!listener || setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&endpoint->address), endpoint->size) != 0 ||
      listen(listener.get(), kBacklog) != 0)
    return failed(address + ": " + std::strerror(errno));
  for (;;) {
    UniqueFd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return failed(std::string("accept: ") + std::strerror(errno));
    }
    const timeval patience{.tv_sec = kPatienceSeconds, .tv_usec = 0};
    setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    answer(client.get(), text);
  }
}

}  // namespace natctl::io
