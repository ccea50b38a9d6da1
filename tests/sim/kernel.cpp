#include "tests/sim/kernel.hpp"

#include <cerrno>

namespace sim {

using common::Time;
using syncd::ChangeKind;
using syncd::Flow;
using syncd::FlowKey;
using syncd::KernelWrite;

void Kernel::note(ChangeKind kind, bool own, const Flow& flow) {
  if (heard_ || own || kind == ChangeKind::destroyed) events_.push_back({kind, own, flow});
}

Kernel::Entry* Kernel::find(const FlowKey& key) {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second;
}

Kernel::Entry* Kernel::find_reply(const syncd::Tuple& reply_direction, std::uint8_t protocol) {
  const auto it = by_reply_.find({protocol, reply_direction});
  return it == by_reply_.end() ? nullptr : find(it->second);
}

Kernel::Entry& Kernel::create(const FlowKey& key, const common::IpAddress& translated, std::uint32_t timeout,
                              Time now) {
  Flow flow{.key = key, .timeout = timeout};
  flow.reply = {key.original.destination, translated, key.original.destination_port, 0};
  do flow.reply.destination_port = static_cast<std::uint16_t>(1024 + prng_.below(64512));
  while (by_reply_.contains({key.protocol, flow.reply}));
  flow.status = syncd::status_bits::confirmed | syncd::status_bits::src_nat | syncd::status_bits::src_nat_done |
                syncd::status_bits::dst_nat_done;
  if (key.protocol == 6) {
    flow.has_tcp = true;
    flow.tcp = {.state = 1, .flags_original = 3, .scale_original = 7};
  }
  by_reply_[{key.protocol, flow.reply}] = key;
  Entry& entry = entries_[key] = {flow, now + std::chrono::seconds(timeout)};
  note(ChangeKind::created, false, flow);
  return entry;
}

void Kernel::packet(Entry& entry, bool reply, Time now) {
  Flow& flow = entry.flow;
  const Flow before = flow;
  if (reply) flow.status |= syncd::status_bits::seen_reply;
  if (flow.key.protocol == 6) {
    if (reply && flow.tcp.state == 1)
      flow.tcp = {.state = 2, .flags_original = 3, .flags_reply = 3, .scale_original = 7, .scale_reply = 7};
    else if (!reply && flow.tcp.state == 2)
      flow.tcp.state = 3;
    if (flow.tcp.state == 3) flow.status |= syncd::status_bits::assured;
    flow.timeout = flow.tcp.state == 3 ? kTcpEstablishedTimeout : 60;
  } else {
    flow.timeout = kUdpTimeout;
  }
  entry.expires = now + std::chrono::seconds(flow.timeout);
  if (before.status != flow.status || before.tcp != flow.tcp) note(ChangeKind::updated, false, flow);
}

void Kernel::destroy(const FlowKey& key, bool own) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  note(ChangeKind::destroyed, own, it->second.flow);
  by_reply_.erase({key.protocol, it->second.flow.reply});
  entries_.erase(it);
}

void Kernel::expire(Time now) {
  std::vector<FlowKey> gone;
  for (const auto& [key, entry] : entries_)
    if (entry.expires <= now) gone.push_back(key);
  for (const FlowKey& key : gone) destroy(key, false);
  std::erase_if(addresses, [now](const auto& a) { return a.second <= now; });
}

std::vector<Flow> Kernel::dump(Time now) const {
  std::vector<Flow> out;
  for (const auto& [key, entry] : entries_) {
    Flow flow = entry.flow;
    flow.timeout =
        static_cast<std::uint32_t>(std::max<std::int64_t>(0, (entry.expires - now) / std::chrono::seconds(1)));
    out.push_back(flow);
  }
  return out;
}

int Kernel::write(const KernelWrite& write, Time now) {
  using Op = KernelWrite::Op;
  const Flow& wanted = write.flow;
  Entry* entry = find(wanted.key);
  switch (write.op) {
    case Op::remove:
      if (!entry) return ENOENT;
      destroy(wanted.key, true);
      return 0;
    case Op::expect:
      return entry ? 0 : ENOENT;
    case Op::set_timeout:
      if (!entry) return ENOENT;
      entry->expires = now + std::chrono::seconds(wanted.timeout);
      return 0;
    case Op::update:
      if (!entry) return ENOENT;
      break;
    case Op::create:
      if (entry) return EEXIST;
      break;
    case Op::create_or_update:
      if (entry && entry->flow.reply != wanted.reply) return EEXIST;
      break;
    case Op::replace:
      destroy(wanted.key, true);
      if (const Entry* holder = find_reply(wanted.reply, wanted.key.protocol)) destroy(holder->flow.key, true);
      entry = nullptr;
      break;
  }
  if (entry) {  // status bits are only ever added, the reply tuple stays
    entry->flow.status |= wanted.status & syncd::status_bits::replicated;
    if (wanted.has_tcp) entry->flow.tcp = wanted.tcp;
    entry->flow.timeout = wanted.timeout;
    entry->expires = now + std::chrono::seconds(wanted.timeout);
    note(ChangeKind::updated, true, entry->flow);
    return 0;
  }
  if (find_reply(wanted.reply, wanted.key.protocol)) return EEXIST;
  Flow flow = wanted;
  flow.status |= syncd::status_bits::confirmed;
  by_reply_[{flow.key.protocol, flow.reply}] = flow.key;
  entries_[flow.key] = {flow, now + std::chrono::seconds(flow.timeout)};
  note(ChangeKind::created, true, flow);
  return 0;
}

void Kernel::reboot() {
  entries_.clear();
  by_reply_.clear();
  events_.clear();
  addresses.clear();
}

}  // namespace sim
