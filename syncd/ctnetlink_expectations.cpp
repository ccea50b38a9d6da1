// Expectations: what the kernel says of them, and how it is told to have them.
//
// Of what it takes, not all comes out of it again. The name of a helper in a report is that of the master's; in a
// request it is that of the helper which the expected connection itself gets. A helper that reads the bytes of a file
// as commands does harm, so it is named only where it is needed. The timeout of a new expectation is that of its kind,
// whatever the request says.
#include <netinet/in.h>

#include <bit>

#include "syncd/ctnetlink_attributes.hpp"

namespace syncd::ctnetlink {
namespace {

using common::Bytes;
using common::IpAddress;

/// The one helper whose expected connections of the first kind speak its own protocol, and announce others in turn.
constexpr std::string_view kSip = "sip";

/// How many bits of the front are set; none: they are not all at the front.
std::optional<std::uint8_t> prefix_of(ByteView mask) {
  unsigned bits = 0;
  bool end = false;
  for (const std::byte b : mask) {
    const auto byte = std::to_integer<std::uint8_t>(b);
    const auto ones = static_cast<unsigned>(std::countl_one(byte));
    if (static_cast<std::uint8_t>(byte << ones) != 0 || (end && ones != 0)) return std::nullopt;
    end = end || ones < 8;
    bits += ones;
  }
  return static_cast<std::uint8_t>(bits);
}

std::array<std::byte, 16> mask_of(unsigned bits) {
  std::array<std::byte, 16> mask{};
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const unsigned here = std::min(bits - std::min(bits, static_cast<unsigned>(i) * 8), 8u);
    mask[i] = static_cast<std::byte>(0xff00u >> here & 0xff);
  }
  return mask;
}

IpAddress address_like(const IpAddress& other, const std::array<std::byte, 16>& bytes) {
  return other.is_v4() ? IpAddress::v4(std::span(bytes).first<4>()) : IpAddress::v6(bytes);
}

IpAddress masked(const IpAddress& address, unsigned bits) {
  const auto mask = mask_of(bits);
  std::array<std::byte, 16> out{};
  for (std::size_t i = 0; i < address.bytes().size(); ++i) out[i] = address.bytes()[i] & mask[i];
  return address_like(address, out);
}

bool has_ports(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
         protocol == IPPROTO_UDPLITE || protocol == IPPROTO_GRE;
}

/// Only the source has a mask in the kernel.
bool read_mask(ByteView data, Expectation& out) {
  std::uint8_t protocol = 0;
  const auto mask = read_tuple(data, protocol);
  if (!mask || mask->source.family() != out.tuple.source.family()) return false;
  const auto bits = prefix_of(mask->source.bytes());
  if (!bits || (mask->source_port != 0 && mask->source_port != 0xffff)) return false;
  out.source_bits = *bits;
  out.source_port_counts = mask->source_port != 0;
  out.tuple.source = masked(out.tuple.source, *bits);
  if (!out.source_port_counts) out.tuple.source_port = 0;
  return true;
}

bool read_translation(ByteView data, Expectation& out) {
  const Attributes nat(data);
  std::uint32_t direction = 0;
  std::uint8_t protocol = 0;
  if (!nat.whole() || !nat.read(CTA_EXPECT_NAT_DIR, direction) || !nat.has(CTA_EXPECT_NAT_TUPLE)) return false;
  const auto saved = read_tuple(nat.view(CTA_EXPECT_NAT_TUPLE), protocol);
  if (!saved || saved->source.family() != out.tuple.source.family()) return false;
  out.translation = {.of_reply = direction != 0, .address = saved->source, .port = saved->source_port};
  return true;
}

bool read_rest(const Attributes& top, Expectation& out) {
  std::uint32_t kind = 0, flags = 0;
  if (!top.read(CTA_EXPECT_CLASS, kind) || !top.read(CTA_EXPECT_FLAGS, flags) || kind > 0xff || flags > 0xff)
    return false;
  out.kind = static_cast<std::uint8_t>(kind);
  out.flags = static_cast<std::uint8_t>(flags);
  if (top.has(CTA_EXPECT_FN)) {
    const ByteView name = top.view(CTA_EXPECT_FN);
    const auto end = std::ranges::find(name, std::byte{0});
    out.function.assign(reinterpret_cast<const char*>(name.data()), static_cast<std::size_t>(end - name.begin()));
    if (out.function.size() > kMaxFunctionName) return false;
  }
  return !top.has(CTA_EXPECT_NAT) || read_translation(top.view(CTA_EXPECT_NAT), out);
}

std::uint8_t family_of(const FlowKey& key) {
  return key.original.source.is_v4() ? AF_INET : AF_INET6;
}

void text(MessageWriter& out, std::uint16_t type, std::string_view value) {
  std::array<std::byte, kMaxFunctionName + 1> bytes{};
  const std::size_t size = std::min(value.size(), kMaxFunctionName);
  std::memcpy(bytes.data(), value.data(), size);
  out.attribute(type, ByteView(bytes).first(size + 1));
}

}  // namespace

