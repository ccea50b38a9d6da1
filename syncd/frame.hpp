#pragma once
// What stands inside a sealed datagram. Everything but flows is state, repeated until it changes: a lost datagram costs
// time and never truth.
//
//   flags 1  | acknowledgement, if flagged | sequence and low mark, if flagged | blocks: type 1, length 2, body
//
// Sequences number the datagrams with flows of one incarnation of the sender, across sessions. `low` is the oldest
// sequence that the sender still stands by: older datagrams that come yet are to be thrown away.
#include <array>
#include <bitset>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.hpp"
#include "common/notify.hpp"
#include "syncd/digest.hpp"
#include "syncd/protocol.hpp"
#include "syncd/record.hpp"

namespace syncd {

/// Of acknowledgements: how far beyond the first missing sequence a receiver keeps account; the sender's window is
/// below.
inline constexpr std::size_t kAckBits = 512;
/// Statements of groups in one datagram: with 32 it stays well below kLeastPayload.
inline constexpr std::size_t kMaxGroups = 32;

enum class FrameError : std::uint8_t {
  truncated,
  ack_form,     ///< bitmap too long or with a zero byte at its end
  data_form,    ///< sequence 0 or below the low mark
  state_form,   ///< too many groups, or a value out of its enumeration
  flows_form,   ///< a block of flows without sequence or epoch
  verify_form,  ///< a part, or a question for one, of whatever it may be
  audit_form,   ///< digests or sets of buckets that are none
};
inline constexpr std::size_t kFrameErrors = 7;
std::string_view to_string(FrameError error);

/// Everything up to `base` is here or given up by the sender; `beyond` bit i: base + 1 + i is here too.
struct Ack {
  std::uint64_t base = 0;
  std::bitset<kAckBits> beyond;
  bool operator==(const Ack&) const = default;
};

/// What a stream of flows is.
enum class StreamKind : std::uint8_t {
  mastership,  ///< of the group's master
  legacy,      ///< nobody is master: of the one who holds what the last one had, to a peer that does not
  remainder,   ///< what the sender alone may know, to the one who holds all the rest: it is added, nothing is swept
};

/// What a node says of one group, to its peer.
struct GroupState {
  std::uint64_t group = 0;  ///< hash of the name
  /// The stream of this group's flows. `epoch` numbers it within the sender's incarnation; 0: none.
  std::uint32_t epoch = 0;
  StreamKind kind = StreamKind::mastership;
  common::Term term;      ///< whose connections are streamed
  bool all_sent = false;  ///< the receiver has acknowledged everything that there was at the beginning
  bool drained = false;   ///< gate shut, and the receiver has acknowledged everything there is
  /// As receiver: the peer's epoch whose records are applied; 0: none.
  std::uint32_t following = 0;
  /// The peer's newest epoch that we have let go of. It may never have heard that we followed it; a stream that was let
  /// go of is not followed again, so the sender begins another one.
  std::uint32_t released = 0;
  common::Term holds;                         ///< the term whose connections are here to the last one; none: not valid
  bool compares = false;                      ///< as receiver: the replica is whole, digests of it are welcome
  bool lacking = false;                       ///< as master: this mastership began without what the one before it had
  std::optional<common::GroupReport> report;  ///< vrrpd's statement; `report->group` stays empty on the link
  bool operator==(const GroupState&) const = default;
};

/// Of the kernel's table of connections.
struct TableSize {
  std::uint64_t entries = 0;
  std::uint64_t most = 0;  ///< that there may be; 0: as many as memory has room for
  std::uint64_t buckets = 0;
  bool operator==(const TableSize&) const = default;
};

struct PeerState {
  std::uint64_t serial = 0;                 ///< one more with each that this process tells, in whatever session
  std::uint64_t config = 0;                 ///< hash of the configuration's digest
  std::chrono::milliseconds keepalive{50};  ///< it is heard at least this often; at most 65535
  std::vector<GroupState> groups;
  std::optional<TableSize> table;  ///< none: it does not tell
  bool operator==(const PeerState&) const = default;
};

/// Asks for, or brings, a part of something long: what the peer has in its kernel (verify.hpp), or its papers
/// (papers.hpp).
struct PartAsk {
  std::uint64_t run = 0;
  std::uint32_t chunk = 0;  ///< first wanted; of the last word of a run 1: there were differences, repair them
  std::uint32_t count = 0;  ///< 0: the run is over, forget it
  bool operator==(const PartAsk&) const = default;
};
struct Part {
  std::uint64_t run = 0;
  std::uint32_t chunk = 0, chunks = 0;
  common::ByteView bytes;
};

/// Digests of buckets at one time (audit.hpp). Every bucket of which the sender knows that all was acknowledged is in
/// here; `sequence` is that of the last datagram which may have changed one of them.
struct DigestBlock {
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
  std::size_t first = 0;  ///< bucket; a multiple of kBucketsAtOnce
  std::bitset<kBucketsAtOnce> settled;
  std::array<std::uint64_t, kBucketsAtOnce> sums{};  ///< 0 where not settled
  bool operator==(const DigestBlock&) const = default;
};
/// A word about buckets: they differ, send them again; or they have been sent again, all with this sequence or a later
/// one, so that what the receiver has from earlier is no flow of the sender's.
struct RepairBlock {
  std::uint32_t epoch = 0;
  std::uint64_t from = 0;  ///< 0: a request
  BucketSet buckets;
  bool operator==(const RepairBlock&) const = default;
};

struct FlowsBlock {
  std::uint32_t epoch = 0;
  common::ByteView records;
};

struct Frame {
  bool ack_now = false;  ///< acknowledge this at once: somebody waits
  bool probe = false;    ///< tell your state at once
  bool answer = false;   ///< state that a probe asked for
  std::optional<Ack> ack;
  std::uint64_t sequence = 0, low = 0;  ///< 0: no flows inside
  std::vector<FlowsBlock> flows;
  std::optional<PeerState> state;
  std::optional<PartAsk> verify_ask, papers_ask;
  std::optional<Part> verify_part, papers_part;
  std::optional<DigestBlock> digests;
  std::optional<RepairBlock> repair;
  unsigned unknown_blocks = 0;
  std::vector<common::Bytes> translated;      ///< records of an older peer in today's form: the blocks view these
  std::optional<RecordError> untranslatable;  ///< where one of them ends early
  bool without_extras = false;                ///< the peer knows of none
};

/// Between whom, and in which version. `sender` and `receiver` are the nodes that terms are mostly of: they take one
/// byte then.
struct Names {
  std::string_view sender, receiver;
  std::uint8_t protocol = kProtocol;
};

/// Views in the frame point into `payload`, or into what the frame itself holds: it may be moved, not copied.
std::expected<Frame, FrameError> decode_frame(common::ByteView payload, const Names& names);

/// Writes the head of a frame and then block after block.
class FrameWriter {
 public:
  FrameWriter(common::Bytes& out, const Names& names) : out_(out), names_(names) { out_.assign(1, std::byte{0}); }

  void ack_now() { flag(0x01); }
  void probe() { flag(0x02); }
  void answer() { flag(0x04); }
  /// In this order, before any block.
  void ack(const Ack& ack);
  void data(std::uint64_t sequence, std::uint64_t low);

  void state(const PeerState& state);
  void verify_ask(const PartAsk& ask);
  void verify_part(const Part& part);
  void papers_ask(const PartAsk& ask);
  void papers_part(const Part& part);
  void digests(const DigestBlock& digests);
  void repair(const RepairBlock& repair);
  /// Records are appended between begin and end.
  void begin_flows(std::uint32_t epoch);
  void record(common::ByteView record, bool gone);
  void end_flows() { end_block(); }
  std::size_t size() const { return out_.size(); }

 private:
  void flag(unsigned bit) { out_[0] |= static_cast<std::byte>(bit); }
  void begin_block(std::uint8_t type);
  void end_block();
  void ask(std::uint8_t type, const PartAsk& ask);
  void part(std::uint8_t type, const Part& part);
  void group(const GroupState& g);
  void term(const common::Term& term);
  common::Bytes& out_;
  Names names_;
  std::size_t block_ = 0;
};

}  // namespace syncd
