#pragma once
// The few system calls that every mode of the tool needs. Errors are thrown as std::system_error: a traffic
// tool that cannot bind or listen has nothing to measure, and main prints why.
#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <utility>

namespace traffic {

/// CLOCK_MONOTONIC, shared by all processes of the machine: marks of the test and records of the tool
/// compare.
using Nanoseconds = std::int64_t;
inline constexpr Nanoseconds kMillisecond = 1'000'000;
inline constexpr Nanoseconds kSecond = 1'000'000'000;
Nanoseconds now();

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { close(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

/// Throws with the name of the call and errno.
[[noreturn]] void fail(const std::string& what);

sockaddr_in endpoint(const std::string& address, std::uint16_t port);
/// Non-blocking, TCP_NODELAY, bound if `local` has a port (with SO_REUSEADDR, so that TIME_WAIT does not
/// stand in the way).
Fd tcp_client(const sockaddr_in& local);
/// Starts the connect. Returns 0, EINPROGRESS, or what went wrong.
int start_connect(const Fd& socket, const sockaddr_in& server);
Fd tcp_listener(const sockaddr_in& local);
Fd udp_socket(const sockaddr_in& local);
int pending_error(const Fd& socket);
void set_pacing(const Fd& socket, std::uint64_t bytes_per_second);
/// A close that sends RST: the peer learns that something was wrong.
void reset_on_close(const Fd& socket);
void set_nonblocking(int fd);
void raise_file_limit();
/// SCHED_FIFO: the probe measures the routers, not the scheduler of a busy test machine. Best effort.
void prefer_real_time(int priority);
std::string error_name(int error);

}  // namespace traffic
