#include "natctl/nft_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "natctl/nft.hpp"

namespace natctl {

namespace {

// The kernel keeps 128 bytes of comment with its final zero; the number and the colon need a few.
constexpr std::size_t kCommentText = 100;

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

std::string_view state_text(common::ConnectionState state) {
  switch (state) {
    case common::ConnectionState::fresh:
      return "new";
    case common::ConnectionState::established:
      return "established";
    case common::ConnectionState::related:
      return "related";
    case common::ConnectionState::invalid:
      return "invalid";
  }
  return "invalid";
}

void append(std::string& text, const std::string& part) {
  if (part.empty()) return;
  if (!text.empty()) text += ' ';
  text += part;
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
  std::string text;
  for (const std::string& part : parts) append(text, part);
  line(text);
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

std::string prefix_text(std::string_view field, const common::Prefix& prefix) {
  const std::string_view family = prefix.address.is_v4() ? "ip" : "ip6";
  // nftables takes no prefix of length 0.
  if (prefix.length == 0) return fmt::format("meta nfproto {}", prefix.address.is_v4() ? "ipv4" : "ipv6");
  return fmt::format("{} {} {}/{}", family, field, prefix.network().to_string(), prefix.length);
}

std::string match_text(const Match& match) {
  std::string text;
  if (!match.outbound.empty()) append(text, "oifname " + in_quotes(match.outbound));
  if (match.source) append(text, prefix_text("saddr", *match.source));
  if (match.destination) append(text, prefix_text("daddr", *match.destination));
  if (match.family && !match.source && !match.destination)
    append(text, *match.family == common::Family::ipv4 ? "meta nfproto ipv4" : "meta nfproto ipv6");
  // By numbers: names are looked up in a file that a small system does not have.
  if (!match.protocols.empty()) append(text, "meta l4proto " + values(match.protocols));
  if (!match.source_ports.empty()) append(text, "th sport " + values(match.source_ports));
  if (!match.destination_ports.empty()) append(text, "th dport " + values(match.destination_ports));
  if (!match.states.empty()) {
    std::vector<std::string_view> states;
    for (const auto state : match.states) states.push_back(state_text(state));
    append(text, "ct state " + values(states));
  }
  return text;
}

std::string comment_text(int number, const std::string& description) {
  std::string text = std::to_string(number);
  if (!description.empty()) text += ": ";
  for (const char c : description.substr(0, kCommentText)) {
    const auto byte = static_cast<unsigned char>(c);
    // Printable ASCII only: a cut through a longer character would make the listing unreadable as JSON.
    text += byte >= ' ' && byte < 0x7f && c != '"' && c != '\\' ? c : '_';
  }
  return fmt::format("comment \"{}\"", text);
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

}  // namespace natctl
