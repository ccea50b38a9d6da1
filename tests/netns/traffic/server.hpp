#pragma once
// The far end: TCP echo, sink and source; UDP echo; and UDP push-back, which never answers until it is told
// to, and then sends one datagram to everybody it has heard of.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/options.hpp"

namespace traffic {

inline constexpr std::uint16_t kEchoPort = 7007;
inline constexpr std::uint16_t kSinkPort = 7009;
inline constexpr std::uint16_t kSourcePort = 7019;
inline constexpr std::uint16_t kPushPort = 7029;
inline constexpr std::uint16_t kReflectPort = 7039;

class Server {
 public:
  explicit Server(const Options& options);
  void run();

 private:
  enum class Service { echo, sink, source };
  struct Counters {
    std::uint64_t accepted = 0, closed = 0, reset = 0, failed = 0, wrong = 0, bytes = 0, datagrams = 0;
  };
  class Listener;
  class Session;
  class EchoSession;
  class SinkSession;
  class SourceSession;
  class UdpEcho;
  class UdpPush;

  void accept(Service service, int fd);
  void finish(int fd);
  void command(const std::string& line);
  void report(const std::string& type) const;

  Loop loop_;
  Pattern pattern_;
  Counters counters_;
  std::vector<std::unique_ptr<Watcher>> listeners_;
  std::vector<std::unique_ptr<Session>> sessions_;  ///< by file descriptor
  std::unique_ptr<UdpEcho> udp_echo_;
  std::unique_ptr<UdpPush> udp_push_;
  std::vector<std::byte> buffer_;

 public:
  ~Server();
};

}  // namespace traffic
