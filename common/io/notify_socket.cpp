#include "common/io/notify_socket.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "common/io/log.hpp"
#include "common/io/notify_packet.hpp"

namespace common::io {

namespace {

// Three participants, a few observers and commands: more than this is a mistake that must not eat our
// descriptors.
constexpr std::size_t kMaxClients = 64;
// Connections taken in one turn: whoever opens thousands must not keep timers waiting.
constexpr int kAcceptBurst = 16;
// How often is looked whether the file of our socket is still there: without it nobody can connect any more.
constexpr Duration kGuardEvery = 1s;
// Packets read from one peer before others get their turn.
constexpr int kReadBurst = 32;
// How long accepting pauses when the process has no descriptor left.
constexpr Duration kAcceptPause = 1s;
constexpr int kBacklog = 16;

/// Removes what a dead process left behind; refuses what a living one uses.
Status clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return fail(path + ": exists and is not a socket; remove it or use another --run-dir");
  const UniqueFd probe = new_packet_socket();
  const int error = connect_to(probe.get(), address);
  if (error == 0 || error == EAGAIN || error == EPROTOTYPE) {
    ucred who{};
    socklen_t size = sizeof who;
    const bool known = error == 0 && getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
    return fail(path + ": is in use by a running process" + (known ? " (pid " + std::to_string(who.pid) + ")" : "") +
                    "; stop it or use another --run-dir",
                EADDRINUSE);
  }
  if (error != ECONNREFUSED && error != ENOENT) return fail(path + ": " + error_text(error), error);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail(path + ": " + error_text(errno), errno);
  return {};
}

}  // namespace

bool PeerCredentials::trusted() const {
  return uid == 0 || uid == geteuid();
}

// --- server
// ----------------------------------------------------------------------------------------------------------

struct NotifyServer::State : std::enable_shared_from_this<State> {
  enum class Weight : std::uint8_t { silent, visitor, participant };
  struct Client {
    UniqueFd fd;
    Outbox out;
    bool complained = false;  // one line of log a connection is enough
    bool trusted = false;
    Weight weight = Weight::silent;
  };

  State(Loop& l, std::string p, Callbacks c) : loop(l), path(std::move(p)), callbacks(std::move(c)) {}

  Status begin();
  Status listen_on();
  void accept_some();
  void make_room();
  void guard_file();
  void weigh(Client& client, const NotifyMessage& message);
  void serve(std::uint64_t id, std::uint32_t events);
  void read(std::uint64_t id);
  void drop(std::uint64_t id);
  void report_closed();
  void shut_down();
  bool serving(std::uint64_t id) {
    const auto found = clients.find(id);
    return found != clients.end() && found->second.fd;
  }

  Loop& loop;
  std::string path;
  Callbacks callbacks;
  UniqueFd listener;
  ino_t inode = 0;
  std::map<std::uint64_t, Client> clients;
  std::vector<std::uint64_t> gone;  // dropped, and not reported yet
  std::unique_ptr<Loop::Timer> reporter, accept_again, guard;
  std::uint64_t last_id = 0;
  std::uint64_t decode_errors = 0, slow_clients = 0, crowded_out = 0, socket_lost = 0;
  bool full = false;          // and has been logged
  bool file_missing = false;  // and has been logged
  std::string guard_error;    // and has been logged
  bool alive = true;
};

Status NotifyServer::State::listen_on() {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  if (auto cleared = clear_path(path, *address); !cleared) return cleared;
  listener = new_packet_socket();
  if (!listener) return fail(path + ": " + error_text(errno), errno);
  const mode_t before = umask(0117);
  const int bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  const int error = errno;
  umask(before);
  if (bound != 0) {
    listener.reset();
    return fail(path + ": " + error_text(error), error);
  }
  if (listen(listener.get(), kBacklog) != 0) return fail(path + ": " + error_text(errno), errno);
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) inode = status.st_ino;
  loop.watch(listener.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
  return {};
}

Status NotifyServer::State::begin() {
  if (auto listening = listen_on(); !listening) return listening;
  reporter = loop.timer([this] { report_closed(); });
  accept_again = loop.timer([this] {
    if (listener) loop.change(listener.get(), EPOLLIN);
  });
  guard = loop.timer([this] { guard_file(); }, Loop::Priority::normal);
  guard->set(now() + kGuardEvery);
  return {};
}

/// Somebody has emptied the run directory. Who is connected stays so; for all others the socket is made anew.
void NotifyServer::State::guard_file() {
  guard->set(now() + kGuardEvery);
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0 || errno != ENOENT) return;
  if (!std::exchange(file_missing, true)) {
    ++socket_lost;
    log(LogLevel::warning, path, "the file of the socket was removed: making it anew");
  }
  if (listener) loop.unwatch(listener.get());
  listener.reset();
  std::error_code ignored;  // binding says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (auto listening = listen_on(); !listening) {
    if (listening.error().text != guard_error) log(LogLevel::error, "socket_lost", listening.error().text);
    guard_error = listening.error().text;
    return;
  }
  file_missing = false;
  guard_error.clear();
}

