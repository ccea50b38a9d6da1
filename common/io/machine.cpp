#include "common/io/machine.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "common/io/daemon.hpp"

namespace common::io {
namespace {

/// An interface's name may have dots of its own, so that dots cannot simply become slashes.
std::string path_of(std::string_view name) {
  constexpr std::string_view kConf = "net.ipv4.conf.";
  if (name.starts_with(kConf)) {
    const auto last = name.rfind('.');
    return "net/ipv4/conf/" + std::string(name.substr(kConf.size(), last - kConf.size())) + "/" +
           std::string(name.substr(last + 1));
  }
  std::string path(name);
  std::ranges::replace(path, '.', '/');
  return path;
}

/// Of the modules nf_conntrack_*, those that are helpers.
constexpr std::array<std::string_view, 11> kHelpers{"amanda", "ftp",  "h323", "irc",  "netbios_ns", "pptp",
                                                    "rtsp",   "sane", "sip",  "snmp", "tftp"};

}  // namespace

std::optional<std::string> sysctl(std::string_view name, const std::string& root) {
  const auto text = read_file(root + "/proc/sys/" + path_of(name));
  if (!text) return std::nullopt;
  return text->substr(0, text->find('\n'));
}

std::optional<std::vector<std::string>> conntrack_helpers(const std::string& root) {
  const auto text = read_file(root + "/proc/modules");
  if (!text) return std::nullopt;
  constexpr std::string_view kPrefix = "nf_conntrack_";
  std::vector<std::string> found;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::string_view name = std::string_view(line).substr(0, line.find(' '));
    if (!name.starts_with(kPrefix)) continue;
    const std::string_view helper = name.substr(kPrefix.size());
    if (std::ranges::find(kHelpers, helper) != kHelpers.end()) found.emplace_back(helper);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace common::io
