#pragma once
// `--name value` pairs. A name that the mode does not know is an error: a typing mistake must not weaken a
// test.
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace traffic {

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t count = 0;
};

class Options {
 public:
  /// Throws std::invalid_argument.
  Options(int count, char** values, std::initializer_list<std::string_view> known);
  std::string text(const std::string& name, const std::string& otherwise) const;
  std::uint64_t number(const std::string& name, std::uint64_t otherwise) const;
  std::uint16_t port(const std::string& name, std::uint16_t otherwise) const;
  /// "first-last"
  PortRange ports(const std::string& name, const std::string& otherwise) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace traffic
