#pragma once
// The UDP sockets of the sync links, one for each, bound to its interface and local address, and with multicast a
// second one that is bound to the group, because a socket hears only what is sent to the address it is bound to. What
// the network refuses is counted and forgotten: the engine sends again what the peer has not acknowledged. Interfaces
// and addresses may come and go; a socket is opened when both are there.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/bytes.hpp"
#include "common/config.hpp"
#include "common/io/loop.hpp"
#include "common/io/unique_fd.hpp"
#include "syncd/engine.hpp"
#include "syncd/io/counters.hpp"
#include "syncd/io/gathering.hpp"
#include "syncd/io/interfaces.hpp"

namespace syncd::io {

class LinkSockets {
 public:
  /// Datagrams given to the kernel in one call, and the most that may wait for a full socket.
  static constexpr std::size_t kBatch = 32;

  struct Callbacks {
    std::function<void(const DatagramReceived& datagram)> received;
    std::function<void()> turn;  ///< after the datagrams of one portion, or when a full socket takes more again
  };
  LinkSockets(common::io::Loop& loop, Counters& counters, Callbacks callbacks);
  ~LinkSockets();
  LinkSockets(const LinkSockets&) = delete;
  LinkSockets& operator=(const LinkSockets&) = delete;

  /// The links of a configuration. Those of the one before are closed, unless they are the same; either way
  /// follow() reports all of them anew.
  void configure(const common::SyncConfig& config);
  /// Opens and closes what the state of the interfaces asks for. Returns the links whose usability changed.
  std::vector<LinkChanged> follow(const Interfaces& interfaces);

  /// Not while every usable link has a full socket.
  bool ready() const;
  /// Takes the bytes. Sent by flush(), or when there are kBatch of a link.
  void queue(Datagram& datagram);
  void flush();
  /// Hands over what has arrived, up to one portion of each link.
  void poll();
  /// Whether datagrams of a stream may wait for each other, some milliseconds. Not at first.
  void be_patient(bool on);

 private:
  struct Link {
    common::SyncLink config;
    int index = 0;               ///< of the interface that the socket is bound to
    unsigned interruptions = 0;  ///< of that interface, when the socket was opened
    common::io::UniqueFd fd;
    common::io::UniqueFd group;  ///< receives what is sent to the multicast group, if there is one
    bool reported = false;
    LinkChanged report;   ///< the last one
    bool full = false;    ///< waits for the kernel to take more
    std::string trouble;  ///< why it cannot be used; said once
    std::string refused;  ///< why its socket could not be opened; said once
    std::vector<common::Bytes> out;
  };
  struct Inbox;  ///< buffers for one portion

  void open(Link& link, std::size_t number, const Interfaces::Interface& interface);
  int join_group(Link& link, std::size_t number, const Interfaces::Interface& interface);
  static bool may_stay_open(const Link& link, const Interfaces::Interface& interface);
  void close(Link& link);
  static LinkChanged state_of(const Link& link, std::size_t number, const Interfaces::Interface* interface);
  static void tell_trouble(Link& link, const Interfaces::Interface* interface);
  void serve(std::size_t number, std::uint32_t events);
  void receive(std::size_t number);
  void receive_from(int fd, std::size_t number, bool to_group);
  void served();
  void await();
  std::uint32_t incoming() const { return gathering_.on() ? 0u : std::uint32_t{EPOLLIN}; }
  std::uint32_t awaited(const Link& link) const;
  void send(Link& link);
  void wait_for_room(Link& link);

  common::io::Loop& loop_;
  Counters& counters_;
  Callbacks callbacks_;
  std::uint16_t port_ = 0;
  std::vector<Link> links_;
  std::unique_ptr<Inbox> inbox_;
  bool patient_ = false;
  Gathering gathering_;
  std::size_t arrived_ = 0;  ///< since the last turn
  std::unique_ptr<common::io::Loop::Timer> gather_timer_;
};

}  // namespace syncd::io
