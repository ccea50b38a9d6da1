#include "syncd/frame.hpp"

#include <algorithm>

#include "syncd/audit_blocks.hpp"
#include "syncd/older_record.hpp"
#include "syncd/session.hpp"

namespace syncd {
namespace {

using common::ByteReader;
using common::ByteView;
using common::ByteWriter;

constexpr unsigned kFlagAck = 0x10, kFlagData = 0x20;
constexpr std::uint8_t kBlockState = 1, kBlockFlows = 2, kBlockVerifyAsk = 3, kBlockVerifyPart = 4;
constexpr std::uint8_t kBlockPapersAsk = 5, kBlockPapersPart = 6;
constexpr std::uint8_t kBlockDigests = 7, kBlockRepair = 8;

constexpr std::size_t kLongestTableSize = 3 * 10;  // three numbers of 64 bits
constexpr unsigned kGroupStreams = 0x01, kGroupAllSent = 0x02, kGroupDrained = 0x04, kGroupReport = 0x08;
constexpr unsigned kGroupLegacy = 0x10, kGroupRemainder = 0x20, kGroupHolds = 0x40, kGroupLacking = 0x80;
constexpr unsigned kGroupHoldsStreamed = 0x100;  ///< the term of `holds` is that of the stream
constexpr unsigned kGroupCompares = 0x200;       ///< of older peers never set: they take no digests
constexpr unsigned kReportComplete = 0x01, kReportHeld = 0x02, kReportOperator = 0x04;
constexpr unsigned kReportSameTerm = 0x08;  ///< as `holds`

/// Whose node a term is of.
constexpr std::uint8_t kNobody = 0, kSender = 1, kReceiver = 2, kNamed = 3;

std::expected<Ack, FrameError> read_ack(ByteReader& r) {
  Ack ack;
  ack.base = r.varint();
  const std::size_t size = r.u8();
  const ByteView bits = r.view(size);
  if (r.failed()) return std::unexpected(FrameError::truncated);
  if (size * 8 > kAckBits || (size > 0 && bits.back() == std::byte{0})) return std::unexpected(FrameError::ack_form);
  for (std::size_t i = 0; i < size * 8; ++i)
    if (std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1) ack.beyond.set(i);
  return ack;
}

std::optional<common::Term> read_term(ByteReader& r, const Names& names) {
  common::Term term;
  term.counter = r.varint();
  switch (r.u8()) {
    case kNobody:
      break;
    case kSender:
      term.node = names.sender;
      break;
    case kReceiver:
      term.node = names.receiver;
      break;
    case kNamed: {
      const std::size_t size = r.u8();
      if (size > kMaxNodeName) return std::nullopt;
      term.node = r.text(size);
      break;
    }
    default:
      return std::nullopt;
  }
  return term;
}

std::optional<common::GroupReport> read_report(ByteReader& r, const Names& names, const common::Term& holds) {
  common::GroupReport report;
  const unsigned state = r.u8(), phase = r.u8(), flags = r.u8();
  if (state > static_cast<unsigned>(common::GroupState::fault) || phase > static_cast<unsigned>(common::Phase::yielded))
    return std::nullopt;
  report.state = static_cast<common::GroupState>(state);
  report.phase = static_cast<common::Phase>(phase);
  report.complete = (flags & kReportComplete) != 0;
  report.held = (flags & kReportHeld) != 0;
  report.by_operator = (flags & kReportOperator) != 0;
  report.priority = r.u8();
  report.made_apart = r.varint();
  report.served_apart = r.varint();
  if (flags & kReportSameTerm) {
    report.term = holds;
    return report;
  }
  const auto term = read_term(r, names);
  if (!term) return std::nullopt;
  report.term = *term;
  return report;
}

std::optional<GroupState> read_group(ByteReader& r, const Names& names) {
  GroupState g;
  g.group = r.u64();
  const unsigned flags = r.u16();
  g.following = r.u32();
  const std::uint64_t released = r.varint();
  if (released > UINT32_MAX) return std::nullopt;
  g.released = static_cast<std::uint32_t>(released);
  if (flags & kGroupStreams) {
    g.epoch = r.u32();
    const auto term = read_term(r, names);
    if (!term) return std::nullopt;
    g.term = *term;
  }
  if (flags & kGroupHolds) {
    const auto term = read_term(r, names);
    if (!term) return std::nullopt;
    g.holds = *term;
  }
  if (flags & kGroupHoldsStreamed) g.holds = g.term;
  if ((flags & kGroupLegacy) && (flags & kGroupRemainder)) return std::nullopt;
  if (flags & kGroupLegacy) g.kind = StreamKind::legacy;
  if (flags & kGroupRemainder) g.kind = StreamKind::remainder;
  g.all_sent = (flags & kGroupAllSent) != 0;
  g.drained = (flags & kGroupDrained) != 0;
  g.lacking = (flags & kGroupLacking) != 0;
  g.compares = (flags & kGroupCompares) != 0;
  if (flags & kGroupReport) {
    g.report = read_report(r, names, g.holds);
    if (!g.report) return std::nullopt;
  }
  return g;
}

std::expected<PeerState, FrameError> read_state(ByteView body, const Names& names) {
  ByteReader r(body);
  PeerState state;
  state.serial = r.varint();
  state.config = r.u64();
  state.keepalive = std::chrono::milliseconds(r.u16());
  const std::size_t count = r.u8();
  if (count > kMaxGroups) return std::unexpected(FrameError::state_form);
  for (std::size_t i = 0; i < count && !r.failed(); ++i) {
    auto g = read_group(r, names);
    if (!g) return std::unexpected(FrameError::state_form);
    state.groups.push_back(std::move(*g));
  }
  // An older peer has nothing here, and a newer one may have more behind it.
  if (!r.failed() && r.left() > 0) {
    TableSize& table = state.table.emplace();
    table.entries = r.varint();
    table.most = r.varint();
    table.buckets = r.varint();
  }
  if (r.failed()) return std::unexpected(FrameError::truncated);
  return state;
}

std::expected<Part, FrameError> read_part(ByteView body) {
  ByteReader r(body);
  Part part;
  part.run = r.u64();
  part.chunk = r.u32();
  part.chunks = r.u32();
  part.bytes = r.view(r.left());
  if (r.failed() || part.chunk >= part.chunks) return std::unexpected(FrameError::verify_form);
  return part;
}

std::expected<PartAsk, FrameError> read_ask(ByteView body) {
  ByteReader r(body);
  PartAsk ask;
  ask.run = r.u64();
  ask.chunk = r.u32();
  ask.count = r.u32();
  if (r.failed()) return std::unexpected(FrameError::verify_form);
  return ask;
}

/// The records in today's form.
ByteView today(ByteView records, const Names& names, Frame& frame) {
  frame.without_extras = names.protocol < kProtocolOfExtras;
  if (!frame.without_extras) return records;
  common::Bytes& out = frame.translated.emplace_back();
  out.reserve(records.size() + records.size() / 16);
  const auto done = append_from_older(records, out);
  if (!done) frame.untranslatable = done.error();
  return out;
}

std::expected<void, FrameError> read_block(std::uint8_t type, ByteView body, const Names& names, Frame& frame) {
  switch (type) {
    case kBlockState: {
      auto state = read_state(body, names);
      if (!state) return std::unexpected(state.error());
      frame.state = std::move(*state);
      return {};
    }
    case kBlockFlows: {
      ByteReader r(body);
      const std::uint32_t epoch = r.u32();
      if (r.failed() || frame.sequence == 0 || epoch == 0) return std::unexpected(FrameError::flows_form);
      frame.flows.push_back({epoch, today(r.view(r.left()), names, frame)});
      return {};
    }
    case kBlockVerifyAsk:
    case kBlockPapersAsk: {
      const auto ask = read_ask(body);
      if (!ask) return std::unexpected(ask.error());
      (type == kBlockVerifyAsk ? frame.verify_ask : frame.papers_ask) = *ask;
      return {};
    }
    case kBlockVerifyPart:
    case kBlockPapersPart: {
      const auto part = read_part(body);
      if (!part) return std::unexpected(part.error());
      (type == kBlockVerifyPart ? frame.verify_part : frame.papers_part) = *part;
      if (type == kBlockVerifyPart) frame.verify_part->bytes = today(part->bytes, names, frame);
      return {};
    }
    case kBlockDigests: {
      const auto digests = read_digests(body);
      if (!digests) return std::unexpected(digests.error());
      frame.digests = *digests;
      return {};
    }
    case kBlockRepair: {
      const auto repair = read_repair(body);
      if (!repair) return std::unexpected(repair.error());
      frame.repair = *repair;
      return {};
    }
  }
  ++frame.unknown_blocks;  // of a newer peer: it knows that we may not know it
  return {};
}

}  // namespace

std::string_view to_string(FrameError error) {
  switch (error) {
    case FrameError::truncated:
      return "frame_truncated";
    case FrameError::ack_form:
      return "frame_ack_form";
    case FrameError::data_form:
      return "frame_data_form";
    case FrameError::state_form:
      return "frame_state_form";
    case FrameError::flows_form:
      return "frame_flows_form";
    case FrameError::verify_form:
      return "frame_verify_form";
    case FrameError::audit_form:
      return "frame_audit_form";
  }
  return "";
}

std::expected<Frame, FrameError> decode_frame(ByteView payload, const Names& names) {
  ByteReader r(payload);
  Frame frame;
  const unsigned flags = r.u8();
  if (r.failed()) return std::unexpected(FrameError::truncated);
  frame.ack_now = (flags & 0x01) != 0;
  frame.probe = (flags & 0x02) != 0;
  frame.answer = (flags & 0x04) != 0;
  if (flags & kFlagAck) {
    const auto ack = read_ack(r);
    if (!ack) return std::unexpected(ack.error());
    frame.ack = *ack;
  }
  if (flags & kFlagData) {
    frame.sequence = r.varint();
    const std::uint64_t behind = r.varint();
    if (r.failed()) return std::unexpected(FrameError::truncated);
    if (frame.sequence == 0 || behind >= frame.sequence) return std::unexpected(FrameError::data_form);
    frame.low = frame.sequence - behind;
  }
  while (r.left() > 0) {
    const std::uint8_t type = r.u8();
    const ByteView body = r.view(r.u16());
    if (r.failed()) return std::unexpected(FrameError::truncated);
    const auto read = read_block(type, body, names, frame);
    if (!read) return std::unexpected(read.error());
  }
  return frame;
}

void FrameWriter::ack(const Ack& ack) {
  flag(kFlagAck);
  ByteWriter w(out_);
  w.varint(ack.base);
  std::size_t size = 0;
  for (std::size_t i = 0; i < kAckBits; ++i)
    if (ack.beyond.test(i)) size = i / 8 + 1;
  w.u8(static_cast<std::uint8_t>(size));
  for (std::size_t b = 0; b < size; ++b) {
    unsigned byte = 0;
    for (std::size_t i = 0; i < 8; ++i)
      if (ack.beyond.test(b * 8 + i)) byte |= 1u << i;
    w.u8(static_cast<std::uint8_t>(byte));
  }
}

void FrameWriter::data(std::uint64_t sequence, std::uint64_t low) {
  flag(kFlagData);
  ByteWriter w(out_);
  w.varint(sequence);
  w.varint(sequence - low);
}

void FrameWriter::begin_block(std::uint8_t type) {
  ByteWriter w(out_);
  w.u8(type);
  block_ = out_.size();
  w.u16(0);
}

void FrameWriter::end_block() {
  const std::size_t size = out_.size() - block_ - 2;
  out_[block_] = static_cast<std::byte>(size >> 8);
  out_[block_ + 1] = static_cast<std::byte>(size & 0xff);
}

void FrameWriter::term(const common::Term& t) {
  ByteWriter w(out_);
  w.varint(t.counter);
  if (t.node.empty()) return w.u8(kNobody);
  if (t.node == names_.sender) return w.u8(kSender);
  if (t.node == names_.receiver) return w.u8(kReceiver);
  w.u8(kNamed);
  w.u8(static_cast<std::uint8_t>(std::min(t.node.size(), kMaxNodeName)));
  w.text(std::string_view(t.node).substr(0, kMaxNodeName));
}

namespace {

unsigned flags_of(const GroupState& g) {
  unsigned flags = (g.all_sent ? kGroupAllSent : 0) | (g.drained ? kGroupDrained : 0) | (g.report ? kGroupReport : 0) |
                   (g.lacking ? kGroupLacking : 0) | (g.compares ? kGroupCompares : 0);
  if (g.holds.valid()) flags |= g.epoch != 0 && g.holds == g.term ? kGroupHoldsStreamed : kGroupHolds;
  if (g.epoch == 0) return flags;
  flags |= kGroupStreams;
  switch (g.kind) {
    case StreamKind::mastership:
      break;
    case StreamKind::legacy:
      flags |= kGroupLegacy;
      break;
    case StreamKind::remainder:
      flags |= kGroupRemainder;
      break;
  }
  return flags;
}

}  // namespace

void FrameWriter::group(const GroupState& g) {
  ByteWriter w(out_);
  const unsigned flags = flags_of(g);
  w.u64(g.group);
  w.u16(static_cast<std::uint16_t>(flags));
  w.u32(g.following);
  w.varint(g.released);
  if (g.epoch) {
    w.u32(g.epoch);
    term(g.term);
  }
  if (flags & kGroupHolds) term(g.holds);
  if (!g.report) return;
  const bool same_term = g.holds.valid() && g.report->term == g.holds;
  w.u8(static_cast<std::uint8_t>(g.report->state));
  w.u8(static_cast<std::uint8_t>(g.report->phase));
  w.u8(static_cast<std::uint8_t>((g.report->complete ? kReportComplete : 0) | (g.report->held ? kReportHeld : 0) |
                                 (g.report->by_operator ? kReportOperator : 0) | (same_term ? kReportSameTerm : 0)));
  w.u8(static_cast<std::uint8_t>(g.report->priority));
  w.varint(g.report->made_apart);
  w.varint(g.report->served_apart);
  if (!same_term) term(g.report->term);
}

void FrameWriter::state(const PeerState& state) {
  begin_block(kBlockState);
  ByteWriter w(out_);
  w.varint(state.serial);
  w.u64(state.config);
  w.u16(static_cast<std::uint16_t>(state.keepalive.count()));
  const std::size_t count_at = out_.size();
  w.u8(0);
  for (std::size_t i = 0; i < std::min(state.groups.size(), kMaxGroups); ++i) {
    const std::size_t before = out_.size();
    group(state.groups[i]);
    if (out_.size() > kLeastPayload) {  // terms with long names of third nodes: the first groups count
      out_.resize(before);
      break;
    }
    out_[count_at] = static_cast<std::byte>(i + 1);
  }
  if (state.table && out_.size() + kLongestTableSize <= kLeastPayload) {
    w.varint(state.table->entries);
    w.varint(state.table->most);
    w.varint(state.table->buckets);
  }
  end_block();
}

void FrameWriter::ask(std::uint8_t type, const PartAsk& ask) {
  begin_block(type);
  ByteWriter w(out_);
  w.u64(ask.run);
  w.u32(ask.chunk);
  w.u32(ask.count);
  end_block();
}

void FrameWriter::part(std::uint8_t type, const Part& part) {
  begin_block(type);
  ByteWriter w(out_);
  w.u64(part.run);
  w.u32(part.chunk);
  w.u32(part.chunks);
  w.view(part.bytes);
  end_block();
}

void FrameWriter::verify_ask(const PartAsk& question) {
  ask(kBlockVerifyAsk, question);
}

void FrameWriter::verify_part(const Part& some) {
  if (names_.protocol >= kProtocolOfExtras) return part(kBlockVerifyPart, some);
  common::Bytes older;
  append_older(some.bytes, older);
  part(kBlockVerifyPart, {some.run, some.chunk, some.chunks, older});
}

void FrameWriter::papers_ask(const PartAsk& question) {
  ask(kBlockPapersAsk, question);
}

void FrameWriter::papers_part(const Part& some) {
  part(kBlockPapersPart, some);
}

void FrameWriter::digests(const DigestBlock& digests) {
  begin_block(kBlockDigests);
  append(digests, out_);
  end_block();
}

void FrameWriter::repair(const RepairBlock& repair) {
  begin_block(kBlockRepair);
  append(repair, out_);
  end_block();
}

void FrameWriter::begin_flows(std::uint32_t epoch) {
  begin_block(kBlockFlows);
  ByteWriter(out_).u32(epoch);
}

void FrameWriter::record(ByteView record, bool gone) {
  const std::size_t at = out_.size();
  if (gone || names_.protocol >= kProtocolOfExtras)
    ByteWriter(out_).view(record);
  else
    append_older(record, out_);
  if (gone) out_[at] |= kGone;
}

}  // namespace syncd
