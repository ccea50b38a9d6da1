#include "common/io/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>

#include "common/io/notify_packet.hpp"
#include "tests/common/scratch.hpp"

using namespace common;
using namespace common::io;

namespace {

const Term kTerm{7, "R1"};

/// A server that writes down what happens; runs a loop until a condition holds.
struct World {
  World() {
    tick = loop.timer([this] {
      if (condition() || now() > limit) return loop.stop();
      tick->set(now() + 1ms);
    });
  }

  Result<std::unique_ptr<NotifyServer>> open_server() {
    return NotifyServer::open(loop, path,
                              {.connected =
                                   [this](std::uint64_t id, const PeerCredentials& who) {
                                     ids.push_back(id);
                                     creds = who;
                                     if (on_connected) on_connected(id);
                                   },
                               .message =
                                   [this](std::uint64_t id, const NotifyMessage& message) {
                                     received.push_back(message);
                                     if (on_message) on_message(id, message);
                                   },
                               .closed = [this](std::uint64_t id) { closed.push_back(id); }});
  }
  void serve() {
    auto opened = open_server();
    INFO((opened ? "" : opened.error().text));
    REQUIRE(opened);
    server = std::move(*opened);
  }
  std::unique_ptr<NotifyClient> client() {
    return std::make_unique<NotifyClient>(
        loop, path,
        NotifyClient::Callbacks{.connected = [this] { ++client_connected; },
                                .message = [this](const NotifyMessage& message) { client_received.push_back(message); },
                                .closed = [this] { ++client_closed; }});
  }
  /// sd-event ends for good with stop(), so that a World runs once.
  bool run_until(std::function<bool()> what) {
    condition = std::move(what);
    limit = now() + 20s;
    tick->set(now());
    loop.run();
    return condition();
  }

  Scratch scratch;
  std::string path = scratch / "x.sock";
  Loop loop;
  std::unique_ptr<NotifyServer> server;
  std::vector<std::uint64_t> ids, closed;
  std::vector<NotifyMessage> received, client_received;
  PeerCredentials creds;
  int client_connected = 0, client_closed = 0;
  std::function<void(std::uint64_t)> on_connected;
  std::function<void(std::uint64_t, const NotifyMessage&)> on_message;
  std::function<bool()> condition;
  Time limit{};
  std::unique_ptr<Loop::Timer> tick;
};

/// A client that does nothing on its own, and may be rude.
struct RawClient {
  explicit RawClient(const std::string& path) : fd(new_packet_socket()) {
    REQUIRE(connect_to(fd.get(), *socket_address(path)) == 0);
  }
  void say(const std::string& packet) {
    REQUIRE(send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size()));
  }
  UniqueFd fd;
};

}  // namespace

