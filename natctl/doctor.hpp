#pragma once
// What makes failovers fail although all daemons run: looked for in what the machine says of itself. Pure; the facts
// are collected by io/doctor_facts.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "natctl/peer_papers.hpp"

namespace natctl {

struct Facts {
  /// By their names below /proc/sys, with dots; what could not be read is missing.
  std::map<std::string, std::string> sysctls;
  struct Interface {
    bool exists = false;
    int mtu = 0;
    bool multicast = true;
  };
  std::map<std::string, Interface> interfaces;     ///< those that the configuration names
  std::vector<std::string> daemons;                ///< others that do our work, running in this network namespace
  std::map<std::string, std::string> hook_faults;  ///< by path: why it cannot run
  std::string key_fault;                           ///< why the key file cannot be used; empty: it can
  std::string table_fault;                         ///< what the kernel has against the table; empty: nothing
  std::optional<std::uint64_t> conntrack_count, conntrack_max, conntrack_buckets;
  std::optional<std::vector<std::string>> helpers;  ///< of conntrack; none: the kernel does not tell
  std::optional<PeerPapers> peer;                   ///< what the other router shows
  std::map<std::string, std::string> lost_links;    ///< of sync, by interface: why
  std::string peer_fault;                           ///< why it shows nothing; empty: it does, or was not asked
  std::int64_t clocks_apart_ms = 0;                 ///< at least so far is its clock ahead of ours, or behind (below 0)
};

struct Finding {
  enum class Weight { error, warning } weight = Weight::warning;
  std::string what;    ///< one line
  std::string remedy;  ///< one line: what to do or to type
  bool operator==(const Finding&) const = default;
};

/// Out of what syncd says of itself.
std::map<std::string, std::string> lost_links(const std::string& status);
/// The names of the sysctls that examine() wants to see.
std::vector<std::string> wanted_sysctls(const common::Config& config);
std::vector<Finding> examine(const common::Config& config, const Facts& facts);

std::string findings_text(const std::vector<Finding>& findings);
std::string findings_json(const std::vector<Finding>& findings);

}  // namespace natctl
