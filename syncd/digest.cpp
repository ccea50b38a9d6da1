#include "syncd/digest.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace syncd {

std::size_t bucket_of(common::ByteView key) {
  return XXH3_64bits(key.data(), key.size()) % kBuckets;
}

std::uint32_t digest_of(common::ByteView state) {
  return static_cast<std::uint32_t>(XXH3_64bits(state.data(), state.size()) >> 32);
}

void Buckets::restart_clock() {
  clock_ = 0;
  for (Bucket& bucket : all_) bucket.changed_at = 0;
}

void Buckets::change(common::ByteView key, std::uint64_t by) {
  if (all_.empty()) all_.resize(kBuckets);
  Bucket& bucket = all_[bucket_of(key)];
  bucket.sum += by;
  bucket.changed_at = clock_;
}

}  // namespace syncd
