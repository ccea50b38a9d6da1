#include "syncd/record.hpp"

#include <algorithm>

#include "syncd/record_bytes.hpp"

namespace syncd {
namespace {

using namespace record_bytes;

using common::ByteView;
using common::IpAddress;

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpV6 = 58;
constexpr std::uint8_t kTimeWait = 7, kClose = 8;  // enum tcp_conntrack

constexpr unsigned kHeadIpv6 = 0x01, kHeadZone = 0x08, kHeadReserved = 0x70, kHeadGone = 0x80;
constexpr unsigned kStatusTcp = 0x20, kStatusMark = 0x40, kStatusReply = 0x80;
constexpr unsigned kReplySource = 1, kReplyDestination = 2, kReplySourcePort = 4, kReplyDestinationPort = 8;
constexpr unsigned kReplyFields = 0x0f, kReplyExtras = 0x10;

/// Bits of the status byte, from bit 0 on.
constexpr std::array<std::uint32_t, 5> kStatusBits = {
    status_bits::seen_reply, status_bits::assured, status_bits::src_nat, status_bits::dst_nat, status_bits::seq_adjust};
constexpr unsigned kStatusSeenReply = 0x01, kStatusAssured = 0x02, kStatusNat = 0x0c;

unsigned protocol_code(std::uint8_t protocol, bool v6) {
  if (protocol == kTcp) return 1;
  if (protocol == kUdp) return 2;
  return protocol == (v6 ? kIcmpV6 : kIcmp) ? 3 : 0;
}

std::uint8_t protocol_of_code(unsigned code, bool v6) {
  constexpr std::array<std::uint8_t, 4> kV4 = {0, kTcp, kUdp, kIcmp}, kV6 = {0, kTcp, kUdp, kIcmpV6};
  return v6 ? kV6[code] : kV4[code];
}

IpAddress address_at(ByteView data, std::size_t at, bool v6) {
  if (v6) return IpAddress::v6(data.subspan(at).first<16>());
  return IpAddress::v4(data.subspan(at).first<4>());
}

/// ICMP queries and their answers; anything else answers in kind.
unsigned icmp_answer(unsigned type, bool v6) {
  if (v6) return type == 128 ? 129 : type == 129 ? 128 : type;
  switch (type) {
    case 8:
      return 0;
    case 0:
      return 8;
    case 13:
      return 14;
    case 14:
      return 13;
    case 15:
      return 16;
    case 16:
      return 15;
    case 17:
      return 18;
    case 18:
      return 17;
  }
  return type;
}

unsigned pack_status(std::uint32_t status) {
  unsigned packed = 0;
  for (std::size_t i = 0; i < kStatusBits.size(); ++i)
    if (status & kStatusBits[i]) packed |= 1u << i;
  return packed;
}

/// `mask` without the bits that announce more.
void write_reply(const Tuple& reply, unsigned mask, Pen& pen) {
  if (mask & kReplySource) pen.address(reply.source);
  if (mask & kReplyDestination) pen.address(reply.destination);
  if (mask & kReplySourcePort) pen.u16(reply.source_port);
  if (mask & kReplyDestinationPort) pen.u16(reply.destination_port);
}

unsigned reply_mask(const Tuple& reply, const Tuple& plain) {
  return (reply.source != plain.source ? kReplySource : 0) |
         (reply.destination != plain.destination ? kReplyDestination : 0) |
         (reply.source_port != plain.source_port ? kReplySourcePort : 0) |
         (reply.destination_port != plain.destination_port ? kReplyDestinationPort : 0);
}

struct KeyLayout {
  std::size_t source = 0, destination = 0, ports = 0, end = 0;
  bool v6 = false;
};

KeyLayout key_layout(unsigned head) {
  KeyLayout l;
  l.v6 = (head & kHeadIpv6) != 0;
  const std::size_t width = l.v6 ? 16 : 4;
  l.source = 1u + ((head >> 1 & 3) == 0 ? 1u : 0u) + ((head & kHeadZone) ? 2u : 0u);
  l.destination = l.source + width;
  l.ports = l.destination + width;
  l.end = l.ports + 4;
  return l;
}

FlowKey key_from(ByteView record, const KeyLayout& l) {
  const unsigned head = byte_at(record, 0);
  const unsigned code = head >> 1 & 3;
  FlowKey key;
  key.protocol = code == 0 ? static_cast<std::uint8_t>(byte_at(record, 1)) : protocol_of_code(code, l.v6);
  if (head & kHeadZone) key.zone = u16_at(record, l.source - 2);
  key.original.source = address_at(record, l.source, l.v6);
  key.original.destination = address_at(record, l.destination, l.v6);
  key.original.source_port = u16_at(record, l.ports);
  key.original.destination_port = u16_at(record, l.ports + 2);
  return key;
}

/// Reads the differing fields over `reply`, which holds the inverted original.
void read_reply(ByteView record, std::size_t at, bool v6, Tuple& reply) {
  const unsigned mask = byte_at(record, at++);
  const std::size_t width = v6 ? 16 : 4;
  if (mask & kReplySource) reply.source = address_at(record, at, v6), at += width;
  if (mask & kReplyDestination) reply.destination = address_at(record, at, v6), at += width;
  if (mask & kReplySourcePort) reply.source_port = u16_at(record, at), at += 2;
  if (mask & kReplyDestinationPort) reply.destination_port = u16_at(record, at);
}

std::expected<std::size_t, RecordError> inspect_key(ByteView data) {
  if (data.empty()) return std::unexpected(RecordError::truncated);
  const unsigned head = byte_at(data, 0);
  if (head & kHeadReserved) return std::unexpected(RecordError::reserved_bits);
  const KeyLayout l = key_layout(head);
  if (data.size() < l.end) return std::unexpected(RecordError::truncated);
  if ((head >> 1 & 3) == 0 && protocol_code(static_cast<std::uint8_t>(byte_at(data, 1)), l.v6) != 0)
    return std::unexpected(RecordError::protocol_form);
  if ((head & kHeadZone) && u16_at(data, l.source - 2) == 0) return std::unexpected(RecordError::zone_form);
  return l.end;
}

/// Size of the reply part, which starts at `at`; every field that is there must differ from the inverted original.
std::expected<std::size_t, RecordError> inspect_reply(ByteView data, std::size_t at) {
  if (at >= data.size()) return std::unexpected(RecordError::truncated);
  const unsigned mask = byte_at(data, at);
  if (mask == 0) return std::unexpected(RecordError::reply_form);
  if (mask > (kReplyFields | kReplyExtras)) return std::unexpected(RecordError::reserved_bits);
  const KeyLayout l = key_layout(byte_at(data, 0));
  const std::size_t width = l.v6 ? 16 : 4;
  const std::size_t size = 1u + ((mask & kReplySource) ? width : 0u) + ((mask & kReplyDestination) ? width : 0u) +
                           ((mask & kReplySourcePort) ? 2u : 0u) + ((mask & kReplyDestinationPort) ? 2u : 0u);
  if (data.size() - at < size) return std::unexpected(RecordError::truncated);
  const Tuple plain = inverted(key_from(data, l));
  Tuple reply = plain;
  read_reply(data, at, l.v6, reply);
  if (reply_mask(reply, plain) != (mask & kReplyFields)) return std::unexpected(RecordError::reply_form);
  return size;
}

std::expected<std::size_t, RecordError> inspect_timeout(ByteView data, std::size_t at) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 5; ++i) {
    if (at + i >= data.size()) return std::unexpected(RecordError::truncated);
    const unsigned byte = byte_at(data, at + i);
    value |= std::uint64_t{byte & 0x7f} << (7 * i);
    if (byte & 0x80) continue;
    if ((i > 0 && byte == 0) || value > 0x1ffffffffu) return std::unexpected(RecordError::timeout_form);
    return i + 1;
  }
  return std::unexpected(RecordError::timeout_form);
}

