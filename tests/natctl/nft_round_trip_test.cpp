// Whatever a file says: what nft reads back of a table is the table. Random files are rendered and loaded into a
// network namespace of their own; nft lists the table, and its listing is loaded into another one. Both kernels must
// then hold the same instructions, in chains with as many rules as were rendered, each with the comment that it was
// given.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "common/config.hpp"
#include "common/prng.hpp"
#include "natctl/nft.hpp"
#include "tests/common/scratch.hpp"

namespace {

using namespace natctl;

constexpr std::uint64_t kFiles = 30;

/// A pair with random rules.
class RandomFile {
 public:
  explicit RandomFile(std::uint64_t seed) : random_(seed) {}

  std::string text() {
    std::string out = R"(version: 1
nodes: { R1: { priority: 200, sync_address: 10.10.10.2 }, R2: { priority: 100, sync_address: 10.10.10.3 } }
vrrp:
  groups:
    MAIN-GW:
      instances:
        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }
        lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.1/24] }
sync: { links: [ { interface: eth1 } ], security: none }
address_groups: { servers: [192.168.100.5, 192.168.100.8/30], six: ["2001:db8:5::/48"] }
port_groups: { web: [80, 443, 8000-8099] }
nat:
  source:
)";
    for (int i = 0; i < 1 + below(6); ++i) out += fmt::format("    {}: {{ {} }}\n", 10 * i + 10, source_rule());
    out += "  destination:\n";
    for (int i = 0; i < 1 + below(6); ++i) out += fmt::format("    {}: {{ {} }}\n", 10 * i + 10, destination_rule());
    out += "firewall:\n";
    for (int i = 0; i < 1 + below(3); ++i) {
      const char* const interface = i == 0 ? "eth0" : i == 1 ? "eth2" : "\"ppp*\"";
      out += fmt::format("  set-{}:\n    interfaces: {{ {}: {} }}\n    default_action: {}\n    rules:\n", i, interface,
                         one({"in", "out", "local", "[in, local]"}), one({"accept", "drop", "reject"}));
      for (int j = 0; j < 1 + below(8); ++j) out += fmt::format("      {}: {{ {} }}\n", 10 * j + 10, filter_rule());
    }
    return out;
  }

 private:
  int below(int bound) { return static_cast<int>(random_.below(static_cast<std::uint64_t>(bound))); }
  bool maybe() { return below(2) == 0; }
  std::string one(std::initializer_list<const char*> words) {
    return *(words.begin() + below(static_cast<int>(words.size())));
  }
  std::string address4() { return fmt::format("10.{}.{}.{}", below(256), below(256), 1 + below(254)); }
  /// An address, a network, a range, a group, a list, or what is not one of these.
  std::string addresses4() {
    switch (below(6)) {
      case 0:
        return address4();
      case 1:
        return fmt::format("10.{}.0.0/{}", below(256), 16 + below(16));
      case 2:
        return fmt::format("10.9.8.{}-10.9.9.{}", below(256), below(256));
      case 3:
        return "servers";
      case 4:
        return fmt::format("[{}, 172.16.{}.0/24, not 172.16.77.{}]", address4(), below(70), below(256));
      default:
        return "not " + address4();
    }
  }
  std::string addresses6() {
    return one({"\"2001:db8::7\"", "\"2001:db8:1::/48\"", "six", "\"not fd00::/8\"", "\"fd00::1-fd00::9\""});
  }
  std::string ports() {
    switch (below(4)) {
      case 0:
        return std::to_string(1 + below(65535));
      case 1:
        return fmt::format("{}-{}", 1 + below(30000), 30001 + below(30000));
      case 2:
        return fmt::format("[web, {}, not {}]", 1 + below(7999), 8001 + below(90));
      default:
        return "not " + std::to_string(1 + below(65535));
    }
  }
  void add(std::string& out, const std::string& more) { out += (out.empty() ? "" : ", ") + more; }

  std::string common_part(bool six) {
    std::string out;
    if (maybe()) add(out, fmt::format("description: \"a rule {} of many\"", below(1000)));
    if (maybe()) add(out, "source_address: " + (six ? addresses6() : addresses4()));
    if (maybe()) {
      add(out, "protocol: " + one({"tcp", "udp", "tcp_udp", "[tcp, sctp]"}));
      if (maybe()) add(out, "source_ports: " + ports());
      if (maybe()) add(out, "destination_ports: " + ports());
    }
    if (below(4) == 0) add(out, "log: true");
    return out;
  }
  std::string source_rule() {
    std::string out = common_part(false);
    add(out, "outbound_interface: " + one({"eth0", "\"wwan*\"", "[eth0, ppp0]", "not eth2"}));
    if (maybe()) add(out, "destination_address: " + addresses4());
    if (below(5) == 0) {
      add(out, "exclude: true");
      return out;
    }
    add(out, "translate_to: " + one({"10.10.0.101", "198.51.100.1-198.51.100.3", "198.51.100.64/28"}));
    if (maybe()) add(out, "port_mapping: " + one({"preserve", "random", "fully-random"}));
    if (maybe()) add(out, "ports: " + one({"20000-29999", "per-node", "{ R1: 1024-9999, R2: 10000-65535 }"}));
    return out;
  }
  std::string destination_rule() {
    std::string out = common_part(false);
    add(out, "inbound_interface: " + one({"eth0", "\"ppp*\"", "[eth0, wwan1]"}));
    add(out, "destination_address: " + one({"10.10.0.101", "198.51.102.7"}));
    add(out, "translate_to: " + one({"192.168.100.5", "192.168.100.11-192.168.100.12"}));
    return out;
  }
  std::string filter_rule() {
    const bool six = maybe();
    std::string out;
    if (below(4) == 0)
      out = six ? fmt::format("protocol: icmpv6, icmp_types: [echo-request, {}]", 1 + below(4))
                : "protocol: icmp, icmp_types: " + one({"echo-request", "[echo-reply, 3]", "time-exceeded"});
    else
      out = common_part(six);
    add(out, "action: " + one({"accept", "drop", "reject"}));
    if (maybe()) add(out, "state: " + one({"new", "[established, related]", "invalid", "[new, established]"}));
    if (below(3) == 0) add(out, "limit: " + one({"10/second", "{ rate: 100/minute, burst: 20 }"}));
    return out;
  }

  common::Prng random_;
};

