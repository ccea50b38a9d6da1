#include "syncd/io/conntrack_writer.hpp"

#include <linux/netlink.h>

#include <cerrno>

namespace syncd::io {

using ctnetlink::MessageKind;
using ctnetlink::RequestKind;
using Op = KernelWrite::Op;

namespace {

/// One answer is a datagram: an error of 36 bytes, or an entry that was read back (240 to some 1,000 bytes).
constexpr std::size_t kAnswerSize = 8192;

bool tied(const Flow& flow) {
  return flow.extras && (flow.extras->master || !flow.extras->helper.empty());
}

/// The first requests of a write.
void plan(const KernelWrite& write, std::size_t index, auto& batch) {
  switch (write.op) {
    case Op::create:
    case Op::create_or_update:
      batch.push_back({index, RequestKind::create});
      break;
    case Op::update:
      batch.push_back({index, RequestKind::update});
      break;
    case Op::set_timeout:
      batch.push_back({index, RequestKind::set_timeout});
      break;
    case Op::remove:
      batch.push_back({index, RequestKind::remove_by_key});
      break;
    case Op::replace:
      batch.push_back({index, RequestKind::remove_by_key});
      batch.push_back({index, RequestKind::remove_by_reply});
      batch.push_back({index, RequestKind::create});
      break;
    case Op::expect:
      for (std::size_t part = 0; write.flow.extras && part < write.flow.extras->expectations.size(); ++part)
        batch.push_back({.write = index, .kind = RequestKind::expect, .part = part});
      break;
  }
}

}  // namespace

common::Result<ConntrackWriter> ConntrackWriter::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, "conntrack writer");
  if (!socket) return std::unexpected(socket.error());
  socket->receive_buffer(kReceiveBuffer);
  socket->short_errors();
  ConntrackWriter result(std::move(*socket));
  result.buffer_.resize(kAnswerSize);
  return result;
}

void ConntrackWriter::write(std::span<const KernelWrite> writes, std::vector<KernelResult>& refused) {
  std::size_t at = 0;
  while (at < writes.size()) {
    batch_.clear();
    // A replace is three requests and may end a little beyond the batch.
    for (; at < writes.size() && batch_.size() < kBatch; ++at) plan(writes[at], at, batch_);
    // Follow-ups get ever fewer: create -> get -> update -> update untied -> update but status.
    while (!batch_.empty()) {
      perform(writes, batch_);
      next_.clear();
      follow_up(writes, batch_, refused);
      batch_.swap(next_);
    }
  }
  counters_.written += writes.size();
}

void ConntrackWriter::perform(std::span<const KernelWrite> writes, std::vector<Request>& batch) {
  bytes_.clear();
  sequence_ += static_cast<std::uint32_t>(kBatch) * 2;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Flow& flow = writes[batch[i].write].flow;
    const auto sequence = sequence_ + static_cast<std::uint32_t>(i);
    if (batch[i].kind == RequestKind::expect)
      ctnetlink::encode_expectation(bytes_, flow, flow.extras->expectations[batch[i].part], sequence);
    else
      ctnetlink::encode_request(bytes_, batch[i].kind, flow, sequence, masks_);
  }
  if (const auto sent = socket_.send(bytes_); !sent) {
    for (Request& request : batch) {
      request.refused = true;
      request.code = sent.error().code;
    }
    return;
  }
  receive_answers(writes, batch);
}

void ConntrackWriter::receive_answers(std::span<const KernelWrite> writes, std::vector<Request>& batch) {
  for (;;) {
    common::ByteView datagram;
    switch (socket_.receive(buffer_, datagram)) {
      case NetlinkSocket::Received::datagram:
        while (const auto message = ctnetlink::next_message(datagram)) note(*message, writes, batch);
        break;
      case NetlinkSocket::Received::lost:
      case NetlinkSocket::Received::failed:
        // What was refused is not known any more, so all of it counts as refused; the engine may try again.
        ++counters_.answers_lost;
        for (Request& request : batch) {
          if (request.refused) continue;
          request.refused = true;
          request.code = ENOBUFS;
        }
        return;
      case NetlinkSocket::Received::nothing:
        return;
    }
  }
}

void ConntrackWriter::note(const ctnetlink::Message& message, std::span<const KernelWrite> writes,
                           std::vector<Request>& batch) {
  const std::uint32_t index = message.sequence - sequence_;
  if (index >= batch.size()) return;
  Request& request = batch[index];
  switch (ctnetlink::kind_of(message)) {
    case MessageKind::error:
      request.code = ctnetlink::error_code(message);
      request.refused = request.code != 0;
      break;
    case MessageKind::created:
    case MessageKind::updated:
      if (const auto found = ctnetlink::decode_flow(message); found && request.kind == RequestKind::get) {
        const Flow& wanted = writes[request.write].flow;
        request.same = found->key == wanted.key && found->reply == wanted.reply;
      }
      break;
    case MessageKind::destroyed:
    case MessageKind::expectation:
    case MessageKind::done:
    case MessageKind::other:
      break;
  }
}

void ConntrackWriter::follow_up(std::span<const KernelWrite> writes, const std::vector<Request>& batch,
                                std::vector<KernelResult>& refused) {
  for (const Request& request : batch) {
    const KernelWrite& write = writes[request.write];
    switch (request.kind) {
      case RequestKind::create:
        if (!request.refused) break;
        if (request.code == EEXIST && write.op == Op::create_or_update) {
          ++counters_.existed;
          next_.push_back({request.write, RequestKind::get});
        } else if (tied(write.flow) && (request.code == EOPNOTSUPP || request.code == ENOENT)) {
          ++counters_.untied;
          next_.push_back({request.write, RequestKind::create_untied});
        } else {
          refuse(write, request.code, refused);
        }
        break;
      case RequestKind::get:
        // EEXIST says nothing about what exists: it may be another flow that holds the reply tuple.
        if (request.same)
          next_.push_back({request.write, RequestKind::update});
        else
          refuse(write, EEXIST, refused);
        break;
      case RequestKind::update:
      case RequestKind::update_untied:
        if (!request.refused) break;
        if (request.code == EBUSY && request.kind == RequestKind::update && write.flow.extras &&
            write.flow.extras->master) {
          next_.push_back({request.write, RequestKind::update_untied});
        } else if (request.code == EBUSY) {
          // The entry has status bits that this flow lacks (packets went through it here); it keeps them.
          ++counters_.status_kept;
          next_.push_back({request.write, RequestKind::update_but_status});
        } else if (request.code == ENOSPC && write.flow.extras && write.flow.extras->labels) {
          ++counters_.labels_kept;  // they come last: all else has been written
        } else {
          refuse(write, request.code, refused);
        }
        break;
      case RequestKind::expect:
      case RequestKind::create_untied:
      case RequestKind::update_but_status:
      case RequestKind::set_timeout:
        if (request.refused) refuse(write, request.code, refused);
        break;
      case RequestKind::remove_by_key:
        if (request.refused && write.op == Op::remove && request.code != ENOENT) refuse(write, request.code, refused);
        break;
      case RequestKind::remove_by_reply:
        break;  // the create that follows will tell
    }
  }
}

void ConntrackWriter::refuse(const KernelWrite& write, int code, std::vector<KernelResult>& refused) {
  ++counters_.refused;
  refused.push_back({write.token, code});
}

}  // namespace syncd::io
