#pragma once
// The kernel of one box, as far as the pair depends on it. It outlives every daemon and is emptied by a
// reboot. Each rule here has a counterpart that tests/netns shows on a real kernel: an entry written by
// ctnetlink makes an event with our own port id; creating what exists is EEXIST; a packet refreshes the
// timeout and makes no event; an address with a lifetime vanishes when nobody renews it.
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/prng.hpp"
#include "common/time.hpp"
#include "syncd/flow.hpp"

namespace sim {

class Kernel {
 public:
  explicit Kernel(std::uint64_t seed) : prng_(seed) {}

  struct Entry {
    syncd::Flow flow;
    common::Time expires;
  };

  // Connection tracking. Changes are appended to `events`, which the owner takes and delivers.
  int write(const syncd::KernelWrite& write, common::Time now);  ///< an errno value, 0 for success
  Entry* find(const syncd::FlowKey& key);
  Entry* find_reply(const syncd::Tuple& reply_direction, std::uint8_t protocol);
  /// First packet of a flow through source NAT with a random port.
  Entry& create(const syncd::FlowKey& key, const common::IpAddress& translated, std::uint32_t timeout,
                common::Time now);
  void packet(Entry& entry, bool reply, common::Time now);  ///< refreshes, and moves the state as packets do
  void destroy(const syncd::FlowKey& key, bool own);
  void expire(common::Time now);
  std::vector<syncd::Flow> dump(common::Time now) const;
  /// Whether what packets do is reported; endings are in any case.
  void hear_packets(bool on) { heard_ = on; }
  std::vector<syncd::FlowChange> take_events() { return std::exchange(events_, {}); }
  std::size_t size() const { return entries_.size(); }
  const std::map<syncd::FlowKey, Entry>& entries() const { return entries_; }

  // Virtual addresses.
  std::map<std::string, common::Time> addresses;  ///< "eth0 10.10.0.101/24" -> when it vanishes
  void reboot();

 private:
  void note(syncd::ChangeKind kind, bool own, const syncd::Flow& flow);
  common::Prng prng_;
  std::map<syncd::FlowKey, Entry> entries_;
  std::map<std::pair<std::uint8_t, syncd::Tuple>, syncd::FlowKey> by_reply_;
  std::vector<syncd::FlowChange> events_;
  bool heard_ = true;
};

inline constexpr std::uint32_t kTcpEstablishedTimeout = 432000;  // nf_conntrack_tcp_timeout_established
inline constexpr std::uint32_t kUdpTimeout = 30;                 // nf_conntrack_udp_timeout

}  // namespace sim
