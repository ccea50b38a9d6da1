#pragma once
// What a shell offers when TAB is pressed, taken from the tree of commands itself.
#include <string>

namespace CLI {
class App;
}

namespace natctl::io {

/// A bash script that completes `natctl`.
std::string bash_completion(const CLI::App& app);

}  // namespace natctl::io
