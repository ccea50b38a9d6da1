#include "natctl/io/nftables.hpp"

#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "natctl/nft.hpp"

namespace natctl::io {

using common::fail;
using common::Result;
using common::Status;

namespace {

// Contexts of libnftables have been seen to grow with errors: a fresh one now and then costs nothing.
constexpr int kErrorsPerContext = 32;
// The notifications of one transaction: replacing 10,000 rules makes 30 MB of them. What does not fit is lost and
// counts as a change by somebody else, and the table would be written again and again. It is a bound; memory is taken
// only while they wait.
constexpr int kWatchBuffer = 128 << 20;

/// "Error: ... : the line it is about", from the several lines that nft writes for a terminal.
std::string one_line(std::string_view text) {
  std::string result;
  int lines = 0;
  while (!text.empty() && lines < 2) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty()) continue;
    if (!result.empty()) result += ": ";
    result += line;
    ++lines;
  }
  return result.empty() ? std::string("nftables refused the rules without saying why") : "nftables: " + result;
}

}  // namespace

struct Nftables::Context {
  Context() : handle(nft_ctx_new(NFT_CTX_DEFAULT)) {
    if (handle == nullptr) return;
    nft_ctx_buffer_output(handle);
    nft_ctx_buffer_error(handle);
  }
  ~Context() {
    if (handle != nullptr) nft_ctx_free(handle);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  nft_ctx* handle;
};

Nftables::Nftables() : context_(std::make_unique<Context>()) {}
Nftables::~Nftables() = default;

Status Nftables::execute(const std::string& text) {
  if (context_->handle == nullptr) return fail("libnftables cannot be used: out of memory", ENOMEM);
  const int result = nft_run_cmd_from_buffer(context_->handle, text.c_str());
  const std::string said = nft_ctx_get_error_buffer(context_->handle);
  if (result == 0) return {};
  std::string line = one_line(said);
  // Whoever lacks the right hears of it as of any other failure.
  if (geteuid() != 0 && line.find(std::strerror(EPERM)) != std::string::npos)
    line += " (run as root, or with CAP_NET_ADMIN)";
  if (++errors_ % kErrorsPerContext == 0) context_ = std::make_unique<Context>();
  return fail(std::move(line));
}

Status Nftables::run(const std::string& text) {
  const Status result = execute(text);
  if (context_->handle != nullptr) nft_ctx_get_output_buffer(context_->handle);
  return result;
}

Status Nftables::check(const std::string& text) {
  if (context_->handle == nullptr) return fail("libnftables cannot be used: out of memory", ENOMEM);
  nft_ctx_set_dry_run(context_->handle, true);
  const Status result = run(text);
  if (context_->handle != nullptr) nft_ctx_set_dry_run(context_->handle, false);
  return result;
}

Result<std::string> Nftables::list() {
  return list_with(NFT_CTX_OUTPUT_JSON);
}

Result<std::string> Nftables::list_text() {
  return list_with(NFT_CTX_OUTPUT_STATELESS);
}

Result<std::string> Nftables::list_with(unsigned flags) {
  if (context_->handle == nullptr) return fail("libnftables cannot be used: out of memory", ENOMEM);
  // Asking for one table that does not exist is an error like any other; so ask first which there are.
  const auto ask = [&](const std::string& command) -> Result<std::string> {
    nft_ctx_output_set_flags(context_->handle, flags);
    const Status done = execute(command);
    if (!done) return std::unexpected(done.error());
    return std::string(nft_ctx_get_output_buffer(context_->handle));
  };
  auto tables = ask("list tables inet");
  const bool json = (flags & NFT_CTX_OUTPUT_JSON) != 0;
  const std::string named = json ? '"' + std::string(kTableName) + '"' : "table " + std::string(kTable) + "\n";
  if (tables && tables->find(named) != std::string::npos)
    tables = ask("list table " + std::string(kTable));
  else if (tables)
    tables->clear();
  if (context_->handle != nullptr) nft_ctx_output_set_flags(context_->handle, 0);
  return tables;
}

// --- trying -------------------------------------------------------------------------------------------------

namespace {

/// In the child: the first byte says how it went.
std::string try_alone(const std::string& text) {
  if (unshare(CLONE_NEWNET) != 0) return std::string("-a network namespace: ") + std::strerror(errno);
  Nftables alone;
  if (const auto done = alone.run(text); !done) return "-" + done.error().text;
  const auto listed = alone.list_text();
  return listed ? "+" + *listed : "-" + listed.error().text;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

Result<std::string> as_listed(const std::string& text) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail(std::string("pipe: ") + std::strerror(errno), errno);
  common::io::UniqueFd reader(ends[0]), writer(ends[1]);
  const pid_t child = fork();
  if (child < 0) return fail(std::string("fork: ") + std::strerror(errno), errno);
  if (child == 0) {
    write_all(writer.get(), try_alone(text));
    _exit(0);
  }
  writer.reset();
  const std::string said = read_all(reader.get());
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (said.starts_with('+')) return said.substr(1);
  return fail(said.empty() ? std::string("the trial ended without a word") : said.substr(1));
}

// --- watching -----------------------------------------------------------------------------------------

Result<TableWatch> TableWatch::open() {
  common::io::UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return fail(std::string("nftables cannot be watched: ") + std::strerror(errno), errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  const int group = NFNLGRP_NFTABLES;
  // Without the privilege to force it, the default size will do for most tables.
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kWatchBuffer, sizeof kWatchBuffer);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail(std::string("nftables cannot be watched: ") + std::strerror(errno), errno);
  return TableWatch(std::move(fd));
}

int TableWatch::touched() {
  int count = 0;
  alignas(nlmsghdr) std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t size = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size > 0) {
      count += read(buffer.data(), static_cast<std::size_t>(size));
    } else if (size < 0 && errno == ENOBUFS) {
      count = kUnknown;
    } else if (!(size < 0 && errno == EINTR)) {
      return count;
    }
  }
}

