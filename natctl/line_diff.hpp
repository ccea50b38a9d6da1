#pragma once
// What changes between two texts, line by line, for people.
#include <string>
#include <string_view>

namespace natctl {

/// "-" before what goes and "+" before what comes, in the order of the texts, each under the last line that is a head
/// ("chain forward {"); empty when they are equal.
std::string line_diff(std::string_view before, std::string_view after);

}  // namespace natctl
