#pragma once
// The term of a mastership: who took a group over, as the how-manieth. Every transition to master makes a term one
// higher than the highest that the node has seen; of two nodes that did so at once the names decide.
#include <compare>
#include <cstdint>
#include <string>

namespace common {

/// No node makes a term a second, so a counter beyond this is a lie or damage, and believing it would end in an
/// overflow.
inline constexpr std::uint64_t kHighestBelievableTerm = std::uint64_t{1} << 48;

struct Term {
  std::uint64_t counter = 0;  ///< 0: nobody has been master yet
  std::string node;           ///< the node that is, or was, master in this term

  bool valid() const { return counter != 0; }
  bool believable() const { return counter <= kHighestBelievableTerm; }
  auto operator<=>(const Term&) const = default;  // counter first, then node
};

inline std::string to_string(const Term& term) {
  return term.valid() ? std::to_string(term.counter) + "@" + term.node : std::string("none");
}

}  // namespace common
