#include "common/io/loop.hpp"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "common/io/unique_fd.hpp"

using namespace common;
using namespace common::io;

namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    in = UniqueFd(fds[0]);
    out = UniqueFd(fds[1]);
  }
  void put() { REQUIRE(write(out.get(), "x", 1) == 1); }
  void take() {
    char c = 0;
    REQUIRE(read(in.get(), &c, 1) == 1);
  }
  UniqueFd in, out;
};

/// A test that waits for nothing must not wait for ever.
struct Guard {
  explicit Guard(Loop& loop) : timer(loop.timer([&loop] { loop.stop(99); })) { timer->set(now() + 20s); }
  std::unique_ptr<Loop::Timer> timer;
};

}  // namespace

TEST_CASE("a timer of 10 ms fires when it should, not with sd-event's default slack of 250 ms") {
  Loop loop;
  Guard guard(loop);
  Time start = now();
  std::vector<Duration> took;
  std::unique_ptr<Loop::Timer> timer = loop.timer([&] {
    took.push_back(now() - start);
    if (took.size() == 5) return loop.stop();
    start = now();
    timer->set(start + 10ms);
  });
  timer->set(start + 10ms);
  loop.run();
  REQUIRE(took.size() == 5);
  std::ranges::sort(took);
  CHECK(took.front() >= 10ms);
  CHECK(took[2] < 50ms);  // the median: a busy machine may hold one of them up
}

TEST_CASE("a timer may be set again from its own handler, and is never early") {
  Loop loop;
  Guard guard(loop);
  Time due = now();
  int fired = 0, early = 0;
  std::unique_ptr<Loop::Timer> timer = loop.timer([&] {
    if (now() < due) ++early;
    if (++fired == 20) return loop.stop();
    due = now() + 1ms + std::chrono::nanoseconds(fired);
    timer->set(due);
  });
  timer->set(due);
  loop.run();
  CHECK(fired == 20);
  CHECK(early == 0);
}

TEST_CASE("setting a timer replaces what was set, and none stops it") {
  Loop loop;
  Guard guard(loop);
  int stopped = 0, moved = 0;
  const auto a = loop.timer([&] { ++stopped; });
  const auto b = loop.timer([&] { ++moved; });
  const auto end = loop.timer([&] { loop.stop(3); });
  a->set(now() + 1ms);
  b->set(now() + 1ms);
  a->set(std::nullopt);
  b->set(now() + 1h);
  b->set(now() + 2ms);
  end->set(now() + 15ms);
  loop.run();
  CHECK(stopped == 0);
  CHECK(moved == 1);
  CHECK(loop.exit_code() == 3);
}

TEST_CASE("a timer may be destroyed by its own handler") {
  Loop loop;
  Guard guard(loop);
  std::string kept(100, 'k');
  std::unique_ptr<Loop::Timer> timer;
  timer = loop.timer([&timer, &loop, kept] {
    timer.reset();
    if (kept.size() == 100) loop.stop(kept[99]);
  });
  timer->set(now());
  loop.run();
  CHECK(loop.exit_code() == 'k');
}

TEST_CASE("a handler may unwatch itself and others") {
  Loop loop;
  Guard guard(loop);
  Pipe a, b;
  int calls = 0;
  std::string kept(100, 'k');
  const auto handler = [&, kept](std::uint32_t) {
    ++calls;
    loop.unwatch(a.in.get());
    loop.unwatch(b.in.get());
    if (kept[99] != 'k') calls += 100;
  };
  loop.watch(a.in.get(), EPOLLIN, handler);
  loop.watch(b.in.get(), EPOLLIN, handler);
  a.put();
  b.put();
  const auto end = loop.timer([&] { loop.stop(); });
  end->set(now() + 10ms);
  loop.run();
  CHECK(calls == 1);
}

TEST_CASE("events of a watched descriptor can be changed") {
  Loop loop;
  Guard guard(loop);
  Pipe a;
  std::vector<std::uint32_t> seen;
  loop.watch(a.out.get(), EPOLLOUT, [&](std::uint32_t events) {
    seen.push_back(events);
    loop.change(a.out.get(), 0);
    loop.stop();
  });
  loop.run();
  CHECK(seen == std::vector<std::uint32_t>{EPOLLOUT});
  loop.unwatch(a.out.get());
  loop.unwatch(a.out.get());  // what is not watched needs no unwatching
}

TEST_CASE("what is urgent is served first") {
  Loop loop;
  Guard guard(loop);
  Pipe normal, urgent;
  std::string order;
  loop.watch(normal.in.get(), EPOLLIN, [&](std::uint32_t) {
    normal.take();
    order += 'n';
    loop.stop();
  });
  loop.watch(
      urgent.in.get(), EPOLLIN,
      [&](std::uint32_t) {
        urgent.take();
        order += 'u';
      },
      Loop::Priority::urgent);
  normal.put();
  urgent.put();
  loop.run();
  CHECK(order == "un");
  loop.unwatch(normal.in.get());
  loop.unwatch(urgent.in.get());
}

TEST_CASE("signals end or reload") {
  sigset_t before;
  sigprocmask(SIG_SETMASK, nullptr, &before);
  {
    Loop loop;
    Guard guard(loop);
    std::string seen;
    loop.on_signals(
        [&] {
          seen += 't';
          if (seen.size() == 3) loop.stop();
        },
        [&] { seen += 'h'; });
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGINT);
    loop.run();
    CHECK(std::count(seen.begin(), seen.end(), 't') == 2);
    CHECK(std::count(seen.begin(), seen.end(), 'h') == 1);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("the end of a child is told with its wait status") {
  Loop loop;
  Guard guard(loop);
  std::vector<int> ended;
  const auto start = [&](auto&& body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      _exit(7);
    }
    loop.on_child(pid, [&](int status) {
      ended.push_back(status);
      if (ended.size() == 2) loop.stop();
    });
  };
  start([] {});
  start([] { raise(SIGKILL); });
  loop.run();
  REQUIRE(ended.size() == 2);
  if (WIFSIGNALED(ended[0])) std::swap(ended[0], ended[1]);
  CHECK(WIFEXITED(ended[0]));
  CHECK(WEXITSTATUS(ended[0]) == 7);
  CHECK(WIFSIGNALED(ended[1]));
  CHECK(WTERMSIG(ended[1]) == SIGKILL);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // reaped
}

TEST_CASE("wall-clock time is RFC 3339 in UTC with milliseconds") {
  const std::string text = wall_clock(now());
  CHECK_THAT(text, Catch::Matches(R"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ)"));
  CHECK(wall_clock(now() + 1h) > text);
}
