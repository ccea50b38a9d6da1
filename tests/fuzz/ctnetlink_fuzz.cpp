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
  }
  return 0;
}
