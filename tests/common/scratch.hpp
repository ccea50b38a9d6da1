#pragma once
// A directory of its own for a test, removed afterwards.
#include <cstdlib>
#include <filesystem>
#include <string>

struct Scratch {
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "steadynat-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};
