#include "vrrpd/io/links.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "common/io/log.hpp"

// <net/if.h> hides this one of the kernel's flags, and <linux/if.h> cannot be included beside it.
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

namespace vrrpd::io {
namespace {

using common::IpAddress;
using common::Prefix;

/// Neighbours forgotten at the return of a carrier: some 10 us each, and adverts of other groups must not wait. A
/// forwarding router waits for a gateway and its hosts; thousands of addresses without an answer are a port scan's.
constexpr std::size_t kMostForgotten = 256;

bool same(const LinkChanged& a, const LinkChanged& b) {
  return a.exists == b.exists && a.running == b.running && a.primary == b.primary && a.mac == b.mac &&
         a.link_local == b.link_local && a.addresses == b.addresses;
}

std::optional<Prefix> address_of(const ifaddrmsg& header, nlattr* const* attributes) {
  const nlattr* found = attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  if (found == nullptr) return std::nullopt;
  const auto* bytes = static_cast<const std::byte*>(nla_data(found));
  if (header.ifa_family == AF_INET && nla_len(found) == 4)
    return Prefix{IpAddress::v4(std::span<const std::byte, 4>(bytes, 4)), header.ifa_prefixlen};
  if (header.ifa_family == AF_INET6 && nla_len(found) == 16)
    return Prefix{IpAddress::v6(std::span<const std::byte, 16>(bytes, 16)), header.ifa_prefixlen};
  return std::nullopt;
}

std::string kind_of(nlattr* info) {
  nlattr* attributes[IFLA_INFO_MAX + 1];
  if (info == nullptr || nla_parse_nested(attributes, IFLA_INFO_MAX, info, nullptr) < 0) return {};
  return attributes[IFLA_INFO_KIND] == nullptr ? std::string() : nla_get_string(attributes[IFLA_INFO_KIND]);
}

}  // namespace

Links::Links(common::io::Loop& loop, Counters& counters, Handler handler, RouteSocket requests, RouteMonitor monitor)
    : loop_(loop),
      counters_(counters),
      handler_(std::move(handler)),
      requests_(std::move(requests)),
      monitor_(std::move(monitor)) {
  loop_.watch(monitor_.fd(), EPOLLIN, [this](std::uint32_t) { poll(); }, common::io::Loop::Priority::urgent);
}

Links::~Links() {
  loop_.unwatch(monitor_.fd());
}

common::Result<std::unique_ptr<Links>> Links::open(common::io::Loop& loop, Counters& counters, Handler handler) {
  auto requests = RouteSocket::open();
  if (!requests) return std::unexpected(requests.error());
  // Subscribed before the dump: a change in between is told twice rather than never.
  auto monitor = RouteMonitor::open();
  if (!monitor) return std::unexpected(monitor.error());
  std::unique_ptr<Links> links(
      new Links(loop, counters, std::move(handler), std::move(*requests), std::move(*monitor)));
  auto probe = CarrierProbe::open(loop, [raw = links.get()](int index, bool carrier) { raw->probed(index, carrier); });
  if (!probe) return std::unexpected(probe.error());
  links->probe_ = std::move(*probe);
  if (auto read = links->read_all(); !read) return std::unexpected(read.error());
  return links;
}

common::Status Links::read_all() {
  auto links = std::exchange(links_, {});
  auto by_name = std::exchange(by_name_, {});
  // Nothing is reported before both lists are in: an interface without its addresses would look like a fault.
  const Watched watched = std::exchange(watched_, {});
  const auto visit = [this](nlmsghdr* message) { apply(message); };
  auto result = requests_.dump(RTM_GETLINK, AF_UNSPEC, visit);
  if (result) result = requests_.dump(RTM_GETADDR, AF_UNSPEC, visit);
  watched_ = watched;
  for (auto& [index, link] : links_)
    if (const auto before = links.find(index); before != links.end()) link.carrier = before->second.carrier;
  if (!result) {
    links_ = std::move(links);
    by_name_ = std::move(by_name);
  }
  return result;
}

void Links::poll() {
  // A handler that asks for the latest gets it as soon as the one before it is through.
  if (std::exchange(polling_, true)) return;
  take_in();
  polling_ = false;
  if (!when_less_ || telling_less_ || !std::exchange(less_, false)) return;
  telling_less_ = true;
  when_less_();
  telling_less_ = false;
}

void Links::when_less(std::function<void()> handler) {
  when_less_ = std::move(handler);
}

void Links::take_in() {
  probe_->poll();
  const auto outcome = monitor_.read([this](nlmsghdr* message) { apply(message); });
  if (outcome == RouteMonitor::Outcome::drained) return;
  ++counters_.netlink_overruns;
  common::io::log(common::io::LogLevel::warning, "netlink_overrun",
                  "the kernel lost changes of interfaces for us: reading all of them anew");
  if (auto read = read_all(); !read) common::io::log(common::io::LogLevel::error, "netlink_failed", read.error().text);
  less_ = true;
  choose_probes();
  report_all();
}

void Links::apply(nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return apply_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return apply_address(message);
    default:
      return;  // other kinds belong to groups that we did not join
  }
}