/// Size of the master's key.
std::expected<std::size_t, RecordError> inspect_master(ByteView data, std::size_t at) {
  const auto size = inspect_key(data.subspan(at));
  if (!size && size.error() == RecordError::truncated) return size;
  if (!size || (byte_at(data, at) & kHeadGone)) return std::unexpected(RecordError::master_form);
  return size;
}

}  // namespace

std::string_view to_string(RecordError error) {
  switch (error) {
    case RecordError::truncated:
      return "record_truncated";
    case RecordError::reserved_bits:
      return "record_reserved_bits";
    case RecordError::protocol_form:
      return "record_protocol_form";
    case RecordError::zone_form:
      return "record_zone_form";
    case RecordError::reply_form:
      return "record_reply_form";
    case RecordError::tcp_form:
      return "record_tcp_form";
    case RecordError::mark_form:
      return "record_mark_form";
    case RecordError::extras_form:
      return "record_extras_form";
    case RecordError::master_form:
      return "record_master_form";
    case RecordError::timeout_form:
      return "record_timeout_form";
  }
  return "";
}

Tuple inverted(const FlowKey& key) {
  const Tuple& o = key.original;
  const bool v6 = !o.source.is_v4();
  if (key.protocol == (v6 ? kIcmpV6 : kIcmp)) {
    const unsigned answer = icmp_answer(o.destination_port >> 8, v6);
    return {o.destination, o.source, o.source_port,
            static_cast<std::uint16_t>(answer << 8 | (o.destination_port & 0xff))};
  }
  return {o.destination, o.source, o.destination_port, o.source_port};
}

