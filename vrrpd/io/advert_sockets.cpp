#include "vrrpd/io/advert_sockets.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "common/io/log.hpp"
#include "vrrpd/io/raw_socket.hpp"

namespace vrrpd::io {
namespace {

using common::Family;
using common::io::LogLevel;

/// Packets of one interface read in a row; a flood on it must not keep timers waiting.
constexpr int kBurst = 64;
/// The longest IP packet. An advert is a few dozen bytes; a truncated longer one would be misjudged by the
/// decoder.
constexpr std::size_t kMaxPacket = 65535;

}  // namespace

AdvertSockets::AdvertSockets(common::io::Loop& loop, Counters& counters, Handler handler)
    : loop_(loop), counters_(counters), handler_(std::move(handler)), buffer_(kMaxPacket) {}

AdvertSockets::~AdvertSockets() {
  for (auto& [key, socket] : sockets_) close(socket);
}

void AdvertSockets::close(Socket& socket) {
  if (socket.fd) loop_.unwatch(socket.fd.get());
  socket.fd.reset();
}

void AdvertSockets::want(const Links::Watched& interfaces) {
  const auto unwanted = [&](const Key& key) {
    const auto found = interfaces.find(key.first);
    return found == interfaces.end() || !found->second.families.contains(key.second);
  };
  for (auto& [key, socket] : sockets_)
    if (unwanted(key)) close(socket);
  std::erase_if(sockets_, [&](const auto& entry) { return unwanted(entry.first); });
  for (const auto& [interface, watch] : interfaces)
    for (const Family family : watch.families) sockets_.try_emplace({interface, family});
}

void AdvertSockets::attach(const std::string& interface, int index) {
  for (auto& [key, socket] : sockets_)
    if (key.first == interface) attach(key, socket, index);
}

void AdvertSockets::attach(const Key& key, Socket& socket, int index) {
  if (socket.index == index && (socket.fd || index == 0)) return;
  close(socket);
  socket = Socket{};
  socket.index = index;
  if (index == 0) return;
  socket.fd = open_raw_socket(key.second, key.first, index);
  if (!socket.fd) {
    ++counters_.advert_socket_errors;
    common::io::log(LogLevel::error, "advert_socket_failed",
                    "cannot open a socket for adverts on " + key.first + ": " + std::strerror(errno));
    return;
  }
  // Not before the participants: a flood of packets must not keep their answers waiting. (Timers ask for
  // adverts first.)
  loop_.watch(socket.fd.get(), EPOLLIN, [this, key](std::uint32_t) { read(key); });
}

void AdvertSockets::attach_sender(const std::string& device, int index) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    Socket& socket = senders_[{device, family}];
    if (socket.fd && socket.index == index) continue;
    socket = Socket{};
    socket.index = index;
    socket.fd = open_raw_sender(family, device, index);  // without IPv6 in the kernel there is none for it
  }
}

void AdvertSockets::detach_sender(const std::string& device) {
  std::erase_if(senders_, [&](const auto& entry) { return entry.first.first == device; });
}

AdvertSockets::Socket* AdvertSockets::sender(const SendAdvert& advert) {
  auto& sockets = advert.device.empty() ? sockets_ : senders_;
  const auto found =
      sockets.find({advert.device.empty() ? advert.interface : advert.device, advert.destination.family()});
  return found == sockets.end() ? nullptr : &found->second;
}

void AdvertSockets::send(const SendAdvert& advert) {
  Socket* const socket = sender(advert);
  int error = ENODEV;
  if (socket != nullptr && socket->fd) error = send_raw(socket->fd.get(), socket->index, advert);
  if (error != 0) ++counters_.advert_send_errors;
  if (socket == nullptr || socket->last_error == error) return;
  socket->last_error = error;
  if (error != 0)
    common::io::log(LogLevel::warning, "advert_send_failed",
                    "cannot send adverts on " + advert.interface + ": " + std::strerror(error));
  else
    common::io::log(LogLevel::info, "advert_send_works", "adverts on " + advert.interface + " can be sent again");
}

void AdvertSockets::poll() {
  for (auto& [key, socket] : sockets_)
    if (socket.fd) read(key);
}

void AdvertSockets::read(const Key& key) {
  for (int i = 0; i < kBurst; ++i) {
    // Looked up each time: the handler may have closed or reopened it.
    const auto found = sockets_.find(key);
    if (found == sockets_.end() || !found->second.fd || !read_one(key, found->second)) return;
  }
}

bool AdvertSockets::read_one(const Key& key, Socket& socket) {
  AdvertReceived packet;
  std::optional<std::uint32_t> lost;
  const Reading reading = receive_raw(socket.fd.get(), key.second, buffer_, packet, lost);
  if (lost) {
    counters_.advert_overflows += *lost - socket.overflows;
    socket.overflows = *lost;
  }
  if (reading == Reading::nothing) return false;
  if (reading == Reading::unusable) return true;
  packet.interface = key.first;
  handler_(std::move(packet));
  return true;
}

}  // namespace vrrpd::io