void Links::apply_link(nlmsghdr* message) {
  nlattr* attributes[IFLA_MAX + 1];
  if (nlmsg_parse(message, sizeof(ifinfomsg), attributes, IFLA_MAX, nullptr) < 0) return;
  const auto& header = *static_cast<const ifinfomsg*>(nlmsg_data(message));
  if (header.ifi_family != AF_UNSPEC || attributes[IFLA_IFNAME] == nullptr) return;  // a bridge tells of its ports
  const std::string name = nla_get_string(attributes[IFLA_IFNAME]);
  const auto known = links_.find(header.ifi_index);
  const bool fresh = known == links_.end();
  const std::string before = fresh ? name : known->second.name;
  if (const auto named = by_name_.find(before); named != by_name_.end() && named->second == header.ifi_index)
    by_name_.erase(named);
  if (message->nlmsg_type == RTM_DELLINK) {
    links_.erase(header.ifi_index);
    less_ = true;
    if (watched_.contains(before)) choose_probes();
    return report(before);
  }
  Link& link = links_[header.ifi_index];
  link.name = name;
  // IFF_RUNNING follows the operational state, which the kernel brings up to date a little after the carrier.
  constexpr unsigned kNeeded = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
  less_ |= link.up && (header.ifi_flags & IFF_UP) == 0;
  link.up = (header.ifi_flags & IFF_UP) != 0;
  link.running = (header.ifi_flags & kNeeded) == kNeeded;
  if (const nlattr* mac = attributes[IFLA_ADDRESS]; mac != nullptr && nla_len(mac) == 6)
    std::memcpy(link.mac.bytes.data(), nla_data(mac), 6);
  else
    link.mac = {};
  link.is_macvlan = kind_of(attributes[IFLA_LINKINFO]) == "macvlan";
  link.parent = attributes[IFLA_LINK] != nullptr ? static_cast<int>(nla_get_u32(attributes[IFLA_LINK])) : 0;
  by_name_[name] = header.ifi_index;
  const bool moved = fresh || before != name;
  if (moved && (watched_.contains(before) || watched_.contains(name))) choose_probes();
  if (before != name) report(before);
  report(name);
}

void Links::apply_address(nlmsghdr* message) {
  nlattr* attributes[IFA_MAX + 1];
  if (nlmsg_parse(message, sizeof(ifaddrmsg), attributes, IFA_MAX, nullptr) < 0) return;
  const auto& header = *static_cast<const ifaddrmsg*>(nlmsg_data(message));
  const auto prefix = address_of(header, attributes);
  const auto found = links_.find(static_cast<int>(header.ifa_index));
  if (!prefix || found == links_.end()) return;
  auto& addresses = found->second.addresses;
  const auto place = std::ranges::find(addresses, *prefix, &Address::prefix);
  if (message->nlmsg_type == RTM_DELADDR) {
    if (place == addresses.end()) return;
    addresses.erase(place);
    less_ = true;
  } else {
    const std::uint32_t flags =
        attributes[IFA_FLAGS] != nullptr ? nla_get_u32(attributes[IFA_FLAGS]) : header.ifa_flags;
    // IFA_F_SECONDARY is also the mark of a temporary IPv6 address.
    const Address now{.prefix = *prefix,
                      .secondary = (flags & IFA_F_SECONDARY) != 0,
                      .permanent = (flags & IFA_F_PERMANENT) != 0,
                      .tentative = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0,
                      .scope = header.ifa_scope};
    if (place != addresses.end())
      *place = now;
    else
      addresses.push_back(now);
  }
  report(found->second.name);
}

const Links::Link* Links::find(const std::string& interface) const {
  const auto found = by_name_.find(interface);
  return found == by_name_.end() ? nullptr : &links_.at(found->second);
}

int Links::index(const std::string& interface) const {
  const auto found = by_name_.find(interface);
  return found == by_name_.end() ? 0 : found->second;
}

bool Links::up(const std::string& interface) const {
  const Link* link = find(interface);
  return link != nullptr && link->up;
}

common::MacAddress Links::mac(const std::string& interface) const {
  const Link* link = find(interface);
  return link == nullptr ? common::MacAddress{} : link->mac;
}

std::optional<Links::Macvlan> Links::macvlan(const std::string& interface) const {
  const Link* link = find(interface);
  if (link == nullptr || !link->is_macvlan) return std::nullopt;
  return Macvlan{link->parent, link->mac};
}

