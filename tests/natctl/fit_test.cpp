// Long lines on narrow terminals.
#include "natctl/fit.hpp"

#include <catch2/catch.hpp>
#include <sstream>
#include <vector>

#include "common/prng.hpp"

using namespace natctl;

namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

const std::string kLine =
    "GW  own   tcp [2001:db8:1111:2222:3333:4444:5555:6666]:10000 -> [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:443, "
    "answered [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:443 -> [2001:db8:9999::1]:23428, ESTABLISHED flags 3/3 scale "
    "10/10, status 0x16, mark 7\n";

}  // namespace

TEST_CASE("what fits, and what goes to no terminal, stays as it is") {
  CHECK(folded(kLine, {}) == kLine);
  CHECK(folded(kLine, kLine.size() - 1) == kLine);
  CHECK(folded("", 80) == "");
  CHECK(folded("a b\n\nc", 80) == "a b\n\nc");
  CHECK(fitted_connections(kLine, {}) == kLine);
  CHECK(fitted_connections(kLine, kLine.size()) == kLine);
}

TEST_CASE("a long line goes on behind a comma or a gap, or else before a word") {
  CHECK(folded("  aaaa bbbb, cccc dddd eeee\n", 20) == "  aaaa bbbb,\n        cccc dddd\n        eeee\n");
  CHECK(folded("aaaaaa bbbb  cccc dddd eeee\n", 20) == "aaaaaa bbbb\n      cccc dddd eeee\n");
  CHECK(folded("aaaaaa bbbbbbbbb cccc dddd\n", 20) == "aaaaaa bbbbbbbbb\n      cccc dddd\n");
}

TEST_CASE("a word that is longer than the terminal is not cut") {
  const std::string address(30, 'a');
  CHECK(folded(address + "\n", 20) == address + "\n");
  CHECK(folded("x " + address + " y\n", 20) == "x\n      " + address + "\n      y\n");
}

TEST_CASE("connections lose first what looks inside, then what follows from the rest") {
  CHECK(fitted_connections(kLine, 230).find("flags") == std::string::npos);
  CHECK(fitted_connections(kLine, 230).find("answered") != std::string::npos);
  const std::string narrow = fitted_connections(kLine, 120);
  CHECK(
      narrow ==
      "GW  own   tcp [2001:db8:1111:2222:3333:4444:5555:6666]:10000 -> [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:443,\n"
      "      as [2001:db8:9999::1]:23428, ESTABLISHED, mark 7\n");
  CHECK(fitted_connections("tcp 10.0.0.1:1 -> 10.0.0.2:2, answered 10.0.0.2:2 -> 10.0.0.1:1, ESTABLISHED\n", 40) ==
        "tcp 10.0.0.1:1 -> 10.0.0.2:2,\n      ESTABLISHED\n");
  // Answered from elsewhere: a destination that is translated stays.
  CHECK(fitted_connections("tcp 10.0.0.1:1 -> 10.0.0.2:2, answered 10.9.0.2:2 -> 10.0.0.1:1, ESTABLISHED\n", 70) ==
        "tcp 10.0.0.1:1 -> 10.0.0.2:2, answered 10.9.0.2:2 -> 10.0.0.1:1,\n      ESTABLISHED\n");
}

TEST_CASE("folding keeps every word whole and in its place, whatever the width") {
  common::Prng prng(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text(prng.below(400), ' ');
    for (char& c : text) c = "aaaabb,  \n"[prng.below(10)];
    const std::size_t columns = 20 + prng.below(40);
    const std::string out = folded(text, columns);
    REQUIRE(words_of(out) == words_of(text));
    if (out == text) continue;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) REQUIRE((line.size() <= columns || words_of(line).size() == 1));
  }
}
