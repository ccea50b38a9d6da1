#pragma once
// The term of a mastership: who took a group over, as the how-manieth. Every transition to master makes a term one
// higher than the highest that the node has seen; of two nodes that did so at once the names decide.
#include <compare>
#include <cstdint>
#include <string>

namespace common {

struct Term {
  std::uint64_t counter = 0;  ///< 0: nobody has been master yet
  std::string node;           ///< the node that is, or was, master in this term

  bool valid() const { return counter != 0; }
  auto operator<=>(const Term&) const = default;  // counter first, then node
};

inline std::string to_string(const Term& term) {
  return term.valid() ? std::to_string(term.counter) + "@" + term.node : std::string("none");
}

}  // namespace common
