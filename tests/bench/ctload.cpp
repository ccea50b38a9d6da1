// Puts connections into the kernel of its network namespace, changes them and takes them out again, in batches and as
// fast as is asked for, and says as one line of JSON how long that took.
//
//   ctload insert|update|delete COUNT [--first N] [--rate PER_SECOND] [--state TCP_STATE] [--listen]
//   ctload packets COUNT [--first N] [--rate PER_SECOND]
//   ctload dump ANY
//   ctload hear COUNT
//   ctload churn SECONDS --rate FLOWS_PER_SECOND [--listen]
//
// `packets` begins the same connections with the first packet of each, sent from here: the kernel's lock for requests
// is one for all namespaces, and this load does not hold it. The packets need a route. `hear` is the least that a
// program can do with the kernel's reports: each millisecond it reads those that have come, and throws them away.
//
// All entries are established TCP connections with source NAT and a port that is not preserved. `churn` plays short
// ones: created, five changes as a handshake and a close make them, and removed, 200 ms after it began. Without --rate
// the messages are made in advance: what is timed then is the kernel and a system call for 64 of them.
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "syncd/ctnetlink.hpp"

namespace {

using common::Bytes;
using common::IpAddress;
using syncd::ctnetlink::RequestKind;

constexpr std::uint64_t kBatch = 64;
constexpr std::uint32_t kPerAddress = 50000;  // connections of one client address
constexpr std::uint8_t kTcp = 6;

struct Options {
  std::string_view command;
  std::uint64_t count = 0, first = 0, rate = 0;
  std::uint64_t state = 3;  ///< of TCP: established
  bool listen = false;
};

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double cpu() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void sleep_until(double at) {
  const double left = at - now();
  if (left > 0) usleep(static_cast<useconds_t>(left * 1e6));
}

/// The stages of a short connection, and the last of them is what lasting ones are in.
struct Stage {
  std::uint8_t tcp_state;
  std::uint32_t status;
  std::uint32_t timeout;
};
constexpr std::uint32_t kReplied = syncd::status_bits::seen_reply;
constexpr std::uint32_t kAssured = kReplied | syncd::status_bits::assured;
constexpr std::array<Stage, 6> kStages{
    {{1, 0, 120}, {2, kReplied, 60}, {3, kAssured, 432000}, {4, kAssured, 120}, {6, kAssured, 30}, {7, kAssured, 120}}};
constexpr std::size_t kEstablished = 2;

syncd::Flow flow(std::uint64_t number, const Stage& stage) {
  const auto block = static_cast<std::uint32_t>(number / kPerAddress);
  const auto within = static_cast<std::uint32_t>(number % kPerAddress);
  syncd::Flow f;
  f.key.protocol = kTcp;
  f.key.original = {.source = IpAddress::v4(192u << 24 | 168u << 16 | 100u << 8 | (10 + block)),
                    .destination = IpAddress::v4(203u << 24 | 113u << 8 | (1 + block)),
                    .source_port = static_cast<std::uint16_t>(1024 + within),
                    .destination_port = 80};
  f.reply = {.source = f.key.original.destination,
             .destination = IpAddress::v4(10u << 24 | 10u << 16 | 101u),
             .source_port = 80,
             .destination_port = static_cast<std::uint16_t>(1024 + (within * 7 + 13) % 60000)};
  f.status = stage.status;
  f.timeout = stage.timeout;
  f.has_tcp = true;
  constexpr std::uint8_t flags =
      syncd::tcp_flags::window_scale | syncd::tcp_flags::sack_permitted | syncd::tcp_flags::be_liberal;
  f.tcp = {
      .state = stage.tcp_state, .flags_original = flags, .flags_reply = flags, .scale_original = 7, .scale_reply = 9};
  return f;
}

int open_netlink() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  sockaddr_nl own{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own);
  return fd;
}

