#pragma once
// One JSON object a line on stdout. Numbers, short words and lists of numbers are all that this tool has to
// say.
#include <concepts>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace traffic {

class Json {
 public:
  explicit Json(std::string_view type) { field("type", type); }
  Json() = default;

  Json& field(std::string_view name, std::string_view value) {
    key(name);
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    text_ += '"';
    return *this;
  }
  Json& field(std::string_view name, std::integral auto value) {
    key(name);
    text_ += std::to_string(value);
    return *this;
  }
  Json& field(std::string_view name, double value) {
    key(name);
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.3f", value);
    text_ += buffer;
    return *this;
  }
  Json& field(std::string_view name, const Json& object) {
    key(name);
    text_ += object.text();
    return *this;
  }
  Json& field(std::string_view name, const std::vector<Json>& objects) {
    key(name);
    text_ += '[';
    for (std::size_t i = 0; i < objects.size(); ++i) text_ += (i == 0 ? "" : ",") + objects[i].text();
    text_ += ']';
    return *this;
  }
  Json& field(std::string_view name, const std::vector<std::uint32_t>& numbers) {
    key(name);
    text_ += '[';
    for (std::size_t i = 0; i < numbers.size(); ++i) text_ += (i == 0 ? "" : ",") + std::to_string(numbers[i]);
    text_ += ']';
    return *this;
  }

  std::string text() const { return '{' + text_ + '}'; }
  void print() const {
    std::puts(text().c_str());
    std::fflush(stdout);
  }

 private:
  void key(std::string_view name) {
    if (!text_.empty()) text_ += ',';
    text_ += '"';
    text_ += name;
    text_ += "\":";
  }
  std::string text_;
};

}  // namespace traffic
