// The sockets of the sync link between two network namespaces of this process, joined by a veth pair.
#include "syncd/io/link_sockets.hpp"

#include <fcntl.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "common/io/unique_fd.hpp"
#include "tests/syncd/kernel_namespace.hpp"

using namespace syncd;
using namespace std::chrono_literals;

namespace {

common::IpAddress address(const std::string& text) {
  return *common::IpAddress::parse(text);
}

struct Received {
  std::size_t link;
  common::IpAddress source;
  common::Bytes bytes;
  bool to_group;
};

/// One router: its namespace, and the link in it.
struct Router {
  Router(common::io::Loop& l, const std::string& local, const std::string& peer, const char* multicast = nullptr)
      : loop(l) {
    REQUIRE(unshare(CLONE_NEWNET) == 0);
    ns = common::io::UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    interfaces = std::move(*io::Interfaces::open(loop, counters, [this] { follow(); }));
    sockets.emplace(loop, counters,
                    io::LinkSockets::Callbacks{
                        .received =
                            [this](const DatagramReceived& d) {
                              received.push_back({d.link, d.source, {d.bytes.begin(), d.bytes.end()}, d.to_group});
                            },
                        .turn =
                            [this] {
                              if (on_turn) on_turn();
                            }});
    common::SyncConfig config;
    config.links.push_back({.interface = "eth1", .local = address(local), .peer = address(peer), .multicast = {}});
    if (multicast != nullptr) {
      config.links.back().multicast = address(multicast);
      config.links.back().peer = address("192.0.2.1");  // nothing is sent there
    }
    sockets->configure(config);
    follow();
  }
  void enter() const { REQUIRE(setns(ns.get(), CLONE_NEWNET) == 0); }
  void follow() {
    enter();
    // Another reason why it cannot be used is reported, too.
    for (const LinkChanged& change : sockets->follow(*interfaces)) {
      if (changes.empty() || changes.back() != change.usable) changes.push_back(change.usable);
      trouble = change.trouble;
    }
  }
  void send(std::size_t size, std::byte fill) {
    Datagram datagram{.link = 0, .bytes = common::Bytes(size, fill)};
    sockets->queue(datagram);
    sockets->flush();
  }

  common::io::Loop& loop;
  common::io::UniqueFd ns;
  io::Counters counters;
  std::unique_ptr<io::Interfaces> interfaces;
  std::optional<io::LinkSockets> sockets;
  std::vector<bool> changes;
  std::string trouble;
  std::vector<Received> received;
  std::function<void()> on_turn;
};

struct Step {
  std::function<bool()> until;  ///< waited for, but not forever
  std::function<void()> action;
};

/// sd-event ends its loop once and for all, so a test runs it once. Nothing may be thrown from within it
/// (REQUIRE).
void run_steps(common::io::Loop& loop, std::vector<Step> steps) {
  std::size_t at = 0;
  auto give_up = common::io::now() + 5s;
  std::unique_ptr<common::io::Loop::Timer> timer;
  timer = loop.timer([&] {
    if (at == steps.size()) return loop.stop();
    if (steps[at].until() || common::io::now() > give_up) {
      steps[at++].action();
      give_up = common::io::now() + 5s;
    }
    timer->set(common::io::now() + 2ms);
  });
  timer->set(common::io::now());
  loop.run();
}

std::string path_of(const Router& router) {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(router.ns.get());
}

using Changes = std::vector<bool>;

/// An interface carries IPv6 multicast up to a second after its carrier is there. The engine sends again what is lost
/// until then; a test that sends once waits.
bool carries(const Router& router, const char* multicast) {
  if (multicast == nullptr || address(multicast).is_v4()) return true;
  router.enter();
  return test::shell("ip -6 route show table local dev eth1 | grep -q ff00::/8");
}

void in(const Router& router, const std::string& command) {
  router.enter();
  CHECK(test::shell(command));
}

void check_received(const Router& a, const Router& b, const common::IpAddress& from, bool to_group) {
  REQUIRE(b.received.size() == 2);
  CHECK(b.received[0].to_group == to_group);
  CHECK(b.received[0].source == from);
  CHECK(b.received[0].bytes == common::Bytes(1400, std::byte{2}));
  CHECK(b.received[1].bytes == common::Bytes(20, std::byte{5}));
  REQUIRE(a.received.size() == 40);
  CHECK(a.received[39].bytes == common::Bytes(10, std::byte{39}));
}

void run_pair(const std::string& first, const std::string& second, const std::string& suffix,
              const char* multicast = nullptr) {
  common::io::Loop loop;
  Router a(loop, first, second, multicast), b(loop, second, first, multicast);
  const auto plug = [&] {
    in(a, "ip link add eth1 type veth peer name eth1 netns " + path_of(b));
    in(a, "ip addr add " + first + suffix + " && ip link set eth1 up");
    in(b, "ip addr add " + second + suffix + " && ip link set eth1 up");
  };
  const auto both = [&](const Changes& changes) {
    return [&, changes] {
      return a.changes == changes && b.changes == changes &&
             (!changes.back() || (carries(a, multicast) && carries(b, multicast)));
    };
  };
  const Changes off{false}, on{false, true}, off_again{false, true, false}, on_again{false, true, false, true};
  const Changes gone{false, true, false, true, false};
  run_steps(loop, {{both(off),
                    [&] {
                      a.send(100, std::byte{1});
                      CHECK(a.counters.link_send_dropped == 1);
                      plug();
                    }},
                   {both(on),
                    [&] {
                      CHECK(a.changes == on);
                      a.send(1400, std::byte{2});
                      for (int i = 0; i < 40; ++i) b.send(10, static_cast<std::byte>(i));
                      a.send(3000, std::byte{3});  // too long, and must not be fragmented
                    }},
                   {[&] { return a.received.size() == 40 && b.received.size() == 1; },
                    [&] {
                      CHECK(a.received.size() == 40);
                      CHECK(b.received.size() == 1);
                      CHECK(a.counters.link_send_too_long == 1);
                      in(b, "ip link set eth1 down");
                    }},
                   {both(off_again),
                    [&] {
                      CHECK(a.changes == off_again);
                      a.send(10, std::byte{4});
                      in(b, "ip link del eth1");
                      plug();
                    }},
                   {both(on_again), [&] { a.send(20, std::byte{5}); }},
                   {[&] { return b.received.size() == 2; },
                    [&] {
                      const auto own = a.interfaces->addresses();
                      CHECK(std::count(own.begin(), own.end(), address(first)) == 1);
                      in(a, "ip addr del " + first + suffix.substr(0, suffix.find(" nodad")));
                    }},
                   {[&] { return a.changes == gone; }, [] {}}});
  CHECK(a.changes == gone);
  CHECK(a.trouble == "eth1 has no address " + first + ": give it one, or check --node and `nodes`");
  const auto own = a.interfaces->addresses();
  CHECK(std::count(own.begin(), own.end(), address(first)) == 0);
  check_received(a, b, address(first), multicast != nullptr);
}

}  // namespace