void encode_key(const FlowKey& key, Record& out) {
  const bool v6 = !key.original.source.is_v4();
  const unsigned code = protocol_code(key.protocol, v6);
  Pen pen(out.bytes.data());
  pen.u8((v6 ? kHeadIpv6 : 0) | code << 1 | (key.zone != 0 ? kHeadZone : 0));
  if (code == 0) pen.u8(key.protocol);
  if (key.zone != 0) pen.u16(key.zone);
  pen.address(key.original.source);
  pen.address(key.original.destination);
  pen.u16(key.original.source_port);
  pen.u16(key.original.destination_port);
  out.key_end = out.state_end = out.timeout_end = out.size = static_cast<std::uint8_t>(pen.at() - out.bytes.data());
}

/// A scale counts when both ends offer one. Half-open flows have it in one direction only; ctnetlink does not take
/// that (the kernel learns it again from the handshake), so carrying it would make two equal entries look different.
unsigned pack_scales(const TcpState& tcp) {
  if ((tcp.flags_original & tcp.flags_reply & tcp_flags::window_scale) == 0) return 0;
  return (tcp.scale_original & 15u) << 4 | (tcp.scale_reply & 15u);
}

void encode(const Flow& flow, const TcpState* known_tcp, Record& out) {
  encode_key(flow.key, out);
  Pen pen(out.bytes.data() + out.key_end);
  const Tuple plain = inverted(flow.key);
  const unsigned fields = reply_mask(flow.reply, plain);
  const bool master = flow.extras && flow.extras->master;
  const bool extras = flow.extras && !only_master(*flow.extras);
  const unsigned mask = fields | (extras ? kReplyExtras : 0);
  const TcpState* tcp = flow.key.protocol != kTcp ? nullptr : flow.has_tcp ? &flow.tcp : known_tcp;
  pen.u8(pack_status(flow.status) | (tcp ? kStatusTcp : 0) | (flow.mark != 0 ? kStatusMark : 0) |
         (mask != 0 ? kStatusReply : 0));
  if (mask != 0) {
    pen.u8(mask);
    write_reply(flow.reply, fields, pen);
  }
  if (tcp) {
    pen.u8(tcp->state);
    pen.u8((tcp->flags_original & kTcpFlagsCarried) | (tcp->flags_reply & kTcpFlagsCarried) << 3);
    pen.u8(pack_scales(*tcp));
  }
  if (flow.mark != 0) pen.u32(flow.mark);
  if (extras) write_extras(*flow.extras, pen);
  out.state_end = static_cast<std::uint8_t>(pen.at() - out.bytes.data());
  pen.varint(std::uint64_t{flow.timeout} << 1 | (master ? 1 : 0));
  out.timeout_end = static_cast<std::uint8_t>(pen.at() - out.bytes.data());
  if (master) {
    Record key;
    encode_key(*flow.extras->master, key);
    pen.bytes(key.key());
  }
  out.size = static_cast<std::uint8_t>(pen.at() - out.bytes.data());
}

