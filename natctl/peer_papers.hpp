#pragma once
// What the other router shows of itself on demand (syncd, peer.papers), and how the two files differ.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace natctl {

struct PeerPapers {
  std::string node;
  std::string digest;                               ///< of the configuration that its syncd runs with
  std::optional<std::string> config;                ///< the text of its file
  std::string config_withheld;                      ///< why it does not show that
  std::int64_t time_ms = 0;                         ///< its clock, since 1970; 0: it does not tell
  std::map<std::string, std::string> sysctls;       ///< by their names with dots
  std::optional<std::vector<std::string>> helpers;  ///< none: its kernel does not tell
};

/// None when it is something else.
std::optional<PeerPapers> read_papers(const std::string& json);

/// What `theirs` says otherwise than `ours` for this node: as `natctl config dump` writes it, and where that is the
/// same, or one of the two cannot be read, line by line as they stand.
std::string file_diff(const std::string& ours, const std::string& theirs, const std::string& node);

}  // namespace natctl
