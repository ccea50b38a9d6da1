#pragma once
// Digests of a group's flows, so that two routers can tell each second whether they hold the same. Each flow falls into
// a bucket by its key; a bucket's digest is the sum of its flows' digests, which depends on no order and moves with
// each change by a subtraction and an addition. Both routers must come to the same figures, so nothing here is seeded:
// whoever chooses flows that look alike only hides differences that are not there.
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/bytes.hpp"

namespace syncd {

/// Of a million flows five hundred are in a bucket: 30 KB to send again. At 100,000 changes a second six of seven
/// buckets stand still for the three milliseconds that an acknowledgement takes.
inline constexpr std::size_t kBuckets = 2048;
using BucketSet = std::bitset<kBuckets>;
/// In one datagram: half a kilobyte.
inline constexpr std::size_t kBucketsAtOnce = 64;
static_assert(kBuckets % kBucketsAtOnce == 0);

std::size_t bucket_of(common::ByteView key);
/// Of all that comparisons count: a record up to its timeout.
std::uint32_t digest_of(common::ByteView state);

/// What a group's buckets add up to, and when each changed last. "When" is a number that only grows: with flows of ours
/// the round of comparison, with the peer's the sequence of its datagram.
class Buckets {
 public:
  void add(common::ByteView key, std::uint32_t digest) { change(key, digest); }
  void remove(common::ByteView key, std::uint32_t digest) { change(key, std::uint64_t{0} - digest); }
  /// Changes from here on are made then.
  void set_clock(std::uint64_t clock) { clock_ = clock; }
  void advance_clock(std::uint64_t clock) {
    if (clock > clock_) clock_ = clock;
  }
  std::uint64_t clock() const { return clock_; }
  /// What the clock said until now means nothing any more.
  void restart_clock();

  std::uint64_t sum(std::size_t bucket) const { return bucket < all_.size() ? all_[bucket].sum : 0; }
  std::uint64_t changed_at(std::size_t bucket) const { return bucket < all_.size() ? all_[bucket].changed_at : 0; }

 private:
  struct Bucket {
    std::uint64_t sum = 0, changed_at = 0;
  };
  void change(common::ByteView key, std::uint64_t by);

  std::vector<Bucket> all_;  ///< 32 KB, of groups that have flows
  std::uint64_t clock_ = 0;
};

}  // namespace syncd
