// The table against a plain map: what is inserted is found, what is erased is not, whatever the size.
#include "syncd/table.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "common/prng.hpp"

namespace {

using syncd::kNoSlot;
using syncd::Slot;

syncd::Record record_of(std::uint32_t number) {
  syncd::Flow flow;
  flow.key.protocol = 17;
  flow.key.original = {.source = common::IpAddress::v4(number),
                       .destination = common::IpAddress::v4(~number),
                       .source_port = static_cast<std::uint16_t>(number),
                       .destination_port = 53};
  flow.reply = syncd::inverted(flow.key);
  syncd::Record record;
  syncd::encode(flow, nullptr, record);
  return record;
}

}  // namespace

TEST_CASE("a table finds what is in it, and nothing else, while it grows and shrinks") {
  syncd::Table table(42);
  std::map<std::uint32_t, Slot> known;
  common::Prng random(7);
  constexpr std::uint32_t kNumbers = 60000;  // the index is split several times, and pages run around their end
  for (int turn = 0; turn < 400000; ++turn) {
    const auto number = static_cast<std::uint32_t>(random.below(kNumbers));
    const syncd::Record record = record_of(number);
    const auto at = known.find(number);
    const Slot found = table.find(record.key());
    REQUIRE(found == (at == known.end() ? kNoSlot : at->second));
    // First it grows, then it gets small again.
    const bool add = random.below(10) < (turn < 200000 ? 8 : 2);
    if (add && at == known.end()) {
      known[number] = table.insert(record.view(), table.hash(record.key()));
    } else if (!add && at != known.end()) {
      table.erase(at->second);
      known.erase(at);
    }
  }
  REQUIRE(table.size() == known.size());
  for (const auto& [number, slot] : known) REQUIRE(table.find(record_of(number).key()) == slot);
}

TEST_CASE("hashes that are all the same fill a page and are refused, not searched for ever") {
  syncd::Table table(1);
  std::size_t taken = 0;
  for (std::uint32_t number = 0; number < 5000; ++number)
    if (table.insert(record_of(number).view(), 0x12345678u) != kNoSlot) ++taken;
  CHECK(taken == 3072);
  CHECK(table.find(record_of(3000).key(), 0x12345678u) != kNoSlot);
  CHECK(table.find(record_of(4000).key(), 0x12345678u) == kNoSlot);
}
