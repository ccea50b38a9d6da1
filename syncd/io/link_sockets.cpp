#include "syncd/io/link_sockets.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/io/log.hpp"
#include "syncd/sender.hpp"

namespace syncd::io {
namespace {

using common::IpAddress;
using namespace std::chrono_literals;

/// The largest Ethernet frame in use; the engine's datagrams are smaller than 1,500 bytes.
constexpr std::size_t kLongest = 9216;
/// A whole window of the peer's while this process is busy: some 7,000 datagrams of 1,400 bytes as the kernel
/// counts them.
constexpr int kReceiveBuffer = 8 << 20;
/// A standby lets a stream of datagrams gather for this long: what is in its socket is safe from the peer's end, and an
/// acknowledgement that is late by this still comes before the peer sends again (syncd::kMinRetransmit).
constexpr common::Duration kGather = 4ms;
static_assert(kGather < kMinRetransmit);
/// A busy peer sends one in a millisecond. Fewer than would be acknowledged at once are not worth the wait.
constexpr Gathering::Rule kStreamOfDatagrams{.soon = 2ms, .turns = 4, .portion = 3};
/// As network control traffic: a queue full of bulk data must not make the link look dead.
constexpr int kPriority = 6;
constexpr int kTrafficClass = 0xc0;
/// Hops of what is sent to a group: it stays on the link, whatever routes multicast there.
constexpr int kNoFurther = 1;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port, int interface) {
  SocketAddress result;
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), 4);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
    if (address.is_link_local() || address.is_multicast()) v6.sin6_scope_id = static_cast<std::uint32_t>(interface);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.size = sizeof v6;
  }
  return result;
}

IpAddress address_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof v4);
    return IpAddress::v4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6;
  std::memcpy(&v6, &storage, sizeof v6);
  return IpAddress::v6(std::as_bytes(std::span(v6.sin6_addr.s6_addr)));
}

/// Of IP, without options, and UDP.
std::size_t headers_of(const IpAddress& address) {
  return (address.is_v4() ? sizeof(iphdr) : sizeof(ip6_hdr)) + sizeof(udphdr);
}

void set(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

/// None of these is worth failing for; the binding to interface and address is.
void set_options(int fd, bool v4) {
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) < 0)
    set(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  if (v4) {
    // Setting the class of service sets the priority too, so the priority comes after.
    set(fd, IPPROTO_IP, IP_TOS, kTrafficClass);
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    set(fd, IPPROTO_IP, IP_MULTICAST_TTL, kNoFurther);
    set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
  } else {
    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(fd, IPPROTO_IPV6, IPV6_TCLASS, kTrafficClass);
    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kNoFurther);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
  }
  set(fd, SOL_SOCKET, SO_PRIORITY, kPriority);
}

/// 0 or what was refused. A socket for what comes over this interface to this address.
int open_on(const Interfaces::Interface& interface, const std::string& name, const IpAddress& address,
            std::uint16_t port, common::io::UniqueFd& fd) {
  const bool v4 = address.is_v4();
  fd = common::io::UniqueFd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), static_cast<socklen_t>(name.size() + 1)) < 0)
    return errno;
  set_options(fd.get(), v4);
  auto local = socket_address(address, port, interface.index);
  return bind(fd.get(), local.get(), local.size) < 0 ? errno : 0;
}

/// 0 or what was refused.
int join(int fd, const IpAddress& group, int interface) {
  int done = 0;
  if (group.is_v4()) {
    ip_mreqn request{};
    std::memcpy(&request.imr_multiaddr, group.bytes().data(), 4);
    request.imr_ifindex = interface;
    done = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
  } else {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, group.bytes().data(), 16);
    request.ipv6mr_interface = static_cast<unsigned>(interface);
    done = setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
  }
  return done < 0 ? errno : 0;
}

}  // namespace