std::expected<FlowKey, DecodeError> decode_master(const Message& message) {
  if (message.payload.size() < sizeof(nfgenmsg)) return std::unexpected(DecodeError::truncated);
  const Attributes top(message.payload.subspan(sizeof(nfgenmsg)));
  if (!top.whole()) return std::unexpected(DecodeError::bad_attribute);
  if (!top.has(CTA_EXPECT_MASTER)) return std::unexpected(DecodeError::missing_master);
  FlowKey key;
  const auto tuple = read_tuple(top.view(CTA_EXPECT_MASTER), key.protocol);
  if (!tuple) return std::unexpected(tuple.error());
  key.original = *tuple;
  if (!top.read(CTA_EXPECT_ZONE, key.zone)) return std::unexpected(DecodeError::bad_attribute);
  return key;
}

std::expected<Announced, DecodeError> decode_expectation(const Message& message) {
  const auto master = decode_master(message);
  if (!master) return std::unexpected(master.error());
  const Attributes top(message.payload.subspan(sizeof(nfgenmsg)));
  if (!top.has(CTA_EXPECT_TUPLE) || !top.has(CTA_EXPECT_MASK)) return std::unexpected(DecodeError::missing_tuple);
  Announced out{.master = *master};
  Expectation& e = out.expectation;
  const auto tuple = read_tuple(top.view(CTA_EXPECT_TUPLE), e.protocol);
  if (!tuple) return std::unexpected(tuple.error());
  e.tuple = *tuple;
  const auto family = master->original.source.family();
  const bool alike = e.tuple.source.family() == family && e.tuple.destination.family() == family;
  if (!alike || !has_ports(e.protocol) || !read_mask(top.view(CTA_EXPECT_MASK), e) || !read_rest(top, e))
    return std::unexpected(DecodeError::unsupported_expectation);
  return out;
}

void encode_expectation(Bytes& out, const Flow& master, const Expectation& e, std::uint32_t sequence) {
  MessageWriter writer(out, IPCTNL_MSG_EXP_NEW, NLM_F_CREATE, family_of(master.key), sequence,
                       NFNL_SUBSYS_CTNETLINK_EXP);
  write_tuple(writer, CTA_EXPECT_MASTER, master.key.original, master.key.protocol);
  write_tuple(writer, CTA_EXPECT_TUPLE, e.tuple, e.protocol);
  const Tuple mask{.source = address_like(e.tuple.source, mask_of(e.source_bits)),
                   .destination = address_like(e.tuple.source, mask_of(128)),
                   .source_port = e.source_port_counts ? std::uint16_t{0xffff} : std::uint16_t{0},
                   .destination_port = 0xffff};
  write_tuple(writer, CTA_EXPECT_MASK, mask, e.protocol);
  if (master.key.zone != 0) writer.u16(CTA_EXPECT_ZONE, master.key.zone);
  writer.u32(CTA_EXPECT_FLAGS, e.flags);
  writer.u32(CTA_EXPECT_CLASS, e.kind);
  const bool speaks_alike = master.extras && master.extras->helper == kSip;
  if (master.extras && !master.extras->helper.empty() && (e.kind != 0 || speaks_alike))
    text(writer, CTA_EXPECT_HELP_NAME, master.extras->helper);
  if (!e.function.empty()) text(writer, CTA_EXPECT_FN, e.function);
  if (!e.translation) return;
  const std::size_t nat = writer.open(CTA_EXPECT_NAT);
  writer.u32(CTA_EXPECT_NAT_DIR, e.translation->of_reply ? 1 : 0);
  const Tuple saved{.source = e.translation->address,
                    .destination = address_like(e.tuple.source, {}),
                    .source_port = e.translation->port};
  write_tuple(writer, CTA_EXPECT_NAT_TUPLE, saved, master.key.protocol);
  writer.close(nat);
}

void encode_expectations_of(Bytes& out, const FlowKey& master, std::uint32_t sequence) {
  MessageWriter writer(out, IPCTNL_MSG_EXP_GET, NLM_F_DUMP, family_of(master), sequence, NFNL_SUBSYS_CTNETLINK_EXP);
  write_tuple(writer, CTA_EXPECT_MASTER, master.original, master.protocol);
  if (master.zone != 0) writer.u16(CTA_EXPECT_ZONE, master.zone);
}

void encode_expectations_dump(Bytes& out, std::uint32_t sequence) {
  MessageWriter writer(out, IPCTNL_MSG_EXP_GET, NLM_F_DUMP, AF_UNSPEC, sequence, NFNL_SUBSYS_CTNETLINK_EXP);
}

}  // namespace syncd::ctnetlink