TEST_CASE("a sync link works as soon as its interface, address and carrier are there, and again when they return",
          "[kernel]") {
  if (!test::enter_namespace()) return;
  run_pair("10.10.10.2", "10.10.10.3", "/24 dev eth1");
}

TEST_CASE("a sync link over IPv6", "[kernel]") {
  if (!test::enter_namespace()) return;
  run_pair("fd00:10::2", "fd00:10::3", "/64 dev eth1 nodad");
}

TEST_CASE("a sync link over multicast hears the other router and not itself", "[kernel]") {
  if (!test::enter_namespace()) return;
  SECTION("IPv4") {
    run_pair("10.10.10.2", "10.10.10.3", "/24 dev eth1", "225.0.0.50");
  }
  SECTION("IPv6") {
    run_pair("fd00:10::2", "fd00:10::3", "/64 dev eth1 nodad", "ff02::50");
  }
}

TEST_CASE("a link whose socket is full takes no more until the kernel has sent", "[kernel]") {
  if (!test::enter_namespace()) return;
  common::io::Loop loop;
  Router a(loop, "10.10.10.2", "10.10.10.3"), b(loop, "10.10.10.3", "10.10.10.2");
  a.enter();
  REQUIRE(test::shell("ip link add eth1 type veth peer name eth1 netns " + path_of(b) +
                      " && ip addr add 10.10.10.2/24 dev eth1 && ip link set eth1 up"));
  // Some 400 datagrams a second.
  REQUIRE(test::shell("tc qdisc add dev eth1 root tbf rate 4mbit burst 20kb limit 10mb"));
  b.enter();
  REQUIRE(test::shell("ip addr add 10.10.10.3/24 dev eth1 && ip link set eth1 up"));
  constexpr std::size_t count = 600;
  const Changes on{false, true};
  std::size_t sent = 0;
  bool was_full = false;
  a.on_turn = [&] {
    while (sent < count && a.sockets->ready()) {
      a.send(1200, static_cast<std::byte>(sent));
      ++sent;
    }
    was_full = was_full || !a.sockets->ready();
  };
  run_steps(loop, {{[&] { return a.changes == on && b.changes == on; }, [&] { a.on_turn(); }},
                   {[&] { return b.received.size() == count; }, [] {}}});
  CHECK(was_full);
  CHECK(sent == count);
  CHECK(b.received.size() == count);
  CHECK(a.counters.link_send_dropped == 0);
}

TEST_CASE("a patient link lets a stream gather, and an impatient one does not", "[kernel]") {
  if (!test::enter_namespace()) return;
  common::io::Loop loop;
  const char* const group = GENERATE(static_cast<const char*>(nullptr), "225.0.0.50");
  Router a(loop, "10.10.10.2", "10.10.10.3", group), b(loop, "10.10.10.3", "10.10.10.2", group);
  a.enter();
  REQUIRE(test::shell("ip link add eth1 type veth peer name eth1 netns " + path_of(b) +
                      " && ip addr add 10.10.10.2/24 dev eth1 && ip link set eth1 up"));
  b.enter();
  REQUIRE(test::shell("ip addr add 10.10.10.3/24 dev eth1 && ip link set eth1 up"));
  std::size_t sent = 0, served = 0, largest = 0;
  b.on_turn = [&] { largest = std::max(largest, b.received.size() - std::exchange(served, b.received.size())); };
  // One at a time, so that only a wait brings several of them together.
  std::unique_ptr<common::io::Loop::Timer> timer;
  timer = loop.timer([&] {
    a.send(100, static_cast<std::byte>(sent++));
    timer->set(common::io::now() + 1ms);
  });
  const auto all_came = [&] { return b.received.size() == sent; };
  const Changes on{false, true};
  run_steps(loop, {{[&] { return a.changes == on && b.changes == on; }, [&] { timer->set(common::io::now()); }},
                   {[&] { return served >= 50; },
                    [&] {
                      CHECK(served >= 50);
                      largest = 0;
                      b.sockets->be_patient(true);
                    }},
                   {[&] { return largest >= 3; },
                    [&] {
                      CHECK(largest >= 3);
                      timer->set(std::nullopt);
                    }},
                   {all_came,
                    [&] {
                      CHECK(all_came());
                      b.sockets->be_patient(false);
                      a.send(100, static_cast<std::byte>(sent++));
                    }},
                   {all_came, [&] { CHECK(all_came()); }}});
}
