#include "traffic/udp_flows.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace traffic {

UdpFlows::UdpFlows(Loop& loop, const Settings& settings, Nanoseconds start)
    : loop_(loop), settings_(settings), flows_(settings.count), turn_at_(start) {
  for (std::size_t i = 0; i < flows_.size(); ++i) {
    Flow& flow = flows_[i];
    flow.owner = this;
    flow.id = static_cast<std::uint32_t>(i);
    flow.fd = udp_socket(endpoint(settings.local, static_cast<std::uint16_t>(settings.ports.first + i)));
    if (start_connect(flow.fd, settings.server) != 0) fail("connect of a UDP flow");
    loop_.add(flow.fd.get(), EPOLLIN, flow);
  }
}

void UdpFlows::tick(Nanoseconds at) {
  if (flows_.empty()) return;
  const Nanoseconds step = std::max<Nanoseconds>(settings_.interval / static_cast<Nanoseconds>(flows_.size()), 1);
  if (at - turn_at_ > settings_.interval) turn_at_ = at;
  for (; turn_at_ <= at; turn_at_ += step, cursor_ = (cursor_ + 1) % flows_.size()) {
    if (silent_) continue;
    Flow& flow = flows_[cursor_];
    const Message message = Message::make(flow.id, flow.sequence++, at);
    if (send(flow.fd.get(), &message, sizeof message, MSG_NOSIGNAL) == sizeof message) ++sent_;
  }
}

void UdpFlows::Flow::ready(std::uint32_t, Nanoseconds) {
  EchoedMessage echo;
  const ssize_t got = recv(fd.get(), &echo, sizeof echo, 0);
  if (got < 0) {
    if (errno != EAGAIN) ++owner->refused_;
    return;
  }
  const bool answered = got == sizeof echo, pushed = got == sizeof echo.message;
  if ((!answered && !pushed) || !echo.message.valid() || echo.message.connection != id) {
    ++owner->wrong_;
    return;
  }
  ++received;
  ++owner->received_;
  if (!answered) return;
  moved = moved || (port != 0 && port != echo.seen_port);
  port = echo.seen_port;
}

void UdpFlows::clear() {
  for (Flow& flow : flows_) {
    flow.received = 0;
    flow.moved = false;
  }
}

Json UdpFlows::check() const {
  const auto reached = std::count_if(flows_.begin(), flows_.end(), [](const Flow& f) { return f.received > 0; });
  const auto moved = std::count_if(flows_.begin(), flows_.end(), [](const Flow& f) { return f.moved; });
  Json result;
  result.field("total", flows_.size()).field("reached", reached).field("moved", moved);
  result.field("sent", sent_).field("received", received_).field("wrong", wrong_).field("refused", refused_);
  return result;
}

}  // namespace traffic
