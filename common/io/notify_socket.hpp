#pragma once
// Unix sockets of the notify protocol: SEQPACKET, one message a packet. A client that does not read is
// disconnected rather than waited for: state is told anew when it comes back.
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

  /// Root, or the user that this process runs as: may do more than look on.
  bool trusted() const;
};

/// `closed` is called once for every client that was connected, whoever ended it (close() and a full queue as
/// well), and always from the loop: never from within send() or close(). No callback comes from the destructor.
/// Connections are few. When there are as many as there may be, a new one takes the place of the oldest of those that
/// matter least: that said nothing, then that only look on or ask. A socket whose file was removed is made anew.
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

  /// Nothing happens when the client has gone. A long Reply goes out in several packets.
  void send(std::uint64_t client, const NotifyMessage& message);
  void close(std::uint64_t client);
  bool trusted(std::uint64_t client) const;  ///< by PeerCredentials
  std::uint64_t decode_errors() const;
  std::uint64_t slow_clients() const;  ///< disconnected because their queue was full
  std::uint64_t crowded_out() const;   ///< disconnected because there were too many
  std::uint64_t socket_lost() const;   ///< times that the file of the socket was gone

 private:
  NotifyServer();
  struct State;
  std::shared_ptr<State> state_;  // a callback may destroy us
};

/// Connects and keeps connected: tries again kReconnectEvery after a loss, so that any start order works.
/// Every callback comes from the loop, never from within the constructor, send() or the destructor.
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
  void send(const NotifyMessage& message);  ///< dropped when not connected

 private:
  struct State;
  std::shared_ptr<State> state_;  // a callback may destroy us
};

/// For commands, which may block: says Hello as `control`, sends one request and waits for its replies (put
/// together when there are several). Everything else that the daemon sends on its own is passed over.
Result<Reply> ask(const std::string& path, Request request, Duration timeout);

}  // namespace common::io
