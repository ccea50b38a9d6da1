#pragma once
// `natctl show sync` and its words.
#include <optional>
#include <string>
#include <vector>

#include "natctl/report.hpp"

namespace natctl {

/// What `show sync WORDS...` asks syncd for.
struct SyncQuestion {
  std::string view;                                ///< empty, status, statistics, link or queue
  std::optional<std::vector<std::string>> filter;  ///< of a cache: the connections that are wanted
  std::string mistake;                             ///< not empty: the words say nothing
};
SyncQuestion sync_question(const std::vector<std::string>& words);

/// The part of syncd's status that the view shows, on a screen or as JSON.
std::string sync_view(const std::string& body, const std::string& view, bool as_json);

}  // namespace natctl
