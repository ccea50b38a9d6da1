#pragma once
// Long lines on a terminal that is not wide enough for them. Addresses, names and numbers are never cut.
#include <optional>
#include <string>
#include <string_view>

namespace natctl {

/// How wide the terminal is; none: it is no terminal, and everything is given as it is.
using Columns = std::optional<std::size_t>;

/// Lines that are too long go on in the next one, indented, from a word that does not fit; if it can be from behind a
/// comma or a gap.
std::string folded(std::string_view text, Columns columns);

/// Lists of connections first lose what only looks inside (flags, status), then what follows from the rest: where the
/// answers come from, if that is where the packets go. All lines alike, and only if one would be too long.
std::string fitted_connections(std::string text, Columns columns);

}  // namespace natctl
