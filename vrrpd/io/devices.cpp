#include "vrrpd/io/devices.hpp"

#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvlan.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using common::io::log;
using common::io::LogLevel;

struct FreeLink {
  void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};
struct FreeBytes {
  void operator()(nl_addr* address) const { nl_addr_put(address); }
};

struct Setting {
  const char* path;
  const char* value;
};

// The interface with the virtual MAC answers ARP for its own addresses only, and not for those of its parent. Packets
// come in by it and leave by the parent: a strict check of the reverse path would drop them. No address may be made of
// the MAC (7.4), and what the link advertises is the parent's business.
constexpr Setting kOwn[] = {{"ipv4/conf/%/arp_ignore", "1"},    {"ipv4/conf/%/rp_filter", "2"},
                            {"ipv6/conf/%/addr_gen_mode", "1"}, {"ipv6/conf/%/accept_ra", "0"},
                            {"ipv6/conf/%/accept_dad", "0"},    {"ipv6/conf/%/router_solicitations", "0"}};
// And the parent neither answers ARP for the virtual addresses nor asks in their name, as both would teach the link
// its own MAC for them.
constexpr Setting kParent[] = {{"ipv4/conf/%/arp_ignore", "1"}, {"ipv4/conf/%/arp_announce", "2"}};

std::string path_of(const Setting& setting, const std::string& interface) {
  std::string path = std::string("/proc/sys/net/") + setting.path;
  return path.replace(path.find('%'), 1, interface);
}

bool write_setting(const std::string& path, const std::string& value) {
  std::ofstream file(path);
  file << value << std::flush;
  return file.good();
}

void put_setting(const std::string& path, const std::string& value) {
  // Without IPv6 in the kernel there is nothing to set either.
  if (std::ifstream(path).good() && !write_setting(path, value))
    log(LogLevel::warning, "setting_failed", "cannot write " + value + " to " + path);
}

}  // namespace

common::MacAddress virtual_mac(common::Family family, std::uint8_t vrid) {
  const std::uint8_t block = family == common::Family::ipv4 ? 1 : 2;
  return {{0x00, 0x00, 0x5e, 0x00, block, vrid}};
}

Devices::Devices(Links& links, Counters& counters, RouteSocket socket)
    : links_(links), counters_(counters), socket_(std::move(socket)) {}

common::Result<Devices> Devices::open(Links& links, Counters& counters) {
  auto socket = RouteSocket::open();
  if (!socket) return std::unexpected(socket.error());
  return Devices(links, counters, std::move(*socket));
}

void Devices::want(Wanted wanted) {
  const Wanted before = std::exchange(wanted_, std::move(wanted));
  std::set<std::string> parents;
  for (const auto& [name, device] : wanted_) parents.insert(device.parent);
  for (const auto& [name, device] : before) {
    const bool kept = wanted_.contains(name) && wanted_.at(name) == device;
    if (!kept && !blocked_.contains(name) && links_.index(name) != 0) remove(links_.index(name));
    if (!parents.contains(device.parent)) restore(device.parent);
  }
  blocked_.clear();
  for (const auto& [name, device] : wanted_) make(name, device);
}

void Devices::parent_changed(const std::string& parent) {
  for (const auto& [name, device] : wanted_)
    if (device.parent == parent) make(name, device);
}

void Devices::make(const std::string& name, const Device& device) {
  const int parent = links_.index(device.parent);
  if (parent == 0) return;  // later: parent_changed()
  if (const int index = links_.index(name); index != 0) {
    const auto found = links_.macvlan(name);
    if (!found || found->mac != device.mac) {
      blocked_.insert(name);
      return;
    }
    if (found->parent == parent) return settle(name, device.parent);  // also what a killed vrrpd has left
    remove(index);
  }
  if (const int error = create(name, device, parent); error != 0) {
    ++counters_.device_errors;
    log(LogLevel::error, "device_failed", "cannot make " + name + " on " + device.parent + ": " + std::strerror(error));
    return;
  }
  links_.poll();  // the kernel has told of it already, and it is needed by its index
  settle(name, device.parent);
}

int Devices::create(const std::string& name, const Device& device, int parent) {
  const std::unique_ptr<rtnl_link, FreeLink> link(rtnl_link_macvlan_alloc());
  const std::unique_ptr<nl_addr, FreeBytes> mac(
      nl_addr_build(AF_LLC, device.mac.bytes.data(), device.mac.bytes.size()));
  if (!link || !mac) return ENOMEM;
  rtnl_link_set_name(link.get(), name.c_str());
  rtnl_link_set_link(link.get(), parent);
  rtnl_link_set_addr(link.get(), mac.get());
  // Not "private": there the kernel gives a multicast frame that comes from our own virtual MAC, as the adverts of a
  // second master do, to this interface alone. The parent would not hear them, and two masters would stay two.
  rtnl_link_macvlan_set_mode(link.get(), rtnl_link_macvlan_str2mode("bridge"));
  nl_msg* message = nullptr;
  if (rtnl_link_build_add_request(link.get(), NLM_F_CREATE | NLM_F_EXCL, &message) < 0) return ENOMEM;
  return socket_.request(MessagePtr(message).get());
}

int Devices::remove(int index) {
  const MessagePtr message(nlmsg_alloc_simple(RTM_DELLINK, 0));
  ifinfomsg header{};
  header.ifi_index = index;
  if (!message || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) < 0) return ENOMEM;
  const int error = socket_.request(message.get());
  links_.poll();
  return error;
}

void Devices::settle(const std::string& name, const std::string& parent) {
  for (const Setting& setting : kOwn) put_setting(path_of(setting, name), setting.value);
  for (const Setting& setting : kParent) {
    const std::string path = path_of(setting, parent);
    std::string was = common::io::read_file(path).value_or("");
    while (!was.empty() && was.back() == '\n') was.pop_back();
    if (was == setting.value || was.empty()) continue;
    before_[parent].try_emplace(path, was);
    put_setting(path, setting.value);
  }
}

void Devices::restore(const std::string& parent) {
  for (const auto& [path, value] : before_[parent]) put_setting(path, value);
  before_.erase(parent);
}

std::string Devices::trouble(const std::string& parent) const {
  for (const auto& [name, device] : wanted_)
    if (device.parent == parent && blocked_.contains(name))
      return "there is an interface " + name + " already that is not ours; rename it, or give virtual_mac another name";
  return {};
}

std::vector<Disturbed> Devices::missing() {
  std::vector<Disturbed> result;
  for (const auto& [name, device] : wanted_) {
    if (links_.index(device.parent) == 0 || blocked_.contains(name)) continue;
    if (links_.index(name) == 0) make(name, device);
    if (up_.contains(name) && !links_.up(name)) result.push_back({name, "the interface"});
  }
  return result;
}

int Devices::set(const SetDevice& action) {
  if (action.up)
    up_.insert(action.device);
  else
    up_.erase(action.device);
  const int index = links_.index(action.device);
  if (index == 0 || blocked_.contains(action.device)) return action.up ? ENODEV : 0;
  const MessagePtr message(nlmsg_alloc_simple(RTM_NEWLINK, 0));
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = action.up ? IFF_UP : 0;
  header.ifi_change = IFF_UP;
  if (!message || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) < 0) return ENOMEM;
  const int error = socket_.request(message.get());
  if (error == 0) {
    failed_.erase(action.device);
    return 0;
  }
  ++counters_.device_errors;
  if (failed_.insert(action.device).second)
    log(LogLevel::error, "device_failed",
        "cannot set " + action.device + (action.up ? " up: " : " down: ") + std::strerror(error));
  return error;
}

}  // namespace vrrpd::io
