#pragma once
// What the tests of refused configurations share: a file that is right so far, and the comparison line by line.
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.hpp"

namespace diagnosis {

inline std::vector<std::string> diagnose(std::string_view text, std::string_view node = "R1") {
  std::vector<std::string> lines;
  for (const common::Diagnostic& each : common::parse_config(text, "f", node).diagnostics)
    lines.push_back(each.to_string());
  return lines;
}

/// Lines 1 to 4 of a file; what is wrong comes below, or in the place of one of these.
inline const std::string kHead =
    "version: 1\n"
    "nodes:\n"
    "  R1: { priority: 200, sync_address: 10.10.10.2 }\n"
    "  R2: { priority: 100, sync_address: 10.10.10.3 }\n";
inline const std::string kGroup =
    "vrrp:\n"                                                                            // 5
    "  groups:\n"                                                                        // 6
    "    G:\n"                                                                           // 7
    "      instances:\n"                                                                 // 8
    "        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }\n";  // 9

struct Case {
  std::string text;
  std::vector<std::string> expected;
};

inline void check_all(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    INFO(each.text);
    CHECK(diagnose(each.text) == each.expected);
  }
}

/// `line` is line 10 of the file, at the depth of an instance's key.
inline std::string instance_with(const std::string& line) {
  return kHead + kGroup + "        " + line + "\n";
}

}  // namespace diagnosis
