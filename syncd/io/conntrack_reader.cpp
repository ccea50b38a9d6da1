#include "syncd/io/conntrack_reader.hpp"

#include <linux/netlink.h>

#include <algorithm>

#include "syncd/ctnetlink.hpp"

namespace syncd::io {
namespace {

/// An entry with everything that it can have takes about 1,000 bytes.
constexpr std::size_t kAnswerSize = 8192;

}  // namespace

common::Result<ConntrackReader> ConntrackReader::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, "conntrack reader");
  if (!socket) return std::unexpected(socket.error());
  ConntrackReader result(std::move(*socket));
  result.buffer_.resize(kAnswerSize);
  return result;
}

std::vector<FlowChange> ConntrackReader::read(std::span<const FlowKey> keys, Decoder& decoder) {
  std::vector<FlowChange> found;
  while (!keys.empty()) {
    requests_.clear();
    const auto batch = keys.first(std::min(keys.size(), kBatch));
    keys = keys.subspan(batch.size());
    Flow flow;
    for (const FlowKey& key : batch) {
      flow.key = key;
      ctnetlink::encode_request(requests_, ctnetlink::RequestKind::get, flow, ++sequence_);
    }
    if (socket_.send(requests_)) receive(found, decoder);
  }
  std::erase_if(found, [&](FlowChange& change) { return !read_expectations(change.flow, decoder); });
  return found;
}

/// False: the kernel did not say all of it, or has the flow no more. Of a flow without a helper it says nothing at all.
bool ConntrackReader::read_expectations(Flow& flow, Decoder& decoder) {
  requests_.clear();
  ctnetlink::encode_expectations_of(requests_, flow.key, ++sequence_);
  if (!socket_.send(requests_)) return false;
  Extras extras = flow.extras ? *flow.extras : Extras{};
  bool silent = true, done = false;
  common::ByteView datagram;
  while (socket_.receive(buffer_, datagram) == NetlinkSocket::Received::datagram) {
    silent = false;
    while (const auto message = ctnetlink::next_message(datagram)) {
      const auto kind = ctnetlink::kind_of(*message);
      done = done || kind == ctnetlink::MessageKind::done;
      if (kind != ctnetlink::MessageKind::expectation) continue;
      if (auto announced = ctnetlink::decode_expectation(*message))
        extras.expectations.push_back(std::move(announced->expectation));
      else
        decoder.add(announced.error());
    }
  }
  std::ranges::sort(extras.expectations);
  flow.extras = std::move(extras);
  return done || silent;
}

/// What is refused is not there any more.
void ConntrackReader::receive(std::vector<FlowChange>& out, Decoder& decoder) {
  common::ByteView datagram;
  while (socket_.receive(buffer_, datagram) == NetlinkSocket::Received::datagram) {
    while (const auto message = ctnetlink::next_message(datagram)) {
      if (ctnetlink::kind_of(*message) != ctnetlink::MessageKind::updated) continue;
      if (auto flow = decoder.flow(*message)) out.push_back({.kind = ChangeKind::detailed, .flow = *std::move(flow)});
    }
  }
}

}  // namespace syncd::io
