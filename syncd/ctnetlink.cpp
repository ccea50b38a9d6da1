#include "syncd/ctnetlink.hpp"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "syncd/ctnetlink_attributes.hpp"

namespace syncd::ctnetlink {
namespace {

using common::Bytes;
using common::IpAddress;

/// MAX_ERRNO of the kernel (include/linux/err.h).
constexpr std::int32_t kLastErrno = 4095;

// --- reading ------------------------------------------------------------------------

std::optional<IpAddress> read_address(const Attributes& ip, std::size_t v4, std::size_t v6) {
  if (ip.has(v4) && ip.view(v4).size() == 4) return IpAddress::v4(ip.view(v4).first<4>());
  if (ip.has(v6) && ip.view(v6).size() == 16) return IpAddress::v6(ip.view(v6).first<16>());
  return std::nullopt;
}

/// The ports, or what stands in for them: the id, type and code of ICMP.
bool read_ports(const Attributes& proto, std::uint8_t protocol, Tuple& out) {
  std::uint8_t type = 0, code = 0;
  switch (protocol) {
    case IPPROTO_ICMP:
      if (!proto.read(CTA_PROTO_ICMP_ID, out.source_port) || !proto.read(CTA_PROTO_ICMP_TYPE, type) ||
          !proto.read(CTA_PROTO_ICMP_CODE, code))
        return false;
      break;
    case IPPROTO_ICMPV6:
      if (!proto.read(CTA_PROTO_ICMPV6_ID, out.source_port) || !proto.read(CTA_PROTO_ICMPV6_TYPE, type) ||
          !proto.read(CTA_PROTO_ICMPV6_CODE, code))
        return false;
      break;
    default:
      return proto.read(CTA_PROTO_SRC_PORT, out.source_port) && proto.read(CTA_PROTO_DST_PORT, out.destination_port);
  }
  out.destination_port = static_cast<std::uint16_t>(type << 8 | code);
  return true;
}

}  // namespace

std::expected<Tuple, DecodeError> read_tuple(ByteView data, std::uint8_t& protocol) {
  const Attributes tuple(data);
  if (!tuple.whole()) return std::unexpected(DecodeError::bad_attribute);
  if (tuple.has(CTA_TUPLE_ZONE)) return std::unexpected(DecodeError::directional_zone);
  if (!tuple.has(CTA_TUPLE_IP) || !tuple.has(CTA_TUPLE_PROTO)) return std::unexpected(DecodeError::missing_tuple);
  const Attributes ip(tuple.view(CTA_TUPLE_IP)), proto(tuple.view(CTA_TUPLE_PROTO));
  if (!ip.whole() || !proto.whole()) return std::unexpected(DecodeError::bad_attribute);
  const auto source = read_address(ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  const auto destination = read_address(ip, CTA_IP_V4_DST, CTA_IP_V6_DST);
  if (!source || !destination || !proto.has(CTA_PROTO_NUM)) return std::unexpected(DecodeError::missing_tuple);
  Tuple out{.source = *source, .destination = *destination};
  if (!proto.read(CTA_PROTO_NUM, protocol) || !read_ports(proto, protocol, out))
    return std::unexpected(DecodeError::bad_attribute);
  return out;
}

namespace {

/// Only a report with the flags of both directions counts: the last event of a flow has the state alone, and
/// flags of zero written into a kernel break the connection.
bool read_tcp(ByteView data, Flow& out) {
  const Attributes info(data);
  if (!info.whole()) return false;
  if (!info.has(CTA_PROTOINFO_TCP)) return true;
  const Attributes tcp(info.view(CTA_PROTOINFO_TCP));
  if (!tcp.whole()) return false;
  if (!tcp.has(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL) || !tcp.has(CTA_PROTOINFO_TCP_FLAGS_REPLY)) return true;
  const ByteView original = tcp.view(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL);
  const ByteView reply = tcp.view(CTA_PROTOINFO_TCP_FLAGS_REPLY);
  if (original.size() != sizeof(nf_ct_tcp_flags) || reply.size() != sizeof(nf_ct_tcp_flags)) return false;
  out.tcp.flags_original = load<nf_ct_tcp_flags>(original).flags;
  out.tcp.flags_reply = load<nf_ct_tcp_flags>(reply).flags;
  out.has_tcp = true;
  return tcp.read(CTA_PROTOINFO_TCP_STATE, out.tcp.state) &&
         tcp.read(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, out.tcp.scale_original) &&
         tcp.read(CTA_PROTOINFO_TCP_WSCALE_REPLY, out.tcp.scale_reply);
}

// --- writing ------------------------------------------------------------------------

bool is_icmp(std::uint8_t protocol) {
  return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/// For the others the kernel's tuple ends at the protocol number, and ports in a request are an error or
/// ignored.
bool has_ports(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP:
    case IPPROTO_DCCP:
    case IPPROTO_GRE:
      return true;
    default:
      return false;
  }
}

}  // namespace

void write_tuple(MessageWriter& out, std::uint16_t which, const Tuple& tuple, std::uint8_t protocol) {
  const std::size_t nest = out.open(which);
  const std::size_t ip = out.open(CTA_TUPLE_IP);
  const bool v4 = tuple.source.is_v4();
  out.attribute(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple.source.bytes());
  out.attribute(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple.destination.bytes());
  out.close(ip);
  const std::size_t proto = out.open(CTA_TUPLE_PROTO);
  out.u8(CTA_PROTO_NUM, protocol);
  if (is_icmp(protocol)) {
    const bool v6 = protocol == IPPROTO_ICMPV6;
    out.u16(v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID, tuple.source_port);
    const auto type = static_cast<std::uint8_t>(tuple.destination_port >> 8);
    const auto code = static_cast<std::uint8_t>(tuple.destination_port);
    out.u8(v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE, type);
    out.u8(v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE, code);
  } else if (has_ports(protocol)) {
    out.u16(CTA_PROTO_SRC_PORT, tuple.source_port);
    out.u16(CTA_PROTO_DST_PORT, tuple.destination_port);
  }
  out.close(proto);
  out.close(nest);
}

namespace {

/// Lowest and highest are the same: the kernel then takes exactly this address and port, or says EEXIST.
void write_translation(MessageWriter& out, std::uint16_t type, const IpAddress& to, std::uint8_t protocol,
                       std::uint16_t port) {
  const std::size_t nest = out.open(type);
  out.attribute(to.is_v4() ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, to.bytes());
  out.attribute(to.is_v4() ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP, to.bytes());
  if (is_icmp(protocol) || has_ports(protocol)) {
    const std::size_t proto = out.open(CTA_NAT_PROTO);
    out.u16(CTA_PROTONAT_PORT_MIN, port);
    out.u16(CTA_PROTONAT_PORT_MAX, port);
    out.close(proto);
  }
  out.close(nest);
}

void write_translations(MessageWriter& out, const Flow& flow) {
  const Tuple plain = untranslated_reply(flow);
  const Tuple& reply = flow.reply;
  const std::uint8_t protocol = flow.key.protocol;
  // The translated source is where replies go to. An ICMP id is the same field in both directions, and
  // belongs to the source.
  const std::uint16_t source = is_icmp(protocol) ? reply.source_port : reply.destination_port;
  const std::uint16_t plain_source = is_icmp(protocol) ? plain.source_port : plain.destination_port;
  const std::uint16_t destination = reply.source_port;
  if (reply.destination != plain.destination || source != plain_source)
    write_translation(out, CTA_NAT_SRC, reply.destination, protocol, source);
  const bool port_differs = !is_icmp(protocol) && destination != plain.source_port;
  if (reply.source != plain.source || port_differs) {
    // An ICMP echo has no port at its destination; the id would be taken for one.
    const std::uint16_t port = is_icmp(protocol) ? plain.source_port : destination;
    write_translation(out, CTA_NAT_DST, reply.source, protocol, port);
  }
}

/// The flags that describe the two ends, as opposed to the kernel's progress within its window: the replica
/// has no window yet, and learns it from the first packet. These are set or cleared, the others are left
/// alone.
constexpr std::uint8_t kCloseInit = 0x04;
constexpr std::uint8_t kWrittenFlags =
    tcp_flags::window_scale | tcp_flags::sack_permitted | kCloseInit | tcp_flags::be_liberal;

void write_tcp(MessageWriter& out, const TcpState& tcp) {
  const auto flags = [](std::uint8_t of) {
    return std::array{static_cast<std::byte>(of & kWrittenFlags), std::byte{kWrittenFlags}};
  };
  const std::size_t info = out.open(CTA_PROTOINFO);
  const std::size_t nest = out.open(CTA_PROTOINFO_TCP);
  out.u8(CTA_PROTOINFO_TCP_STATE, tcp.state);
  out.attribute(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, flags(tcp.flags_original));
  out.attribute(CTA_PROTOINFO_TCP_FLAGS_REPLY, flags(tcp.flags_reply));
  if ((tcp.flags_original & tcp.flags_reply & tcp_flags::window_scale) != 0) {
    out.u8(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, tcp.scale_original);
    out.u8(CTA_PROTOINFO_TCP_WSCALE_REPLY, tcp.scale_reply);
  }
  out.close(nest);
  out.close(info);
}

std::uint8_t family_of(const Flow& flow) {
  return flow.key.original.source.is_v4() ? AF_INET : AF_INET6;
}

void write_state(MessageWriter& out, const Flow& flow, std::optional<std::uint32_t> more_status) {
  // Bits of translation and of sequence adjustment cannot be written; those that can may only be set.
  constexpr std::uint32_t writable = status_bits::seen_reply | status_bits::assured;
  if (more_status) out.u32(CTA_STATUS, status_bits::confirmed | (flow.status & writable) | *more_status);
  out.u32(CTA_TIMEOUT, flow.timeout);
  out.u32(CTA_MARK, flow.mark);
  if (flow.key.protocol == IPPROTO_TCP && flow.has_tcp) write_tcp(out, flow.tcp);
  if (flow.extras) write_extras(out, flow, more_status.has_value());
}

struct Verb {
  std::uint16_t type = 0, flags = 0;
};

Verb verb_of(RequestKind kind) {
  switch (kind) {
    case RequestKind::create:
    case RequestKind::create_untied:
      return {IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL};
    case RequestKind::update:
    case RequestKind::update_untied:
    case RequestKind::update_but_status:
    case RequestKind::set_timeout:
      return {IPCTNL_MSG_CT_NEW, 0};
    case RequestKind::remove_by_key:
    case RequestKind::remove_by_reply:
      return {IPCTNL_MSG_CT_DELETE, 0};
    case RequestKind::get:
    case RequestKind::expect:
      return {IPCTNL_MSG_CT_GET, 0};
  }
  return {};
}

/// What is not replicated stays as it is in an entry that is there.
void write_masks(MessageWriter& writer, const Flow& flow, const common::SyncMasks& masks) {
  if (masks.mark != UINT32_MAX) writer.u32(CTA_MARK_MASK, masks.mark);
  if (!masks.labels.all() && flow.extras && flow.extras->labels)
    writer.attribute(CTA_LABELS_MASK, labels_of(masks.labels));
}

}  // namespace

std::string_view to_string(DecodeError error) {
  switch (error) {
    case DecodeError::truncated:
      return "truncated";
    case DecodeError::bad_attribute:
      return "bad_attribute";
    case DecodeError::missing_tuple:
      return "missing_tuple";
    case DecodeError::unsupported_family:
      return "unsupported_family";
    case DecodeError::directional_zone:
      return "directional_zone";
    case DecodeError::missing_master:
      return "missing_master";
    case DecodeError::unsupported_expectation:
      return "unsupported_expectation";
    case DecodeError::count:
      break;
  }
  return "unknown";
}

MessageKind kind_of(const Message& message) {
  if (message.type == NLMSG_ERROR) return MessageKind::error;
  if (message.type == NLMSG_DONE) return MessageKind::done;
  if (message.type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE)) return MessageKind::destroyed;
  if (message.type == (NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_NEW) ||
      message.type == (NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_DELETE))
    return MessageKind::expectation;
  if (message.type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)) return MessageKind::other;
  return (message.flags & (NLM_F_CREATE | NLM_F_EXCL)) != 0 ? MessageKind::created : MessageKind::updated;
}

