#include "syncd/inquiry.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "syncd/record.hpp"

namespace syncd {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 9> kProtocols{{{"icmp", 1},
                                                                               {"tcp", 6},
                                                                               {"udp", 17},
                                                                               {"dccp", 33},
                                                                               {"gre", 47},
                                                                               {"esp", 50},
                                                                               {"icmpv6", 58},
                                                                               {"sctp", 132},
                                                                               {"udplite", 136}}};

std::optional<std::uint16_t> port_of(const std::string& word) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
  if (error != std::errc{} || end != word.data() + word.size() || port == 0) return std::nullopt;
  return port;
}

bool flow_of_peer(const Group& group) {
  return group.role != Role::master;
}

}  // namespace

// --- the filter
// -------------------------------------------------------------------------------------------------------

common::Result<FlowFilter> FlowFilter::parse(const std::vector<std::string>& words) {
  FlowFilter filter;
  for (const std::string& word : words) {
    const auto protocol = std::ranges::find(kProtocols, word, &std::pair<std::string_view, std::uint8_t>::first);
    if (protocol != kProtocols.end()) {
      filter.protocol_ = protocol->second;
    } else if (word == "own" || word == "peer") {
      filter.own_ = word == "own";
    } else if (const auto port = port_of(word)) {
      filter.ports_.push_back(*port);
    } else if (const auto network = common::Prefix::parse(word)) {
      filter.networks_.push_back(*network);
    } else {
      return common::fail(fmt::format("\"{}\" is no protocol, address, prefix, port, \"own\" or \"peer\"", word));
    }
  }
  return filter;
}

bool FlowFilter::wants(const Flow& flow, bool own) const {
  if (own_ && *own_ != own) return false;
  if (protocol_ && *protocol_ != flow.key.protocol) return false;
  const Tuple& o = flow.key.original;
  const std::array addresses{&o.source, &o.destination, &flow.reply.source, &flow.reply.destination};
  const std::array ports{o.source_port, o.destination_port, flow.reply.source_port, flow.reply.destination_port};
  const auto has_network = [&](const common::Prefix& network) {
    return std::ranges::any_of(addresses, [&](const auto* address) { return network.contains(*address); });
  };
  const auto has_port = [&](std::uint16_t port) { return std::ranges::find(ports, port) != ports.end(); };
  return std::ranges::all_of(networks_, has_network) && std::ranges::all_of(ports_, has_port);
}

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
  auto filter = FlowFilter::parse(request.arguments);
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
  if (!inquiry.filter->wants(flow, own)) return;
  if (inquiry.found == kMostListed) {
    inquiry.more = true;
    return;
  }
  const nlohmann::ordered_json line{{"group", group.name},
                                    {"owner", own ? "own" : "peer"},
                                    {"in_kernel", e.is(entry::in_kernel)},
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
