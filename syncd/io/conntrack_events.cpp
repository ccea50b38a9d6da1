#include "syncd/io/conntrack_events.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "common/io/daemon.hpp"

namespace syncd::io {

using ctnetlink::MessageKind;

namespace {

/// One report: 232 bytes for a new TCP connection; labels, helpers and security contexts can add some
/// hundred.
constexpr std::size_t kReportSize = 8192;

std::optional<ChangeKind> change_of(MessageKind kind) {
  switch (kind) {
    case MessageKind::created:
      return ChangeKind::created;
    case MessageKind::updated:
      return ChangeKind::updated;
    case MessageKind::destroyed:
      return ChangeKind::destroyed;
    case MessageKind::expectation:
    case MessageKind::error:
    case MessageKind::done:
    case MessageKind::other:
      return std::nullopt;
  }
  return std::nullopt;
}

/// Leaves out messages that name `port` as the cause. A filter reads in network order, and the field is in
/// that of the host.
common::Status leave_out(const NetlinkSocket& socket, std::uint32_t port) {
  std::array<sock_filter, 4> code{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                   BPF_STMT(BPF_RET | BPF_K, 0xffffffff)}};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  if (setsockopt(socket.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) return {};
  return common::fail(std::string("conntrack events: cannot attach a filter: ") + std::strerror(errno), errno);
}

}  // namespace

common::Result<ConntrackEvents> ConntrackEvents::open(std::uint32_t writer) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, "conntrack events");
  if (!socket) return std::unexpected(socket.error());
  socket->receive_buffer(kBacklog / 2 * kBytesPerReport);
  if (const auto attached = leave_out(*socket, writer); !attached) return std::unexpected(attached.error());
  for (const unsigned group : {NFNLGRP_CONNTRACK_DESTROY, NFNLGRP_CONNTRACK_EXP_NEW, NFNLGRP_CONNTRACK_EXP_DESTROY})
    if (const auto joined = socket->join(group); !joined) return std::unexpected(joined.error());
  ConntrackEvents result(std::move(*socket));
  if (const auto heard = result.hear_packets(true); !heard) return std::unexpected(heard.error());
  result.buffer_.resize(kReportSize);
  result.changes_.reserve(kPortion);
  return result;
}

common::Status ConntrackEvents::hear_packets(bool on) const {
  for (const unsigned group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE})
    if (auto done = on ? socket_.join(group) : socket_.leave(group); !done) return done;
  return {};
}

ConntrackEvents::Read ConntrackEvents::read(Decoder& decoder) {
  Read result;
  changes_.clear();
  for (std::size_t i = 0; i < kPortion && !result.emptied; ++i) {
    common::ByteView datagram;
    switch (socket_.receive(buffer_, datagram)) {
      case NetlinkSocket::Received::nothing:
        result.emptied = true;
        break;
      case NetlinkSocket::Received::lost:
      case NetlinkSocket::Received::failed:
        ++overruns_;
        read_since_loss_ = 0;
        break;
      case NetlinkSocket::Received::datagram:
        take(datagram, decoder);
        if (read_since_loss_) ++*read_since_loss_;
        break;
    }
  }
  if (read_since_loss_ && (result.emptied || *read_since_loss_ >= kMostWaiting)) {
    read_since_loss_.reset();
    result.lost = true;
  }
  return result;
}

void ConntrackEvents::take(common::ByteView datagram, Decoder& decoder) {
  while (const auto message = ctnetlink::next_message(datagram)) {
    if (ctnetlink::kind_of(*message) == MessageKind::expectation) {
      if (const auto master = ctnetlink::decode_master(*message))
        masters_.push_back(*master);
      else
        decoder.add(master.error());
    }
    const auto kind = change_of(ctnetlink::kind_of(*message));
    if (!kind) continue;
    if (auto flow = decoder.flow(*message)) changes_.push_back({.kind = *kind, .flow = *std::move(flow)});
  }
}

bool conntrack_events_enabled() {
  const auto text = common::io::read_file("/proc/sys/net/netfilter/nf_conntrack_events");
  return text && !text->empty() && text->front() != '0';
}

}  // namespace syncd::io