struct LinkSockets::Inbox {
  std::array<std::array<std::byte, kLongest>, kBatch> bytes;
  std::array<sockaddr_storage, kBatch> sources{};
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};

  void reset() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts[i] = {bytes[i].data(), bytes[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &sources[i];
      messages[i].msg_hdr.msg_namelen = sizeof sources[i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

LinkSockets::LinkSockets(common::io::Loop& loop, Counters& counters, Callbacks callbacks)
    : loop_(loop),
      counters_(counters),
      callbacks_(std::move(callbacks)),
      inbox_(std::make_unique<Inbox>()),
      gathering_(kStreamOfDatagrams) {
  gather_timer_ = loop_.timer(
      [this] {
        poll();
        served();
        callbacks_.turn();
      },
      common::io::Loop::Priority::normal);
}

LinkSockets::~LinkSockets() {
  for (Link& link : links_) close(link);
}

void LinkSockets::configure(const common::SyncConfig& config) {
  const auto same = [](const Link& link, const common::SyncLink& other) { return link.config == other; };
  if (port_ == config.port && std::ranges::equal(links_, config.links, same)) {
    for (Link& link : links_) link.reported = false;
    return;
  }
  for (Link& link : links_) close(link);
  links_.clear();
  port_ = config.port;
  for (const common::SyncLink& each : config.links) links_.emplace_back().config = each;
}

std::vector<LinkChanged> LinkSockets::follow(const Interfaces& interfaces) {
  std::vector<LinkChanged> changes;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    Link& link = links_[i];
    const auto* interface = interfaces.find(link.config.interface);
    if (link.fd && (interface == nullptr || !may_stay_open(link, *interface))) close(link);
    // A switch is told of a member when it joins: not over a cable that is unplugged.
    if (!link.fd && interface != nullptr && interface->addresses.contains(link.config.local) &&
        (interface->running || !link.config.multicast))
      open(link, i, *interface);
    tell_trouble(link, interface);
    const LinkChanged report = state_of(link, i, interface);
    if (std::exchange(link.reported, true) && report == link.report) continue;
    link.report = report;
    changes.push_back(report);
  }
  return changes;
}

bool LinkSockets::may_stay_open(const Link& link, const Interfaces::Interface& interface) {
  // An interface of the same name may be another one: the socket is bound to its index.
  if (!interface.addresses.contains(link.config.local) || interface.index != link.index) return false;
  // Behind a cable that was unplugged may be another switch now, or one that has forgotten who is in the group.
  return !link.config.multicast || (interface.running && interface.interruptions == link.interruptions);
}

LinkChanged LinkSockets::state_of(const Link& link, std::size_t number, const Interfaces::Interface* interface) {
  LinkChanged state{.link = number};
  state.trouble = link.trouble.empty() && !link.fd ? link.refused : link.trouble;
  if (!link.fd || !interface->running || interface->mtu < kLeastMtu) return state;
  state.usable = true;
  state.room = std::min(state.room, interface->mtu - headers_of(link.config.local));
  return state;
}

/// One line for each change, so that whoever looks for the peer in vain learns that the fault is here.
void LinkSockets::tell_trouble(Link& link, const Interfaces::Interface* interface) {
  const std::string& name = link.config.interface;
  std::string trouble;
  if (interface == nullptr)
    trouble = "there is no interface " + name;
  else if (!interface->addresses.contains(link.config.local))
    trouble = name + " has no address " + link.config.local.to_string() + ": give it one, or check --node and `nodes`";
  else if (!interface->running)
    trouble = name + " is down or has no carrier";
  else if (interface->mtu < kLeastMtu)
    trouble = "the MTU of " + name + " is " + std::to_string(interface->mtu) + ": give it " +
              std::to_string(kLeastMtu) + " at least, better 1500";
  if (trouble == link.trouble) return;
  if (trouble.empty())
    common::io::log(common::io::LogLevel::info, "link_usable", "sync link " + name + " can be used again");
  else
    common::io::log(common::io::LogLevel::warning, "link_unusable", "sync link " + name + ": " + trouble);
  link.trouble = std::move(trouble);
}

void LinkSockets::open(Link& link, std::size_t number, const Interfaces::Interface& interface) {
  const std::string& name = link.config.interface;
  common::io::UniqueFd fd;
  int error = open_on(interface, name, link.config.local, port_, fd);
  IpAddress address = link.config.local;
  if (error == 0 && link.config.multicast) {
    address = *link.config.multicast;
    error = join_group(link, number, interface);
  }
  if (error != 0) {
    ++counters_.link_socket_errors;
    std::string refused =
        "cannot listen on " + address.to_string() + " port " + std::to_string(port_) + ": " + std::strerror(error);
    if (refused != link.refused)
      common::io::log(common::io::LogLevel::warning, "link_failed", "sync link " + name + ": " + refused);
    link.refused = std::move(refused);
    return;
  }
  link.refused.clear();
  link.index = interface.index;
  link.interruptions = interface.interruptions;
  link.fd = std::move(fd);
  loop_.watch(link.fd.get(), awaited(link), [this, number](std::uint32_t events) { serve(number, events); });
}

/// 0 or what was refused.
int LinkSockets::join_group(Link& link, std::size_t number, const Interfaces::Interface& interface) {
  const IpAddress& group = *link.config.multicast;
  common::io::UniqueFd fd;
  int error = open_on(interface, link.config.interface, group, port_, fd);
  if (error == 0) error = join(fd.get(), group, interface.index);
  if (error != 0) return error;
  link.group = std::move(fd);
  loop_.watch(link.group.get(), incoming(), [this, number](std::uint32_t) {
    receive_from(links_[number].group.get(), number, true);
    served();
    callbacks_.turn();
  });
  return 0;
}

void LinkSockets::close(Link& link) {
  if (link.fd) loop_.unwatch(link.fd.get());
  link.fd.reset();
  if (link.group) loop_.unwatch(link.group.get());
  link.group.reset();
  link.full = false;
  link.out.clear();
}

void LinkSockets::serve(std::size_t number, std::uint32_t events) {
  Link& link = links_[number];
  if ((events & EPOLLOUT) != 0) {
    link.full = false;
    loop_.change(link.fd.get(), awaited(link));
    send(link);
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
    receive(number);
    served();
  }
  callbacks_.turn();
}

void LinkSockets::poll() {
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (links_[i].fd) receive(i);
}

void LinkSockets::be_patient(bool on) {
  patient_ = on;
  if (on || !gathering_.on()) return;
  gathering_.stop();
  await();
}

/// After a portion, to which what was polled since the one before belongs.
void LinkSockets::served() {
  const std::size_t portion = std::exchange(arrived_, 0);
  if (!patient_) return;
  const common::Time now = common::io::now();
  const bool before = gathering_.on();
  if (gathering_.served(now, portion) != before) await();
  // What was left over is not waited for.
  if (gathering_.on()) gather_timer_->set(portion < kBatch ? now + kGather : now);
}

void LinkSockets::await() {
  for (Link& link : links_) {
    if (link.fd) loop_.change(link.fd.get(), awaited(link));
    if (link.group) loop_.change(link.group.get(), incoming());
  }
  if (!gathering_.on()) gather_timer_->set(std::nullopt);
}

/// What the loop waits for, of the socket that also sends.
std::uint32_t LinkSockets::awaited(const Link& link) const {
  return incoming() | (link.full ? std::uint32_t{EPOLLOUT} : 0u);
}

void LinkSockets::receive(std::size_t number) {
  receive_from(links_[number].fd.get(), number, false);
  if (links_[number].group) receive_from(links_[number].group.get(), number, true);
}

void LinkSockets::receive_from(int fd, std::size_t number, bool to_group) {
  inbox_->reset();
  const int count = recvmmsg(fd, inbox_->messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  // An ICMP error for something that was sent earlier comes here too.
  if (count < 0 && errno != EAGAIN && errno != EINTR) ++counters_.link_receive_errors;
  arrived_ += static_cast<std::size_t>(std::max(count, 0));
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const mmsghdr& message = inbox_->messages[at];
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++counters_.link_receive_too_long;
      continue;
    }
    callbacks_.received({.link = number,
                         .source = address_of(inbox_->sources[at]),
                         .bytes = common::ByteView(inbox_->bytes[at]).first(message.msg_len),
                         .to_group = to_group});
  }
}

bool LinkSockets::ready() const {
  const auto open = [](const Link& link) { return static_cast<bool>(link.fd); };
  return std::ranges::none_of(links_, open) ||
         std::ranges::any_of(links_, [&](const Link& link) { return open(link) && !link.full; });
}

void LinkSockets::queue(Datagram& datagram) {
  if (datagram.link >= links_.size() || !links_[datagram.link].fd) {
    ++counters_.link_send_dropped;
    return;
  }
  Link& link = links_[datagram.link];
  if (link.full && link.out.size() >= kBatch) {
    ++counters_.link_send_dropped;
    return;
  }
  link.out.push_back(std::move(datagram.bytes));
  if (link.out.size() >= kBatch) send(link);
}

void LinkSockets::flush() {
  for (Link& link : links_) send(link);
}

void LinkSockets::send(Link& link) {
  std::size_t done = 0;
  auto target = socket_address(link.config.multicast.value_or(link.config.peer), port_, link.index);
  while (link.fd && !link.full && done < link.out.size()) {
    std::array<iovec, kBatch> parts;
    std::array<mmsghdr, kBatch> messages{};
    const std::size_t count = std::min(kBatch, link.out.size() - done);
    for (std::size_t i = 0; i < count; ++i) {
      common::Bytes& bytes = link.out[done + i];
      parts[i] = {bytes.data(), bytes.size()};
      messages[i].msg_hdr.msg_name = target.get();
      messages[i].msg_hdr.msg_namelen = target.size;
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(link.fd.get(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for_room(link);
    } else if (errno != EINTR) {
      // The first of them was refused; the others may well go. One that is too long for what the kernel has learnt of
      // the path is lost as if on the path: the engine then makes them shorter.
      ++(errno == EMSGSIZE ? counters_.link_send_too_long : counters_.link_send_errors);
      ++done;
    }
  }
  link.out.erase(link.out.begin(), link.out.begin() + static_cast<std::ptrdiff_t>(done));
}

void LinkSockets::wait_for_room(Link& link) {
  link.full = true;
  loop_.change(link.fd.get(), awaited(link));
}

}  // namespace syncd::io
