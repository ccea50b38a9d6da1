#include "vrrpd/io/addresses.hpp"

#include <linux/if_addr.h>
#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using common::io::LogLevel;

struct FreeAddress {
  void operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
};
struct FreeBytes {
  void operator()(nl_addr* address) const { nl_addr_put(address); }
};
using AddressPtr = std::unique_ptr<rtnl_addr, FreeAddress>;
using BytesPtr = std::unique_ptr<nl_addr, FreeBytes>;

AddressPtr build(int index, const common::Prefix& prefix) {
  AddressPtr address(rtnl_addr_alloc());
  const auto bytes = prefix.address.bytes();
  const BytesPtr local(nl_addr_build(prefix.address.is_v4() ? AF_INET : AF_INET6, bytes.data(), bytes.size()));
  if (!address || !local) return nullptr;
  nl_addr_set_prefixlen(local.get(), prefix.length);
  rtnl_addr_set_ifindex(address.get(), index);
  if (rtnl_addr_set_local(address.get(), local.get()) < 0) return nullptr;
  return address;
}

std::string describe(const std::string& interface, const common::Prefix& address) {
  return address.to_string() + " on " + interface;
}

}  // namespace

Addresses::Addresses(std::string record, const Links& links, Counters& counters, RouteSocket socket)
    : record_(std::move(record)), links_(links), counters_(counters), socket_(std::move(socket)) {}

common::Result<Addresses> Addresses::open(std::string record, const Links& links, Counters& counters) {
  auto socket = RouteSocket::open();
  if (!socket) return std::unexpected(socket.error());
  Addresses addresses(std::move(record), links, counters, std::move(*socket));
  addresses.load();
  return addresses;
}

void Addresses::load() {
  std::istringstream lines(common::io::read_file(record_).value_or(""));
  std::string interface, text;
  while (lines >> interface >> text) {
    const auto prefix = common::Prefix::parse(text);
    if (!prefix) continue;
    // We only ever add addresses with a lifetime. Without one it was put there by somebody else: between our
    // note and our request, or after ours had run out.
    if (links_.presence(interface, *prefix) != Links::Presence::temporary) continue;
    ours_.emplace(Key(interface, *prefix), Own{Stage::added, links_.index(interface)});
    common::io::log(LogLevel::info, "address_inherited",
                    "found " + describe(interface, *prefix) + " of an earlier vrrpd");
  }
}

void Addresses::save() {
  std::string text;
  for (const auto& [key, own] : ours_) text += key.first + " " + key.second.to_string() + "\n";
  const auto written = common::io::write_file(record_, text);
  if (!written) {
    ++counters_.state_file_errors;
    // A takeover is worth more than the note: the lifetime removes the address anyway should we be killed.
    if (!record_failed_) common::io::log(LogLevel::warning, "address_record_failed", written.error().text);
  }
  record_failed_ = !written;
  dirty_ = false;
}

void Addresses::flush() {
  if (dirty_) save();
}

void Addresses::note_additions(const Actions& actions) {
  for (const Action& action : actions) {
    const auto* add = std::get_if<AddAddress>(&action);
    // One that is in the way already would turn into ours by being written down.
    if (add == nullptr || links_.presence(add->interface, add->address) != Links::Presence::absent) continue;
    dirty_ |= ours_.emplace(Key(add->interface, add->address), Own{}).second;
  }
  flush();
}

int Addresses::send_add(int index, const AddAddress& action, int flags) {
  const AddressPtr address = build(index, action.address);
  if (!address) return ENOMEM;
  const auto seconds = static_cast<std::uint32_t>(action.lifetime.count());
  if (seconds > 0) {
    rtnl_addr_set_valid_lifetime(address.get(), seconds);
    // An IPv6 address that is not preferred serves everybody who knows it, but the kernel does not choose it for
    // connections of its own while the interface has one that stays.
    rtnl_addr_set_preferred_lifetime(address.get(), action.address.address.is_v4() ? seconds : 0);
  }
  if (const unsigned marks = address_flags(action.interface, action.address); marks != 0)
    rtnl_addr_set_flags(address.get(), marks);
  nl_msg* message = nullptr;
  if (rtnl_addr_build_add_request(address.get(), flags, &message) < 0) return ENOMEM;
  return socket_.request(MessagePtr(message).get());
}

unsigned Addresses::address_flags(const std::string& interface, const common::Prefix& address) const {
  if (address.address.is_v4()) return 0;
  // Looking for duplicates would hold the address back for a second; who may have it is what VRRP is about.
  unsigned flags = IFA_F_NODAD;
  // The route to a network is shared by all addresses in it: a lifetime would be put on that of the interface's own.
  if (links_.has_own_in(interface, address)) flags |= IFA_F_NOPREFIXROUTE;
  return flags;
}

AddressResult Addresses::add(const AddAddress& action) {
  AddressResult result{action.interface, action.address, true, 0};
  const Key key{action.interface, action.address};
  const int index = links_.index(action.interface);
  const auto known = ours_.find(key);
  if (action.renewal && known != ours_.end() && is_gone(key)) return result;
  const bool renewal = known != ours_.end() && known->second.stage == Stage::added;
  if (index == 0)
    result.code = ENODEV;
  else
    result.code = send_add(index, action, NLM_F_CREATE | (renewal ? NLM_F_REPLACE : NLM_F_EXCL));
  if (result.code == 0) {
    foreign_.erase(key);
    dirty_ |= known == ours_.end();
    ours_[key] = {Stage::added, index};
    return result;
  }
  if (!renewal) dirty_ |= ours_.erase(key) != 0;
  if (result.code == EEXIST)
    found_foreign(key);
  else
    ++counters_.address_errors;
  return result;
}

void Addresses::found_foreign(const Key& key) {
  if (!foreign_.insert(key).second) return;
  ++counters_.foreign_addresses;
  common::io::log(LogLevel::warning, "address_foreign",
                  describe(key.first, key.second) +
                      " exists already and was not added by vrrpd: it is left alone, also when this router becomes "
                      "backup; remove it with `ip address del`");
}

bool Addresses::is_gone(const Key& key) const {
  return ours_.at(key).stage == Stage::added && links_.presence(key.first, key.second) == Links::Presence::absent;
}

std::vector<Disturbed> Addresses::missing() const {
  std::vector<Disturbed> result;
  for (const auto& [key, own] : ours_)
    if (is_gone(key) && (result.empty() || result.back().device != key.first))
      result.push_back({key.first, key.second.to_string()});
  return result;
}

AddressResult Addresses::remove(const RemoveAddress& action) {
  AddressResult result{action.interface, action.address, false, 0};
  const Key key{action.interface, action.address};
  const auto own = ours_.find(key);
  if (own == ours_.end()) return result;
  int index = links_.index(action.interface);
  if (index == 0 && links_.exists(own->second.index)) index = own->second.index;
  if (index != 0) {
    const AddressPtr address = build(index, action.address);
    nl_msg* message = nullptr;
    if (!address || rtnl_addr_build_delete_request(address.get(), 0, &message) < 0)
      result.code = ENOMEM;
    else
      result.code = socket_.request(MessagePtr(message).get());
    if (result.code == ENODEV || result.code == EADDRNOTAVAIL) result.code = 0;
  }
  if (result.code != 0) {
    ++counters_.address_errors;
    return result;  // still ours: its lifetime ends it, and a later attempt may succeed
  }
  ours_.erase(key);
  dirty_ = true;
  return result;
}

}  // namespace vrrpd::io
