#pragma once
// A connection tracking entry as a value: what a router must know of a flow to carry it on. This is the form
// in which entries travel between the kernel's codec and the engine; how the tables keep them is table.hpp's
// business.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/address.hpp"
#include "common/config.hpp"

namespace syncd {

/// One direction of a flow. For ICMP, `source_port` is the id, and `destination_port` is type << 8 | code.
/// For GRE the ports are the keys.
struct Tuple {
  common::IpAddress source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  auto operator<=>(const Tuple&) const = default;
};

/// Which flow: the original direction, protocol and zone. CTA_ID is not unique over time (kernel fact), so it
/// is not used.
struct FlowKey {
  Tuple original;
  std::uint8_t protocol = 0;
  std::uint16_t zone = 0;
  auto operator<=>(const FlowKey&) const = default;
};

/// nf_conntrack_common.h, enum ip_conntrack_status: the bits that matter here.
namespace status_bits {
inline constexpr std::uint32_t expected = 1u << 0;
inline constexpr std::uint32_t seen_reply = 1u << 1;
inline constexpr std::uint32_t assured = 1u << 2;
inline constexpr std::uint32_t confirmed = 1u << 3;
inline constexpr std::uint32_t src_nat = 1u << 4;
inline constexpr std::uint32_t dst_nat = 1u << 5;
inline constexpr std::uint32_t seq_adjust = 1u << 6;
inline constexpr std::uint32_t src_nat_done = 1u << 7;
inline constexpr std::uint32_t dst_nat_done = 1u << 8;
inline constexpr std::uint32_t dying = 1u << 9;
inline constexpr std::uint32_t fixed_timeout = 1u << 10;
/// What is replicated and compared.
inline constexpr std::uint32_t replicated = seen_reply | assured | src_nat | dst_nat | seq_adjust;
}  // namespace status_bits

/// nf_conntrack_tcp.h: flags per direction.
namespace tcp_flags {
inline constexpr std::uint8_t window_scale = 0x01;
inline constexpr std::uint8_t sack_permitted = 0x02;
inline constexpr std::uint8_t be_liberal = 0x08;
}  // namespace tcp_flags

struct TcpState {
  std::uint8_t state = 0;  ///< enum tcp_conntrack; 3 = ESTABLISHED
  std::uint8_t flags_original = 0, flags_reply = 0;
  std::uint8_t scale_original = 0, scale_reply = 0;
  auto operator<=>(const TcpState&) const = default;
};

struct SctpState {
  std::uint8_t state = 0;  ///< enum sctp_conntrack; 4 = ESTABLISHED
  std::uint32_t tag_original = 0, tag_reply = 0;
  auto operator<=>(const SctpState&) const = default;
};

/// One direction of a TCP connection whose text a NAT helper has changed: behind `position` sequence numbers are off by
/// `after`, up to there by `before` (two's complement).
struct SequenceShift {
  std::uint32_t position = 0, before = 0, after = 0;
  auto operator<=>(const SequenceShift&) const = default;
};

struct SynproxyState {
  std::uint32_t initial = 0, timestamp = 0, offset = 0;
  auto operator<=>(const SynproxyState&) const = default;
};

/// A connection that a helper expects because another one, its master, has announced it (nf_conntrack_expect.h).
struct Expectation {
  Tuple tuple;                   ///< source port and address as far as they count
  std::uint8_t protocol = 0;     ///< one with ports
  std::uint8_t source_bits = 0;  ///< of the source address that count, from the front
  bool source_port_counts = false;
  std::uint8_t kind = 0;   ///< the helper's number for what is expected (CTA_EXPECT_CLASS)
  std::uint8_t flags = 0;  ///< NF_CT_EXPECT_...
  std::string function;    ///< what the kernel does when it comes (CTA_EXPECT_FN); empty: nothing
  /// How it is translated then: what stood in the announcement before that was translated.
  struct Translation {
    bool of_reply = false;      ///< the expected connection goes in the reply direction of its master
    common::IpAddress address;  ///< all zero: it is the master's
    std::uint16_t port = 0;
    auto operator<=>(const Translation&) const = default;
  };
  std::optional<Translation> translation;
  auto operator<=>(const Expectation&) const = default;
};
/// NF_CT_EXPECTFN_NAME has no limit of its own in the kernel; these are "nat-follow-master" and shorter.
inline constexpr std::size_t kMaxFunctionName = 31;

/// As the kernel holds them: label n is bit n % 64 of the host's word n / 64.
using Labels = std::array<std::byte, 16>;
Labels labels_of(const std::bitset<128>& numbers);
/// NF_CT_HELPER_NAME_LEN less its end.
inline constexpr std::size_t kMaxHelperName = 15;

/// What few flows have. The kernel's reports leave out what has not changed, and never say that a part is gone.
struct Extras {
  std::optional<SctpState> sctp;
  std::optional<std::array<SequenceShift, 2>> shifts;  ///< original, reply
  std::optional<Labels> labels;                        ///< not all zero
  std::string helper;                                  ///< empty: none
  std::optional<SynproxyState> synproxy;               ///< not all zero
  std::optional<FlowKey> master;                       ///< of an expected flow: the one that announced it
  std::vector<Expectation> expectations;               ///< what it announced and nobody has called yet; in their order
  bool operator==(const Extras&) const = default;
  bool empty() const { return *this == Extras{}; }
};

inline Extras without_expectations(Extras extras) {
  extras.expectations.clear();
  return extras;
}

/// Shared, for flows are copied often and extras are rare.
class ExtrasRef {
 public:
  ExtrasRef() = default;
  ExtrasRef(Extras extras) : extras_(extras.empty() ? nullptr : std::make_shared<const Extras>(std::move(extras))) {}
  explicit operator bool() const { return extras_ != nullptr; }
  const Extras& operator*() const { return *extras_; }
  const Extras* operator->() const { return extras_.get(); }
  bool operator==(const ExtrasRef& other) const {
    return extras_ == other.extras_ || (extras_ && other.extras_ && *extras_ == *other.extras_);
  }

