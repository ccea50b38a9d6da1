#include "traffic/echo_group.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace traffic {

EchoGroup::EchoGroup(Loop& loop, const Settings& settings, Nanoseconds start)
    : loop_(loop),
      settings_(settings),
      connections_(settings.count),
      start_(start),
      turn_at_(start),
      buffer_(kBufferSize),
      bins_(start) {
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    connections_[i].group = this;
    connections_[i].id = static_cast<std::uint32_t>(i);
  }
}

void EchoGroup::tick(Nanoseconds at) {
  if (connections_.empty()) return;
  const auto due = static_cast<std::uint64_t>(at - start_) * settings_.ramp / kSecond;
  while (opened_ < connections_.size() && opened_ < due) connect(connections_[opened_++], at);

  const auto count = static_cast<Nanoseconds>(connections_.size());
  const Nanoseconds step = std::max<Nanoseconds>(settings_.interval / count, 1);
  if (at - turn_at_ > settings_.interval) {
    // The machine was too busy to keep the pace: leave turns out, in whole steps, rather than send a burst.
    const Nanoseconds missed = (at - turn_at_) / step;
    turns_missed_ += static_cast<std::uint64_t>(missed);
    turn_at_ += missed * step;
    cursor_ = (cursor_ + static_cast<std::size_t>(missed)) % connections_.size();
  }
  while (turn_at_ <= at) {
    send_one(connections_[cursor_], at);
    cursor_ = (cursor_ + 1) % connections_.size();
    turn_at_ += step;
  }
}

void EchoGroup::connect(Connection& connection, Nanoseconds at) {
  connection.started = at;
  try {
    connection.fd = tcp_client(endpoint(settings_.local, port(connection)));
  } catch (const std::exception&) {
    lose(connection, Failure::other, EADDRINUSE, at);
    return;
  }
  const int result = start_connect(connection.fd, settings_.server);
  if (result != 0 && result != EINPROGRESS) {
    lose(connection, failure_of(result), result, at);
    return;
  }
  connection.state = State::connecting;
  loop_.add(connection.fd.get(), EPOLLOUT, connection);
}

void EchoGroup::Connection::ready(std::uint32_t events, Nanoseconds at) {
  if (state == State::connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    if (const int error = pending_error(fd); error != 0) {
      group->lose(*this, failure_of(error), error, at);
      return;
    }
    state = State::open;
    established = last_echo = at;
    ++group->open_;
    group->loop_.modify(fd.get(), kEdge, *this);
    return;
  }
  // More than one round only at the end of the stream, or after an outage, when a whole buffer has come.
  while (state == State::open && group->receive(*this, at) && (events & kEnded) != 0) {
  }
}

void EchoGroup::send_one(Connection& connection, Nanoseconds at) {
  if (connection.state != State::open) return;
  if (connection.unsent != 0 && !flush(connection)) return;
  connection.outgoing = Message::make(connection.id, connection.sequence, at);
  connection.unsent = sizeof(Message);
  ++connection.sequence;
  ++sent_;
  flush(connection);
}

/// True when the whole message is in the socket.
bool EchoGroup::flush(Connection& connection) {
  const auto* end = reinterpret_cast<const std::byte*>(&connection.outgoing) + sizeof(Message);
  const ssize_t sent = send(connection.fd.get(), end - connection.unsent, connection.unsent, MSG_NOSIGNAL);
  if (sent > 0) connection.unsent = static_cast<std::uint8_t>(connection.unsent - sent);
  // A full buffer is an outage, and an error is also reported by the next event, with its reason.
  if (sent < 0) ++unsendable_;
  return connection.unsent == 0;
}

bool EchoGroup::receive(Connection& connection, Nanoseconds at) {
  const ssize_t got = recv(connection.fd.get(), buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    lose(connection, got == 0 ? Failure::closed : failure_of(errno), got == 0 ? 0 : errno, at);
    return false;
  }
  std::span<const std::byte> data(buffer_.data(), static_cast<std::size_t>(got));
  while (!data.empty()) {
    const std::size_t length = std::min(sizeof(Message) - connection.received, data.size());
    std::memcpy(reinterpret_cast<std::byte*>(&connection.incoming) + connection.received, data.data(), length);
    connection.received = static_cast<std::uint8_t>(connection.received + length);
    data = data.subspan(length);
    if (connection.received == sizeof(Message) && !accept_echo(connection, at)) return false;
  }
  return true;
}

bool EchoGroup::accept_echo(Connection& connection, Nanoseconds at) {
  const Message& message = connection.incoming;
  if (!message.valid() || message.connection != connection.id || message.sequence != connection.echoed) {
    lose(connection, Failure::wrong_data, 0, at);
    return false;
  }
  connection.received = 0;
  ++connection.echoed;
  connection.last_echo = at;
  if (mark_ != 0 && connection.recovered == 0 && message.sent_at >= mark_) connection.recovered = at;
  ++echoed_;
  bins_.add(at);
  return true;
}

void EchoGroup::lose(Connection& connection, Failure failure, int error, Nanoseconds at) {
  if (connection.state == State::open) --open_;
  connection.state = State::lost;
  connection.fd.close();
  failures_.add({port(connection), failure, error, connection.started, connection.established, at});
}

void EchoGroup::mark(Nanoseconds at) {
  mark_ = at;
  for (Connection& connection : connections_) connection.recovered = 0;
}

std::size_t EchoGroup::lively(Nanoseconds at) const {
  return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(), [at](const auto& c) {
    return c.state == State::open && at - c.last_echo < kSecond;
  }));
}

Json EchoGroup::check(Nanoseconds limit, Nanoseconds at) const {
  std::uint64_t waiting = 0, late = 0;
  Nanoseconds slowest = 0;
  for (const Connection& connection : connections_) {
    if (connection.state != State::open) continue;
    if (connection.recovered == 0) {
      ++waiting;
      continue;
    }
    slowest = std::max(slowest, connection.recovered - mark_);
    if (connection.recovered - mark_ > limit) ++late;
  }
  Json result;
  result.field("total", connections_.size()).field("open", open_).field("lively", lively(at));
  result.field("broken", failures_.total()).field("reasons", failures_.counts());
  result.field("waiting", waiting).field("late", late).field("slowest_ms", static_cast<double>(slowest) / kMillisecond);
  result.field("sent", sent_).field("echoed", echoed_);
  result.field("unsendable", unsendable_).field("turns_missed", turns_missed_);
  return result;
}

}  // namespace traffic
