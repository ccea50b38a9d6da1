#include "vrrpd/io/routes.hpp"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using common::io::log;
using common::io::LogLevel;

/// What the kernel takes for none (IP6_RT_PRIO_USER). In IPv4 none is 0.
constexpr std::uint32_t kDefaultMetricV6 = 1024;

bool put_address(nl_msg* message, int type, const common::IpAddress& address) {
  return nla_put(message, type, static_cast<int>(address.bytes().size()), address.bytes().data()) == 0;
}

bool put_number(nl_msg* message, int type, std::uint32_t value) {
  return nla_put_u32(message, type, value) == 0;
}

std::string describe(const common::RouteConfig& route) {
  std::string text = route.to.to_string();
  if (route.via) text += " via " + route.via->to_string();
  if (route.metric != 0) text += " metric " + std::to_string(route.metric);
  return text + " table " + std::to_string(route.table);
}

}  // namespace

Routes::Routes(const Links& links, Counters& counters, RouteSocket socket, RouteMonitor monitor)
    : links_(links), counters_(counters), socket_(std::move(socket)), monitor_(std::move(monitor)) {}

common::Result<Routes> Routes::open(const Links& links, Counters& counters) {
  auto socket = RouteSocket::open();
  if (!socket) return std::unexpected(socket.error());
  auto monitor = RouteMonitor::open_routes(kRouteProtocol);
  if (!monitor) return std::unexpected(monitor.error());
  return Routes(links, counters, std::move(*socket), std::move(*monitor));
}

int Routes::send(int type, int flags, int index, const common::RouteConfig& route, std::chrono::seconds lifetime) {
  const MessagePtr message(nlmsg_alloc_simple(type, flags));
  if (!message) return ENOMEM;
  const bool v4 = route.to.address.is_v4();
  rtmsg header{};
  header.rtm_family = v4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = route.to.length;
  header.rtm_table = RT_TABLE_UNSPEC;
  header.rtm_protocol = kRouteProtocol;
  header.rtm_scope = route.via || !v4 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  // A virtual address with /32 has no network that the gateway could be in.
  if (route.via) header.rtm_flags = RTNH_F_ONLINK;
  bool put = nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0;
  put = put && put_number(message.get(), RTA_TABLE, route.table);
  put = put && put_number(message.get(), RTA_OIF, static_cast<std::uint32_t>(index));
  if (route.to.length != 0) put = put && put_address(message.get(), RTA_DST, route.to.network());
  if (route.via) put = put && put_address(message.get(), RTA_GATEWAY, *route.via);
  if (route.source) put = put && put_address(message.get(), RTA_PREFSRC, *route.source);
  if (route.metric != 0) put = put && put_number(message.get(), RTA_PRIORITY, route.metric);
  if (!v4 && lifetime.count() > 0)
    put = put && put_number(message.get(), RTA_EXPIRES, static_cast<std::uint32_t>(lifetime.count()));
  return put ? socket_.request(message.get()) : ENOMEM;
}

int Routes::insert(int index, const AddRoute& action, const Own* known) {
  const bool v4 = action.route.to.address.is_v4();
  // Replacing is for what is known as ours: the kernel would replace anybody's. In IPv4 there is no need for it: what
  // has replaced ours stays where it is, behind ours.
  int how = NLM_F_EXCL;
  if (known != nullptr && !v4) how = NLM_F_REPLACE;
  if (known != nullptr && v4 && known->replaced) how = 0;
  const int error = send(RTM_NEWROUTE, NLM_F_CREATE | how, index, action.route, action.lifetime);
  if (error != EEXIST || known != nullptr) return error == EEXIST ? 0 : error;
  // One that a killed vrrpd has left has our mark; only such a one can be deleted with it.
  if (send(RTM_DELROUTE, 0, index, action.route, {}) != 0) return EEXIST;
  return send(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, action.route, action.lifetime);
}

