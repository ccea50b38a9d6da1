#pragma once
// What the server, the client and `ask` of notify_socket.hpp have in common: SEQPACKET sockets that carry
// messages.
#include <sys/un.h>

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "common/io/unique_fd.hpp"
#include "common/notify.hpp"
#include "common/result.hpp"

namespace common::io {

// What a client may leave unread beyond what the kernel holds for it. A listing of many thousand lines fits;
// a client that leaves more is not reading at all.
inline constexpr std::size_t kMaxQueuedBytes = std::size_t{8} << 20;
// A longer answer would need the whole queue when much of it is escaped (every quotation mark is two bytes).
inline constexpr std::size_t kMaxReplyBody = std::size_t{3} << 20;
// At its worst JSON writes one byte as six (\u0001), so that a piece of this size always fits into one
// packet.
inline constexpr std::size_t kReplyPiece = 10000;

std::string error_text(int code);
Result<sockaddr_un> socket_address(const std::string& path);
/// Not blocking, closed on exec.
UniqueFd new_packet_socket();
/// 0, or an errno value. EAGAIN: somebody listens, and has not taken the connections that wait already.
int connect_to(int fd, const sockaddr_un& address);

struct Received {
  enum class What { message, garbage, nothing, end };
  What what = What::nothing;
  NotifyMessage message;
  std::string error;  ///< of garbage
};
Received receive(int fd);

/// The packets of a message: one, but for a long Reply.
std::vector<std::string> packets_of(const NotifyMessage& message);

/// One connection's way out: straight into the kernel while it takes it, then a bounded queue.
class Outbox {
 public:
  /// broken: nobody reads any more. The connection is then left to the reading side, which gets what the peer
  /// said before it went, and then the end. too_long: nothing was sent, and the connection is as it was.
  enum class Result { sent, queued, full, broken, too_long };
  Result push(int fd, std::string packet);
  Result flush(int fd);
  void clear();

 private:
  static Result try_send(int fd, const std::string& packet);
  std::deque<std::string> queue_;
  std::size_t bytes_ = 0;
};

}  // namespace common::io
