#include "syncd/flow.hpp"

#include <fmt/core.h>

#include <bit>
#include <utility>

#include "common/traffic.hpp"

namespace syncd {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kIcmpV6 = 58;

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case kIcmp:
      return "icmp";
    case kTcp:
      return "tcp";
    case 17:
      return "udp";
    case 33:
      return "dccp";
    case 47:
      return "gre";
    case 50:
      return "esp";
    case kIcmpV6:
      return "icmpv6";
    case 132:
      return "sctp";
    case 136:
      return "udplite";
  }
  return fmt::format("protocol {}", protocol);
}

std::string endpoint(const common::IpAddress& address, std::uint16_t port) {
  return address.is_v4() ? fmt::format("{}:{}", address.to_string(), port)
                         : fmt::format("[{}]:{}", address.to_string(), port);
}

std::string direction(const Tuple& t, std::uint8_t protocol) {
  if (protocol == kIcmp || protocol == kIcmpV6)
    return fmt::format("{} -> {} type {} id {}", t.source.to_string(), t.destination.to_string(),
                       t.destination_port >> 8, t.source_port);
  return endpoint(t.source, t.source_port) + " -> " + endpoint(t.destination, t.destination_port);
}

/// In capitals, as conntrack(8) and everybody shows them.
std::string tcp_state(std::uint8_t state) {
  const auto names = common::tcp_state_names();
  if (state >= names.size()) return fmt::format("tcp state {}", state);
  std::string name(names[state]);
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return name;
}

std::string to_string(const Extras& extras) {
  std::string out;
  if (extras.sctp)
    out += fmt::format(", sctp state {} tags {:x}/{:x}", extras.sctp->state, extras.sctp->tag_original,
                       extras.sctp->tag_reply);
  if (extras.shifts)
    for (const SequenceShift& shift : *extras.shifts)
      out += fmt::format(", shifted {}/{} at {}", static_cast<std::int32_t>(shift.before),
                         static_cast<std::int32_t>(shift.after), shift.position);
  if (extras.labels) {
    out += ", labels ";
    for (const std::byte part : *extras.labels) out += fmt::format("{:02x}", std::to_integer<unsigned>(part));
  }
  if (!extras.helper.empty()) out += ", helper " + extras.helper;
  if (extras.synproxy) out += fmt::format(", synproxy {:x}", extras.synproxy->initial);
  if (!extras.expectations.empty()) out += fmt::format(", expects {}", extras.expectations.size());
  if (extras.master) out += ", announced by " + to_string(*extras.master);
  return out;
}

}  // namespace

Labels labels_of(const std::bitset<128>& numbers) {
  std::array<std::uint64_t, 2> words{};
  for (std::size_t n = 0; n < numbers.size(); ++n)
    if (numbers.test(n)) words[n / 64] |= std::uint64_t{1} << n % 64;
  return std::bit_cast<Labels>(words);
}

void leave_out(Flow& flow, const common::SyncMasks& masks) {
  flow.mark &= masks.mark;
  if (masks.labels.all() || !flow.extras || !flow.extras->labels) return;
  Extras extras = *flow.extras;
  const Labels kept = labels_of(masks.labels);
  for (std::size_t i = 0; i < kept.size(); ++i) (*extras.labels)[i] &= kept[i];
  if (*extras.labels == Labels{}) extras.labels.reset();
  flow.extras = ExtrasRef(std::move(extras));
}

std::string to_string(const FlowKey& key) {
  std::string out = protocol_name(key.protocol) + " " + direction(key.original, key.protocol);
  if (key.zone != 0) out += fmt::format(" zone {}", key.zone);
  return out;
}

std::string to_string(const Flow& flow) {
  std::string out = to_string(flow.key) + ", answered " + direction(flow.reply, flow.key.protocol);
  if (flow.has_tcp) {
    out += fmt::format(", {} flags {:x}/{:x} scale {}/{}", tcp_state(flow.tcp.state), flow.tcp.flags_original,
                       flow.tcp.flags_reply, flow.tcp.scale_original, flow.tcp.scale_reply);
  }
  out += fmt::format(", status {:#x}", flow.status);
  if (flow.mark != 0) out += fmt::format(", mark {}", flow.mark);
  if (flow.extras) out += to_string(*flow.extras);
  return out;
}

}  // namespace syncd