 private:
  std::shared_ptr<const Extras> extras_;
};

struct Flow {
  FlowKey key;
  Tuple reply;                ///< as the kernel shows it, translated: the un-NATed reply is derived when writing
  std::uint32_t status = 0;   ///< status_bits
  std::uint32_t timeout = 0;  ///< seconds left when this was reported
  std::uint32_t mark = 0;
  TcpState tcp;          ///< zero unless protocol is TCP
  bool has_tcp = false;  ///< the kernel said something of TCP (updates leave protoinfo out when unchanged)
  ExtrasRef extras;
  bool operator==(const Flow&) const = default;
};

enum class ChangeKind : std::uint8_t {
  created,
  updated,
  destroyed,
  detailed,  ///< no event: an entry that was read, with all that it expects, for of that reports say nothing
};

/// An event of the kernel. `own`: caused by a request of this process (netlink port id), so not a packet's
/// doing.
struct FlowChange {
  ChangeKind kind = ChangeKind::created;
  bool own = false;
  Flow flow;
};

/// What the engine wants written into the kernel. `flow.status` holds replicated bits only (the codec adds
/// what the kernel demands, such as confirmed); `flow.tcp` is to be written as it stands: the engine has set
/// be_liberal in it, so that a window which moved on unseen cannot stop the flow. For set_timeout and remove
/// only key, reply and timeout count.
struct KernelWrite {
  enum class Op : std::uint8_t {
    create,            ///< must not exist; reply tuple and NAT exactly as in flow
    create_or_update,  ///< create; where it exists already with the same reply tuple, update what may be
                       ///< updated; with another reply tuple (read it back: the kernel does not say), or
                       ///< where the reply tuple belongs to another flow, refuse with EEXIST
    update,            ///< only where it exists: status, TCP state, mark, timeout
    set_timeout,       ///< only where it exists: nothing but the timeout
    remove,            ///< by key
    replace,           ///< delete what holds the key and what holds the reply tuple, then create
    expect,            ///< what this flow, which is there, announced: the expectations among its extras
  } op = Op::create_or_update;
  Flow flow;
  std::uint64_t token = 0;  ///< comes back in KernelResult when the kernel refuses
};

struct KernelResult {
  std::uint64_t token = 0;
  int code = 0;  ///< errno value; 0 is never reported
};

/// Clears the bits of the mark and the labels that are not replicated.
void leave_out(Flow& flow, const common::SyncMasks& masks);

std::string to_string(const FlowKey& key);  ///< "tcp 192.168.100.5:4000 -> 203.0.113.9:80 zone 0"
std::string to_string(const Flow& flow);    ///< key, reply tuple, state, status: what `sync verify` names a flow by

}  // namespace syncd
