#pragma once
// Which group a flow of the kernel belongs to, if any. What no group covers is never touched; what belongs to one
// router alone (its own addresses, its VRRP, its link) would be wrong on the other.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/config.hpp"
#include "syncd/flow.hpp"

namespace syncd {

class Ownership {
 public:
  /// Groups are numbered in the order of the configuration. True: what belongs to whom is not as it was.
  bool configure(const common::Config& config, const std::vector<std::size_t>& group_numbers);
  /// True: they are others than before.
  bool set_own_addresses(std::span<const common::IpAddress> addresses);

  /// The number of the group; none: not ours to carry.
  std::optional<std::size_t> group_of(const Flow& flow) const;
  /// Has an address of this router that would not move to the peer, or one that never leaves a router.
  bool stays_here(const Flow& flow) const;

 private:
  struct Cover {
    std::size_t group = 0;
    std::vector<common::IpAddress> addresses;    ///< virtual
    std::vector<common::AddressRange> networks;  ///< protected, or translated; merged
    bool operator==(const Cover&) const = default;
  };
  void add_translated(const common::NatConfig& nat, const std::string& group, Cover& cover) const;
  bool covers(const Cover& cover, const Flow& flow) const;
  bool is_own(const common::IpAddress& address) const;
  /// True: our own addresses are others than before.
  bool rebuild();

  std::vector<Cover> covers_;
  bool only_one_ = false;  ///< one group has everything that passes the router
  std::vector<common::IpAddress> virtual_, link_, given_;
  std::vector<std::uint32_t> own_v4_;  ///< without the virtual ones
  std::vector<common::IpAddress> own_v6_;
};

}  // namespace syncd