std::optional<Message> next_message(ByteView& datagram) {
  if (datagram.size() < sizeof(nlmsghdr)) return std::nullopt;
  const auto header = load<nlmsghdr>(datagram);
  if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) return std::nullopt;
  const Message message{.type = header.nlmsg_type,
                        .flags = header.nlmsg_flags,
                        .sequence = header.nlmsg_seq,
                        .port = header.nlmsg_pid,
                        .payload = datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr))};
  datagram = datagram.subspan(std::min(align(header.nlmsg_len), datagram.size()));
  return message;
}

std::expected<Flow, DecodeError> decode_flow(const Message& message) {
  if (message.payload.size() < sizeof(nfgenmsg)) return std::unexpected(DecodeError::truncated);
  const auto family = load<nfgenmsg>(message.payload).nfgen_family;
  if (family != AF_INET && family != AF_INET6) return std::unexpected(DecodeError::unsupported_family);
  const Attributes top(message.payload.subspan(sizeof(nfgenmsg)));
  if (!top.whole()) return std::unexpected(DecodeError::bad_attribute);
  if (!top.has(CTA_TUPLE_ORIG) || !top.has(CTA_TUPLE_REPLY)) return std::unexpected(DecodeError::missing_tuple);
  Flow flow;
  std::uint8_t reply_protocol = 0;
  const auto original = read_tuple(top.view(CTA_TUPLE_ORIG), flow.key.protocol);
  if (!original) return std::unexpected(original.error());
  const auto reply = read_tuple(top.view(CTA_TUPLE_REPLY), reply_protocol);
  if (!reply) return std::unexpected(reply.error());
  flow.key.original = *original;
  flow.reply = *reply;
  if (!top.read(CTA_ZONE, flow.key.zone) || !top.read(CTA_STATUS, flow.status) ||
      !top.read(CTA_TIMEOUT, flow.timeout) || !top.read(CTA_MARK, flow.mark))
    return std::unexpected(DecodeError::bad_attribute);
  if (top.has(CTA_PROTOINFO) && !read_tcp(top.view(CTA_PROTOINFO), flow))
    return std::unexpected(DecodeError::bad_attribute);
  if (!read_extras(top, flow)) return std::unexpected(DecodeError::bad_attribute);
  return flow;
}

