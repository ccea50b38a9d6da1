#include "traffic/fresh.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace traffic {

class FreshConnections::Attempt : public Watcher {
 public:
  Attempt(FreshConnections& owner, std::uint16_t local_port, std::uint32_t serial, Nanoseconds at)
      : port(local_port), started(at), owner_(owner), message_(Message::make(serial, local_port, at)) {
    fd = tcp_client(endpoint(owner.settings_.local, local_port));
  }

  void ready(std::uint32_t events, Nanoseconds at) override {
    if (!fd) return;
    if (established == 0) {
      if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) connected(at);
    } else {
      receive(at);
    }
  }

  Fd fd;
  std::uint16_t port;
  Nanoseconds started, established = 0;
  std::size_t slot = 0;

 private:
  void connected(Nanoseconds at) {
    if (const int error = pending_error(fd); error != 0) {
      owner_.fail(*this, failure_of(error), error, at);
      return;
    }
    established = at;
    owner_.loop_.modify(fd.get(), EPOLLIN, *this);
    if (send(fd.get(), &message_, sizeof message_, MSG_NOSIGNAL) != sizeof message_) {
      owner_.fail(*this, failure_of(errno), errno, at);
    }
  }

  void receive(Nanoseconds at) {
    auto* to = reinterpret_cast<std::byte*>(&echo_) + received_;
    const ssize_t got = recv(fd.get(), to, sizeof echo_ - received_, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      owner_.fail(*this, got == 0 ? Failure::closed : failure_of(errno), got == 0 ? 0 : errno, at);
      return;
    }
    received_ += static_cast<std::size_t>(got);
    if (received_ < sizeof echo_) return;
    if (std::memcmp(&echo_, &message_, sizeof echo_) != 0) {
      owner_.fail(*this, Failure::wrong_data, 0, at);
    } else {
      owner_.finish(*this, at);
    }
  }

  FreshConnections& owner_;
  Message message_, echo_;
  std::size_t received_ = 0;
};

FreshConnections::FreshConnections(Loop& loop, const Settings& settings, Nanoseconds start)
    : loop_(loop), settings_(settings), next_(start), next_scan_(start) {}

FreshConnections::~FreshConnections() = default;

void FreshConnections::tick(Nanoseconds at) {
  if (settings_.rate == 0) return;
  const Nanoseconds step = kSecond / static_cast<Nanoseconds>(settings_.rate);
  if (at - next_ > kSecond) next_ = at;
  while (next_ <= at) {
    if (!paused_) start(at);
    next_ += step;
  }
  if (at < next_scan_) return;
  next_scan_ = at + 100 * kMillisecond;
  for (std::size_t i = attempts_.size(); i-- > 0;) {
    Attempt& attempt = *attempts_[i];
    if (at - attempt.started > settings_.limit) fail(attempt, Failure::timeout, 0, at);
  }
}

void FreshConnections::start(Nanoseconds at) {
  const auto port = static_cast<std::uint16_t>(settings_.ports.first + serial_ % settings_.ports.count);
  ++serial_;
  std::unique_ptr<Attempt> attempt;
  try {
    attempt = std::make_unique<Attempt>(*this, port, serial_, at);
  } catch (const std::exception&) {
    ++skipped_;
    return;
  }
  const int result = start_connect(attempt->fd, settings_.server);
  if (result == EADDRNOTAVAIL) {  // this port's previous connection is still in TIME_WAIT
    ++skipped_;
    return;
  }
  ++started_;
  attempt->slot = attempts_.size();
  attempts_.push_back(std::move(attempt));
  Attempt& placed = *attempts_.back();
  if (result != 0 && result != EINPROGRESS) {
    fail(placed, failure_of(result), result, at);
    return;
  }
  loop_.add(placed.fd.get(), EPOLLOUT, placed);
}

void FreshConnections::finish(Attempt& attempt, Nanoseconds at) {
  ++done_;
  slowest_ = std::max(slowest_, at - attempt.started);
  drop(attempt);
}

void FreshConnections::fail(Attempt& attempt, Failure failure, int error, Nanoseconds at) {
  failures_.add({attempt.port, failure, error, attempt.started, attempt.established, at});
  drop(attempt);
}

void FreshConnections::drop(Attempt& attempt) {
  attempt.fd.close();
  const std::size_t slot = attempt.slot;
  std::swap(attempts_[slot], attempts_.back());
  attempts_[slot]->slot = slot;
  loop_.retire(std::move(attempts_.back()));
  attempts_.pop_back();
}

Json FreshConnections::check() const {
  Json result;
  result.field("started", started_).field("done", done_).field("pending", attempts_.size());
  result.field("failed", failures_.total()).field("reasons", failures_.counts()).field("skipped", skipped_);
  result.field("slowest_ms", static_cast<double>(slowest_) / kMillisecond);
  return result;
}

}  // namespace traffic