void set_timeout(Record& record, std::uint32_t seconds) {
  std::array<std::byte, kMaxKey> master;
  const std::size_t size = record.size - record.timeout_end;
  std::copy_n(record.bytes.begin() + record.timeout_end, size, master.begin());
  Pen pen(record.bytes.data() + record.state_end);
  pen.varint(std::uint64_t{seconds} << 1 | (size > 0 ? 1 : 0));
  record.timeout_end = static_cast<std::uint8_t>(pen.at() - record.bytes.data());
  pen.bytes(ByteView(master).first(size));
  record.size = static_cast<std::uint8_t>(pen.at() - record.bytes.data());
}

std::expected<RecordLayout, RecordError> inspect(ByteView data) {
  const auto key_end = inspect_key(data);
  if (!key_end) return std::unexpected(key_end.error());
  RecordLayout l;
  l.key_end = static_cast<std::uint8_t>(*key_end);
  std::size_t at = *key_end;
  if (byte_at(data, 0) & kHeadGone) {
    l.gone = true;
    l.reply_end = l.tcp_begin = l.extras_begin = l.state_end = l.timeout_end = l.size = l.key_end;
    return l;
  }
  if (at >= data.size()) return std::unexpected(RecordError::truncated);
  const unsigned status = byte_at(data, at++);
  unsigned more = 0;
  if (status & kStatusReply) {
    if (at < data.size()) more = byte_at(data, at);
    const auto size = inspect_reply(data, at);
    if (!size) return std::unexpected(size.error());
    at += *size;
  }
  l.reply_end = l.tcp_begin = static_cast<std::uint8_t>(at);
  if (status & kStatusTcp) {
    if ((byte_at(data, 0) >> 1 & 3) != 1) return std::unexpected(RecordError::tcp_form);
    if (data.size() - at < 3) return std::unexpected(RecordError::truncated);
    if (byte_at(data, at + 1) & 0xc0) return std::unexpected(RecordError::reserved_bits);
    l.has_tcp = true;
    at += 3;
  }
  if (status & kStatusMark) {
    if (data.size() - at < 4) return std::unexpected(RecordError::truncated);
    if (u16_at(data, at) == 0 && u16_at(data, at + 2) == 0) return std::unexpected(RecordError::mark_form);
    at += 4;
  }
  l.extras_begin = static_cast<std::uint8_t>(at);
  if (more & kReplyExtras) {
    const auto size = inspect_extras(data, at, byte_at(data, 0));
    if (!size) return std::unexpected(size.error());
    l.has_extras = true;
    at += *size;
  }
  l.state_end = static_cast<std::uint8_t>(at);
  const auto timeout = inspect_timeout(data, at);
  if (!timeout) return std::unexpected(timeout.error());
  l.has_master = (byte_at(data, at) & 1) != 0;
  at += *timeout;
  l.timeout_end = static_cast<std::uint8_t>(at);
  if (l.has_master) {
    const auto size = inspect_master(data, at);
    if (!size) return std::unexpected(size.error());
    at += *size;
  }
  l.size = static_cast<std::uint8_t>(at);
  return l;
}

ByteView key_of(ByteView record) {
  return record.first(key_layout(byte_at(record, 0)).end);
}

FlowKey decode_key(ByteView record) {
  return key_from(record, key_layout(byte_at(record, 0)));
}

Flow decode(ByteView record) {
  const KeyLayout l = key_layout(byte_at(record, 0));
  Flow flow;
  flow.key = key_from(record, l);
  flow.reply = inverted(flow.key);
  const auto layout = inspect(record);
  if (!layout || layout->gone) return flow;
  const unsigned status = byte_at(record, l.end);
  for (std::size_t i = 0; i < kStatusBits.size(); ++i)
    if (status & 1u << i) flow.status |= kStatusBits[i];
  if (status & kStatusReply) read_reply(record, l.end + 1, l.v6, flow.reply);
  if (layout->has_tcp) {
    flow.tcp = tcp_of(record, *layout);
    flow.has_tcp = true;
  }
  if (status & kStatusMark) {
    flow.mark = u32_at(record, layout->extras_begin - 4u);
  }
  if (layout->has_extras || layout->has_master) {
    Extras extras;
    if (layout->has_extras)
      extras = read_extras(record.subspan(layout->extras_begin + 1u, layout->state_end - layout->extras_begin - 1u));
    if (layout->has_master) extras.master = decode_key(record.subspan(layout->timeout_end));
    flow.extras = std::move(extras);
  }
  flow.timeout = timeout_of(record, *layout);
  return flow;
}