void NotifyServer::State::accept_some() {
  const auto self = shared_from_this();
  for (int i = 0; alive && i < kAcceptBurst; ++i) {
    UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      log(LogLevel::warning, path, "no more clients for a while: " + error_text(errno));
      loop.change(listener.get(), 0);
      accept_again->set(now() + kAcceptPause);
      return;
    }
    make_room();
    ucred who{};
    socklen_t size = sizeof who;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) continue;
    const PeerCredentials credentials{who.pid, who.uid, who.gid};
    const std::uint64_t id = ++last_id;
    const int raw = fd.get();
    Client& client = clients[id];
    client.fd = std::move(fd);
    client.trusted = credentials.trusted();
    loop.watch(raw, EPOLLIN, [this, id](std::uint32_t events) { serve(id, events); });
    if (callbacks.connected) callbacks.connected(id, credentials);
  }
}

void NotifyServer::State::make_room() {
  std::size_t count = 0;
  auto victim = clients.end();
  for (auto at = clients.begin(); at != clients.end(); ++at) {
    if (!at->second.fd) continue;
    ++count;
    // The first of its weight is the oldest.
    if (victim == clients.end() || at->second.weight < victim->second.weight) victim = at;
  }
  if (count < kMaxClients / 2) full = false;
  if (count < kMaxClients) return;
  if (!std::exchange(full, true))
    log(LogLevel::warning, path,
        std::to_string(count) + " clients are connected: each new one takes the place of an idle one");
  ++crowded_out;
  drop(victim->first);
}

void NotifyServer::State::weigh(Client& client, const NotifyMessage& message) {
  if (client.weight == Weight::silent) client.weight = Weight::visitor;
  const auto* hello = std::get_if<Hello>(&message);
  if (hello == nullptr || !client.trusted) return;
  if (hello->role == Role::syncd || hello->role == Role::agent) client.weight = Weight::participant;
}

