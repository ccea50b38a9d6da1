// What few flows have: the state of SCTP, shifted sequence numbers, labels, helpers, synproxy, and the flow that
// announced them.
#include <netinet/in.h>

#include <algorithm>

#include "syncd/ctnetlink_attributes.hpp"

namespace syncd::ctnetlink {
namespace {

bool read_sctp(ByteView info, Extras& out) {
  const Attributes whole(info);
  if (!whole.whole()) return false;
  if (!whole.has(CTA_PROTOINFO_SCTP)) return true;
  const Attributes sctp(whole.view(CTA_PROTOINFO_SCTP));
  SctpState state;
  if (!sctp.whole() || !sctp.read(CTA_PROTOINFO_SCTP_STATE, state.state) ||
      !sctp.read(CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, state.tag_original) ||
      !sctp.read(CTA_PROTOINFO_SCTP_VTAG_REPLY, state.tag_reply))
    return false;
  // The report of an end has the state alone, and tags of zero would be written into a kernel.
  if (sctp.has(CTA_PROTOINFO_SCTP_VTAG_ORIGINAL)) out.sctp = state;
  return true;
}

bool read_shift(ByteView data, SequenceShift& out) {
  const Attributes shift(data);
  return shift.whole() && shift.read(CTA_SEQADJ_CORRECTION_POS, out.position) &&
         shift.read(CTA_SEQADJ_OFFSET_BEFORE, out.before) && shift.read(CTA_SEQADJ_OFFSET_AFTER, out.after);
}

bool read_shifts(const Attributes& top, Extras& out) {
  if (!top.has(CTA_SEQ_ADJ_ORIG) || !top.has(CTA_SEQ_ADJ_REPLY)) return true;
  auto& shifts = out.shifts.emplace();
  return read_shift(top.view(CTA_SEQ_ADJ_ORIG), shifts[0]) && read_shift(top.view(CTA_SEQ_ADJ_REPLY), shifts[1]);
}

bool read_labels(const Attributes& top, Extras& out) {
  if (!top.has(CTA_LABELS)) return true;
  const ByteView bits = top.view(CTA_LABELS);
  if (bits.size() > std::tuple_size_v<Labels>) return false;
  Labels labels{};
  std::ranges::copy(bits, labels.begin());
  if (labels != Labels{}) out.labels = labels;
  return true;
}

bool read_helper(const Attributes& top, Extras& out) {
  if (!top.has(CTA_HELP)) return true;
  const Attributes help(top.view(CTA_HELP));
  if (!help.whole()) return false;
  if (!help.has(CTA_HELP_NAME)) return true;
  const ByteView name = help.view(CTA_HELP_NAME);
  const auto end = std::ranges::find(name, std::byte{0});
  out.helper.assign(reinterpret_cast<const char*>(name.data()), static_cast<std::size_t>(end - name.begin()));
  return true;
}

/// An entry that was made by a program has room for it, and says zero.
bool read_synproxy(const Attributes& top, Extras& out) {
  if (!top.has(CTA_SYNPROXY)) return true;
  const Attributes proxy(top.view(CTA_SYNPROXY));
  SynproxyState state;
  if (!proxy.whole() || !proxy.read(CTA_SYNPROXY_ISN, state.initial) ||
      !proxy.read(CTA_SYNPROXY_ITS, state.timestamp) || !proxy.read(CTA_SYNPROXY_TSOFF, state.offset))
    return false;
  if (state != SynproxyState{}) out.synproxy = state;
  return true;
}

bool read_master(const Attributes& top, std::uint16_t zone, Extras& out) {
  if (!top.has(CTA_TUPLE_MASTER)) return true;
  FlowKey& master = out.master.emplace();
  const auto tuple = read_tuple(top.view(CTA_TUPLE_MASTER), master.protocol);
  if (!tuple) return false;
  master.original = *tuple;
  master.zone = zone;
  return true;
}

void write_sctp(MessageWriter& out, const SctpState& sctp) {
  const std::size_t info = out.open(CTA_PROTOINFO);
  const std::size_t nest = out.open(CTA_PROTOINFO_SCTP);
  out.u8(CTA_PROTOINFO_SCTP_STATE, sctp.state);
  out.u32(CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, sctp.tag_original);
  out.u32(CTA_PROTOINFO_SCTP_VTAG_REPLY, sctp.tag_reply);
  out.close(nest);
  out.close(info);
}

void write_shift(MessageWriter& out, std::uint16_t type, const SequenceShift& shift) {
  const std::size_t nest = out.open(type);
  out.u32(CTA_SEQADJ_CORRECTION_POS, shift.position);
  out.u32(CTA_SEQADJ_OFFSET_BEFORE, shift.before);
  out.u32(CTA_SEQADJ_OFFSET_AFTER, shift.after);
  out.close(nest);
}

}  // namespace

bool read_extras(const Attributes& top, Flow& flow) {
  constexpr std::array kTypes = {CTA_SEQ_ADJ_ORIG, CTA_LABELS, CTA_HELP, CTA_SYNPROXY, CTA_TUPLE_MASTER};
  const bool sctp = flow.key.protocol == IPPROTO_SCTP && top.has(CTA_PROTOINFO);
  if (!sctp && std::ranges::none_of(kTypes, [&top](auto type) { return top.has(type); })) return true;
  Extras extras;
  if ((sctp && !read_sctp(top.view(CTA_PROTOINFO), extras)) || !read_shifts(top, extras) || !read_labels(top, extras) ||
      !read_helper(top, extras) || !read_synproxy(top, extras) || !read_master(top, flow.key.zone, extras))
    return false;
  flow.extras = std::move(extras);
  return true;
}

void write_extras(MessageWriter& out, const Flow& flow, bool with_labels) {
  const Extras& extras = *flow.extras;
  if (extras.sctp && flow.key.protocol == IPPROTO_SCTP) write_sctp(out, *extras.sctp);
  if (extras.shifts) {
    write_shift(out, CTA_SEQ_ADJ_ORIG, (*extras.shifts)[0]);
    write_shift(out, CTA_SEQ_ADJ_REPLY, (*extras.shifts)[1]);
  }
  if (extras.synproxy) {
    const std::size_t nest = out.open(CTA_SYNPROXY);
    out.u32(CTA_SYNPROXY_ISN, extras.synproxy->initial);
    out.u32(CTA_SYNPROXY_ITS, extras.synproxy->timestamp);
    out.u32(CTA_SYNPROXY_TSOFF, extras.synproxy->offset);
    out.close(nest);
  }
  if (extras.labels && with_labels) out.attribute(CTA_LABELS, *extras.labels);
}

void write_ties(MessageWriter& out, const Extras& extras) {
  if (!extras.helper.empty()) {
    const std::size_t nest = out.open(CTA_HELP);
    std::array<std::byte, kMaxHelperName + 1> name{};
    const std::size_t size = std::min(extras.helper.size(), kMaxHelperName);
    std::memcpy(name.data(), extras.helper.data(), size);
    out.attribute(CTA_HELP_NAME, ByteView(name).first(size + 1));
    out.close(nest);
  }
  if (extras.master) write_tuple(out, CTA_TUPLE_MASTER, extras.master->original, extras.master->protocol);
}

}  // namespace syncd::ctnetlink
