#include "syncd/io/conntrack_dump.hpp"

#include <linux/netlink.h>
#include <sys/epoll.h>

#include <utility>

#include "common/io/log.hpp"

namespace syncd::io {

using ctnetlink::MessageKind;

namespace {

/// The kernel fills as much as the reader has room for, up to 32 KB: some 135 entries.
constexpr std::size_t kPieceSize = 32768;

}  // namespace

ConntrackDump::ConntrackDump(common::io::Loop& loop, Decoder& decoder, Handler handler)
    : loop_(loop), decoder_(decoder), handler_(std::move(handler)), buffer_(kPieceSize) {
  failure_ = loop_.timer([this] { finish(true); });
}

ConntrackDump::~ConntrackDump() {
  close();
}

void ConntrackDump::start(std::uint64_t dump) {
  close();
  dump_ = dump;
  interrupted_ = expectations_ = false;
  masters_.clear();
  if (const auto asked = request(); !asked) {
    common::io::log(common::io::LogLevel::warning, "dump_failed", asked.error().text);
    failure_->set(common::io::now());
  }
}

common::Status ConntrackDump::request() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, "conntrack dump");
  if (!socket) return std::unexpected(socket.error());
  common::Bytes bytes;
  ctnetlink::encode_dump(bytes, 1);
  if (auto sent = socket->send(bytes); !sent) return sent;
  socket_ = std::move(*socket);
  loop_.watch(socket_->fd(), EPOLLIN, [this](std::uint32_t) { read(); });
  return {};
}

void ConntrackDump::read() {
  common::ByteView datagram;
  switch (socket_->receive(buffer_, datagram)) {
    case NetlinkSocket::Received::nothing:
      return;
    case NetlinkSocket::Received::lost:
    case NetlinkSocket::Received::failed:
      finish(true);
      return;
    case NetlinkSocket::Received::datagram:
      break;
  }
  flows_.clear();
  while (const auto message = ctnetlink::next_message(datagram))
    if (!take(*message)) return;
  if (!flows_.empty()) handler_({.dump = dump_, .flows = flows_});
}

/// False: it was the last one of its kind.
bool ConntrackDump::take(const ctnetlink::Message& message) {
  interrupted_ = interrupted_ || ctnetlink::dump_interrupted(message);
  switch (ctnetlink::kind_of(message)) {
    case MessageKind::created:
    case MessageKind::updated:
      if (auto flow = decoder_.flow(message)) flows_.push_back(*std::move(flow));
      break;
    case MessageKind::expectation:
      if (const auto master = ctnetlink::decode_master(message))
        masters_.push_back(*master);
      else
        decoder_.add(master.error());
      break;
    case MessageKind::done:
    case MessageKind::error:
      if (interrupted_ || ctnetlink::error_code(message) != 0)
        finish(true);
      else
        next_stage();
      return false;
    case MessageKind::destroyed:
    case MessageKind::other:
      break;
  }
  return true;
}

/// After the flows, what they announced: from the same socket, which has no other answers to come.
void ConntrackDump::next_stage() {
  if (std::exchange(expectations_, true)) return finish(false);
  if (!flows_.empty()) handler_({.dump = dump_, .flows = flows_});
  flows_.clear();
  common::Bytes bytes;
  ctnetlink::encode_expectations_dump(bytes, 2);
  if (!socket_->send(bytes)) finish(true);
}

void ConntrackDump::finish(bool failed) {
  close();
  handler_({.dump = dump_, .flows = {}, .last = true, .masters = masters_, .failed = failed});
}

void ConntrackDump::close() {
  failure_->set(std::nullopt);
  if (!socket_) return;
  loop_.unwatch(socket_->fd());
  socket_.reset();
}

}  // namespace syncd::io
