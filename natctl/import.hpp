#pragma once
// Reads the configuration of other systems and writes ours: one file for both routers out of one or two of theirs.
// Pure: texts in, texts out. Nothing is dropped silently: each statement that has no place in our file is named with
// its line.
#include <map>
#include <string>
#include <vector>

#include "common/config.hpp"

namespace natctl::importer {

/// Files of such systems have been seen with a few hundred kilobytes; more is not one of them.
inline constexpr std::size_t kMostBytes = 4 << 20;
/// Deeper blocks than any of the grammars has.
inline constexpr int kDeepest = 40;

enum class Dialect { vyatta, vyos, keepalived, conntrackd };

struct File {
  std::string name;  ///< for messages
  std::string text;
};

struct Options {
  /// Translate to the virtual address of the interface where the source says masquerade, which no connection survives.
  bool rewrite_masquerade = false;
};

struct Imported {
  std::string config;  ///< our file; empty when there was an error
  /// The interfaces' own addresses, which are the operating system's business: by node.
  std::map<std::string, std::string> ifupdown, networkd;
  std::vector<common::Diagnostic> diagnostics;  ///< file by file, each in its order
  /// What `natctl check` still has against the file: that which only a person can know, such as the inner networks of
  /// several groups.
  std::vector<std::string> open_points;
  bool failed() const { return config.empty(); }
};

/// One file, or that of each router; for keepalived and conntrackd up to one of each kind per router, told apart by
/// what stands in them.
Imported import_files(Dialect dialect, const std::vector<File>& files, const Options& options = {});

}  // namespace natctl::importer
