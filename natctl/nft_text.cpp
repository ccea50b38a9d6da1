#include "natctl/nft_text.hpp"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>

#include "natctl/nft.hpp"

namespace natctl {

using common::AddressRange;
using common::Family;

namespace {

// The kernel keeps 128 bytes of comment with its final zero; the label and the hash need up to 30.
constexpr std::size_t kCommentText = 90;

bool plain(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// One value as itself, several as an anonymous set.
template <typename List>
std::string values(const List& list) {
  return list.size() == 1 ? fmt::format("{}", list.front()) : fmt::format("{{ {} }}", fmt::join(list, ", "));
}

void append(std::string& text, const std::string& part) {
  if (part.empty()) return;
  if (!text.empty()) text += ' ';
  text += part;
}

std::string family_text(Family family) {
  return family == Family::ipv4 ? "meta nfproto ipv4" : "meta nfproto ipv6";
}

bool everything(const AddressRange& range) {
  const auto network = range.network();
  return network && network->length == 0;
}

std::vector<std::string> range_texts(const std::vector<AddressRange>& ranges) {
  std::vector<std::string> texts;
  for (const AddressRange& range : ranges) texts.push_back(range_text(range));
  return texts;
}

/// "ip saddr @servers", "ip saddr != { a, b }"
std::string side_text(std::string_view field, std::string_view sign, const std::vector<AddressRange>& ranges,
                      const std::string& group) {
  if (ranges.empty()) return {};
  const Family family = ranges.front().family();
  // nftables takes no prefix of length 0.
  if (everything(ranges.front()) && sign.empty()) return family_text(family);
  return fmt::format("{} {} {}{}", family == Family::ipv4 ? "ip" : "ip6", field, sign,
                     group.empty() ? values(range_texts(ranges)) : "@" + group_set_name("address", group));
}

std::string address_text(std::string_view field, const common::AddressSet& set) {
  return join({side_text(field, "", set.any, set.any_group), side_text(field, "!= ", set.none, set.none_group)});
}

std::string port_side(std::string_view field, std::string_view sign, const std::vector<common::PortRange>& ranges,
                      const std::string& group) {
  if (ranges.empty()) return {};
  std::vector<std::string> texts;
  for (const auto& range : ranges) texts.push_back(range.to_string());
  return fmt::format("th {} {}{}", field, sign, group.empty() ? values(texts) : "@" + group_set_name("port", group));
}

std::string port_text(std::string_view field, const common::PortSet& set) {
  return join({port_side(field, "", set.any, set.any_group), port_side(field, "!= ", set.none, set.none_group)});
}

/// By numbers: names are looked up in a file that a small system does not have.
std::string protocol_text(const common::ProtocolSet& set) {
  std::string text;
  if (!set.any.empty()) append(text, "meta l4proto " + values(set.any));
  if (!set.none.empty()) append(text, "meta l4proto != " + values(set.none));
  return text;
}

std::string icmp_text(const Match& match) {
  if (match.icmp_types.empty()) return {};
  const bool v4 = std::ranges::find(match.protocol.any, common::protocols::icmp) != match.protocol.any.end();
  std::string text = fmt::format("{} type {}", v4 ? "icmp" : "icmpv6", values(match.icmp_types));
  if (match.icmp_code) text += fmt::format(" {} code {}", v4 ? "icmp" : "icmpv6", *match.icmp_code);
  return text;
}

std::string flag_names(std::uint8_t flags) {
  std::vector<std::string_view> names;
  for (int bit = 0; bit < 8; ++bit)
    if ((flags >> bit & 1) != 0) names.push_back(common::tcp_flag_name(bit));
  return names.empty() ? std::string("0x0") : fmt::format("({})", fmt::join(names, " | "));
}

std::string flags_text(const common::TcpFlags& flags) {
  if (flags.looked_at == 0) return {};
  return fmt::format("tcp flags & {} == {}", flag_names(flags.looked_at), flag_names(flags.set));
}

std::string states_text(const std::vector<common::ConnectionState>& given) {
  if (given.empty()) return {};
  std::vector<std::string_view> states;
  for (const auto state : given) states.push_back(to_string(state));
  return "ct state " + values(states);
}

/// Printable ASCII only: a cut through a longer character would make the listing unreadable as JSON.
std::string comment_words(const std::string& description) {
  std::string text;
  for (const char c : description.substr(0, kCommentText)) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte >= ' ' && byte < 0x7f && c != '"' && c != '\\' ? c : '_';
  }
  return text;
}

}  // namespace

void Writer::line(std::string_view text) {
  text_.append(static_cast<std::size_t>(depth_) * 2, ' ');
  text_ += text;
  text_ += '\n';
}

void Writer::open(std::string_view head) {
  line(std::string(head) + " {");
  ++depth_;
  in_chain_.clear();
}

void Writer::close() {
  --depth_;
  line("}");
}

void Writer::base(std::string_view name, std::string_view type, std::string_view hook, std::string_view priority) {
  open(fmt::format("chain {}", name));
  line(fmt::format("type {} hook {} priority {}; policy accept;", type, hook, priority));
}

void Writer::rule(std::initializer_list<std::string> parts) {
  line(join(parts));
}

void Writer::rule_once(std::initializer_list<std::string> parts) {
  if (std::string text = join(parts); in_chain_.insert(text).second) line(text);
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

std::string join(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) append(text, part);
  return text;
}

std::string prefix_text(std::string_view field, const common::Prefix& prefix) {
  const Family family = prefix.address.family();
  if (prefix.length == 0) return family_text(family);
  return fmt::format("{} {} {}/{}", family == Family::ipv4 ? "ip" : "ip6", field, prefix.network().to_string(),
                     prefix.length);
}

std::string range_text(const AddressRange& range) {
  return range.to_string();
}

std::vector<std::string> by_family(std::string_view field, const std::vector<AddressRange>& ranges) {
  std::vector<std::string> result;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<std::string> list;
    for (const AddressRange& range : ranges)
      if (range.family() == family) list.push_back(range_text(range));
    if (!list.empty())
      result.push_back(
          fmt::format("{} {} {{ {} }}", family == Family::ipv4 ? "ip" : "ip6", field, fmt::join(list, ", ")));
  }
  return result;
}

