#include "syncd/inquiry.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "syncd/record.hpp"

namespace syncd {
namespace {

bool wants(const common::ConnectionFilter& filter, const Flow& flow, bool own) {
  const Tuple& o = flow.key.original;
  return filter.own().value_or(own) == own &&
         filter.wants(
             flow.key.protocol, std::array{o.source, o.destination, flow.reply.source, flow.reply.destination},
             std::array{o.source_port, o.destination_port, flow.reply.source_port, flow.reply.destination_port});
}

}  // namespace

// --- asking
// -----------------------------------------------------------------------------------------------------------

void Inquiries::refuse(std::uint64_t client, std::uint64_t id, std::string why, Actions& out) {
  out.push_back(SendReply{client, {.id = id, .ok = false, .error = std::move(why), .body = {}}});
}

bool Inquiries::admit(std::uint64_t client, std::uint64_t id, Actions& out) {
  if (waiting_.size() < kMostInquiries) return true;
  refuse(client, id, "too many questions of this kind are waiting: try again", out);
  return false;
}

void Inquiries::list(std::uint64_t client, const common::Request& request, Actions& out) {
  auto filter = common::ConnectionFilter::parse(request.arguments);
  if (!filter) return refuse(client, request.id, filter.error().text, out);
  if (!admit(client, request.id, out)) return;
  waiting_.push_back({.client = client, .id = request.id, .filter = std::move(*filter)});
}

bool Inquiries::forget(std::uint64_t client, const common::Request& request, bool link_up, Actions& out) {
  const char* why = nullptr;
  if (!link_up)
    why = "the sync link is down, so what is forgotten could not be fetched again: nothing is forgotten";
  else if (std::ranges::none_of(store_.groups, flow_of_peer))
    why = "this router is master of every group: it keeps no connections of the other one";
  if (why != nullptr) refuse(client, request.id, why, out);
  if (why != nullptr || !admit(client, request.id, out)) return false;
  for (Group& group : store_.groups) {
    if (!flow_of_peer(group)) continue;
    ++group.generation;  // what the peer tells from now on is not what is to be forgotten
    group.held = {};
  }
  waiting_.push_back({.client = client, .id = request.id, .filter = std::nullopt});
  return true;
}

// --- walking
// ----------------------------------------------------------------------------------------------------------

void Inquiries::advance(Actions& out) {
  if (waiting_.empty()) return;
  Inquiry& inquiry = waiting_.front();
  const Slot end = std::min<Slot>(store_.table.end(), inquiry.cursor + static_cast<Slot>(kInquirySlice));
  for (; inquiry.cursor < end && !inquiry.more; ++inquiry.cursor) {
    const Entry& e = store_[inquiry.cursor];
    if (!e.used() || e.is(entry::gone | entry::sentinel)) continue;
    if (inquiry.filter)
      look_at(inquiry);
    else
      forget(inquiry);
  }
  if (inquiry.cursor < store_.table.end() && !inquiry.more) return;
  std::string body = inquiry.filter ? fmt::format("{{\"connections\":[{}],\"more\":{}}}", inquiry.lines, inquiry.more)
                                    : fmt::format("{{\"forgotten\":{}}}", inquiry.found);
  out.push_back(SendReply{inquiry.client, {.id = inquiry.id, .ok = true, .error = {}, .body = std::move(body)}});
  waiting_.erase(waiting_.begin());
}

void Inquiries::look_at(Inquiry& inquiry) {
  const Entry& e = store_[inquiry.cursor];
  const Group& group = store_.group_of(store_[inquiry.cursor]);
  const bool own = !flow_of_peer(group);
  const Flow flow = decode(store_.table.record(inquiry.cursor));
  if (!wants(*inquiry.filter, flow, own)) return;
  if (inquiry.found == kMostListed) {
    inquiry.more = true;
    return;
  }
  const nlohmann::ordered_json line{{"group", group.name},
                                    {"owner", own ? "own" : "peer"},
                                    {"in_kernel", e.is(entry::in_kernel)},
                                    {"withheld", e.is(entry::withheld)},
                                    {"flow", to_string(flow)}};
  if (inquiry.found++ != 0) inquiry.lines += ',';
  inquiry.lines += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void Inquiries::forget(Inquiry& inquiry) {
  const Slot slot = inquiry.cursor;
  const Entry& e = store_[slot];
  const Group& group = store_.group_of(store_[slot]);
  if (!flow_of_peer(group) || e.generation == group.generation || e.is(entry::in_kernel)) return;
  store_.unqueue(slot);
  store_.unqueue_write(slot);
  store_.end(slot);
  store_.release(slot);
  ++inquiry.found;
}

}  // namespace syncd
