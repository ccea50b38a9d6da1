#include "syncd/ctnetlink.hpp"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace syncd::ctnetlink {
namespace {

using common::Bytes;
using common::ByteView;
using common::IpAddress;

constexpr std::size_t kAlignment = 4;
constexpr std::size_t align(std::size_t size) {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

/// Netlink's own headers are in host order and possibly unaligned within a span.
template <typename T>
T load(ByteView bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

std::uint32_t big_endian(ByteView bytes) {
  std::uint32_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<std::uint32_t>(b);
  return value;
}

// --- reading ------------------------------------------------------------------------

/// The attributes of one nesting level by their type, the last of a type counting. Types beyond what this
/// program knows are skipped: a newer kernel may say more.
class Attributes {
 public:
  explicit Attributes(ByteView data) {
    while (data.size() >= sizeof(nlattr)) {
      const auto header = load<nlattr>(data);
      if (header.nla_len < sizeof(nlattr) || header.nla_len > data.size()) break;
      const std::size_t type = header.nla_type & NLA_TYPE_MASK;
      if (type < views_.size()) {
        views_[type] = data.subspan(sizeof(nlattr), header.nla_len - sizeof(nlattr));
        present_ |= 1u << type;
      }
      data = data.subspan(std::min(align(header.nla_len), data.size()));
    }
    whole_ = data.empty();
  }
  bool whole() const { return whole_; }
  bool has(std::size_t type) const { return (present_ >> type & 1u) != 0; }
  ByteView view(std::size_t type) const { return views_[type]; }
  /// False when the attribute has another size. An absent one leaves `out` as it is.
  template <typename T>
  bool read(std::size_t type, T& out) const {
    if (!has(type)) return true;
    if (views_[type].size() != sizeof(T)) return false;
    out = static_cast<T>(big_endian(views_[type]));
    return true;
  }

 private:
  std::array<ByteView, 32> views_{};
  std::uint32_t present_ = 0;
  bool whole_ = true;
};
static_assert(CTA_MAX < 32 && CTA_PROTO_MAX < 32 && CTA_PROTOINFO_TCP_MAX < 32);

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
      return proto.read(CTA_PROTO_SRC_PORT, out.source_port) &&
             proto.read(CTA_PROTO_DST_PORT, out.destination_port);
  }
  out.destination_port = static_cast<std::uint16_t>(type << 8 | code);
  return true;
}

std::expected<Tuple, DecodeError> read_tuple(ByteView data, std::uint8_t& protocol) {
  const Attributes tuple(data);
  if (!tuple.whole()) return std::unexpected(DecodeError::bad_attribute);
  if (tuple.has(CTA_TUPLE_ZONE)) return std::unexpected(DecodeError::directional_zone);
  if (!tuple.has(CTA_TUPLE_IP) || !tuple.has(CTA_TUPLE_PROTO))
    return std::unexpected(DecodeError::missing_tuple);
  const Attributes ip(tuple.view(CTA_TUPLE_IP)), proto(tuple.view(CTA_TUPLE_PROTO));
  if (!ip.whole() || !proto.whole()) return std::unexpected(DecodeError::bad_attribute);
  const auto source = read_address(ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  const auto destination = read_address(ip, CTA_IP_V4_DST, CTA_IP_V6_DST);
  if (!source || !destination || !proto.has(CTA_PROTO_NUM))
    return std::unexpected(DecodeError::missing_tuple);
  Tuple out{.source = *source, .destination = *destination};
  if (!proto.read(CTA_PROTO_NUM, protocol) || !read_ports(proto, protocol, out))
    return std::unexpected(DecodeError::bad_attribute);
  return out;
}

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

/// More than the sum of all parts of the longest request: two tuples and two translations of IPv6, with their state.
constexpr std::size_t kLongestRequest = 640;

/// Appends one netlink message; nested attributes are closed in reverse order of opening. Room is made once, since a
/// request is made of some forty pieces, and a million of them are a takeover.
class MessageWriter {
 public:
  MessageWriter(Bytes& out, std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                std::uint32_t sequence)
      : out_(out), start_(out.size()), at_(out.size()) {
    out_.resize(start_ + kLongestRequest);
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = sequence;
    append(&header, sizeof header);
    const nfgenmsg body{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0};
    append(&body, sizeof body);
  }
  ~MessageWriter() {
    const auto size = static_cast<std::uint32_t>(at_ - start_);
    std::memcpy(out_.data() + start_, &size, sizeof size);
    out_.resize(at_);
  }
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  std::size_t open(std::uint16_t type) {
    const std::size_t at = at_;
    attribute(static_cast<std::uint16_t>(type | NLA_F_NESTED), {});
    return at;
  }
  void close(std::size_t at) {
    const auto size = static_cast<std::uint16_t>(at_ - at);
    std::memcpy(out_.data() + at, &size, sizeof size);
  }
  void attribute(std::uint16_t type, ByteView value) {
    const nlattr header{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + value.size()),
                        .nla_type = type};
    append(&header, sizeof header);
    append(value.data(), value.size());
    at_ = start_ + align(at_ - start_);
  }
  void u8(std::uint16_t type, std::uint8_t value) { integer(type, value, 1); }
  void u16(std::uint16_t type, std::uint16_t value) { integer(type, value, 2); }
  void u32(std::uint16_t type, std::uint32_t value) { integer(type, value, 4); }

 private:
  void append(const void* data, std::size_t size) {
    if (size == 0) return;
    std::memcpy(out_.data() + at_, data, size);
    at_ += size;
  }
  void integer(std::uint16_t type, std::uint32_t value, std::size_t size) {
    std::array<std::byte, 4> bytes{};
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(value >> 8 * (size - 1 - i));
    attribute(type, ByteView(bytes).first(size));
  }
  Bytes& out_;
  std::size_t start_, at_;
};

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

void write_state(MessageWriter& out, const Flow& flow, bool with_status) {
  // Bits of translation and of sequence adjustment cannot be written; those that can may only be set.
  constexpr std::uint32_t writable = status_bits::seen_reply | status_bits::assured;
  if (with_status) out.u32(CTA_STATUS, status_bits::confirmed | (flow.status & writable));
  out.u32(CTA_TIMEOUT, flow.timeout);
  out.u32(CTA_MARK, flow.mark);
  if (flow.key.protocol == IPPROTO_TCP && flow.has_tcp) write_tcp(out, flow.tcp);
}

struct Verb {
  std::uint16_t type = 0, flags = 0;
};

Verb verb_of(RequestKind kind) {
  switch (kind) {
    case RequestKind::create:
      return {IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL};
    case RequestKind::update:
    case RequestKind::update_but_status:
    case RequestKind::set_timeout:
      return {IPCTNL_MSG_CT_NEW, 0};
    case RequestKind::remove_by_key:
    case RequestKind::remove_by_reply:
      return {IPCTNL_MSG_CT_DELETE, 0};
    case RequestKind::get:
      return {IPCTNL_MSG_CT_GET, 0};
  }
  return {};
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
    case DecodeError::count:
      break;
  }
  return "unknown";
}

