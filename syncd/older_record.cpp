#include "syncd/older_record.hpp"

#include <bit>

#include "syncd/record_bytes.hpp"

namespace syncd {
namespace {

using namespace record_bytes;
using common::Bytes;
using common::ByteWriter;

constexpr unsigned kHeadIpv6 = 0x01, kHeadZone = 0x08, kHeadGone = 0x80;
constexpr unsigned kStatusTcp = 0x20, kStatusMark = 0x40, kStatusReply = 0x80;
constexpr unsigned kReplyAddresses = 0x03, kReplyPorts = 0x0c, kReplyFields = 0x0f;
constexpr std::size_t kMaxTimeout = 5;

template <typename Each>
void for_records(ByteView records, Each each) {
  while (!records.empty()) {
    const auto layout = inspect(records);
    if (!layout) return;  // they come out of our own tables
    each(records.first(layout->size), *layout);
    records = records.subspan(layout->size);
  }
}

/// Everything but the timeout, and what follows it.
void append_state(ByteView record, const RecordLayout& l, Bytes& out) {
  ByteWriter w(out);
  w.view(record.first(l.key_end));
  if (l.gone) return;
  const unsigned status = byte_at(record, l.key_end);
  const bool more = (status & kStatusReply) != 0;
  const unsigned fields = more ? byte_at(record, l.key_end + 1u) & kReplyFields : 0;
  w.u8(static_cast<std::uint8_t>((status & ~kStatusReply) | (fields != 0 ? kStatusReply : 0)));
  if (fields != 0) w.u8(static_cast<std::uint8_t>(fields));
  const std::size_t rest = l.key_end + (more ? 2u : 1u);
  w.view(record.subspan(rest, l.extras_begin - rest));
}

struct OlderLayout {
  std::size_t state_end = 0, size = 0;
  std::uint64_t timeout = 0;
};

/// Where the parts of the older record at the beginning of `data` end. Whether they are proper is seen afterwards, for
/// they are today's.
std::expected<OlderLayout, RecordError> measure(ByteView data) {
  if (data.empty()) return std::unexpected(RecordError::truncated);
  const unsigned head = byte_at(data, 0);
  const std::size_t width = (head & kHeadIpv6) ? 16 : 4;
  OlderLayout l;
  l.state_end = 1u + ((head >> 1 & 3) == 0 ? 1u : 0u) + ((head & kHeadZone) ? 2u : 0u) + 2 * width + 4;
  l.size = l.state_end;
  if (data.size() < l.size) return std::unexpected(RecordError::truncated);
  if (head & kHeadGone) return l;
  if (data.size() == l.size) return std::unexpected(RecordError::truncated);
  const unsigned status = byte_at(data, l.state_end++);
  if (status & kStatusReply) {
    if (data.size() == l.state_end) return std::unexpected(RecordError::truncated);
    const unsigned mask = byte_at(data, l.state_end++);
    if (mask & ~kReplyFields) return std::unexpected(RecordError::reserved_bits);
    l.state_end += static_cast<std::size_t>(std::popcount(mask & kReplyAddresses)) * width;
    l.state_end += static_cast<std::size_t>(std::popcount(mask & kReplyPorts)) * 2;
  }
  l.state_end += ((status & kStatusTcp) ? 3u : 0u) + ((status & kStatusMark) ? 4u : 0u);
  for (std::size_t i = 0; i < kMaxTimeout; ++i) {
    if (l.state_end + i >= data.size()) return std::unexpected(RecordError::truncated);
    const unsigned byte = byte_at(data, l.state_end + i);
    l.timeout |= std::uint64_t{byte & 0x7f} << (7 * i);
    if (byte & 0x80) continue;
    if ((i > 0 && byte == 0) || l.timeout > UINT32_MAX) break;
    l.size = l.state_end + i + 1;
    return l;
  }
  return std::unexpected(RecordError::timeout_form);
}

}  // namespace

void append_older(ByteView records, Bytes& out) {
  for_records(records, [&out](ByteView record, const RecordLayout& l) {
    append_state(record, l, out);
    if (!l.gone) ByteWriter(out).varint(timeout_of(record, l));
  });
}

std::expected<void, RecordError> append_from_older(ByteView records, Bytes& out) {
  while (!records.empty()) {
    const auto layout = measure(records);
    if (!layout) return std::unexpected(layout.error());
    ByteWriter w(out);
    w.view(records.first(layout->state_end));
    if (layout->size > layout->state_end) w.varint(layout->timeout << 1);
    records = records.subspan(layout->size);
  }
  return {};
}

Bytes without_extras(ByteView records) {
  Bytes out;
  out.reserve(records.size());
  for_records(records, [&out](ByteView record, const RecordLayout& l) {
    append_state(record, l, out);
    if (!l.gone) ByteWriter(out).varint(std::uint64_t{timeout_of(record, l)} << 1);
  });
  return out;
}

}  // namespace syncd
