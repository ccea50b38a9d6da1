#pragma once
#include "natctl/fit.hpp"

namespace natctl::io {

/// Of standard output, as it is now.
Columns terminal_columns();

}  // namespace natctl::io
