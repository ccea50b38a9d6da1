#include "syncd/table.hpp"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/result.hpp"

namespace syncd {
namespace {

using common::ByteView;

constexpr std::size_t kBlocks = 1024;  // for long records, allocated at a time

}  // namespace

std::uint32_t Table::hash(ByteView key) const {
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(key.data(), key.size(), seed_));
}

std::uint32_t Table::Blocks::take() {
  if (!free_.empty()) {
    const std::uint32_t block = free_.back();
    free_.pop_back();
    return block;
  }
  const std::uint32_t block = end_++;
  if (block / kBlocks == chunks_.size()) chunks_.push_back(std::make_unique<std::byte[]>(kBlocks * size_));
  return block;
}

std::byte* Table::Blocks::at(std::uint32_t block) const {
  return chunks_[block / kBlocks].get() + block % kBlocks * size_;
}

std::size_t Table::Blocks::memory() const {
  return chunks_.size() * kBlocks * size_ + free_.capacity() * sizeof(std::uint32_t);
}

std::uint32_t Table::block_of(const Entry& e) {
  std::uint32_t block = 0;
  std::memcpy(&block, e.bytes.data(), sizeof block);
  return block;
}

Table::Blocks* Table::blocks_for(std::size_t length) {
  if (length <= kInlineRecord) return nullptr;
  return length <= kMaxOrdinaryRecord ? &long_ : &longest_;
}

ByteView Table::record(Slot slot) const {
  const Entry& e = (*this)[slot];
  const Blocks* blocks = blocks_for(e.length);
  return {blocks == nullptr ? e.bytes.data() : blocks->at(block_of(e)), e.length};
}

Slot Table::find(ByteView key, std::uint32_t h) const {
  if (directory_.empty()) return kNoSlot;
  const Page& page = page_of(h);
  for (std::size_t at = h % kCells; page.cells[at].slot != kNoSlot; at = (at + 1) % kCells) {
    if (page.cells[at].hash != h) continue;
    const ByteView stored = record(page.cells[at].slot);
    // A key is a prefix that no other key can have as a prefix: its head says how long it is.
    if (stored.size() >= key.size() && std::memcmp(stored.data(), key.data(), key.size()) == 0)
      return page.cells[at].slot;
  }
  return kNoSlot;
}

// --- the index

void Table::put(Page& page, Cell cell) {
  std::size_t at = cell.hash % kCells;
  while (page.cells[at].slot != kNoSlot) at = (at + 1) % kCells;
  page.cells[at] = cell;
  ++page.used;
}

/// Those behind it move up, as far as they are not where their search begins: no search ends at a hole too early.
void Table::take_out(Page& page, std::uint32_t hash, Slot slot) {
  std::size_t hole = hash % kCells;
  while (page.cells[hole].slot != slot) hole = (hole + 1) % kCells;
  for (std::size_t at = (hole + 1) % kCells; page.cells[at].slot != kNoSlot; at = (at + 1) % kCells) {
    const std::size_t begins = page.cells[at].hash % kCells;
    if ((at - begins) % kCells < (at - hole) % kCells) continue;
    page.cells[hole] = page.cells[at];
    hole = at;
  }
  page.cells[hole] = {};
  --page.used;
}

/// The page goes into two, by the first bit that it does not have in common.
void Table::split(std::size_t at) {
  const auto number = static_cast<std::uint16_t>(pages_.size());
  pages_.push_back(std::make_unique<Page>());
  Page& from = *pages_[directory_[at]];
  const std::uint16_t old = directory_[at];
  Page& ones = *pages_.back();
  ++from.depth;
  ones.depth = from.depth;
  const auto cells = std::make_unique<std::array<Cell, kCells>>(from.cells);
  from.cells.fill({});
  from.used = 0;
  for (const Cell& cell : *cells)
    if (cell.slot != kNoSlot) put((cell.hash >> (32 - from.depth) & 1) != 0 ? ones : from, cell);
  for (std::size_t i = 0; i < directory_.size(); ++i)
    if (directory_[i] == old && (i >> (depth_ - from.depth) & 1) != 0) directory_[i] = number;
}

bool Table::make_room(std::uint32_t h) {
  if (directory_.empty()) {
    pages_.push_back(std::make_unique<Page>());
    directory_.push_back(0);
  }
  while (page_of(h).used >= kFullPage) {
    if (page_of(h).depth == kMaxDepth) return false;
    if (page_of(h).depth == depth_) {
      std::vector<std::uint16_t> twice;
      twice.reserve(directory_.size() * 2);
      for (const std::uint16_t page : directory_) twice.insert(twice.end(), 2, page);
      directory_.swap(twice);
      ++depth_;
    }
    split(place(h));
  }
  return true;
}

// --- the entries

Slot Table::take_slot() {
  if (free_ != kNoSlot) {
    const Slot slot = free_;
    free_ = (*this)[slot].next_free;
    (*this)[slot] = Entry{};
    return slot;
  }
  if (end_ >= kMaxFlows) return kNoSlot;
  if (end_ % kChunk == 0 && end_ / kChunk == chunks_.size()) chunks_.push_back(std::make_unique<Entry[]>(kChunk));
  return end_++;
}

Slot Table::insert(ByteView bytes, std::uint32_t h) {
  if (size_ >= limit_ || !make_room(h)) return kNoSlot;
  const Slot slot = take_slot();
  if (slot == kNoSlot) return kNoSlot;
  Entry& e = (*this)[slot];
  e.hash = h;
  set_record(slot, bytes);
  put(page_of(h), {h, slot});
  ++size_;
  return slot;
}

Slot Table::insert_sentinel() {
  const Slot slot = take_slot();
  if (slot == kNoSlot) return slot;
  (*this)[slot].flags = entry::sentinel;
  (*this)[slot].length = 1;
  return slot;
}

void Table::erase(Slot slot) {
  Entry& e = (*this)[slot];
  common::check(e.queue == Queue::none && !e.is(entry::queued), "an erased entry is in no list");
  if (!e.is(entry::sentinel)) {
    take_out(page_of(e.hash), e.hash, slot);
    --size_;
  }
  if (Blocks* blocks = blocks_for(e.length)) blocks->give_back(block_of(e));
  e.length = 0;
  e.flags = 0;
  e.next_free = free_;
  free_ = slot;
}

void Table::set_record(Slot slot, ByteView bytes) {
  Entry& e = (*this)[slot];
  Blocks* const was = blocks_for(e.length);
  Blocks* const now = blocks_for(bytes.size());
  std::uint32_t block = was != nullptr ? block_of(e) : 0;
  if (was != now) {
    if (was != nullptr) was->give_back(block);
    if (now != nullptr) block = now->take();
  }
  if (now != nullptr) std::memcpy(e.bytes.data(), &block, sizeof block);
  std::memcpy(now != nullptr ? now->at(block) : e.bytes.data(), bytes.data(), bytes.size());
  e.length = static_cast<std::uint8_t>(bytes.size());
}

std::size_t Table::memory() const {
  return chunks_.size() * kChunk * sizeof(Entry) + pages_.size() * sizeof(Page) + long_.memory() + longest_.memory();
}

}  // namespace syncd
