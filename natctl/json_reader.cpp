#include "natctl/json_reader.hpp"

namespace natctl {

Json parse_json(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json() : json;
}

const Json& field(const Json& object, std::string_view name) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(name));
  return found == object.end() ? kNull : *found;
}

std::string text_of(const Json& object, std::string_view name) {
  const Json& value = field(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

double number_of(const Json& object, std::string_view name) {
  const Json& value = field(object, name);
  return value.is_number() ? value.get<double>() : 0;
}

bool flag_of(const Json& object, std::string_view name) {
  const Json& value = field(object, name);
  return value.is_boolean() && value.get<bool>();
}

const Json& array_of(const Json& object, std::string_view name) {
  static const Json kEmpty = Json::array();
  const Json& value = field(object, name);
  return value.is_array() ? value : kEmpty;
}

std::string dump(const Json& json, int indentation) {
  return json.dump(indentation, ' ', false, Json::error_handler_t::replace);
}

}  // namespace natctl