int error_code(const Message& message) {
  if (message.payload.size() < sizeof(std::int32_t)) return 0;
  const auto value = load<std::int32_t>(message.payload);
  return value <= 0 && value >= -kLastErrno ? -value : EBADMSG;
}

bool dump_interrupted(const Message& message) {
  return (message.flags & NLM_F_DUMP_INTR) != 0;
}

Tuple untranslated_reply(const Flow& flow) {
  const Tuple& from = flow.key.original;
  Tuple out{.source = from.destination, .destination = from.source};
  if (is_icmp(flow.key.protocol)) {
    out.source_port = from.source_port;
    out.destination_port = flow.reply.destination_port;
  } else {
    out.source_port = from.destination_port;
    out.destination_port = from.source_port;
  }
  return out;
}

void encode_request(Bytes& out, RequestKind kind, const Flow& flow, std::uint32_t sequence,
                    const common::SyncMasks& masks) {
  const Verb verb = verb_of(kind);
  MessageWriter writer(out, verb.type, verb.flags, family_of(flow), sequence);
  // A delete without a tuple would empty the whole table: each request names one first of all.
  if (kind == RequestKind::remove_by_reply)
    write_tuple(writer, CTA_TUPLE_REPLY, flow.reply, flow.key.protocol);
  else
    write_tuple(writer, CTA_TUPLE_ORIG, flow.key.original, flow.key.protocol);
  if (flow.key.zone != 0) writer.u16(CTA_ZONE, flow.key.zone);
  switch (kind) {
    case RequestKind::create:
    case RequestKind::create_untied:
      write_tuple(writer, CTA_TUPLE_REPLY, untranslated_reply(flow), flow.key.protocol);
      write_translations(writer, flow);
      if (flow.extras && kind == RequestKind::create) write_ties(writer, *flow.extras);
      // The kernel knows no timeout of GRE for an entry that it did not make itself, and ends it with its first packet.
      write_state(writer, flow, flow.key.protocol == IPPROTO_GRE ? status_bits::fixed_timeout : 0);
      break;
    case RequestKind::update:
      write_state(writer, flow, flow.extras && flow.extras->master ? status_bits::expected : 0);
      write_masks(writer, flow, masks);
      break;
    case RequestKind::update_untied:
      write_state(writer, flow, 0);
      write_masks(writer, flow, masks);
      break;
    case RequestKind::update_but_status:
      write_state(writer, flow, std::nullopt);
      write_masks(writer, flow, masks);
      break;
    case RequestKind::set_timeout:
      writer.u32(CTA_TIMEOUT, flow.timeout);
      break;
    case RequestKind::remove_by_key:
    case RequestKind::remove_by_reply:
    case RequestKind::get:
    case RequestKind::expect:
      break;
  }
}

void encode_dump(Bytes& out, std::uint32_t sequence) {
  MessageWriter writer(out, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, sequence);
}

}  // namespace syncd::ctnetlink
