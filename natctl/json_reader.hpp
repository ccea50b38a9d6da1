#pragma once
// Reading of JSON that another version of a daemon may have written: what is missing or of the wrong type
// reads as empty, and nothing is thrown.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace natctl {

using Json = nlohmann::ordered_json;

/// Null when the text is no JSON.
Json parse_json(const std::string& text);
/// Null when there is no such field. Refers into the object, which therefore must not be a temporary.
const Json& field(const Json& object, std::string_view name);
const Json& field(Json&& object, std::string_view name) = delete;
std::string text_of(const Json& object, std::string_view name);
double number_of(const Json& object, std::string_view name);
bool flag_of(const Json& object, std::string_view name);
/// Empty when it is no array.
const Json& array_of(const Json& object, std::string_view name);
const Json& array_of(Json&& object, std::string_view name) = delete;
/// For people, and for a status that must not fail on a stray byte.
std::string dump(const Json& json, int indentation);

}  // namespace natctl