MessageKind kind_of(const Message& message) {
  if (message.type == NLMSG_ERROR) return MessageKind::error;
  if (message.type == NLMSG_DONE) return MessageKind::done;
  if (message.type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE)) return MessageKind::destroyed;
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
  if (!top.has(CTA_TUPLE_ORIG) || !top.has(CTA_TUPLE_REPLY))
    return std::unexpected(DecodeError::missing_tuple);
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
  return flow;
}

int error_code(const Message& message) {
  if (message.payload.size() < sizeof(std::int32_t)) return 0;
  return -load<std::int32_t>(message.payload);
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

void encode_request(Bytes& out, RequestKind kind, const Flow& flow, std::uint32_t sequence) {
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
      write_tuple(writer, CTA_TUPLE_REPLY, untranslated_reply(flow), flow.key.protocol);
      write_translations(writer, flow);
      write_state(writer, flow, true);
      break;
    case RequestKind::update:
      write_state(writer, flow, true);
      break;
    case RequestKind::update_but_status:
      write_state(writer, flow, false);
      break;
    case RequestKind::set_timeout:
      writer.u32(CTA_TIMEOUT, flow.timeout);
      break;
    case RequestKind::remove_by_key:
    case RequestKind::remove_by_reply:
    case RequestKind::get:
      break;
  }
}

void encode_dump(Bytes& out, std::uint32_t sequence) {
  MessageWriter writer(out, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, sequence);
}

}  // namespace syncd::ctnetlink
