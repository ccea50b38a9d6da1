#pragma once
// The compact form of a flow: the same bytes in the table and on the link. About 28 bytes for translated IPv4 TCP.
//
//   head      1      bit 0 IPv6 | bits 1-2 protocol (0 explicit, 1 TCP, 2 UDP, 3 ICMP or ICMPv6) | bit 3 zone follows
//                    | bits 4-6 zero | bit 7 gone: the flow has ended, only the key follows (on the link only)
//   protocol  0|1, zone 0|2, source 4|16, destination 4|16, source port 2, destination port 2         -- the key
//   status    1      seen reply, assured, SNAT, DNAT, seqadj | bit 5 TCP follows | bit 6 mark follows | bit 7 reply
//                    follows
//   reply     0|1+n  bits 0-3 which of the four fields differ from the inverted original | bit 4 extras follow; then
//                    the differing fields
//   TCP       0|3    state | flags of both directions, 3 bits each | window scales, 4 bits each
//   mark      0|4
//   extras    0|1+n  length, then type 1, length 1, value; types ascend. Those that we do not know are a newer peer's:
//                    kept and passed on as they are
//   timeout   1-5    LEB128: full timeout of the flow's state, in seconds, times 2; bit 0 master follows
//   master    0|n    key of the flow that announced this one
// Timeout and master are not compared: the one passes; the other may have ended, and then cannot be given to a flow.
//
// There is exactly one encoding of a flow, so that records and keys compare as bytes; anything else is refused. (Scales
// that do not count, because only one end offers one, are written as 0 and accepted as anything.)
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "common/bytes.hpp"
#include "syncd/flow.hpp"

namespace syncd {

/// Longest key: IPv6 with explicit protocol and zone. Longest ordinary record: all of the reply, TCP, mark, five bytes
/// of timeout. Of the extras: all that we know, and room for a newer peer's.
inline constexpr std::size_t kMaxKey = 40;
inline constexpr std::size_t kMaxOrdinaryRecord = 90;
inline constexpr std::size_t kMaxExtras = 112;
inline constexpr std::size_t kMaxRecord = kMaxOrdinaryRecord + 1 + kMaxExtras + kMaxKey;
static_assert(kMaxRecord < 256, "lengths are bytes");
inline constexpr std::byte kGone{0x80};

/// TCP flags that are carried: window scale, SACK, and who closed. be_liberal is set on every write anyway; the others
/// speak of sequence numbers that are not carried.
inline constexpr std::uint8_t kTcpFlagsCarried = 0x07;

enum class RecordError : std::uint8_t {
  truncated,
  reserved_bits,  ///< in the head, the reply mask or the TCP flags
  protocol_form,  ///< explicit protocol that has a code of its own
  zone_form,      ///< explicit zone 0
  reply_form,     ///< an empty reply mask, or a field that is equal to what it would be without
  tcp_form,       ///< TCP part on another protocol
  mark_form,      ///< explicit mark 0
  extras_form,    ///< none although announced, too long, out of order, or one of a wrong size
  master_form,    ///< the master's key is none
  timeout_form,   ///< more than 33 bits, or longer than needed
};
inline constexpr std::size_t kRecordErrors = 10;
std::string_view to_string(RecordError error);

/// Where the parts of a record lie: offsets from its first byte.
struct RecordLayout {
  std::uint8_t key_end = 0;
  std::uint8_t reply_end = 0;  ///< status byte and reply lie between key_end and here
  std::uint8_t tcp_begin = 0;  ///< equal to reply_end; has_tcp says whether three bytes are there
  std::uint8_t extras_begin = 0;
  std::uint8_t state_end = 0;  ///< of all that comparisons count
  std::uint8_t timeout_end = 0;
  std::uint8_t size = 0;
  bool has_tcp = false;
  bool has_extras = false;
  bool has_master = false;
  bool gone = false;
};

/// A record under construction, or copied out.
struct Record {
  std::array<std::byte, kMaxRecord> bytes;
  std::uint8_t key_end = 0;
  std::uint8_t state_end = 0;
  std::uint8_t timeout_end = 0;
  std::uint8_t size = 0;
  common::ByteView key() const { return {bytes.data(), key_end}; }
  common::ByteView view() const { return {bytes.data(), size}; }
};

/// The reply tuple of a flow that nobody translates.
Tuple inverted(const FlowKey& key);

/// Key alone; size is key_end.
void encode_key(const FlowKey& key, Record& out);
/// `known_tcp` stands in where the kernel said nothing of TCP this time.
void encode(const Flow& flow, const TcpState* known_tcp, Record& out);
/// Replaces the timeout.
void set_timeout(Record& record, std::uint32_t seconds);

/// Checks the record at the beginning of `data`, which may be followed by others.
std::expected<RecordLayout, RecordError> inspect(common::ByteView data);
/// Of a record that inspect() or encode() has made sure of. Status holds the replicated bits.
Flow decode(common::ByteView record);
FlowKey decode_key(common::ByteView record);
/// The key's bytes.
common::ByteView key_of(common::ByteView record);
/// Expectations are among its extras.
bool expects(common::ByteView record);
/// The flow that announced this one.
std::optional<FlowKey> master_of(common::ByteView record);
/// The flow of a report, with what the report leaves out taken from what is known.
Flow completed(const Flow& reported, common::ByteView known);

/// Same translation: reply tuple and NAT bits.
bool same_binding(common::ByteView a, const RecordLayout& la, common::ByteView b, const RecordLayout& lb);
/// A TCP connection of which nothing comes any more: TIME_WAIT or CLOSE. (Others may be renewed by packets of which the
/// kernel reports nothing.)
bool is_closed(common::ByteView record);
/// Of two translations of one connection, made by routers that did not hear of each other, the better proven goes on.
/// nothing: no answer came, or it is over; answer: one came; handshake: of TCP, all of it passed, which it does nowhere
/// else then. (Of other protocols an answer says that the other end knows this translation by now, and no more does.)
enum class Proof : std::uint8_t { nothing, answer, handshake };
Proof proof_of(common::ByteView record);
std::uint32_t timeout_of(common::ByteView record, const RecordLayout& layout);
TcpState tcp_of(common::ByteView record, const RecordLayout& layout);

}  // namespace syncd
