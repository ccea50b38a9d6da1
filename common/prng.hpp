#pragma once
// Deterministic pseudo-random numbers for engines and the simulation: same seed, same numbers, on every platform.
// Never for keys or nonces: those bytes come from the shell.
#include <cstdint>

namespace common {

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush, and any seed is a good seed.
class Prng {
 public:
  explicit Prng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound); 0 for bound 0. The bias is below 2^-32 for the small bounds that we use.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability; }

 private:
  std::uint64_t state_;
};

}  // namespace common
