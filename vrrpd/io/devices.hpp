#pragma once
// Interfaces that have the MAC of a virtual router (macvlan on top of the instance's own). They exist as long as the
// configuration names them, and are up only where the instance is master: one that is down sends nothing at all, so
// that no switch can be led astray by a backup.
#include <map>
#include <set>
#include <string>

#include "common/address.hpp"
#include "common/config.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/links.hpp"
#include "vrrpd/io/route_socket.hpp"

namespace vrrpd::io {

/// RFC 9568 7.3: 00-00-5E-00-01-{VRID}, and 02 for IPv6.
common::MacAddress virtual_mac(common::Family family, std::uint8_t vrid);

class Devices {
 public:
  struct Device {
    std::string parent;
    common::MacAddress mac;
    bool operator==(const Device&) const = default;
  };
  using Wanted = std::map<std::string, Device>;  ///< by name

  static common::Result<Devices> open(Links& links, Counters& counters);

  /// Makes what is missing, takes away what was wanted before and is not any more.
  void want(Wanted wanted);
  /// The parent has come (again): an interface that goes takes those on top of it along.
  void parent_changed(const std::string& parent);
  /// 0, or an errno value.
  int set(const SetDevice& action);
  /// Those that should be up and are not: somebody else has removed them, in which case they exist again after this
  /// call, or has set them down.
  std::vector<Disturbed> missing();
  /// Why an interface on top of this one cannot be used: one sentence, or empty.
  std::string trouble(const std::string& parent) const;

 private:
  Devices(Links& links, Counters& counters, RouteSocket socket);
  void make(const std::string& name, const Device& device);
  int create(const std::string& name, const Device& device, int parent);
  int remove(int index);
  void settle(const std::string& name, const std::string& parent);
  void restore(const std::string& parent);

  Links& links_;
  Counters& counters_;
  RouteSocket socket_;
  Wanted wanted_;
  std::set<std::string> blocked_;  ///< somebody else's interface has the name: nothing may be put on it
  std::set<std::string> failed_;   ///< said once
  std::set<std::string> up_;       ///< by our wish
  /// What the parents' settings were before: path and value, by parent.
  std::map<std::string, std::map<std::string, std::string>> before_;
};

}  // namespace vrrpd::io