bool expects(ByteView record) {
  // Nearly all records have no extras, which two bytes tell.
  const std::size_t key_end = key_layout(byte_at(record, 0)).end;
  if ((byte_at(record, key_end) & kStatusReply) == 0 || (byte_at(record, key_end + 1) & kReplyExtras) == 0)
    return false;
  const auto layout = inspect(record);
  if (!layout) return false;
  const ByteView extras = record.subspan(layout->extras_begin + 1u, layout->state_end - layout->extras_begin - 1u);
  return !read_extras(extras).expectations.empty();
}

std::optional<FlowKey> master_of(ByteView record) {
  const auto layout = inspect(record);
  if (!layout || !layout->has_master) return std::nullopt;
  return decode_key(record.subspan(layout->timeout_end));
}

Flow completed(const Flow& reported, ByteView known) {
  Flow flow = reported;
  const auto layout = inspect(known);
  if (!layout) return flow;
  if (!flow.has_tcp && layout->has_tcp && flow.key.protocol == kTcp) {
    flow.tcp = tcp_of(known, *layout);
    flow.has_tcp = true;
  }
  if (!layout->has_extras && !layout->has_master) return flow;
  Extras all;
  if (const Flow before = decode(known); before.extras) all = *before.extras;
  if (flow.extras) {
    const Extras& said = *flow.extras;
    if (said.sctp) all.sctp = said.sctp;
    if (said.shifts) all.shifts = said.shifts;
    if (said.labels) all.labels = said.labels;
    if (!said.helper.empty()) all.helper = said.helper;
    if (said.synproxy) all.synproxy = said.synproxy;
    if (said.master) all.master = said.master;
  }
  flow.extras = std::move(all);
  return flow;
}

bool same_binding(ByteView a, const RecordLayout& la, ByteView b, const RecordLayout& lb) {
  if (la.gone || lb.gone) return false;
  const ByteView ra = a.subspan(la.key_end, la.reply_end - la.key_end);
  const ByteView rb = b.subspan(lb.key_end, lb.reply_end - lb.key_end);
  const auto fields = [](ByteView r) { return r.size() > 1 ? byte_at(r, 1) & kReplyFields : 0u; };
  if ((byte_at(ra, 0) & kStatusNat) != (byte_at(rb, 0) & kStatusNat) || fields(ra) != fields(rb)) return false;
  return fields(ra) == 0 || std::ranges::equal(ra.subspan(2), rb.subspan(2));
}

bool is_closed(ByteView record) {
  const auto layout = inspect(record);
  if (!layout || !layout->has_tcp) return false;
  const std::uint8_t state = tcp_of(record, *layout).state;
  return state == kTimeWait || state == kClose;
}

Proof proof_of(ByteView record) {
  const auto layout = inspect(record);
  if (!layout || layout->gone || is_closed(record)) return Proof::nothing;
  const unsigned status = byte_at(record, layout->key_end);
  if ((status & kStatusSeenReply) == 0) return Proof::nothing;
  return layout->has_tcp && (status & kStatusAssured) != 0 ? Proof::handshake : Proof::answer;
}

std::uint32_t timeout_of(ByteView record, const RecordLayout& layout) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (std::size_t at = layout.state_end; at < layout.timeout_end; ++at, shift += 7)
    value |= std::uint64_t{byte_at(record, at) & 0x7f} << shift;
  return static_cast<std::uint32_t>(value >> 1);
}

TcpState tcp_of(ByteView record, const RecordLayout& layout) {
  TcpState tcp;
  if (!layout.has_tcp) return tcp;
  tcp.state = static_cast<std::uint8_t>(byte_at(record, layout.tcp_begin));
  const unsigned flags = byte_at(record, layout.tcp_begin + 1u), scales = byte_at(record, layout.tcp_begin + 2u);
  tcp.flags_original = flags & kTcpFlagsCarried;
  tcp.flags_reply = flags >> 3 & kTcpFlagsCarried;
  tcp.scale_original = static_cast<std::uint8_t>(scales >> 4);
  tcp.scale_reply = scales & 15;
  return tcp;
}

}  // namespace syncd
