#include "traffic/loop.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

namespace traffic {

namespace {
volatile std::sig_atomic_t stop_signal = 0;
}

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_signal = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool signalled() {
  return stop_signal != 0;
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) fail("epoll_create1");
}

void Loop::add(int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl add");
}

void Loop::modify(int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) fail("epoll_ctl modify");
}

void Loop::run(const std::function<void(Nanoseconds)>& tick) {
  Nanoseconds next = now();
  while (!stopping_ && !signalled()) {
    int count = 0;
    do {
      count = epoll_wait(epoll_.get(), batch_.data(), kBatch, 0);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      const Nanoseconds at = now();
      for (int i = 0; i < count; ++i) {
        static_cast<Watcher*>(batch_[i].data.ptr)->ready(batch_[i].events, at);
      }
      retired_.clear();
    } while (count == kBatch && now() - next < kPeriod);
    tick(now());
    next = std::max(next + kPeriod, now());
    const timespec until{next / kSecond, next % kSecond};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
}

Commands::Commands(Loop& loop, std::function<void(const std::string&)> on_line)
    : loop_(loop), on_line_(std::move(on_line)) {
  set_nonblocking(STDIN_FILENO);
  try {
    loop_.add(STDIN_FILENO, EPOLLIN, *this);
  } catch (const std::exception&) {
    // A regular file or /dev/null cannot be polled: then there are no commands, and a signal ends the run.
  }
}

void Commands::ready(std::uint32_t, Nanoseconds) {
  char buffer[4096];
  const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
  if (got < 0) return;
  if (got == 0) {
    on_line_("stop");
    return;
  }
  partial_.append(buffer, static_cast<std::size_t>(got));
  for (std::size_t end = 0; (end = partial_.find('\n')) != std::string::npos;) {
    const std::string line = partial_.substr(0, end);
    partial_.erase(0, end + 1);
    on_line_(line);
  }
}

}  // namespace traffic
