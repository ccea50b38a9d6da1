#pragma once
// What an audit says over the link (audit.hpp), as bytes. Digests: epoch 4, sequence 1-10, first bucket 2, which of the
// 64 buckets are settled 8, then 8 of each of these. Repair: epoch 4, sequence 1-10, all buckets as bits, in words.
#include "syncd/frame.hpp"

namespace syncd {

std::expected<DigestBlock, FrameError> read_digests(common::ByteView body);
std::expected<RepairBlock, FrameError> read_repair(common::ByteView body);
void append(const DigestBlock& digests, common::Bytes& out);
void append(const RepairBlock& repair, common::Bytes& out);

}  // namespace syncd
