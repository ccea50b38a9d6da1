#pragma once
// Attributes of netlink messages, for the files that read and write those of connection tracking.
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "syncd/ctnetlink.hpp"

namespace syncd::ctnetlink {

using common::ByteView;

inline constexpr std::size_t kAlignment = 4;
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

inline std::uint32_t big_endian(ByteView bytes) {
  std::uint32_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<std::uint32_t>(b);
  return value;
}

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

// --- writing ------------------------------------------------------------------------

/// More than the sum of all parts of the longest request: two tuples and two translations of IPv6, their state,
/// the master's tuple and all extras.
inline constexpr std::size_t kLongestRequest = 960;

/// Appends one netlink message; nested attributes are closed in reverse order of opening. Room is made once, since a
/// request is made of some forty pieces, and a million of them are a takeover.
class MessageWriter {
 public:
  MessageWriter(common::Bytes& out, std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                std::uint32_t sequence, std::uint16_t subsystem = NFNL_SUBSYS_CTNETLINK)
      : out_(out), start_(out.size()), at_(out.size()) {
    out_.resize(start_ + kLongestRequest);
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(subsystem << 8 | type);
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
    const nlattr header{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), .nla_type = type};
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
  common::Bytes& out_;
  std::size_t start_, at_;
};

/// The key of another flow: nothing when it is malformed.
std::expected<Tuple, DecodeError> read_tuple(ByteView data, std::uint8_t& protocol);
void write_tuple(MessageWriter& out, std::uint16_t which, const Tuple& tuple, std::uint8_t protocol);

// --- what few flows have (ctnetlink_extras.cpp)

/// False: an attribute has the wrong size.
bool read_extras(const Attributes& top, Flow& flow);
/// What may be written whenever there is an entry.
void write_extras(MessageWriter& out, const Flow& flow, bool with_labels);
/// What an entry is given when it is made, or never.
void write_ties(MessageWriter& out, const Extras& extras);

}  // namespace syncd::ctnetlink
