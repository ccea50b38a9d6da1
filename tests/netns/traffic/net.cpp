#include "traffic/net.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <system_error>

namespace traffic {

Nanoseconds now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

void Fd::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in endpoint(const std::string& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  if (inet_pton(AF_INET, address.c_str(), &result.sin_addr) != 1) {
    throw std::invalid_argument("not an IPv4 address: " + address);
  }
  return result;
}

namespace {

void enable(int fd, int level, int option) {
  const int one = 1;
  if (setsockopt(fd, level, option, &one, sizeof one) != 0) fail("setsockopt");
}

void bind_to(const Fd& socket, const sockaddr_in& local) {
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    fail("bind to port " + std::to_string(ntohs(local.sin_port)));
  }
}

}  // namespace

Fd tcp_client(const sockaddr_in& local) {
  Fd result(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result) fail("socket");
  enable(result.get(), IPPROTO_TCP, TCP_NODELAY);
  enable(result.get(), SOL_SOCKET, SO_REUSEADDR);
  bind_to(result, local);
  return result;
}

int start_connect(const Fd& socket, const sockaddr_in& server) {
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0) return 0;
  return errno;
}

Fd tcp_listener(const sockaddr_in& local) {
  Fd result(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result) fail("socket");
  enable(result.get(), SOL_SOCKET, SO_REUSEADDR);
  bind_to(result, local);
  if (listen(result.get(), 4096) != 0) fail("listen");
  return result;
}

Fd udp_socket(const sockaddr_in& local) {
  Fd result(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result) fail("socket");
  enable(result.get(), SOL_SOCKET, SO_REUSEADDR);
  bind_to(result, local);
  return result;
}

int pending_error(const Fd& socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

void set_pacing(const Fd& socket, std::uint64_t bytes_per_second) {
  if (setsockopt(socket.get(), SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_second, sizeof bytes_per_second) != 0) {
    fail("SO_MAX_PACING_RATE");
  }
}

void reset_on_close(const Fd& socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void set_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = 65536;
  if (limit.rlim_cur >= wanted) return;
  const rlimit raised{wanted, std::max(limit.rlim_max, wanted)};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return;
  // Without the right to go beyond the hard limit that is what there is; a shortage shows as a failed
  // connection.
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void prefer_real_time(int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  sched_setscheduler(0, SCHED_FIFO, &parameters);
}

std::string error_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}

}  // namespace traffic
