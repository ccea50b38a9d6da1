#include "traffic/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "traffic/json.hpp"

namespace traffic {

namespace {
constexpr std::size_t kBufferSize = 256 * 1024;
/// How often a sink tells the uploader how much has arrived intact.
constexpr std::uint64_t kSinkReportEvery = 32 * 1024;
}  // namespace

class Server::Session : public Watcher {
 public:
  Session(Server& server, int fd) : server_(server), fd_(fd) {}
  void ready(std::uint32_t events, Nanoseconds) override {
    if (!fd_) return;  // closed earlier in this batch
    if (!serve(events)) end();
  }

 protected:
  /// False: this session is over.
  virtual bool serve(std::uint32_t events) = 0;

  /// Bytes received, 0 for nothing now, -1 when the session is over (counted by its reason).
  ssize_t receive() {
    const ssize_t got = recv(fd_.get(), server_.buffer_.data(), server_.buffer_.size(), 0);
    if (got > 0) {
      server_.counters_.bytes += static_cast<std::uint64_t>(got);
      return got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got == 0) {
      ++server_.counters_.closed;
    } else {
      count_error(errno);
    }
    return -1;
  }
  void count_error(int error) {
    if (error == ECONNRESET || error == EPIPE) {
      ++server_.counters_.reset;
    } else {
      ++server_.counters_.failed;
    }
  }
  void wrong() {
    ++server_.counters_.wrong;
    reset_on_close(fd_);
  }

  Server& server_;
  Fd fd_;

 private:
  void end() {
    const int fd = fd_.get();
    fd_.close();
    server_.finish(fd);
  }
};

class Server::EchoSession : public Session {
 public:
  using Session::Session;

 private:
  bool serve(std::uint32_t events) override {
    if ((events & EPOLLOUT) != 0 && !pending_.empty()) {
      const ssize_t sent = send(fd_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
      if (sent > 0) pending_.erase(0, static_cast<std::size_t>(sent));
      if (pending_.empty()) server_.loop_.modify(fd_.get(), kEdge, *this);
    }
    if ((events & (EPOLLIN | kEnded)) == 0) return true;
    for (;;) {
      const ssize_t got = receive();
      if (got <= 0) return got == 0;
      const auto length = static_cast<std::size_t>(got);
      if (!echo(length)) return false;
      if ((events & kEnded) == 0 && length < server_.buffer_.size()) return true;
    }
  }

  bool echo(std::size_t length) {
    const auto* data = reinterpret_cast<const char*>(server_.buffer_.data());
    std::size_t done = 0;
    if (pending_.empty()) {
      const ssize_t sent = send(fd_.get(), data, length, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) {
        count_error(errno);
        return false;
      }
      done = sent > 0 ? static_cast<std::size_t>(sent) : 0;
      if (done < length) server_.loop_.modify(fd_.get(), kEdge | EPOLLOUT, *this);
    }
    pending_.append(data + done, length - done);
    return true;
  }

  std::string pending_;
};

class Server::SinkSession : public Session {
 public:
  using Session::Session;

 private:
  bool serve(std::uint32_t) override {
    const ssize_t got = receive();
    if (got <= 0) return got == 0;
    const std::span<const std::byte> data(server_.buffer_.data(), static_cast<std::size_t>(got));
    if (!server_.pattern_.matches(received_, data)) {
      wrong();
      return false;
    }
    received_ += data.size();
    if (received_ - reported_ >= kSinkReportEvery) {
      reported_ = received_;
      send(fd_.get(), &reported_, sizeof reported_, MSG_NOSIGNAL);
    }
    return true;
  }

  std::uint64_t received_ = 0, reported_ = 0;
};

class Server::SourceSession : public Session {
 public:
  using Session::Session;

 private:
  bool serve(std::uint32_t events) override {
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
      const ssize_t got = receive();
      if (got < 0) return false;
      if (got > 0 && !start(static_cast<std::size_t>(got))) return false;
    }
    if ((events & EPOLLOUT) == 0 || !started_) return true;
    const auto piece = server_.pattern_.at(sent_);
    const ssize_t sent = send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
      count_error(errno);
      return false;
    }
    if (sent > 0) sent_ += static_cast<std::uint64_t>(sent);
    return true;
  }

  bool start(std::size_t length) {
    DownloadRequest request;
    if (started_ || length != sizeof request) {
      wrong();
      return false;
    }
    std::memcpy(&request, server_.buffer_.data(), sizeof request);
    if (request.magic != DownloadRequest::kMagic) {
      wrong();
      return false;
    }
    set_pacing(fd_, request.bytes_per_second);
    // A quarter of a second of data: the content after an outage is checked, not a backlog of minutes before
    // it.
    const int buffer = static_cast<int>(std::max<std::uint64_t>(request.bytes_per_second / 4, 65536));
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    started_ = true;
    server_.loop_.modify(fd_.get(), EPOLLIN | EPOLLOUT, *this);
    return true;
  }

  bool started_ = false;
  std::uint64_t sent_ = 0;
};

