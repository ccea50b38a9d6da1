#include "syncd/ownership.hpp"

#include <algorithm>
#include <utility>

namespace syncd {
namespace {

using common::IpAddress;

constexpr std::uint8_t kVrrp = 112;

/// Never forwarded by a router, whoever's it is.
bool stays_on_its_wire(const IpAddress& a) {
  if (a.is_multicast() || a.is_link_local() || a.is_unspecified()) return true;
  if (a.is_v4()) {
    const std::uint32_t value = a.v4_value();
    return value >> 24 == 127 || value == 0xffffffffu;
  }
  static const IpAddress loopback = *IpAddress::parse("::1");
  return a == loopback;
}

bool contains(const std::vector<IpAddress>& list, const IpAddress& a) {
  return std::ranges::find(list, a) != list.end();
}

}  // namespace

bool Ownership::configure(const common::Config& config, const std::vector<std::size_t>& group_numbers) {
  const auto covers_before = std::exchange(covers_, {});
  virtual_.clear();
  link_.clear();
  if (!config.vrrp || !config.sync) return rebuild() || covers_ != covers_before;
  const auto& groups = config.vrrp->groups;
  only_one_ = groups.size() == 1;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Cover cover;
    cover.group = group_numbers[i];
    for (const auto& network : groups[i].protects) cover.networks.push_back(common::AddressRange::of(network));
    for (const auto& instance : groups[i].instances)
      for (const auto& prefix : instance.all_addresses()) cover.addresses.push_back(prefix.address);
    if (config.nat) add_translated(*config.nat, groups[i].name, cover);
    cover.networks = common::merged(std::move(cover.networks));
    virtual_.insert(virtual_.end(), cover.addresses.begin(), cover.addresses.end());
    covers_.push_back(std::move(cover));
  }
  for (const auto& link : config.sync->links) link_.push_back(link.local);
  return rebuild() || covers_ != covers_before;
}

/// Where translated connections come from, and where they end.
void Ownership::add_translated(const common::NatConfig& nat, const std::string& group, Cover& cover) const {
  const auto add = [&](const std::string& of, const std::vector<common::AddressRange>& ranges) {
    if (of == group || only_one_) cover.networks.insert(cover.networks.end(), ranges.begin(), ranges.end());
  };
  for (const auto& rule : nat.source) add(rule.group, rule.match.source.any);
  for (const auto& rule : nat.destination)
    if (rule.translate_to) add(rule.group, {*rule.translate_to});
  for (const auto& rule : nat.one_to_one) add(rule.group, {rule.inside});
}

bool Ownership::set_own_addresses(std::span<const IpAddress> addresses) {
  given_.assign(addresses.begin(), addresses.end());
  return rebuild();
}

bool Ownership::rebuild() {
  const auto v4 = std::exchange(own_v4_, {});
  const auto v6 = std::exchange(own_v6_, {});
  for (const auto* list : {&given_, &link_})
    for (const IpAddress& a : *list) {
      if (contains(virtual_, a) || stays_on_its_wire(a)) continue;
      if (a.is_v4())
        own_v4_.push_back(a.v4_value());
      else
        own_v6_.push_back(a);
    }
  std::ranges::sort(own_v4_);
  std::ranges::sort(own_v6_);
  return own_v4_ != v4 || own_v6_ != v6;
}

bool Ownership::is_own(const IpAddress& a) const {
  if (a.is_v4()) return std::ranges::find(own_v4_, a.v4_value()) != own_v4_.end();
  return contains(own_v6_, a);
}

bool Ownership::stays_here(const Flow& flow) const {
  const Tuple& o = flow.key.original;
  if (flow.key.protocol == kVrrp) return true;
  for (const IpAddress* a : {&o.source, &o.destination, &flow.reply.source, &flow.reply.destination})
    if (stays_on_its_wire(*a) || is_own(*a)) return true;
  return false;
}

bool Ownership::covers(const Cover& cover, const Flow& flow) const {
  const Tuple& o = flow.key.original;
  for (const IpAddress* a : {&o.source, &o.destination, &flow.reply.source, &flow.reply.destination}) {
    if (contains(cover.addresses, *a)) return true;
    const auto after = std::ranges::upper_bound(cover.networks, *a, {}, &common::AddressRange::first);
    if (after != cover.networks.begin() && std::prev(after)->contains(*a)) return true;
  }
  return false;
}

std::optional<std::size_t> Ownership::group_of(const Flow& flow) const {
  if (covers_.empty() || stays_here(flow)) return std::nullopt;
  if (only_one_) return covers_.front().group;
  for (const Cover& cover : covers_)
    if (covers(cover, flow)) return cover.group;
  return std::nullopt;
}

}  // namespace syncd