std::string interface_text(std::string_view field, const common::InterfaceSet& set) {
  const auto side = [&](std::string_view sign, const std::vector<std::string>& names) -> std::string {
    if (names.empty()) return {};
    std::vector<std::string> texts;
    for (const std::string& name : names) texts.push_back(in_quotes(name));
    return fmt::format("{} {}{}", field, sign, values(texts));
  };
  return join({side("", set.any), side("!= ", set.none)});
}

std::string match_text(const Match& match) {
  std::string text = join({interface_text("iifname", match.inbound), interface_text("oifname", match.outbound),
                           address_text("saddr", match.source), address_text("daddr", match.destination)});
  if (match.family && match.source.empty() && match.destination.empty()) append(text, family_text(*match.family));
  append(text, protocol_text(match.protocol));
  append(text, port_text("sport", match.source_ports));
  append(text, port_text("dport", match.destination_ports));
  append(text, icmp_text(match));
  append(text, flags_text(match.tcp_flags));
  if (match.source_mac) append(text, "ether saddr " + match.source_mac->to_string());
  append(text, states_text(match.states));
  // Last: what does not match otherwise must not use it up.
  if (match.limit)
    append(text,
           fmt::format("limit rate {}/{} burst {} packets", match.limit->rate, match.limit->unit, match.limit->burst));
  return text;
}

std::string counted(const std::string& chain, const std::string& match, const std::string& verdict,
                    const std::string& label, const std::string& description, const std::string& log_prefix) {
  const std::string log = log_prefix.empty() ? std::string() : fmt::format("log prefix \"{}\"", log_prefix);
  const std::string identity = fmt::format("{}\n{}\n{}\n{}\n{}", chain, label, match, log, verdict);
  const std::uint32_t hash = XXH32(identity.data(), identity.size(), 0);
  return join({match, "counter", log, verdict,
               fmt::format("comment \"{}{}{} #{:08x}\"", label, description.empty() ? "" : ": ",
                           comment_words(description), hash)});
}

std::string encode_name(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (plain(static_cast<unsigned char>(c)))
      text += c;
    else
      text += fmt::format("/{:02x}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string decode_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      name += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      name += text[i];
    }
  }
  return name;
}

std::string group_set_name(std::string_view kind, std::string_view group) {
  return fmt::format("{}_{}", kind, encode_name(group));
}

}  // namespace natctl
