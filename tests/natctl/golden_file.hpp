#pragma once
// Texts that a person has looked at and found right, kept as files.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace natctl::test {

/// `source` is the root of the repository.
inline std::string read_golden(const std::string& source, const std::string& name) {
  std::ifstream file(source + "/tests/natctl/golden/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Equal to the file, or, with STEADYNAT_GOLDEN=write, made so.
inline void check_golden(const std::string& source, const std::string& name, const std::string& text) {
  if (const char* mode = std::getenv("STEADYNAT_GOLDEN"); mode != nullptr && std::string(mode) == "write")
    std::ofstream(source + "/tests/natctl/golden/" + name) << text;
  INFO(name);
  CHECK(text == read_golden(source, name));
}

}  // namespace natctl::test
