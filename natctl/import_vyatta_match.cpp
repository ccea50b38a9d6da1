// What a rule of Vyatta's NAT and firewall says about a packet.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "natctl/import_vyatta.hpp"

namespace natctl::importer {
namespace {

std::vector<std::string> split(std::string_view text, char sign) {
  std::vector<std::string> parts;
  for (;;) {
    const auto at = text.find(sign);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// "!x" as x and true.
bool strip_not(std::string& text) {
  if (!text.starts_with('!')) return false;
  text.erase(0, 1);
  return true;
}

std::string with_not(bool negated, const std::string& text) {
  return negated ? "not " + text : text;
}

bool refuse(const VyattaReader& reader, const Words& at, std::string_view what) {
  reader.warn(at, fmt::format("not understood: {} {}", what, common::quoted(at.text())));
  return false;
}

bool read_address(const VyattaReader& reader, const Words& word, std::vector<std::string>& into) {
  std::string text = word.text();
  const bool negated = strip_not(text);
  if (text == "0.0.0.0/0" || text == "any" || text == "::/0") return !negated || refuse(reader, word, "address");
  const auto range = common::AddressRange::parse(text);
  if (!range) return refuse(reader, word, "address");
  into.push_back(with_not(negated, range->to_string()));
  return true;
}

/// The name of one of their groups.
bool read_group(const VyattaReader& reader, const Words& word, std::string_view kind, std::vector<std::string>& into) {
  std::string name = word.text();
  const bool negated = strip_not(name);
  const auto found = reader.groups.find(fmt::format("{} {}", kind, name));
  if (found == reader.groups.end()) {
    reader.warn(word, fmt::format("there is no {} {} with members", kind, common::quoted(name)));
    return false;
  }
  into.push_back(with_not(negated, found->second));
  return true;
}

bool read_port_list(const VyattaReader& reader, const Words& word, std::vector<std::string>& into) {
  std::string text = word.text();
  const bool negated = strip_not(text);
  for (std::string& each : split(text, ',')) {
    const bool this_one = strip_not(each) != negated;
    const auto dash = each.find('-');
    auto ports = port_number(each);  // the name of a service may have a dash
    if (!ports && dash != std::string::npos) ports = port_range(each.substr(0, dash), each.substr(dash + 1));
    if (!ports) return refuse(reader, word, "port");
    into.push_back(with_not(this_one, *ports));
  }
  return true;
}

/// In their file all must hold, in a list of ours any: two that are meant would be more than both meant.
bool too_many(const VyattaReader& reader, const Words& side, const std::vector<std::string>& items,
              std::size_t sources) {
  const auto positive = std::ranges::count_if(items, [](const std::string& each) { return !each.starts_with("not "); });
  if (sources < 2 || positive < 2) return false;
  reader.warn(side, fmt::format("{}: an address or port together with a group, or two groups, cannot be said in one "
                                "rule of ours",
                                side.text()));
  return true;
}

bool read_side(const VyattaReader& reader, const Words& rule, const char* name, Rule& into) {
  const Words* side = rule.find(name);
  if (!side) return true;
  bool good = true;
  std::size_t address_sources = 0, port_sources = 0;
  std::vector<std::string> addresses, ports;
  for (const char* key : {"address", "prefix"})
    for (const Words* word : side->each(key)) {
      good = read_address(reader, *word, addresses) && good;
      ++address_sources;
    }
  if (const Words* word = side->value("port")) {
    good = read_port_list(reader, *word, ports) && good;
    ++port_sources;
  }
  if (const Words* group = side->find("group")) {
    for (const char* kind : {"address-group", "network-group", "ipv6-address-group", "ipv6-network-group"})
      for (const Words* word : group->each(kind)) {
        good = read_group(reader, *word, kind, addresses) && good;
        ++address_sources;
      }
    for (const Words* word : group->each("port-group")) {
      good = read_group(reader, *word, "port-group", ports) && good;
      ++port_sources;
    }
  }
  if (too_many(reader, *side, addresses, address_sources) || too_many(reader, *side, ports, port_sources)) good = false;
  into.add(std::string(name) + "_address", std::move(addresses));
  into.add(std::string(name) + "_ports", std::move(ports));
  if (const Words* mac = side->value("mac-address")) {
    if (std::string_view(name) == "source" && common::MacAddress::parse(mac->text()))
      into.add("source_mac", mac->text());
    else
      good = refuse(reader, *mac, "mac-address");
  }
  return good;
}

bool read_protocol(const VyattaReader& reader, const Words& rule, Rule& into) {
  const Words* word = rule.value("protocol");
  if (!word) return true;
  std::string text = word->text();
  const bool negated = strip_not(text);
  if (text == "all" || text == "any") return !negated || refuse(reader, *word, "protocol");
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!common::protocol_numbers(text)) return refuse(reader, *word, "protocol");
  if (text == "ipv6-icmp") text = "icmpv6";
  into.add("protocol", with_not(negated, text));
  return true;
}

/// False, and the ports are gone, where they have no protocol that has any.
bool settle_ports(const VyattaReader& reader, const Words& rule, Rule& made) {
  if (!made.find("source_ports") && !made.find("destination_ports")) return true;
  const Field* protocol = made.find("protocol");
  const auto numbers = protocol ? common::protocol_numbers(protocol->items.front()) : std::nullopt;
  if (numbers && !numbers->empty() && std::ranges::all_of(*numbers, common::has_ports)) return true;
  reader.warn(rule, "ports without a protocol that has them");
  std::erase_if(made.fields, [](const Field& each) { return each.key.ends_with("_ports"); });
  return false;
}

}  // namespace

bool read_interface(const VyattaReader& reader, const Words& rule, const char* theirs, const char* ours, Rule& into) {
  const Words* node = rule.find(theirs);
  if (!node) return true;
  std::vector<std::string> items;
  bool good = true;
  const auto add = [&](const Words& word) {
    std::string text = word.text();
    const bool negated = strip_not(text);
    if (text == "any" || text == "*" || text == "all") return;
    if (text.ends_with('+')) text.back() = '*';
    items.push_back(with_not(negated, text));
  };
  bool named = false;
  for (const char* key : {"name", "interface-name"})
    for (const Words* word : node->each(key)) {
      add(*word);
      named = true;
    }
  for (const Words* word : node->each("group")) {
    named = true;
    const auto members = reader.groups.find("interface-group " + word->text());
    if (members == reader.groups.end()) {
      good = refuse(reader, *word, "interface-group");
      continue;
    }
    for (const std::string& member : split(members->second, ' ')) items.push_back(member);
  }
  if (!named)
    for (const Words* word : rule.each(theirs)) add(*word);
  into.add(ours, std::move(items));
  return good;
}

std::optional<int> rule_number(const VyattaReader& reader, const Words& rule) {
  constexpr int kHighest = 999999;
  int number = 0;
  const std::string& text = rule.text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= kHighest) return number;
  reader.warn(rule, fmt::format("not taken over: {} is no number of a rule", common::quoted(text)));
  rule.take();
  return std::nullopt;
}

void read_description(const VyattaReader& reader, const Words& rule, std::vector<Field>& into) {
  constexpr std::size_t kLongest = 100;  // of ours
  const Words* word = rule.value("description");
  if (!word || word->text().empty()) return;
  std::string text = word->text();
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
    if (c == '"' || c == '\\') c = '\'';
  }
  if (text.size() > kLongest) {
    reader.warn(*word, fmt::format("the description is cut after {} bytes", kLongest));
    text.resize(kLongest);
    // Not within a character: what comes after its first byte has the two highest bits 10.
    while (!text.empty() && (static_cast<unsigned char>(word->text()[text.size()]) & 0xc0) == 0x80) text.pop_back();
  }
  into.push_back({"description", {text}, false});
}

bool is_enabled(const Words& node, const char* name) {
  const Words* found = node.find(name);
  if (!found) return false;
  if (found->children().empty()) return true;
  return node.value_or(name, "enable") == "enable";
}

bool read_match(const VyattaReader& reader, const Words& rule, Rule& into) {
  bool good = read_protocol(reader, rule, into);
  good = read_side(reader, rule, "source", into) && good;
  good = read_side(reader, rule, "destination", into) && good;
  return settle_ports(reader, rule, into) && good;
}

}  // namespace natctl::importer
