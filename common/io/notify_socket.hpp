#pragma once
// Unix sockets of the notify protocol: SEQPACKET, one message a packet. A client that does not read is disconnected
// rather than waited for: state is told anew when it comes back.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/io/loop.hpp"
#include "common/io/unique_fd.hpp"
#include "common/notify.hpp"
#include "common/result.hpp"

namespace common::io {

/// Who is at the other end, by SO_PEERCRED.
struct PeerCredentials {
  int pid = 0;
  unsigned uid = 0, gid = 0;
};

class NotifyServer {
 public:
  struct Callbacks {
    std::function<void(std::uint64_t client, const PeerCredentials& who)> connected;
    std::function<void(std::uint64_t client, const NotifyMessage& message)> message;
    std::function<void(std::uint64_t client)> closed;
  };
  /// Binds `path` (a stale socket file of a dead process is replaced; a living one is an error). Mode 0660.
  static Result<std::unique_ptr<NotifyServer>> open(Loop& loop, const std::string& path, Callbacks callbacks);
  ~NotifyServer();

  void send(std::uint64_t client, const NotifyMessage& message);
  void close(std::uint64_t client);
  std::uint64_t decode_errors() const;
  std::uint64_t slow_clients() const;   ///< disconnected because their queue was full

 private:
  NotifyServer();
  struct State;
  std::unique_ptr<State> state_;
};

/// Connects and keeps connected: tries again kReconnectEvery after a loss, so that any start order works.
class NotifyClient {
 public:
  struct Callbacks {
    std::function<void()> connected;
    std::function<void(const NotifyMessage& message)> message;
    std::function<void()> closed;
  };
  static constexpr Duration kReconnectEvery = 50ms;

  NotifyClient(Loop& loop, std::string path, Callbacks callbacks);
  ~NotifyClient();
  bool connected() const;
  void send(const NotifyMessage& message);   ///< dropped when not connected

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// For commands, which may block: sends one request and waits for its replies (put together when there are several).
Result<Reply> ask(const std::string& path, Request request, Duration timeout);

}  // namespace common::io