void Routes::add(const AddRoute& action) {
  const Key key{action.device, describe(action.route)};
  const int index = links_.index(action.device);
  const auto known = ours_.find(key);
  if (action.renewal && known != ours_.end() && known->second.gone) return;
  const int error = index == 0 ? ENODEV : insert(index, action, known == ours_.end() ? nullptr : &known->second);
  if (error == 0) {
    ours_[key] = {action.route, false, false};
    failed_.erase(key);
    if (known == ours_.end()) hear_of_replacements();
    return;
  }
  ++counters_.route_errors;
  if (!failed_.insert(key).second) return;
  log(LogLevel::error, "route_failed",
      error == EEXIST ? "there is a route to " + key.second +
                            " already that is not ours: it is left alone; give "
                            "virtual_routes another metric"
                      : "cannot add the route to " + key.second + " by " + action.device + ": " + std::strerror(error));
}

void Routes::hear_of_replacements() {
  std::set<std::uint8_t> lengths;
  for (const auto& [key, own] : ours_) lengths.insert(own.route.to.length);
  if (monitor_.filter(kRouteProtocol, lengths) != 0) ++counters_.route_errors;
}

std::vector<Disturbed> Routes::missing() {
  const auto outcome = monitor_.read([this](nlmsghdr* message) { take_in(message); });
  std::vector<Disturbed> result;
  for (auto& [key, own] : ours_) {
    // What was lost may have been about any of them; to put back what is there does no harm.
    if (outcome == RouteMonitor::Outcome::overrun) own.gone = own.replaced = true;
    if (own.gone && (result.empty() || result.back().device != key.first))
      result.push_back({key.first, "the route to " + key.second});
  }
  return result;
}

void Routes::take_in(nlmsghdr* message) {
  if (message->nlmsg_type != RTM_DELROUTE && message->nlmsg_type != RTM_NEWROUTE) return;
  nlattr* attributes[RTA_MAX + 1];
  if (nlmsg_parse(message, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return;
  const auto& header = *static_cast<const rtmsg*>(nlmsg_data(message));
  const auto number = [&](int type) { return attributes[type] == nullptr ? 0 : nla_get_u32(attributes[type]); };
  const bool removed = message->nlmsg_type == RTM_DELROUTE, of_ours = header.rtm_protocol == kRouteProtocol;
  // Of others we only hear what they have replaced, and that has the same metric, whichever way it leads.
  if (!of_ours && (removed || (message->nlmsg_flags & NLM_F_REPLACE) == 0)) return;
  for (auto& [key, own] : ours_) {
    const common::RouteConfig& route = own.route;
    const bool v4 = route.to.address.is_v4();
    const auto bytes = route.to.network().bytes();
    const nlattr* to = attributes[RTA_DST];
    const bool same_destination = header.rtm_family == (v4 ? AF_INET : AF_INET6) &&
                                  header.rtm_dst_len == route.to.length &&
                                  (to == nullptr ? route.to.length == 0
                                                 : static_cast<std::size_t>(nla_len(to)) == bytes.size() &&
                                                       std::memcmp(nla_data(to), bytes.data(), bytes.size()) == 0);
    const std::uint32_t metric = route.metric == 0 && !v4 ? kDefaultMetricV6 : route.metric;
    if (!same_destination || number(RTA_PRIORITY) != metric || number(RTA_TABLE) != route.table) continue;
    if (of_ours && static_cast<int>(number(RTA_OIF)) != links_.index(key.first)) continue;
    own.gone = removed || !of_ours;
    own.replaced = !of_ours;
  }
}

void Routes::remove(const RemoveRoute& action) {
  const Key key{action.device, describe(action.route)};
  failed_.erase(key);
  const int index = links_.index(action.device);
  const bool known = ours_.erase(key) != 0;
  if (known) hear_of_replacements();
  if (index == 0) return;
  const int error = send(RTM_DELROUTE, 0, index, action.route, {});
  // It is gone with its address, its interface, or was never there.
  if (error == 0 || error == ESRCH || error == ENODEV || !known) return;
  ++counters_.route_errors;
  log(LogLevel::error, "route_failed",
      "cannot remove the route to " + key.second + " by " + action.device + ": " + std::strerror(error));
}

}  // namespace vrrpd::io
