#include "syncd/table.hpp"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/result.hpp"

namespace syncd {
namespace {

using common::ByteView;

constexpr std::size_t kLongChunk = 1024;   // long records (IPv6, mostly) allocated at a time
constexpr std::uint32_t kFirstBuckets = 1024;

}  // namespace

std::uint32_t Table::hash(ByteView key) const {
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(key.data(), key.size(), seed_));
}

std::uint32_t Table::bucket_of(std::uint32_t h) const {
  const std::uint32_t wide = h & (mask_ << 1 | 1);
  return wide < buckets_ ? wide : h & mask_;
}

std::uint32_t Table::long_block(const Entry& e) const {
  std::uint32_t block = 0;
  std::memcpy(&block, e.bytes.data(), sizeof block);
  return block;
}

ByteView Table::record(Slot slot) const {
  const Entry& e = (*this)[slot];
  if (e.length <= kInlineRecord) return {e.bytes.data(), e.length};
  const std::uint32_t block = long_block(e);
  return {long_chunks_[block / kLongChunk][block % kLongChunk].data(), e.length};
}

Slot Table::find(ByteView key, std::uint32_t h) const {
  if (buckets_ == 0) return kNoSlot;
  for (Slot slot = head(bucket_of(h)); slot != kNoSlot; slot = (*this)[slot].chain) {
    if ((*this)[slot].hash != h) continue;
    const ByteView stored = record(slot);
    // A key is a prefix that no other key can have as a prefix: its head says how long it is.
    if (stored.size() >= key.size() && std::memcmp(stored.data(), key.data(), key.size()) == 0) return slot;
  }
  return kNoSlot;
}

void Table::grow() {
  if (buckets_ == 0) {
    heads_.front()->fill(kNoSlot);
    buckets_ = kFirstBuckets;
    mask_ = kFirstBuckets - 1;
    return;
  }
  if (buckets_ % kHeadChunk == 0 && buckets_ / kHeadChunk == heads_.size()) {
    heads_.push_back(std::make_unique<HeadChunk>());
    heads_.back()->fill(kNoSlot);
  }
  const std::uint32_t from = buckets_ & mask_;
  const std::uint32_t to = buckets_;
  Slot slot = head(from);
  head(from) = head(to) = kNoSlot;
  const std::uint32_t wide = mask_ << 1 | 1;
  while (slot != kNoSlot) {
    Entry& e = (*this)[slot];
    const Slot next = e.chain;
    Slot& first = head((e.hash & wide) == to ? to : from);
    e.chain = first;
    first = slot;
    slot = next;
  }
  ++buckets_;
  if ((buckets_ & wide) == 0) mask_ = wide;
}

Slot Table::take_slot() {
  if (free_ != kNoSlot) {
    const Slot slot = free_;
    free_ = (*this)[slot].chain;
    (*this)[slot] = Entry{};
    return slot;
  }
  if (end_ >= kMaxFlows) return kNoSlot;
  if (end_ % kChunk == 0 && end_ / kChunk == chunks_.size()) chunks_.push_back(std::make_unique<Entry[]>(kChunk));
  return end_++;
}

Slot Table::insert(ByteView bytes, std::uint32_t h) {
  const Slot slot = take_slot();
  if (slot == kNoSlot) return kNoSlot;
  if (size_ >= buckets_) grow();
  Entry& e = (*this)[slot];
  e.hash = h;
  set_record(slot, bytes);
  Slot& first = head(bucket_of(h));
  e.chain = first;
  first = slot;
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
    Slot* at = &head(bucket_of(e.hash));
    while (*at != slot) at = &(*this)[*at].chain;
    *at = e.chain;
    --size_;
  }
  if (e.length > kInlineRecord) long_free_.push_back(long_block(e));
  e.length = 0;
  e.flags = 0;
  e.chain = free_;
  free_ = slot;
}

void Table::set_record(Slot slot, ByteView bytes) {
  Entry& e = (*this)[slot];
  const bool was_long = e.length > kInlineRecord;
  if (bytes.size() <= kInlineRecord) {
    if (was_long) long_free_.push_back(long_block(e));
    std::memcpy(e.bytes.data(), bytes.data(), bytes.size());
    e.length = static_cast<std::uint8_t>(bytes.size());
    return;
  }
  std::uint32_t block = 0;
  if (was_long) {
    block = long_block(e);
  } else if (!long_free_.empty()) {
    block = long_free_.back();
    long_free_.pop_back();
  } else {
    block = long_end_++;
    if (block / kLongChunk == long_chunks_.size())
      long_chunks_.push_back(std::make_unique<LongRecord[]>(kLongChunk));
  }
  std::memcpy(long_chunks_[block / kLongChunk][block % kLongChunk].data(), bytes.data(), bytes.size());
  std::memcpy(e.bytes.data(), &block, sizeof block);
  e.length = static_cast<std::uint8_t>(bytes.size());
}

std::size_t Table::memory() const {
  return chunks_.size() * kChunk * sizeof(Entry) + heads_.size() * sizeof(HeadChunk) +
         long_chunks_.size() * kLongChunk * sizeof(LongRecord) + long_free_.capacity() * sizeof(std::uint32_t);
}

}  // namespace syncd