class Server::Listener : public Watcher {
 public:
  Listener(Server& server, Service service, const sockaddr_in& local)
      : server_(server), service_(service), fd_(tcp_listener(local)) {
    server_.loop_.add(fd_.get(), EPOLLIN, *this);
  }
  void ready(std::uint32_t, Nanoseconds) override {
    // Bounded, so that a storm of new connections does not starve the others.
    for (int i = 0; i < 64; ++i) {
      const int fd = accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      server_.accept(service_, fd);
    }
  }

 private:
  Server& server_;
  Service service_;
  Fd fd_;
};

class Server::UdpEcho : public Watcher {
 public:
  UdpEcho(Server& server, const sockaddr_in& local) : server_(server), fd_(udp_socket(local)) {
    server_.loop_.add(fd_.get(), EPOLLIN, *this);
  }
  void ready(std::uint32_t, Nanoseconds) override {
    for (int i = 0; i < 64; ++i) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      EchoedMessage echo;
      auto* address = reinterpret_cast<sockaddr*>(&from);
      const ssize_t got = recvfrom(fd_.get(), &echo.message, sizeof echo.message, 0, address, &length);
      if (got < 0) return;
      ++server_.counters_.datagrams;
      echo.seen_port = ntohs(from.sin_port);
      sendto(fd_.get(), &echo, sizeof echo, 0, address, length);
    }
  }

 private:
  Server& server_;
  Fd fd_;
};

class Server::UdpPush : public Watcher {
 public:
  UdpPush(Server& server, const sockaddr_in& local) : server_(server), fd_(udp_socket(local)) {
    server_.loop_.add(fd_.get(), EPOLLIN, *this);
  }
  void ready(std::uint32_t, Nanoseconds at) override {
    for (int i = 0; i < 64; ++i) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      Message message;
      const ssize_t got = recvfrom(fd_.get(), &message, sizeof message, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0) return;
      if (got != sizeof message || !message.valid()) {
        ++server_.counters_.wrong;
        continue;
      }
      ++server_.counters_.datagrams;
      last_heard_ = at;
      const auto key = (std::uint64_t{from.sin_addr.s_addr} << 16) | from.sin_port;
      peers_[key] = {from, message};
    }
  }
  void push() {
    for (const auto& [key, peer] : peers_) {
      sendto(fd_.get(), &peer.last, sizeof peer.last, 0, reinterpret_cast<const sockaddr*>(&peer.address),
             sizeof peer.address);
    }
    Json("push").field("peers", peers_.size()).field("at", now()).field("last_heard", last_heard_).print();
  }
  void forget() { peers_.clear(); }
  std::size_t peers() const { return peers_.size(); }

 private:
  struct Peer {
    sockaddr_in address;
    Message last;
  };
  Server& server_;
  Fd fd_;
  Nanoseconds last_heard_ = 0;
  std::map<std::uint64_t, Peer> peers_;
};

Server::Server(const Options& options) : buffer_(kBufferSize) {
  const std::string address = options.text("address", "0.0.0.0");
  const auto listen = [&](Service service, std::uint16_t port) {
    listeners_.push_back(std::make_unique<Listener>(*this, service, endpoint(address, port)));
  };
  listen(Service::echo, kEchoPort);
  listen(Service::sink, kSinkPort);
  listen(Service::source, kSourcePort);
  udp_echo_ = std::make_unique<UdpEcho>(*this, endpoint(address, kEchoPort));
  udp_push_ = std::make_unique<UdpPush>(*this, endpoint(address, kPushPort));
}

Server::~Server() = default;

void Server::accept(Service service, int fd) {
  ++counters_.accepted;
  const auto slot = static_cast<std::size_t>(fd);
  if (sessions_.size() <= slot) sessions_.resize(slot + 1024);
  std::unique_ptr<Session> session;
  switch (service) {
    case Service::echo:
      session = std::make_unique<EchoSession>(*this, fd);
      break;
    case Service::sink:
      session = std::make_unique<SinkSession>(*this, fd);
      break;
    case Service::source:
      session = std::make_unique<SourceSession>(*this, fd);
      break;
  }
  loop_.add(fd, service == Service::echo ? kEdge : EPOLLIN, *session);
  sessions_[slot] = std::move(session);
}

void Server::finish(int fd) {
  loop_.retire(std::move(sessions_[static_cast<std::size_t>(fd)]));
}

void Server::report(const std::string& type) const {
  const auto open = std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return s != nullptr; });
  Json(type)
      .field("at", now())
      .field("open", open)
      .field("accepted", counters_.accepted)
      .field("closed", counters_.closed)
      .field("reset", counters_.reset)
      .field("failed", counters_.failed)
      .field("wrong", counters_.wrong)
      .field("bytes", counters_.bytes)
      .field("datagrams", counters_.datagrams)
      .field("push_peers", udp_push_->peers())
      .print();
}

void Server::command(const std::string& line) {
  if (line == "push") {
    udp_push_->push();
  } else if (line == "forget") {
    udp_push_->forget();
    Json("forgotten").print();
  } else if (line == "report") {
    report("report");
  } else if (line == "stop") {
    loop_.stop();
  } else {
    Json("error").field("text", "unknown command: " + line).print();
  }
}

void Server::run() {
  Commands commands(loop_, [this](const std::string& line) { command(line); });
  Json("ready").field("at", now()).print();
  loop_.run([](Nanoseconds) {});
  report("final");
}

}  // namespace traffic
