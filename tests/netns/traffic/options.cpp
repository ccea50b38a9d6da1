#include "traffic/options.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace traffic {

namespace {

std::uint64_t parse_number(const std::string& name, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw std::invalid_argument("--" + name + ": not a number: " + std::string(text));
  }
  return value;
}

std::uint16_t parse_port(const std::string& name, std::string_view text) {
  const std::uint64_t value = parse_number(name, text);
  if (value > 65535) throw std::invalid_argument("--" + name + ": not a port: " + std::string(text));
  return static_cast<std::uint16_t>(value);
}

}  // namespace

Options::Options(int count, char** values, std::initializer_list<std::string_view> known) {
  for (int i = 0; i < count; i += 2) {
    const std::string_view name = values[i];
    if (!name.starts_with("--") || std::find(known.begin(), known.end(), name.substr(2)) == known.end()) {
      throw std::invalid_argument("unknown option " + std::string(name));
    }
    if (i + 1 == count) throw std::invalid_argument(std::string(name) + " needs a value");
    values_[std::string(name.substr(2))] = values[i + 1];
  }
}

std::string Options::text(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

std::uint64_t Options::number(const std::string& name, std::uint64_t otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : parse_number(name, found->second);
}

std::uint16_t Options::port(const std::string& name, std::uint16_t otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : parse_port(name, found->second);
}

PortRange Options::ports(const std::string& name, const std::string& otherwise) const {
  const std::string value = text(name, otherwise);
  const auto dash = value.find('-');
  if (dash == std::string::npos) throw std::invalid_argument("--" + name + ": not a range: " + value);
  const std::uint16_t first = parse_port(name, std::string_view(value).substr(0, dash));
  const std::uint16_t last = parse_port(name, std::string_view(value).substr(dash + 1));
  if (last < first) throw std::invalid_argument("--" + name + ": empty range: " + value);
  return {first, static_cast<std::uint16_t>(last - first + 1)};
}

}  // namespace traffic
