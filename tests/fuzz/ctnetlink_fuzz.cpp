// What the kernel says of connections. It is trusted, and other kernels say other things.
#include <cstddef>
#include <cstdint>

#include "common/result.hpp"
#include "syncd/ctnetlink.hpp"
#include "syncd/record.hpp"

using namespace syncd;

namespace {

/// An entry as it is read becomes a record and a request, and neither is longer than its place.
void use(const Flow& flow) {
  const auto family = flow.key.original.source.family();
  if (flow.key.original.destination.family() != family || flow.reply.source.family() != family ||
      flow.reply.destination.family() != family)
    return;  // counted, and not carried
  Record record;
  encode(flow, nullptr, record);
  common::check(inspect(record.view()).has_value(), "every flow is a record");
  common::Bytes bytes;
  ctnetlink::encode_request(bytes, ctnetlink::RequestKind::create, decode(record.view()), 1);
  common::ByteView view = bytes;
  const auto request = ctnetlink::next_message(view);
  common::check(request && view.empty() && ctnetlink::decode_flow(*request), "a request is understood as a report is");
}

/// So does what is expected.
void use(const ctnetlink::Announced& announced) {
  const auto family = announced.master.original.source.family();
  if (announced.master.original.destination.family() != family) return;
  Flow flow;
  flow.key = announced.master;
  flow.reply = inverted(flow.key);
  flow.extras = Extras{.expectations = {announced.expectation}};
  Record record;
  encode(flow, nullptr, record);
  common::check(inspect(record.view()).has_value(), "every expectation is part of a record");
  const Flow again = decode(record.view());
  common::check(again.extras && again.extras->expectations == flow.extras->expectations, "it stays what it is");
  common::Bytes bytes;
  ctnetlink::encode_expectation(bytes, flow, announced.expectation, 1);
  common::ByteView view = bytes;
  const auto request = ctnetlink::next_message(view);
  common::check(request && view.empty() && ctnetlink::decode_expectation(*request), "a request is understood");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const common::Bytes bytes(reinterpret_cast<const std::byte*>(data), reinterpret_cast<const std::byte*>(data) + size);
  common::ByteView left = bytes;
  while (const auto message = ctnetlink::next_message(left)) {
    (void)ctnetlink::kind_of(*message);
    (void)ctnetlink::error_code(*message);
    const auto flow = ctnetlink::decode_flow(*message);
    if (flow)
      use(*flow);
    else
      common::check(!ctnetlink::to_string(flow.error()).empty(), "every error has a name");
    const auto master = ctnetlink::decode_master(*message);
    common::check(master || !ctnetlink::to_string(master.error()).empty(), "every error has a name");
    const auto announced = ctnetlink::decode_expectation(*message);
    if (announced)
      use(*announced);
    else
      common::check(!ctnetlink::to_string(announced.error()).empty(), "every error has a name");
  }
  return 0;
}
