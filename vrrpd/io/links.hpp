#pragma once
// The interfaces of this router as the kernel reports them: carrier, addresses, names; also of those that do
// not exist yet, were deleted, or were renamed.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/io/loop.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/carrier_probe.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/route_socket.hpp"

namespace vrrpd::io {

class Links {
 public:
  using Handler = std::function<void(const LinkChanged& change)>;
  struct Watch {
    std::set<common::IpAddress> virtual_addresses;  ///< never taken for the interface's own
    std::set<common::Family> families;              ///< of the adverts
  };
  using Watched = std::map<std::string, Watch>;

  static common::Result<std::unique_ptr<Links>> open(common::io::Loop& loop, Counters& counters, Handler handler);
  ~Links();

  /// Tells the state of each of these interfaces now, and from now on whenever it changes.
  void watch(Watched interfaces);
  /// Takes in what the kernel has reported up to now.
  void poll();
  /// Called when all of that has been taken in, and something of an interface or an address has gone.
  void when_less(std::function<void()> handler);

  int index(const std::string& interface) const;  ///< 0: there is no such interface
  bool exists(int index) const { return links_.contains(index); }
  bool up(const std::string& interface) const;  ///< set up, whether or not it has a carrier
  common::MacAddress mac(const std::string& interface) const;
  struct Macvlan {
    int parent = 0;
    common::MacAddress mac;
  };
  /// None: it is no interface of that kind.
  std::optional<Macvlan> macvlan(const std::string& interface) const;
  enum class Presence { absent, temporary, permanent };
  /// temporary: its lifetime ends by itself, as that of every address of ours does.
  Presence presence(const std::string& interface, const common::Prefix& address) const;
  /// The interface has an address of its own in this network.
  bool has_own_in(const std::string& interface, const common::Prefix& network) const;

 private:
  struct Address {
    common::Prefix prefix;
    bool secondary = false, permanent = false;
    bool tentative = false;  ///< duplicates are still looked for, or one was found: nothing is sent from it
    std::uint8_t scope = 0;
  };
  struct Link {
    std::string name;
    bool up = false;
    bool running = false;  ///< as notified
    bool carrier = true;   ///< as last asked for: sooner known than notified
    common::MacAddress mac;
    bool is_macvlan = false;
    int parent = 0;
    std::vector<Address> addresses;  ///< in the kernel's order
  };

  Links(common::io::Loop& loop, Counters& counters, Handler handler, RouteSocket requests, RouteMonitor monitor);
  common::Status read_all();
  void forget_unresolved(const std::string& interface);
  void take_in();
  void apply(nlmsghdr* message);
  void apply_link(nlmsghdr* message);
  void apply_address(nlmsghdr* message);
  const Link* find(const std::string& interface) const;
  LinkChanged describe(const std::string& interface) const;
  bool is_own(const Address& address, const std::string& interface) const;
  void report(const std::string& interface);
  void report_all();
  void probed(int index, bool carrier);
  void choose_probes();

  common::io::Loop& loop_;
  Counters& counters_;
  Handler handler_;
  RouteSocket requests_;
  RouteMonitor monitor_;
  std::unique_ptr<CarrierProbe> probe_;
  std::map<int, Link> links_;
  std::map<std::string, int> by_name_;
  Watched watched_;
  bool polling_ = false;
  bool less_ = false, telling_less_ = false;
  std::function<void()> when_less_;
  std::map<std::string, LinkChanged> reported_;
};

}  // namespace vrrpd::io