void NotifyServer::State::serve(std::uint64_t id, std::uint32_t events) {
  const auto self = shared_from_this();
  if ((events & EPOLLOUT) != 0) {
    Client& client = clients.at(id);
    const auto result = client.out.flush(client.fd.get());
    if (result == Outbox::Result::broken) client.out.clear();
    if (result != Outbox::Result::queued) loop.change(client.fd.get(), EPOLLIN);
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read(id);
}

void NotifyServer::State::read(std::uint64_t id) {
  // A callback may close this client, others, or the server: each turn looks again.
  for (int i = 0; i < kReadBurst && alive && serving(id); ++i) {
    Client& client = clients.at(id);
    const Received received = receive(client.fd.get());
    switch (received.what) {
      case Received::What::nothing:
        return;
      case Received::What::end:
        return drop(id);
      case Received::What::garbage:
        ++decode_errors;
        if (!std::exchange(client.complained, true))
          log(LogLevel::warning, path, "message of client " + std::to_string(id) + " ignored: " + received.error);
        break;
      case Received::What::message:
        weigh(client, received.message);
        if (callbacks.message) callbacks.message(id, received.message);
        break;
    }
  }
}

/// Ends the connection now; `closed` is called from the loop, so that whoever sends to all clients may go on
/// doing so.
void NotifyServer::State::drop(std::uint64_t id) {
  if (!serving(id)) return;
  Client& client = clients.at(id);
  loop.unwatch(client.fd.get());
  client.fd.reset();
  client.out.clear();
  gone.push_back(id);
  reporter->set(now());
}

void NotifyServer::State::report_closed() {
  const auto self = shared_from_this();
  const auto ids = std::exchange(gone, {});
  for (const std::uint64_t id : ids) {
    clients.erase(id);
    if (alive && callbacks.closed) callbacks.closed(id);
  }
}

void NotifyServer::State::shut_down() {
  alive = false;
  reporter.reset();
  accept_again.reset();
  guard.reset();
  for (auto& [id, client] : clients)
    if (client.fd) loop.unwatch(client.fd.get());
  if (!listener) return;
  loop.unwatch(listener.get());
  struct stat status{};
  // Not the socket of a successor, should somebody have emptied the directory in between.
  if (inode != 0 && lstat(path.c_str(), &status) == 0 && status.st_ino == inode) unlink(path.c_str());
}

NotifyServer::NotifyServer() = default;
NotifyServer::~NotifyServer() {
  if (state_) state_->shut_down();
}

Result<std::unique_ptr<NotifyServer>> NotifyServer::open(Loop& loop, const std::string& path, Callbacks callbacks) {
  std::unique_ptr<NotifyServer> server(new NotifyServer);
  server->state_ = std::make_shared<State>(loop, path, std::move(callbacks));
  if (auto status = server->state_->begin(); !status) return std::unexpected(status.error());
  return server;
}

void NotifyServer::send(std::uint64_t client, const NotifyMessage& message) {
  for (std::string& packet : packets_of(message)) {
    if (!state_->serving(client)) return;
    State::Client& to = state_->clients.at(client);
    switch (to.out.push(to.fd.get(), std::move(packet))) {
      case Outbox::Result::sent:
        break;
      case Outbox::Result::queued:
        state_->loop.change(to.fd.get(), EPOLLIN | EPOLLOUT);
        break;
      case Outbox::Result::full:
        ++state_->slow_clients;
        log(LogLevel::warning, state_->path, "client " + std::to_string(client) + " disconnected: it does not read");
        state_->drop(client);
        break;
      case Outbox::Result::too_long:
        log(LogLevel::error, state_->path, "a message to client " + std::to_string(client) + " is too long: not sent");
        break;
      case Outbox::Result::broken:
        break;
    }
  }
}

void NotifyServer::close(std::uint64_t client) {
  state_->drop(client);
}
bool NotifyServer::trusted(std::uint64_t client) const {
  return state_->serving(client) && state_->clients.at(client).trusted;
}
std::uint64_t NotifyServer::decode_errors() const {
  return state_->decode_errors;
}
std::uint64_t NotifyServer::slow_clients() const {
  return state_->slow_clients;
}
std::uint64_t NotifyServer::crowded_out() const {
  return state_->crowded_out;
}
std::uint64_t NotifyServer::socket_lost() const {
  return state_->socket_lost;
}

// --- client
// ----------------------------------------------------------------------------------------------------------

struct NotifyClient::State : std::enable_shared_from_this<State> {
  State(Loop& l, std::string p, Callbacks c) : loop(l), path(std::move(p)), callbacks(std::move(c)) {}

  void tick();
  void attempt();
  void serve(std::uint32_t events);
  void lose();
  void shut_down() {
    alive = false;
    timer.reset();
    if (fd) loop.unwatch(fd.get());
  }

  Loop& loop;
  std::string path;
  Callbacks callbacks;
  std::unique_ptr<Loop::Timer> timer;
  UniqueFd fd;
  Outbox out;
  int last_error = 0;
  bool lost = false;  // and `closed` not called yet
  bool complained = false;
  bool alive = true;
};

void NotifyClient::State::tick() {
  const auto self = shared_from_this();
  if (!std::exchange(lost, false)) return attempt();
  // Not at once: a server that has no room for us would be asked again and again.
  timer->set(now() + kReconnectEvery);
  if (callbacks.closed) callbacks.closed();
}

void NotifyClient::State::attempt() {
  const auto address = socket_address(path);
  int error = address ? 0 : address.error().code;
  UniqueFd attempt_fd = new_packet_socket();
  if (error == 0) error = attempt_fd ? connect_to(attempt_fd.get(), *address) : errno;
  if (error != 0) {
    // That nobody is there yet is normal, in any start order; what only a person can mend is said once.
    const bool normal = error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
    if (!normal && error != last_error) log(LogLevel::error, path, "cannot connect: " + error_text(error));
    last_error = error;
    timer->set(now() + kReconnectEvery);
    return;
  }
  last_error = 0;
  fd = std::move(attempt_fd);
  loop.watch(fd.get(), EPOLLIN, [this](std::uint32_t events) { serve(events); });
  if (callbacks.connected) callbacks.connected();
}

void NotifyClient::State::serve(std::uint32_t events) {
  const auto self = shared_from_this();
  if ((events & EPOLLOUT) != 0) {
    const auto result = out.flush(fd.get());
    if (result == Outbox::Result::broken) out.clear();
    if (result != Outbox::Result::queued) loop.change(fd.get(), EPOLLIN);
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
  for (int i = 0; i < kReadBurst && alive && fd; ++i) {
    const Received received = receive(fd.get());
    if (received.what == Received::What::nothing) return;
    if (received.what == Received::What::end) return lose();
    if (received.what == Received::What::message) {
      if (callbacks.message) callbacks.message(received.message);
    } else if (!std::exchange(complained, true)) {
      log(LogLevel::warning, path, "message ignored: " + received.error);
    }
  }
}

/// Also from within send(): `closed` is called from the loop.
void NotifyClient::State::lose() {
  loop.unwatch(fd.get());
  fd.reset();
  out.clear();
  lost = true;
  timer->set(now());
}

NotifyClient::NotifyClient(Loop& loop, std::string path, Callbacks callbacks)
    : state_(std::make_shared<State>(loop, std::move(path), std::move(callbacks))) {
  State* state = state_.get();
  state->timer = loop.timer([state] { state->tick(); });
  state->timer->set(now());
}

NotifyClient::~NotifyClient() {
  state_->shut_down();
}

bool NotifyClient::connected() const {
  return static_cast<bool>(state_->fd);
}

void NotifyClient::send(const NotifyMessage& message) {
  for (std::string& packet : packets_of(message)) {
    if (!state_->fd) return;
    switch (state_->out.push(state_->fd.get(), std::move(packet))) {
      case Outbox::Result::sent:
        break;
      case Outbox::Result::queued:
        state_->loop.change(state_->fd.get(), EPOLLIN | EPOLLOUT);
        break;
      case Outbox::Result::full:
        log(LogLevel::warning, state_->path, "connection given up: the other side does not read");
        state_->lose();
        break;
      case Outbox::Result::too_long:
        log(LogLevel::error, state_->path, "a message is too long: not sent");
        break;
      case Outbox::Result::broken:
        break;
    }
  }
}

}  // namespace common::io
