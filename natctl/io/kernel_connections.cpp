#include "natctl/io/kernel_connections.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnfnetlink/libnfnetlink.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/connection_filter.hpp"
#include "natctl/io/terminal.hpp"

namespace natctl::io {
namespace {

/// A dump comes in pieces of a page or two; this holds enough of them that the kernel need not wait for us.
constexpr unsigned kReceiveBuffer = 1u << 20;
/// Longest line of libnetfilter_conntrack with all that it can say; labels and helper names included.
constexpr std::size_t kLongestLine = 1024;

struct CloseHandle {
  void operator()(nfct_handle* handle) const { nfct_close(handle); }
};

using See = std::function<void(nf_conntrack*)>;

int take(nf_conntrack_msg_type, nf_conntrack* flow, void* see) {
  (*static_cast<const See*>(see))(flow);
  return NFCT_CB_CONTINUE;
}

common::Status each_flow(const See& see) {
  const std::unique_ptr<nfct_handle, CloseHandle> handle(nfct_open(CONNTRACK, 0));
  if (!handle) return common::fail(fmt::format("cannot ask the kernel for its connections: {}", std::strerror(errno)));
  nfnl_rcvbufsiz(nfct_nfnlh(handle.get()), kReceiveBuffer);
  nfct_callback_register(handle.get(), NFCT_T_ALL, take, const_cast<See*>(&see));
  const std::uint32_t every_family = AF_UNSPEC;
  if (nfct_query(handle.get(), NFCT_Q_DUMP, &every_family) == 0) return {};
  if (errno == EPERM) return common::fail("only root may read the connection tracking table: use sudo", EPERM);
  return common::fail(fmt::format("the kernel does not list its connections: {}", std::strerror(errno)), errno);
}

common::IpAddress address_in(const nf_conntrack* flow, nf_conntrack_attr v4, nf_conntrack_attr v6) {
  const nf_conntrack_attr attribute = nfct_attr_is_set(flow, v4) > 0 ? v4 : v6;
  const auto* bytes = static_cast<const std::byte*>(nfct_get_attr(flow, attribute));
  if (bytes == nullptr) return {};
  if (attribute == v4) return common::IpAddress::v4(std::span<const std::byte, 4>(bytes, 4));
  return common::IpAddress::v6(std::span<const std::byte, 16>(bytes, 16));
}

std::uint16_t port_in(const nf_conntrack* flow, nf_conntrack_attr attribute) {
  return nfct_attr_is_set(flow, attribute) > 0 ? ntohs(nfct_get_attr_u16(flow, attribute)) : std::uint16_t{0};
}

Conversation conversation_of(const nf_conntrack* flow) {
  Conversation talk;
  talk.protocol = nfct_get_attr_u8(flow, ATTR_L4PROTO);
  talk.source = address_in(flow, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC);
  talk.destination = address_in(flow, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
  talk.reply_source = address_in(flow, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC);
  talk.reply_destination = address_in(flow, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_DST);
  talk.source_port = port_in(flow, ATTR_ORIG_PORT_SRC);
  talk.destination_port = port_in(flow, ATTR_ORIG_PORT_DST);
  talk.reply_source_port = port_in(flow, ATTR_REPL_PORT_SRC);
  talk.reply_destination_port = port_in(flow, ATTR_REPL_PORT_DST);
  if (nfct_attr_is_set(flow, ATTR_ORIG_COUNTER_BYTES) > 0 && nfct_attr_is_set(flow, ATTR_REPL_COUNTER_BYTES) > 0)
    talk.bytes = nfct_get_attr_u64(flow, ATTR_ORIG_COUNTER_BYTES) + nfct_get_attr_u64(flow, ATTR_REPL_COUNTER_BYTES);
  return talk;
}

std::string line_of(nf_conntrack* flow) {
  std::array<char, kLongestLine> text{};
  nfct_snprintf(text.data(), text.size(), flow, NFCT_T_UNKNOWN, NFCT_O_DEFAULT, NFCT_OF_SHOW_LAYER3);
  return text.data();
}

}  // namespace

int show_kernel_connections(const Invocation& invocation) {
  const auto filter = common::ConnectionFilter::parse(invocation.filter);
  const std::string fault = !filter         ? filter.error().text
                            : filter->own() ? "the kernel does not know which connections are \"own\" or \"peer\": ask "
                                              "without --kernel"
                                            : "";
  if (!fault.empty()) return misused(fault);
  // A table may hold a million: each line goes out as it comes.
  std::size_t found = 0;
  const Columns columns = terminal_columns();
  if (invocation.json) std::fputs("{\"connections\": [", stdout);
  const auto done = each_flow([&](nf_conntrack* flow) {
    const Conversation talk = conversation_of(flow);
    if (!filter->wants(talk.protocol, talk.addresses(), talk.ports())) return;
    std::string line = line_of(flow);
    if (invocation.json) line = (found == 0 ? "" : ",\n") + nlohmann::json{{"flow", line}}.dump();
    std::fputs((invocation.json ? line : folded(line + "\n", columns)).c_str(), stdout);
    ++found;
  });
  if (invocation.json) std::fputs("], \"more\": false}\n", stdout);
  if (!done) return failed(done.error().text);
  if (found == 0 && !invocation.json) std::puts("none");
  return 0;
}

common::Status each_conversation(const std::function<void(const Conversation&)>& see) {
  return each_flow([&](nf_conntrack* flow) { see(conversation_of(flow)); });
}

}  // namespace natctl::io
