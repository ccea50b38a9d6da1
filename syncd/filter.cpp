#include "syncd/filter.hpp"

#include <algorithm>
#include <array>

namespace syncd {
namespace {

template <typename T>
bool empty_or_has(const std::vector<T>& list, T value) {
  return list.empty() || std::ranges::find(list, value) != list.end();
}

/// "not" keeps out a connection in which anybody has such an address.
bool takes_part(const common::AddressSet& set, const Flow& flow) {
  const Tuple& o = flow.key.original;
  const std::array all{&o.source, &o.destination, &flow.reply.source, &flow.reply.destination};
  const auto in = [&all](const std::vector<common::AddressRange>& ranges) {
    return std::ranges::any_of(ranges, [&all](const common::AddressRange& range) {
      return std::ranges::any_of(all, [&range](const common::IpAddress* a) { return range.contains(*a); });
    });
  };
  return (set.any.empty() || in(set.any)) && !in(set.none);
}

bool translates(common::Translation wanted, std::uint32_t status) {
  const bool source = (status & status_bits::src_nat) != 0, destination = (status & status_bits::dst_nat) != 0;
  switch (wanted) {
    case common::Translation::any:
      return source || destination;
    case common::Translation::snat:
      return source;
    case common::Translation::dnat:
      return destination;
    case common::Translation::none:
      return !source && !destination;
  }
  return false;
}

bool fits(const common::SyncMatch& match, const Flow& flow, std::uint8_t tcp_state) {
  const Tuple& o = flow.key.original;
  if (!match.packet.protocol.matches(flow.key.protocol)) return false;
  if (!match.packet.source.matches(o.source) || !match.packet.destination.matches(o.destination)) return false;
  if (!match.packet.source_ports.matches(o.source_port)) return false;
  if (!match.packet.destination_ports.matches(o.destination_port)) return false;
  if (!takes_part(match.address, flow)) return false;
  if (!match.tcp_states.empty() && flow.key.protocol != common::protocols::tcp) return false;
  if (!empty_or_has(match.tcp_states, tcp_state) || !empty_or_has(match.zones, flow.key.zone)) return false;
  if (match.mark && (flow.mark & match.mark->mask) != match.mark->value) return false;
  return !match.translated || translates(*match.translated, flow.status);
}

}  // namespace

Verdict Filter::judge(const Flow& flow, std::uint8_t tcp_state) const {
  const auto fit = [&](const common::SyncMatch& match) { return fits(match, flow, tcp_state); };
  if (!include_.empty() && std::ranges::none_of(include_, fit)) return Verdict::not_included;
  return std::ranges::any_of(exclude_, fit) ? Verdict::excluded : Verdict::replicated;
}

}  // namespace syncd
