#include "natctl/io/nft_counters.hpp"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include "natctl/nft.hpp"

namespace natctl::io {
namespace {

using Packets = std::map<std::string, std::uint64_t>;
using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

common::Status failed(const char* what) {
  return common::fail(std::string("nftables: ") + what + ": " + std::strerror(errno), errno);
}

int take_count(const nlattr* attribute, void* into) {
  std::uint64_t packets = 0;
  if (mnl_attr_get_type(attribute) != NFTA_COUNTER_PACKETS || mnl_attr_get_payload_len(attribute) < sizeof packets)
    return MNL_CB_OK;
  packets = mnl_attr_get_u64(attribute);
  if constexpr (std::endian::native == std::endian::little) packets = std::byteswap(packets);
  *static_cast<std::uint64_t*>(into) = packets;
  return MNL_CB_OK;
}

struct Counter {
  std::string name;
  std::uint64_t packets = 0;
};

int take_part(const nlattr* attribute, void* into) {
  auto* counter = static_cast<Counter*>(into);
  const int type = mnl_attr_get_type(attribute);
  if (type == NFTA_OBJ_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
    counter->name = mnl_attr_get_str(attribute);
  if (type == NFTA_OBJ_DATA) mnl_attr_parse_nested(attribute, take_count, &counter->packets);
  return MNL_CB_OK;
}

int take(const nlmsghdr* message, void* into) {
  Counter counter;
  mnl_attr_parse(message, sizeof(nfgenmsg), take_part, &counter);
  if (!counter.name.empty()) (*static_cast<Packets*>(into))[counter.name] = counter.packets;
  return MNL_CB_OK;
}

common::Status ask(mnl_socket* socket) {
  std::array<char, 256> buffer{};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETOBJ;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = 1;
  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  family->nfgen_family = NFPROTO_INET;
  family->version = NFNETLINK_V0;
  mnl_attr_put_strz(message, NFTA_OBJ_TABLE, kTableName.data());  // a literal, so it ends with a zero
  std::uint32_t counter = NFT_OBJECT_COUNTER;
  if constexpr (std::endian::native == std::endian::little) counter = std::byteswap(counter);
  mnl_attr_put_u32(message, NFTA_OBJ_TYPE, counter);
  if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0) return failed("counters cannot be asked for");
  return {};
}

}  // namespace

common::Result<Packets> counted_packets() {
  const Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    return std::unexpected(failed("no socket").error());
  if (const auto asked = ask(socket.get()); !asked) return std::unexpected(asked.error());
  Packets packets;
  std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    const int next = size < 0 ? MNL_CB_ERROR
                              : mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), 1,
                                           mnl_socket_get_portid(socket.get()), take, &packets);
    if (next == MNL_CB_STOP) return packets;
    if (next == MNL_CB_ERROR && errno == ENOENT) return Packets{};
    if (next == MNL_CB_ERROR) return std::unexpected(failed("counters cannot be read").error());
  }
}

}  // namespace natctl::io