struct Chain {
  std::size_t rules = 0;
  std::vector<std::string> comments;
  bool operator==(const Chain&) const = default;
};

/// The chains of a table's text, ours or nft's.
std::map<std::string, Chain> chains_of(const std::string& table) {
  std::map<std::string, Chain> chains;
  Chain* inside = nullptr;
  std::stringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.starts_with("chain ")) {
      inside = &chains[line.substr(6, line.find(' ', 6) - 6)];
    } else if (line == "}") {
      inside = nullptr;
    } else if (inside != nullptr && !line.starts_with("type ") && !line.empty()) {
      ++inside->rules;
      const auto comment = line.find("comment \"");
      inside->comments.push_back(comment == std::string::npos ? "" : line.substr(comment));
    }
  }
  return chains;
}

/// What the kernel holds after this text: as nft lists it, and the instructions.
struct Held {
  std::string fault, listing, instructions;
};

Held held_after(const Scratch& directory, const std::string& text) {
  const std::string path = directory / "table.nft", listing = directory / "listing", bytes = directory / "bytes";
  std::ofstream(path) << text;
  const std::string command = fmt::format(
      "unshare -n sh -c 'nft -f {0} && nft -s list table inet steadynat >{1} && "
      "nft --debug=netlink list table inet steadynat >{2}' 2>&1",
      path, listing, bytes);
  Held held;
  std::FILE* said = popen(command.c_str(), "r");
  REQUIRE(said != nullptr);
  for (int c = std::fgetc(said); c != EOF; c = std::fgetc(said)) held.fault += static_cast<char>(c);
  if (pclose(said) == 0) held.fault.clear();
  const auto content = [](const std::string& name) {
    std::stringstream all;
    all << std::ifstream(name).rdbuf();
    return all.str();
  };
  held.listing = content(listing);
  held.instructions = content(bytes);
  return held;
}

