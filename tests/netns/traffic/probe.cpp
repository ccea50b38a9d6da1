#include "traffic/probe.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "traffic/loop.hpp"
#include "traffic/message.hpp"
#include "traffic/server.hpp"

namespace traffic {

namespace {

constexpr int kProbePriority = 20;

Nanoseconds wall_clock() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

Nanoseconds stamp_of(msghdr& header) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS) continue;
    timespec t{};
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    return t.tv_sec * kSecond + t.tv_nsec;
  }
  return wall_clock();
}

void sleep_until(Nanoseconds at) {
  const timespec t{at / kSecond, at % kSecond};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

}  // namespace

void reflect(const Options& options) {
  const Fd fd = udp_socket(endpoint(options.text("address", "0.0.0.0"), kReflectPort));
  prefer_real_time(kProbePriority);
  Json("ready").field("at", now()).print();
  pollfd waiting[2] = {{fd.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (!signalled()) {
    if (poll(waiting, 2, -1) < 0) continue;
    if (waiting[1].revents != 0) return;  // end of stdin or any line
    for (;;) {
      char data[256];
      sockaddr_in from{};
      socklen_t length = sizeof from;
      auto* address = reinterpret_cast<sockaddr*>(&from);
      const ssize_t got = recvfrom(fd.get(), data, sizeof data, 0, address, &length);
      if (got < 0) break;
      sendto(fd.get(), data, static_cast<std::size_t>(got), 0, address, length);
    }
  }
}

Probe::Probe(const Options& options)
    : fd_(udp_socket(endpoint(options.text("local", "0.0.0.0"), options.port("port", 4000)))),
      interval_(static_cast<Nanoseconds>(options.number("interval-us", 1000)) * 1000),
      to_monotonic_(now() - wall_clock()),
      bins_(now()) {
  const int one = 1;
  setsockopt(fd_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
  if (start_connect(fd_, endpoint(options.text("server", ""), kReflectPort)) != 0) fail("connect of the probe");
  set_nonblocking(STDIN_FILENO);
  gaps_.reserve(kGapsKept);
}

void Probe::run() {
  prefer_real_time(kProbePriority);
  Json("started").field("at", now()).print();
  Nanoseconds next = now();
  for (std::uint64_t turn = 0; !stopping_ && !signalled(); ++turn) {
    next += interval_;
    sleep_until(next);
    const Nanoseconds at = now();
    if (at - next > 50 * interval_) next = at;  // was stopped for long: no burst afterwards
    send_one(at);
    drain();
    if (turn % 16 == 0) commands();
  }
  Json result = gaps("final");
  result.field("bins_from", bins_.start()).field("bin_ms", Bins::kWidth / kMillisecond).field("bins", bins_.counts());
  result.print();
}

void Probe::send_one(Nanoseconds at) {
  const Message message = Message::make(0, static_cast<std::uint32_t>(sent_++), at);
  send(fd_.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Probe::drain() {
  for (;;) {
    Message message;
    alignas(cmsghdr) char control[128];
    iovec part{&message, sizeof message};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(fd_.get(), &header, MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) continue;  // a queued ICMP error: it is consumed by reading it
    if (got < 0) return;
    if (got == sizeof message && message.valid()) received(stamp_of(header) + to_monotonic_);
  }
}

void Probe::received(Nanoseconds stamped) {
  ++received_;
  if (last_ != 0 && stamped - last_ >= kGapKept && gaps_.size() < kGapsKept) gaps_.push_back({last_, stamped});
  last_ = std::max(last_, stamped);
  bins_.add(stamped);
}

void Probe::commands() {
  char buffer[512];
  const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
  if (got == 0) stopping_ = true;
  if (got <= 0) return;
  partial_.append(buffer, static_cast<std::size_t>(got));
  for (std::size_t end = 0; (end = partial_.find('\n')) != std::string::npos;) {
    const std::string line = partial_.substr(0, end);
    partial_.erase(0, end + 1);
    command(line);
  }
}

void Probe::command(const std::string& line) {
  if (line == "mark") {
    mark_ = now();
    gaps_.clear();
    Json("marked").field("at", mark_).print();
  } else if (line == "check") {
    gaps("check").print();
  } else if (line == "stop") {
    stopping_ = true;
  } else {
    Json("error").field("text", "unknown command: " + line).print();
  }
}

Json Probe::gaps(const std::string& type) const {
  const Nanoseconds at = now();
  const Nanoseconds heard = last_ != 0 ? last_ : bins_.start();
  Gap longest{heard, at};  // the one that is still going on
  std::vector<Json> list;
  std::vector<Gap> sorted = gaps_;
  std::sort(sorted.begin(), sorted.end(), [](const Gap& a, const Gap& b) { return a.to - a.from > b.to - b.from; });
  if (!sorted.empty() && sorted.front().to - sorted.front().from > at - heard) longest = sorted.front();
  for (std::size_t i = 0; i < sorted.size() && i < 20; ++i) {
    list.push_back(Json().field("from", sorted[i].from).field("to", sorted[i].to));
  }
  Json result(type);
  result.field("at", at).field("marked_at", mark_).field("sent", sent_).field("received", received_);
  result.field("silence_ms", static_cast<double>(longest.to - longest.from) / kMillisecond);
  result.field("silence_from", longest.from).field("silence_to", longest.to).field("last", last_);
  result.field("longest", list);
  return result;
}

}  // namespace traffic
