#include "syncd/audit_blocks.hpp"

namespace syncd {

using common::ByteReader;
using common::ByteView;
using common::ByteWriter;

std::expected<DigestBlock, FrameError> read_digests(ByteView body) {
  ByteReader r(body);
  DigestBlock block;
  block.epoch = r.u32();
  block.sequence = r.varint();
  block.first = r.u16();
  block.settled = r.u64();
  for (std::size_t i = 0; i < kBucketsAtOnce; ++i)
    if (block.settled.test(i)) block.sums[i] = r.u64();
  if (r.failed() || r.left() > 0 || block.epoch == 0 || block.first % kBucketsAtOnce != 0 || block.first >= kBuckets)
    return std::unexpected(FrameError::audit_form);
  return block;
}

std::expected<RepairBlock, FrameError> read_repair(ByteView body) {
  ByteReader r(body);
  RepairBlock block;
  block.epoch = r.u32();
  block.from = r.varint();
  for (std::size_t i = 0; i < kBuckets; i += 64) {
    const std::uint64_t bits = r.u64();
    for (std::size_t k = 0; k < 64; ++k)
      if (bits >> k & 1) block.buckets.set(i + k);
  }
  if (r.failed() || r.left() > 0 || block.epoch == 0) return std::unexpected(FrameError::audit_form);
  return block;
}

void append(const DigestBlock& digests, common::Bytes& out) {
  ByteWriter w(out);
  w.u32(digests.epoch);
  w.varint(digests.sequence);
  w.u16(static_cast<std::uint16_t>(digests.first));
  w.u64(digests.settled.to_ullong());
  for (std::size_t i = 0; i < kBucketsAtOnce; ++i)
    if (digests.settled.test(i)) w.u64(digests.sums[i]);
}

void append(const RepairBlock& repair, common::Bytes& out) {
  ByteWriter w(out);
  w.u32(repair.epoch);
  w.varint(repair.from);
  for (std::size_t i = 0; i < kBuckets; i += 64) {
    std::uint64_t bits = 0;
    for (std::size_t k = 0; k < 64; ++k)
      if (repair.buckets.test(i + k)) bits |= std::uint64_t{1} << k;
    w.u64(bits);
  }
}

}  // namespace syncd