/// Set by set and rule by rule. What depends on the way there is left out: handles, the order of a set's elements,
/// where in a rule the family is asked for, which nft does by itself, too, and always where the protocol is one of
/// ICMP; and whether "port unreachable" is said in the words of the one family that the rule is for, or for both.
std::vector<std::string> in_order(const std::string& instructions) {
  constexpr const char* kAsksFamily = "  [ meta load nfproto => reg 1 ]";
  constexpr const char* kAsksProtocol = "  [ meta load l4proto => reg 1 ]";
  const std::map<std::string, std::string> of_icmp{{"  [ cmp eq reg 1 0x00000001 ]", "  [ cmp eq reg 1 0x00000002 ]"},
                                                   {"  [ cmp eq reg 1 0x0000003a ]", "  [ cmp eq reg 1 0x0000000a ]"}};
  std::vector<std::string> items;
  std::vector<std::string> parts;
  std::set<std::string> families;
  bool is_set = false, asks = false;
  const auto finish = [&] {
    if (is_set && !parts.empty()) std::sort(parts.begin() + 1, parts.end());
    for (const std::string& family : families) parts.insert(parts.begin() + (parts.empty() ? 0 : 1), family);
    if (!parts.empty()) items.push_back(fmt::format("{}", fmt::join(parts, "\n")));
    parts.clear();
    families.clear();
  };
  std::stringstream lines(instructions);
  for (std::string line; std::getline(lines, line) && !line.starts_with("table ");) {
    if (line.starts_with("inet steadynat ")) {
      finish();
      is_set = line.find('@') != std::string::npos;
      parts.push_back(line.substr(0, line.find(' ', std::string_view("inet steadynat ").size())));
    } else if (!is_set && line == kAsksFamily) {
      asks = true;
    } else if (asks) {
      families.insert(kAsksFamily + ("\n" + line));
      asks = false;
    } else if (!line.empty()) {
      if (!parts.empty() && parts.back() == kAsksProtocol && of_icmp.contains(line))
        families.insert(kAsksFamily + ("\n" + of_icmp.at(line)));
      const bool unreachable = line == "  [ reject type 0 code 3 ]" || line == "  [ reject type 0 code 4 ]";
      parts.push_back(unreachable ? "  [ reject type 2 code 1 ]" : line);
    }
  }
  finish();
  return items;
}

/// nft 1.0.6 lists a range of addresses that is a network as that network also where ports follow, which its own
/// grammar does not know.
std::string readable(const std::string& listing) {
  static const std::regex kNetworkWithPorts(R"(198\.51\.100\.64/28:)");
  return std::regex_replace(listing, kNetworkWithPorts, "198.51.100.64-198.51.100.79:");
}

std::string said(const common::LoadedConfig& loaded) {
  std::string text;
  for (const auto& each : loaded.diagnostics) text += each.to_string() + "\n";
  return text;
}

}  // namespace

TEST_CASE("what nft reads back of a table is that table, whatever the file says") {
  if (geteuid() != 0) {
    WARN("only root can load tables");
    return;
  }
  const Scratch directory;
  for (std::uint64_t seed = 1; seed <= kFiles; ++seed) {
    const std::string file = RandomFile(seed).text();
    INFO("seed " << seed << "\n" << file);
    const auto loaded = common::parse_config(file, "random.yaml", "R1");
    INFO(said(loaded));
    REQUIRE(loaded.config);
    const auto ruleset = make_ruleset(*loaded.config);
    REQUIRE(ruleset);
    const bool open = seed % 2 == 0;
    const std::string rendered =
        render_table(*ruleset, {{"MAIN-GW", {.open = open, .complete = open, .term = {seed, "R1"}}}});
    INFO(rendered);
    const Held ours = held_after(directory, rendered);
    REQUIRE(ours.fault == "");
    const Held theirs = held_after(directory, readable(ours.listing));
    INFO(ours.listing);
    REQUIRE(theirs.fault == "");
    const auto sent = chains_of(rendered), listed = chains_of(ours.listing);
    CHECK(sent.size() > 8);
    CHECK(sent == listed);
    const auto first = in_order(ours.instructions), second = in_order(theirs.instructions);
    CHECK(first.size() > 30);
    CHECK(first == second);
  }
}
