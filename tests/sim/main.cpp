// The simulation: two routers in one process on virtual time.
//   sim --seed N [--trace]      one run, with its whole trace
//   sim --seeds N [--from M]    N runs; the first failure of each kind is shown with its last lines
//   sim --seed-file FILE        seeds that once failed, one a line
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/sim/world.hpp"

namespace {

constexpr std::size_t kLinesShown = 60;
constexpr int kFailuresShown = 5;

bool run_one(std::uint64_t seed, bool trace, bool show) {
  const sim::Options options = sim::Options::draw(seed);
  using Story = sim::World::Story;
  sim::World world(options, trace ? Story::printed : Story::untold);
  const std::string failure = world.run();
  if (failure.empty()) return true;
  fmt::print("seed {} failed {}\n  {}\n", seed, failure, options.to_string());
  if (!show || trace) return false;
  sim::World again(options, Story::kept);
  again.run();
  const auto& lines = again.last_lines();
  for (std::size_t i = lines.size() - std::min(lines.size(), kLinesShown); i < lines.size(); ++i)
    fmt::print("  {}\n", lines[i]);
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::uint64_t> seeds;
  std::uint64_t from = 1, count = 0;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--trace")
      trace = true;
    else if (i + 1 == argc)
      return fmt::print(stderr, "sim: {} wants a value\n", option), 2;
    else if (option == "--seed")
      seeds.push_back(std::stoull(argv[++i]));
    else if (option == "--seeds")
      count = std::stoull(argv[++i]);
    else if (option == "--from")
      from = std::stoull(argv[++i]);
    else if (option == "--seed-file") {
      std::ifstream file(argv[++i]);
      for (std::string line; std::getline(file, line);)
        if (!line.empty() && line[0] != '#') seeds.push_back(std::stoull(line));
    } else
      return fmt::print(stderr, "sim: unknown option {}\n", option), 2;
  }
  for (std::uint64_t s = from; s < from + count; ++s) seeds.push_back(s);
  int failures = 0;
  for (const std::uint64_t seed : seeds)
    if (!run_one(seed, trace, failures < kFailuresShown)) ++failures;
  fmt::print("{} seeds, {} failed\n", seeds.size(), failures);
  return failures == 0 ? 0 : 1;
}
