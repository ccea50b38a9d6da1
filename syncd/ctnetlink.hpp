#pragma once
// ctnetlink messages <-> Flow, on bytes only. libnetfilter_conntrack is not used for this: it cannot express
// the reply tuple of a translated ICMP flow (there is no attribute for the id of the reply direction), nor
// the GRE keys, and its 392-byte object would be filled and emptied once for each event. The tests use it as
// a second opinion.
//
// What the kernel wants of a created entry, and does not say when it does not get it (measured): the reply
// tuple *untranslated*, plus CTA_NAT_SRC / CTA_NAT_DST with address and port, lowest = highest. Given the
// translated reply tuple it answers OK, but the entry is not translated. IPS_CONFIRMED must be in CTA_STATUS
// (EBUSY otherwise); bits of translation come from CTA_NAT_*, not from the status. Window scales count only
// if WINDOW_SCALE is set for both directions in the same message.
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "common/bytes.hpp"
#include "syncd/flow.hpp"

namespace syncd::ctnetlink {

/// Why a message was not understood; each is one counter.
enum class DecodeError : std::uint8_t {
  truncated,                ///< shorter than its header says
  bad_attribute,            ///< an attribute overruns its parent, or has the wrong size
  missing_tuple,            ///< no original or reply tuple
  unsupported_family,       ///< neither IPv4 nor IPv6
  directional_zone,         ///< a zone for one direction only: a Flow has no place for it
  missing_master,           ///< an expectation of no flow
  unsupported_expectation,  ///< an expectation of another form than helpers of the kernel make
  count,
};
std::string_view to_string(DecodeError error);

/// One netlink message within a datagram.
struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;  ///< of the requester, where the kernel reports a request's doing
  common::ByteView payload;
};
enum class MessageKind : std::uint8_t { created, updated, destroyed, expectation, error, done, other };
MessageKind kind_of(const Message& message);

/// Takes the next message off the front of `datagram`. None: nothing (whole) is left.
std::optional<Message> next_message(common::ByteView& datagram);
/// Of a message of kind created, updated (also the answer to a dump or a get) or destroyed.
std::expected<Flow, DecodeError> decode_flow(const Message& message);
/// Of a message of kind expectation: the flow that announces another one.
std::expected<FlowKey, DecodeError> decode_master(const Message& message);
struct Announced {
  FlowKey master;
  Expectation expectation;
};
/// Of such a message: all of it. What a record has no form for is `unsupported_expectation`.
std::expected<Announced, DecodeError> decode_expectation(const Message& message);
/// Of a message of kind error or done: the errno value, positive; 0 is success. What is none is EBADMSG.
int error_code(const Message& message);
/// The dump was overtaken by a change of the table itself and may lack entries.
bool dump_interrupted(const Message& message);

/// What a request is for. The answers to a request are found by its sequence number; success is not answered.
enum class RequestKind : std::uint8_t {
  create,             ///< only where neither the key nor the reply tuple is in use (NLM_F_EXCL)
  create_untied,      ///< the same without the helper, which may not be here, and without the master
  update,             ///< status, TCP state, mark, timeout, ...; the kernel has no way to change tuples
  update_untied,      ///< the same of an entry that was made so: whether it was expected cannot be changed (EBUSY)
  update_but_status,  ///< the same without the status, which may only grow (EBUSY), and without the labels
  set_timeout,
  remove_by_key,
  remove_by_reply,  ///< the entry that answers to this reply tuple, as the kernel shows it (translated)
  get,
  expect,  ///< one of the flow's expectations, by encode_expectation()
};
/// Appends one message for the flow. Only the key counts for remove_by_key and get.
void encode_request(common::Bytes& out, RequestKind kind, const Flow& flow, std::uint32_t sequence,
                    const common::SyncMasks& masks = {});
/// Appends a request to expect what the flow announced; nothing but the time is changed where it is expected already.
void encode_expectation(common::Bytes& out, const Flow& master, const Expectation& expectation, std::uint32_t sequence);
/// Appends a request for what the flow announced: a dump, answered by messages of kind expectation and done.
void encode_expectations_of(common::Bytes& out, const FlowKey& master, std::uint32_t sequence);
/// Appends a request for all expectations, both families.
void encode_expectations_dump(common::Bytes& out, std::uint32_t sequence);
/// Appends a request for the whole table, both families.
void encode_dump(common::Bytes& out, std::uint32_t sequence);

/// The reply tuple as it would be without translation: what the kernel wants at creation.
Tuple untranslated_reply(const Flow& flow);

}  // namespace syncd::ctnetlink