Links::Presence Links::presence(const std::string& interface, const Prefix& address) const {
  const Link* link = find(interface);
  if (link == nullptr) return Presence::absent;
  const auto found = std::ranges::find(link->addresses, address, &Address::prefix);
  if (found == link->addresses.end()) return Presence::absent;
  return found->permanent ? Presence::permanent : Presence::temporary;
}

LinkChanged Links::describe(const std::string& interface) const {
  LinkChanged change{.interface = interface, .exists = false, .running = false, .primary = {}, .mac = {}};
  const Link* link = find(interface);
  if (link == nullptr) return change;
  change.exists = true;
  change.running = link->running && link->carrier;
  change.mac = link->mac;
  // The first of the best kind: global before link-local scope, primary before secondary.
  int best = std::numeric_limits<int>::max();
  for (const Address& address : link->addresses) {
    const IpAddress& ip = address.prefix.address;
    if (!is_own(address, interface)) continue;
    change.addresses.push_back(ip);
    if (!ip.is_v4()) {
      if (ip.is_link_local() && change.link_local.is_unspecified()) change.link_local = ip;
      continue;
    }
    const int rank = (address.scope == RT_SCOPE_UNIVERSE ? 0 : 2) + (address.secondary ? 1 : 0);
    if (rank >= best) continue;
    best = rank;
    change.primary = ip;
  }
  return change;
}

bool Links::is_own(const Address& address, const std::string& interface) const {
  if (address.tentative || address.scope >= RT_SCOPE_HOST) return false;
  const auto watch = watched_.find(interface);
  return watch == watched_.end() || !watch->second.virtual_addresses.contains(address.prefix.address);
}

bool Links::has_own_in(const std::string& interface, const Prefix& network) const {
  const Link* link = find(interface);
  if (link == nullptr) return false;
  return std::ranges::any_of(link->addresses, [&](const Address& address) {
    return is_own(address, interface) && address.prefix.length == network.length &&
           network.contains(address.prefix.address);
  });
}

void Links::report(const std::string& interface) {
  if (!watched_.contains(interface)) return;
  const LinkChanged change = describe(interface);
  const auto last = reported_.find(interface);
  if (last != reported_.end() && same(last->second, change)) return;
  if (last != reported_.end() && !last->second.running && change.running) forget_unresolved(interface);
  reported_[interface] = change;
  handler_(change);
}

/// Neighbours that were asked for in vain while there was no carrier. The kernel asks again a second later and gives up
/// after three, with an ICMP error to everyone who waits (RFC 4861 and net/core/neighbour.c; seen as a silence of up to
/// 700 ms after the return of a carrier, and as connections refused). Forgotten, they are asked for by the next packet.
void Links::forget_unresolved(const std::string& interface) {
  const int index = this->index(interface);
  std::vector<MessagePtr> forget;
  const auto visit = [&](nlmsghdr* message) {
    nlattr* attributes[NDA_MAX + 1];
    if (nlmsg_parse(message, sizeof(ndmsg), attributes, NDA_MAX, nullptr) < 0) return;
    const auto& found = *static_cast<const ndmsg*>(nlmsg_data(message));
    const nlattr* address = attributes[NDA_DST];
    const bool vain = (found.ndm_state & (NUD_INCOMPLETE | NUD_FAILED)) != 0;
    if (found.ndm_ifindex != index || !vain || address == nullptr || forget.size() == kMostForgotten) return;
    MessagePtr request(nlmsg_alloc_simple(RTM_DELNEIGH, NLM_F_ACK));
    ndmsg header{};
    header.ndm_family = found.ndm_family;
    header.ndm_ifindex = index;
    if (request && nlmsg_append(request.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
        nla_put(request.get(), NDA_DST, nla_len(address), nla_data(address)) == 0)
      forget.push_back(std::move(request));
  };
  // Best effort: what stays is asked for again by the kernel, only later.
  if (!requests_.dump(RTM_GETNEIGH, AF_UNSPEC, visit, index)) return;
  for (const MessagePtr& request : forget) (void)requests_.request(request.get());
}

void Links::report_all() {
  for (const auto& [interface, watch] : watched_) report(interface);
}

void Links::watch(Watched interfaces) {
  watched_ = std::move(interfaces);
  reported_.clear();
  choose_probes();
  report_all();
}

void Links::choose_probes() {
  std::set<int> indexes;
  for (const auto& [interface, watch] : watched_)
    if (const int found = index(interface); found != 0) indexes.insert(found);
  probe_->watch(indexes);
}

void Links::probed(int index, bool carrier) {
  const auto found = links_.find(index);
  if (found == links_.end()) return;
  found->second.carrier = carrier;
  report(found->second.name);
}

}  // namespace vrrpd::io
