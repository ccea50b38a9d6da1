#pragma once
// N TCP connections, each sending a small message every interval, spread evenly; the server echoes.
#include <cstdint>
#include <string>
#include <vector>

#include "traffic/failure.hpp"
#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/options.hpp"

namespace traffic {

class EchoGroup {
 public:
  struct Settings {
    std::string local;  ///< address
    sockaddr_in server{};
    PortRange ports;  ///< one connection per source port
    std::uint64_t count = 0;
    Nanoseconds interval = 100 * kMillisecond;
    std::uint64_t ramp = 2000;  ///< connections opened per second
  };
  EchoGroup(Loop& loop, const Settings& settings, Nanoseconds start);
  void tick(Nanoseconds at);
  /// From here on a connection counts as recovered at the first echo of a message that was sent after this
  /// moment.
  void mark(Nanoseconds at);
  Json check(Nanoseconds limit, Nanoseconds at) const;
  std::size_t open() const { return open_; }
  bool all_open() const { return open_ + failures_.total() == connections_.size(); }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t echoed() const { return echoed_; }
  std::uint64_t broken() const { return failures_.total(); }
  /// How many had an echo within the last second.
  std::size_t lively(Nanoseconds at) const;
  const Bins& bins() const { return bins_; }
  std::vector<Json> failures() const { return failures_.entries(); }

 private:
  enum class State : std::uint8_t { idle, connecting, open, lost };
  class Connection : public Watcher {
   public:
    void ready(std::uint32_t events, Nanoseconds at) override;

    EchoGroup* group = nullptr;
    std::uint32_t id = 0;
    Fd fd;
    State state = State::idle;
    std::uint32_t sequence = 0, echoed = 0;  ///< next to send; next to come back
    std::uint8_t received = 0,
                 unsent = 0;  ///< bytes of the message that is arriving; that did not fit into the socket
    Message incoming, outgoing;
    Nanoseconds started = 0, established = 0, last_echo = 0, recovered = 0;
  };

  void connect(Connection& connection, Nanoseconds at);
  void send_one(Connection& connection, Nanoseconds at);
  bool flush(Connection& connection);
  /// False when there is nothing more to read.
  bool receive(Connection& connection, Nanoseconds at);
  bool accept_echo(Connection& connection, Nanoseconds at);
  void lose(Connection& connection, Failure failure, int error, Nanoseconds at);
  std::uint16_t port(const Connection& connection) const {
    return static_cast<std::uint16_t>(settings_.ports.first + connection.id);
  }

  Loop& loop_;
  Settings settings_;
  std::vector<Connection> connections_;
  std::size_t opened_ = 0, open_ = 0;  ///< attempted; established now
  std::size_t cursor_ = 0;             ///< whose turn it is to send
  Nanoseconds start_, turn_at_;        ///< of the group; of the cursor
  Nanoseconds mark_ = 0;
  std::uint64_t sent_ = 0, echoed_ = 0, unsendable_ = 0, turns_missed_ = 0;
  /// Larger than all echoes that can be waiting in one socket.
  static constexpr std::size_t kBufferSize = 512 * 1024;
  std::vector<std::byte> buffer_;
  FailureLog failures_;
  Bins bins_;
};

}  // namespace traffic