TEST_CASE("messages go both ways") {
  World w;
  w.serve();
  const auto client = w.client();
  CHECK_FALSE(client->connected());
  client->send(Hello{});  // dropped: not connected yet
  const Welcome welcome{.version = 1, .node = "R1", .groups = {{"G", GroupState::master, Phase::idle, kTerm}}};
  w.on_connected = [&](std::uint64_t id) { w.server->send(id, welcome); };
  w.on_message = [&](std::uint64_t id, const NotifyMessage&) {
    w.server->send(id, Prepare{.group = "G", .term = kTerm, .timeout_ms = 1});
  };
  bool said = false;
  REQUIRE(w.run_until([&] {
    if (w.client_connected == 1 && !std::exchange(said, true))
      client->send(Hello{.role = Role::agent, .node = "R1", .terms = {}});
    return w.client_received.size() == 2;
  }));
  CHECK(client->connected());
  CHECK(w.client_received[0] == NotifyMessage(welcome));
  CHECK(w.client_received[1] == NotifyMessage(Prepare{.group = "G", .term = kTerm, .timeout_ms = 1}));
  REQUIRE(w.received.size() == 1);
  CHECK(std::get<Hello>(w.received[0]).role == Role::agent);
  CHECK(w.creds.pid == getpid());
  CHECK(w.creds.uid == getuid());
  struct stat status{};
  REQUIRE(stat(w.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0660);
}

TEST_CASE("garbage is counted and the connection goes on") {
  World w;
  w.serve();
  RawClient client(w.path);
  client.say("garbage");
  client.say(R"({"type":"ready"})");
  client.say(std::string(kNotifyMaxPacket + 1000, ' '));
  client.say(encode(Ready{.group = "G", .term = kTerm, .ok = true, .detail = ""}));
  REQUIRE(w.run_until([&] { return w.received.size() == 1; }));
  CHECK(w.server->decode_errors() == 3);
  CHECK(std::get<Ready>(w.received[0]).group == "G");
  CHECK(w.closed.empty());
}

TEST_CASE("what a client said before it closed is still heard, then the end is told once") {
  World w;
  w.serve();
  w.on_connected = [&](std::uint64_t id) { w.server->send(id, Welcome{}); };  // which it never reads
  {
    RawClient client(w.path);
    client.say(encode(Request{.id = 1, .verb = "status", .arguments = {}}));
  }
  REQUIRE(w.run_until([&] { return !w.closed.empty(); }));
  CHECK(w.received.size() == 1);
  CHECK(w.closed == w.ids);
  w.server->send(w.ids[0], Welcome{});  // nothing happens
}

TEST_CASE("a client that does not read is disconnected, and the others are not disturbed") {
  World w;
  w.serve();
  RawClient lazy(w.path);
  const auto client = w.client();
  const Entered event{
      .group = "G", .state = {}, .phase = {}, .term = kTerm, .priority = 0, .cause = std::string(20000, 'c')};
  std::size_t sent = 0;
  REQUIRE(w.run_until([&] {
    if (w.ids.size() < 2) return false;
    for (int i = 0; i < 20 && w.server->slow_clients() == 0; ++i, ++sent)
      for (const std::uint64_t id : w.ids) w.server->send(id, event);
    return !w.closed.empty() && w.client_received.size() >= sent;
  }));
  CHECK(w.server->slow_clients() == 1);
  REQUIRE(w.closed.size() == 1);
  CHECK(w.client_received.size() == sent);
  CHECK(w.client_closed == 0);
  CHECK(sent * 20000 > kMaxQueuedBytes);
}

TEST_CASE("what was queued for a slow client comes in order once it reads") {
  World w;
  w.serve();
  const auto client = w.client();
  w.on_connected = [&](std::uint64_t id) {
    for (int i = 0; i < 500; ++i)
      w.server->send(
          id,
          Entered{
              .group = "G", .state = {}, .phase = {}, .term = kTerm, .priority = i, .cause = std::string(5000, 'c')});
  };
  REQUIRE(w.run_until([&] { return w.client_received.size() == 500; }));
  for (int i = 0; i < 500; ++i)
    REQUIRE(std::get<Entered>(w.client_received[static_cast<std::size_t>(i)]).priority == i);
}

TEST_CASE("a handler may close any client, and the server") {
  World w;
  w.serve();
  RawClient a(w.path), b(w.path);
  w.on_message = [&](std::uint64_t, const NotifyMessage&) {
    for (const std::uint64_t id : w.ids) w.server->close(id);
  };
  for (int i = 0; i < 3; ++i) a.say(encode(Hello{}));
  b.say(encode(Hello{}));
  REQUIRE(w.run_until([&] { return w.closed.size() == 2; }));
  CHECK(w.received.size() == 1);

  World v;
  v.serve();
  RawClient c(v.path);
  c.say(encode(Hello{}));
  c.say(encode(Hello{}));
  v.on_message = [&](std::uint64_t, const NotifyMessage&) { v.server.reset(); };
  REQUIRE(v.run_until([&] { return v.server == nullptr; }));
  CHECK(v.received.size() == 1);
  CHECK(v.closed.empty());
}

TEST_CASE("a client comes back when the server does, and says what happened") {
  World w;
  const auto client = w.client();
  int step = 0;
  REQUIRE(w.run_until([&] {
    if (step == 0) w.serve(), step = 1;
    if (step == 1 && w.client_connected == 1 && w.ids.size() == 1) w.server.reset(), step = 2;
    if (step == 2 && w.client_closed == 1) w.serve(), step = 3;
    return step == 3 && w.client_connected == 2 && w.ids.size() == 2;
  }));
  CHECK(w.client_closed == 1);
  CHECK(client->connected());
}

TEST_CASE("a client may be destroyed by its own callback") {
  World w;
  w.serve();
  w.on_connected = [&](std::uint64_t id) {
    w.server->send(id, Welcome{});
    w.server->send(id, Welcome{});
  };
  std::unique_ptr<NotifyClient> client;
  int messages = 0;
  client = std::make_unique<NotifyClient>(w.loop, w.path,
                                          NotifyClient::Callbacks{.connected = {},
                                                                  .message =
                                                                      [&](const NotifyMessage&) {
                                                                        ++messages;
                                                                        client.reset();
                                                                      },
                                                                  .closed = {}});
  REQUIRE(w.run_until([&] { return !w.closed.empty(); }));
  CHECK(messages == 1);
}

TEST_CASE("the socket of a dead process is replaced, a living one is not") {
  World w;
  {
    // What a killed process leaves: a bound socket that nobody listens on.
    const UniqueFd dead(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    const auto address = *socket_address(w.path);
    REQUIRE(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  w.serve();
  const auto second = w.open_server();
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().text,
             Catch::Contains(w.path + ": is in use by a running process (pid " + std::to_string(getpid()) + ")"));
  w.server.reset();
  CHECK_FALSE(std::filesystem::exists(w.path));

  std::ofstream(w.path) << "precious";
  const auto third = w.open_server();
  REQUIRE_FALSE(third);
  CHECK_THAT(third.error().text, Catch::Contains("is not a socket"));
  CHECK(std::filesystem::exists(w.path));
}

TEST_CASE("the crowd gives way: first who is silent, then who only looks on, never who takes part before them") {
  World w;
  w.serve();
  const auto address = *socket_address(w.path);
  const auto connect_one = [&] {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  };
  const auto say = [](const UniqueFd& fd, Role role) {
    const std::string packet = encode(Hello{.role = role, .node = {}, .terms = {}});
    REQUIRE(send(fd.get(), packet.data(), packet.size(), 0) == static_cast<ssize_t>(packet.size()));
  };
  std::vector<UniqueFd> crowd;
  crowd.push_back(connect_one());
  say(crowd[0], Role::syncd);
  crowd.push_back(connect_one());
  say(crowd[1], Role::observer);
  std::size_t wanted = 2;
  REQUIRE(w.run_until([&] {
    if (w.ids.size() < wanted || w.received.size() < 2) return false;
    // No more at a time than the queue of the socket takes.
    for (int i = 0; i < 8 && wanted < 100; ++i, ++wanted) crowd.push_back(connect_one());
    return w.ids.size() == 100;
  }));
  // 100 came and 64 may stay: the 36 oldest silent ones have gone.
  CHECK(w.server->crowded_out() == 36);
  REQUIRE(w.closed.size() == 36);
  CHECK(w.closed.front() == w.ids[2]);
  CHECK(w.closed.back() == w.ids[37]);
  CHECK(w.server->trusted(w.ids[0]));
}

TEST_CASE("a socket whose file was removed is made anew, and nobody is disconnected") {
  World w;
  w.path = w.scratch / "run/x.sock";
  std::filesystem::create_directory(w.scratch / "run");
  w.serve();
  const auto early = w.client();
  std::unique_ptr<NotifyClient> late;
  bool removed = false;
  REQUIRE(w.run_until([&] {
    if (!removed && w.client_connected == 1) {
      removed = std::filesystem::remove_all(w.scratch / "run") == 2;
      late = w.client();
    }
    return w.client_connected == 2;
  }));
  CHECK(w.client_closed == 0);
  CHECK(early->connected());
  CHECK(w.server->socket_lost() == 1);
  struct stat status{};
  REQUIRE(stat(w.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0660);
}

TEST_CASE("a socket that cannot be is refused with one line") {
  World w;
  w.path = w.scratch / "missing/x.sock";
  CHECK_THAT(w.open_server().error().text, Catch::Contains("No such file"));
  w.path = w.scratch / std::string(200, 'x');
  CHECK_THAT(w.open_server().error().text, Catch::Contains("shorter than"));
}

TEST_CASE("ask puts a long reply together and passes over the rest") {
  World w;
  w.serve();
  std::string body;
  for (int i = 0; i < 20000; ++i) body += "\"ü€𝄞\\";
  w.on_connected = [&](std::uint64_t id) { w.server->send(id, Welcome{}); };
  w.on_message = [&](std::uint64_t id, const NotifyMessage& message) {
    const auto* request = std::get_if<Request>(&message);
    if (request == nullptr) return;
    w.server->send(id, Reply{.id = request->id + 1, .ok = true, .error = {}, .body = "another's"});
    w.server->send(id, Shut{});
    w.server->send(id, Reply{.id = request->id, .ok = true, .error = {}, .body = body});
  };
  auto answer = std::async(std::launch::async,
                           [&] { return ask(w.path, Request{.id = 0, .verb = "show", .arguments = {"a", "b"}}, 4s); });
  REQUIRE(w.run_until([&] { return answer.wait_for(0s) == std::future_status::ready; }));
  const auto reply = answer.get();
  REQUIRE(reply);
  CHECK(reply->ok);
  CHECK_FALSE(reply->more);
  CHECK(reply->body == body);
  REQUIRE(w.received.size() == 2);
  CHECK(std::get<Hello>(w.received[0]).role == Role::control);
  CHECK(std::get<Request>(w.received[1]).arguments == std::vector<std::string>{"a", "b"});
}

TEST_CASE("an answer that would not end is refused instead") {
  const auto packets = packets_of(Reply{.id = 5, .ok = true, .error = {}, .body = std::string(kMaxReplyBody + 1, 'x')});
  REQUIRE(packets.size() == 1);
  const auto reply = std::get<Reply>(*decode_notify(packets[0]));
  CHECK(reply.id == 5);
  CHECK_FALSE(reply.ok);
  for (const std::string& packet :
       packets_of(Reply{.id = 5, .ok = true, .error = {}, .body = std::string(50000, '\1')}))
    CHECK(packet.size() <= kNotifyMaxPacket);
}

TEST_CASE("ask does not wait for a daemon that is not there, or does not answer") {
  Scratch scratch;
  const auto nobody = ask(scratch / "x.sock", Request{}, 1s);
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().code == ENOENT);
  CHECK_THAT(nobody.error().text, Catch::Contains("is the daemon running?"));

  const UniqueFd mute(socket(AF_UNIX, SOCK_SEQPACKET, 0));
  const auto address = *socket_address(scratch / "x.sock");
  REQUIRE(bind(mute.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(mute.get(), 0) == 0);
  const Time start = now();
  const auto silent = ask(scratch / "x.sock", Request{}, 30ms);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().code == ETIMEDOUT);
  // The first one still takes the only place in the queue: this one cannot even connect.
  const auto full = ask(scratch / "x.sock", Request{}, 30ms);
  REQUIRE_FALSE(full);
  CHECK(full.error().code == ETIMEDOUT);
  CHECK(now() < start + 1s);
}
