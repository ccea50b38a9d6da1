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
#include <string>
#include <string_view>

namespace natctl::io {
namespace {

using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

/// Of what nft keeps beside a rule for itself (type, length, value), the comment, which ends with a zero.
constexpr unsigned char kUserComment = 0;
/// A list that somebody changes while it is read is read again, so often.
constexpr int kTries = 5;

common::Status failed(const char* what) {
  return common::fail(std::string("nftables: ") + what + ": " + std::strerror(errno), errno);
}

std::uint64_t big_endian(const nlattr* attribute) {
  const std::uint64_t number = mnl_attr_get_u64(attribute);
  return std::endian::native == std::endian::little ? std::byteswap(number) : number;
}

bool is_text(const nlattr* attribute) {
  return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0;
}

int take_count(const nlattr* attribute, void* into) {
  auto* counts = static_cast<Counts*>(into);
  if (mnl_attr_get_payload_len(attribute) < sizeof counts->packets) return MNL_CB_OK;
  if (mnl_attr_get_type(attribute) == NFTA_COUNTER_PACKETS) counts->packets = big_endian(attribute);
  if (mnl_attr_get_type(attribute) == NFTA_COUNTER_BYTES) counts->bytes = big_endian(attribute);
  return MNL_CB_OK;
}

// --- named counters ------------------------------------------------------------------------------------------------

struct Counter {
  std::string name;
  Counts counts;
};

int take_counter_part(const nlattr* attribute, void* into) {
  auto* counter = static_cast<Counter*>(into);
  const int type = mnl_attr_get_type(attribute);
  if (type == NFTA_OBJ_NAME && is_text(attribute)) counter->name = mnl_attr_get_str(attribute);
  if (type == NFTA_OBJ_DATA) mnl_attr_parse_nested(attribute, take_count, &counter->counts);
  return MNL_CB_OK;
}

int take_counter(const nlmsghdr* message, void* into) {
  Counter counter;
  mnl_attr_parse(message, sizeof(nfgenmsg), take_counter_part, &counter);
  if (!counter.name.empty()) (*static_cast<CountsByKey*>(into))[counter.name] = counter.counts;
  return MNL_CB_OK;
}

// --- rules ---------------------------------------------------------------------------------------------------------

struct Expression {
  bool counter = false;
  const nlattr* data = nullptr;
};

int take_expression_part(const nlattr* attribute, void* into) {
  auto* expression = static_cast<Expression*>(into);
  const int type = mnl_attr_get_type(attribute);
  if (type == NFTA_EXPR_NAME && is_text(attribute))
    expression->counter = std::string_view(mnl_attr_get_str(attribute)) == "counter";
  if (type == NFTA_EXPR_DATA) expression->data = attribute;
  return MNL_CB_OK;
}

struct Rule {
  std::string_view comment;
  bool counts_something = false;
  Counts counts;
};

int take_expression(const nlattr* attribute, void* into) {
  Expression expression;
  mnl_attr_parse_nested(attribute, take_expression_part, &expression);
  if (!expression.counter || expression.data == nullptr) return MNL_CB_OK;
  auto* rule = static_cast<Rule*>(into);
  rule->counts_something = true;
  mnl_attr_parse_nested(expression.data, take_count, &rule->counts);
  return MNL_CB_OK;
}

std::string_view comment_in(std::string_view user_data) {
  while (user_data.size() >= 2) {
    const auto type = static_cast<unsigned char>(user_data[0]), length = static_cast<unsigned char>(user_data[1]);
    user_data.remove_prefix(2);
    if (length > user_data.size()) return {};
    const std::string_view value = user_data.substr(0, length);
    if (type == kUserComment) return value.substr(0, value.find('\0'));
    user_data.remove_prefix(length);
  }
  return {};
}

int take_rule_part(const nlattr* attribute, void* into) {
  auto* rule = static_cast<Rule*>(into);
  const int type = mnl_attr_get_type(attribute);
  if (type == NFTA_RULE_EXPRESSIONS) mnl_attr_parse_nested(attribute, take_expression, rule);
  if (type == NFTA_RULE_USERDATA)
    rule->comment =
        comment_in({static_cast<const char*>(mnl_attr_get_payload(attribute)), mnl_attr_get_payload_len(attribute)});
  return MNL_CB_OK;
}

int take_rule(const nlmsghdr* message, void* into) {
  Rule rule;
  mnl_attr_parse(message, sizeof(nfgenmsg), take_rule_part, &rule);
  if (std::string key = counts_key(rule.comment); rule.counts_something && !key.empty())
    (*static_cast<CountsByKey*>(into))[std::move(key)] = rule.counts;
  return MNL_CB_OK;
}

// --- asking --------------------------------------------------------------------------------------------------------

/// What is listed, by the attribute that names the table, and who takes it.
struct Question {
  int message;
  std::uint16_t table;
  mnl_cb_t take;
};
constexpr Question kCounters{NFT_MSG_GETOBJ, NFTA_OBJ_TABLE, take_counter};
constexpr Question kRules{NFT_MSG_GETRULE, NFTA_RULE_TABLE, take_rule};

common::Status send(mnl_socket* socket, const Question& question) {
  std::array<char, 256> buffer{};
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | question.message);
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = 1;
  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  family->nfgen_family = NFPROTO_INET;
  family->version = NFNETLINK_V0;
  mnl_attr_put_strz(message, question.table, kTableName.data());  // a literal, so it ends with a zero
  if (question.message == NFT_MSG_GETOBJ) {
    std::uint32_t counter = NFT_OBJECT_COUNTER;
    if constexpr (std::endian::native == std::endian::little) counter = std::byteswap(counter);
    mnl_attr_put_u32(message, NFTA_OBJ_TYPE, counter);
  }
  if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0) return failed("counters cannot be asked for");
  return {};
}

/// Each try has a socket of its own: of one that failed, the rest may still come.
common::Status ask_once(const Question& question, CountsByKey& into) {
  const Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return failed("no socket");
  if (auto asked = send(socket.get(), question); !asked) return asked;
  std::array<char, 32768> buffer;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    const int next = size < 0 ? MNL_CB_ERROR
                              : mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), 1,
                                           mnl_socket_get_portid(socket.get()), question.take, &into);
    if (next == MNL_CB_STOP) return {};
    if (next == MNL_CB_ERROR && errno == ENOENT) return {};
    if (next == MNL_CB_ERROR) return failed("counters cannot be read");
  }
}

common::Status ask(const Question& question, CountsByKey& into) {
  common::Status done;
  for (int i = 0; i < kTries; ++i) {
    done = ask_once(question, into);
    if (done || done.error().code != EINTR) break;  // else the list was changed meanwhile
  }
  return done;
}

}  // namespace

common::Result<CountsByKey> counted() {
  CountsByKey counts;
  if (const auto done = ask(kCounters, counts); !done) return std::unexpected(done.error());
  return counts;
}

common::Result<CountsByKey> counted_with_rules() {
  CountsByKey counts;
  for (const Question& question : {kCounters, kRules})
    if (const auto done = ask(question, counts); !done) return std::unexpected(done.error());
  return counts;
}

}  // namespace natctl::io