namespace {

/// The attribute's payload, if there is one of at least this size.
std::string_view attribute(std::string_view attributes, std::uint16_t type) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr head;
    std::memcpy(&head, attributes.data(), sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > attributes.size()) return {};
    if ((head.nla_type & NLA_TYPE_MASK) == type) return attributes.substr(sizeof head, head.nla_len - sizeof head);
    attributes.remove_prefix(std::min<std::size_t>(NLA_ALIGN(head.nla_len), attributes.size()));
  }
  return {};
}

// In each message about a table or a thing in one, the first attribute is the table's name.
constexpr std::uint16_t kTableAttribute = 1;
static_assert(NFTA_TABLE_NAME == kTableAttribute && NFTA_CHAIN_TABLE == kTableAttribute &&
              NFTA_RULE_TABLE == kTableAttribute && NFTA_SET_TABLE == kTableAttribute &&
              NFTA_OBJ_TABLE == kTableAttribute);

}  // namespace

/// A transaction's notifications come in one run, which that of the new generation ends.
int TableWatch::read(const void* data, std::size_t size) {
  int count = 0;
  std::string_view rest(static_cast<const char*>(data), size);
  constexpr std::size_t kHead = sizeof(nlmsghdr) + sizeof(nfgenmsg);
  while (rest.size() >= kHead) {
    nlmsghdr head;
    nfgenmsg family;
    std::memcpy(&head, rest.data(), sizeof head);
    std::memcpy(&family, rest.data() + sizeof head, sizeof family);
    if (head.nlmsg_len < kHead || head.nlmsg_len > rest.size()) break;
    if (head.nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN)) {
      count += in_batch_ ? 1 : 0;
      in_batch_ = false;
    } else if (family.nfgen_family == NFPROTO_INET) {
      std::string_view table = attribute(rest.substr(kHead, head.nlmsg_len - kHead), kTableAttribute);
      while (!table.empty() && table.back() == '\0') table.remove_suffix(1);
      in_batch_ = in_batch_ || table == kTableName;
    }
    rest.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), rest.size()));
  }
  return count;
}

}  // namespace natctl::io
