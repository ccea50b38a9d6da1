// The sync link: datagrams from anybody, frames and records from a peer. The first byte chooses which.
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/result.hpp"
#include "syncd/frame.hpp"
#include "syncd/record.hpp"
#include "syncd/session.hpp"

namespace {

using common::Bytes;
using common::ByteView;

/// What was understood is said again in the same words, but for what only a newer peer can say, and for scales that do
/// not count.
void read_record(ByteView record, const syncd::RecordLayout& layout) {
  common::check(layout.size <= record.size() && layout.key_end <= layout.state_end &&
                    layout.state_end <= layout.timeout_end && layout.timeout_end <= layout.size,
                "the parts of a record lie within it, in their order");
  if (layout.gone) return;
  const syncd::Flow flow = syncd::decode(record.first(layout.size));
  syncd::Record again;
  syncd::encode(flow, nullptr, again);
  const auto second = syncd::inspect(again.view());
  common::check(second.has_value() && again.size <= layout.size, "what we say is understood");
  syncd::Flow twice = syncd::decode(again.view());
  if ((flow.tcp.flags_original & flow.tcp.flags_reply & syncd::tcp_flags::window_scale) == 0) twice.tcp = flow.tcp;
  common::check(twice == flow, "a flow survives being sent on");
  common::check(!syncd::to_string(flow).empty(), "a flow can be told of");
}

void read_records(ByteView data) {
  while (!data.empty()) {
    const auto layout = syncd::inspect(data);
    if (!layout) {
      common::check(!syncd::to_string(layout.error()).empty(), "every error has a name");
      return;
    }
    read_record(data, *layout);
    data = data.subspan(layout->size);
  }
}

void read_frame(ByteView payload, std::uint8_t protocol) {
  const auto frame = syncd::decode_frame(payload, {"R2", "R1", protocol});
  if (!frame) {
    common::check(!syncd::to_string(frame.error()).empty(), "every error has a name");
    return;
  }
  for (const auto& block : frame->flows) read_records(block.records);
  if (frame->verify_part) read_records(frame->verify_part->bytes);
}

void receive(ByteView datagram, bool secured) {
  syncd::NonceSource nonces({});
  std::vector<std::byte> key;
  if (secured) key.assign(32, std::byte{1});
  syncd::Session session("R1", "R2", std::move(key), nonces);
  const auto received = session.receive(datagram);
  if (received) return;
  common::check(!syncd::to_string(received.error()).empty(), "every error has a name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(reinterpret_cast<const std::byte*>(data) + 1, reinterpret_cast<const std::byte*>(data) + size);
  switch (data[0] & 3) {
    case 0:
      read_records(rest);
      break;
    case 1:
      for (std::uint8_t protocol = syncd::kOldestProtocol; protocol <= syncd::kProtocol; ++protocol)
        read_frame(rest, protocol);
      break;
    default:
      receive(rest, (data[0] & 1) != 0);
      break;
  }
  return 0;
}