void join(int fd, std::initializer_list<int> groups) {
  for (const int group : groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
}

class Kernel {
 public:
  Kernel() : fd_(open_netlink()) {
    const int room = 16 << 20, on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  }
  ~Kernel() { close(fd_); }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// One batch; the kernel has done it when this returns, and has answered what it refused.
  void send(common::ByteView bytes) {
    ++calls_;
    if (::send(fd_, bytes.data(), bytes.size(), 0) < 0) ++errors_;
    std::array<std::byte, 8192> answer;
    while (recv(fd_, answer.data(), answer.size(), MSG_DONTWAIT) > 0) ++errors_;
  }
  std::uint64_t errors() const { return errors_; }

 private:
  int fd_;
  std::uint64_t calls_ = 0, errors_ = 0;
};

/// A socket that hears of everything and takes nothing, as that of a syncd for what it wrote itself: the kernel makes
/// each report, which it does not where nobody listens.
void listen_to_nothing() {
  const int fd = open_netlink();
  std::array<sock_filter, 1> code{{BPF_STMT(BPF_RET | BPF_K, 0)}};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  join(fd, {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY});
}

RequestKind kind_of(std::string_view command) {
  return command == "insert"   ? RequestKind::create
         : command == "update" ? RequestKind::update
                               : RequestKind::remove_by_key;
}

void encode_batch(Bytes& out, const Options& options, std::uint64_t from, std::uint64_t to) {
  Stage stage = kStages[kEstablished];
  stage.tcp_state = static_cast<std::uint8_t>(options.state);
  for (std::uint64_t i = from; i < to; ++i)
    syncd::ctnetlink::encode_request(out, kind_of(options.command), flow(options.first + i, stage),
                                     static_cast<std::uint32_t>(i));
}

int report(const char* what, std::uint64_t count, double seconds, double used, std::uint64_t errors) {
  std::printf("{\"type\":\"%s\",\"count\":%llu,\"seconds\":%.6f,\"cpu\":%.6f,\"errors\":%llu}\n", what,
              static_cast<unsigned long long>(count), seconds, used, static_cast<unsigned long long>(errors));
  return errors == 0 ? 0 : 1;
}

int run_all(const Options& options) {
  Kernel kernel;
  if (options.listen) listen_to_nothing();
  const std::uint64_t step = options.rate == 0 ? kBatch : std::min<std::uint64_t>(kBatch, 16);
  std::vector<Bytes> batches;
  if (options.rate == 0)
    for (std::uint64_t i = 0; i < options.count; i += step)
      encode_batch(batches.emplace_back(), options, i, std::min(options.count, i + step));
  Bytes bytes;
  const double begin = now(), used = cpu();
  for (std::uint64_t i = 0; i < options.count; i += step) {
    if (options.rate == 0) {
      kernel.send(batches[i / step]);
      continue;
    }
    sleep_until(begin + static_cast<double>(i) / static_cast<double>(options.rate));
    bytes.clear();
    encode_batch(bytes, options, i, std::min(options.count, i + step));
    kernel.send(bytes);
  }
  return report(options.command.data(), options.count, now() - begin, cpu() - used, kernel.errors());
}

/// The kernel fills in the checksum of IP's header; that of TCP is not looked at on the way out.
void send_first_packet(int fd, const syncd::Flow& flow) {
  struct {
    iphdr ip{};
    tcphdr tcp{};
  } packet;
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 64;
  packet.ip.protocol = kTcp;
  packet.ip.tot_len = htons(sizeof packet);
  std::memcpy(&packet.ip.saddr, flow.key.original.source.bytes().data(), 4);
  std::memcpy(&packet.ip.daddr, flow.key.original.destination.bytes().data(), 4);
  packet.tcp.source = htons(flow.key.original.source_port);
  packet.tcp.dest = htons(flow.key.original.destination_port);
  packet.tcp.doff = 5;
  packet.tcp.syn = 1;
  packet.tcp.window = htons(65535);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = packet.ip.daddr;
  while (sendto(fd, &packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0 && errno == ENOBUFS) {
  }
}

int run_packets(const Options& options) {
  const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  constexpr std::uint64_t kStep = 16;
  const double begin = now(), used = cpu();
  for (std::uint64_t i = 0; i < options.count; ++i) {
    if (options.rate != 0 && i % kStep == 0)
      sleep_until(begin + static_cast<double>(i) / static_cast<double>(options.rate));
    send_first_packet(fd, flow(options.first + i, kStages[0]));
  }
  return report("packets", options.count, now() - begin, cpu() - used, 0);
}

/// From the first report to the last of so many.
int run_hear(const Options& options) {
  const int fd = open_netlink(), room = 64 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  join(fd, {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE});
  std::array<std::byte, 8192> buffer;
  pollfd first{.fd = fd, .events = POLLIN, .revents = 0};
  if (poll(&first, 1, 60000) != 1) return report("hear", 0, 0, 0, 1);
  const double begin = now(), used = cpu();
  std::uint64_t count = 0, errors = 0;
  while (count < options.count && now() - begin < 300) {
    for (;;) {
      const ssize_t size = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) break;
      ++(size < 0 ? errors : count);
    }
    usleep(1000);
  }
  return report("hear", count, now() - begin, cpu() - used, errors);
}

/// The whole table, read and thrown away.
int run_dump() {
  const int fd = open_netlink();
  Bytes request, buffer(32768);
  syncd::ctnetlink::encode_dump(request, 1);
  const double begin = now(), used = cpu();
  if (send(fd, request.data(), request.size(), 0) < 0) return report("dump", 0, 0, 0, 1);
  std::uint64_t count = 0;
  for (;;) {
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return report("dump", count, 0, 0, 1);
    auto left = common::ByteView(buffer).first(static_cast<std::size_t>(size));
    while (const auto message = syncd::ctnetlink::next_message(left)) {
      if (syncd::ctnetlink::kind_of(*message) == syncd::ctnetlink::MessageKind::done)
        return report("dump", count, now() - begin, cpu() - used, 0);
      ++count;
    }
  }
}

/// All connections go through the stages one after the other, `kApart` seconds between two of them.
int run_churn(const Options& options) {
  constexpr double kApart = 0.2 / static_cast<double>(kStages.size());
  Kernel kernel;
  if (options.listen) listen_to_nothing();
  const auto rate = static_cast<double>(options.rate), seconds = static_cast<double>(options.count);
  const auto all = static_cast<std::uint64_t>(rate * seconds);
  std::array<std::uint64_t, kStages.size() + 1> reached{};
  Bytes bytes;
  const double begin = now(), used = cpu();
  while (reached.back() < all) {
    const double at = now() - begin;
    bool idle = true;
    for (std::size_t stage = 0; stage < reached.size(); ++stage) {
      const double due = (at - static_cast<double>(stage) * kApart) * rate;
      std::uint64_t until = due <= 0 ? 0 : std::min(all, static_cast<std::uint64_t>(due));
      if (stage > 0) until = std::min(until, reached[stage - 1]);
      if (until <= reached[stage]) continue;
      until = std::min(until, reached[stage] + kBatch);
      bytes.clear();
      for (std::uint64_t i = reached[stage]; i < until; ++i) {
        const bool last = stage == kStages.size();
        syncd::ctnetlink::encode_request(bytes,
                                         stage == 0 ? RequestKind::create
                                         : last     ? RequestKind::remove_by_key
                                                    : RequestKind::update,
                                         flow(options.first + i % (kPerAddress * 20), kStages[last ? 0 : stage]),
                                         static_cast<std::uint32_t>(i));
      }
      kernel.send(bytes);
      reached[stage] = until;
      idle = false;
    }
    if (idle) usleep(500);
  }
  return report("churn", all, now() - begin, cpu() - used, kernel.errors());
}

bool parse(int count, char** words, Options& out) {
  if (count < 3) return false;
  out.command = words[1];
  const auto number = [](const char* text, std::uint64_t& value) {
    const char* end = text + std::strlen(text);
    return std::from_chars(text, end, value).ptr == end;
  };
  if (!number(words[2], out.count)) return false;
  for (int i = 3; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--listen") {
      out.listen = true;
      continue;
    }
    std::uint64_t* const value = word == "--first"   ? &out.first
                                 : word == "--rate"  ? &out.rate
                                 : word == "--state" ? &out.state
                                                     : nullptr;
    if (value == nullptr || ++i == count || !number(words[i], *value)) return false;
  }
  if (out.command == "churn") return out.rate > 0;
  return out.command == "dump" || out.command == "hear" || out.command == "packets" || out.command == "insert" ||
         out.command == "update" || out.command == "delete";
}

}  // namespace

int main(int count, char** words) {
  Options options;
  if (!parse(count, words, options)) {
    std::fputs(
        "usage: ctload insert|update|delete COUNT [--first N] [--rate N] [--state N] [--listen]\n"
        "       ctload packets COUNT [--first N] [--rate N]\n"
        "       ctload hear COUNT\n"
        "       ctload churn SECONDS --rate N [--first N] [--listen]\n",
        stderr);
    return 2;
  }
  if (options.command == "dump") return run_dump();
  if (options.command == "hear") return run_hear(options);
  if (options.command == "packets") return run_packets(options);
  return options.command == "churn" ? run_churn(options) : run_all(options);
}
