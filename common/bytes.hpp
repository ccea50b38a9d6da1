#pragma once
// Reading and writing of wire formats. Big endian unless said otherwise; every read is checked against the end.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "common/address.hpp"

namespace common {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// Reads forward. After the first read past the end `failed()` stays true and every read gives zero, so that a decoder
/// may check once after a run of fields.
class ByteReader {
 public:
  explicit ByteReader(ByteView data) : data_(data) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  /// Unsigned LEB128, at most ten bytes; a longer or overflowing one fails.
  std::uint64_t varint();
  ByteView view(std::size_t size);
  std::string text(std::size_t size);

  std::size_t left() const { return data_.size() - at_; }
  std::size_t position() const { return at_; }
  bool failed() const { return failed_; }

 private:
  std::uint64_t integer(std::size_t size);
  ByteView data_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

/// Appends to a buffer that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(std::uint8_t v) { integer(v, 1); }
  void u16(std::uint16_t v) { integer(v, 2); }
  void u32(std::uint32_t v) { integer(v, 4); }
  void u64(std::uint64_t v) { integer(v, 8); }
  void varint(std::uint64_t v);
  void view(ByteView v) { out_.insert(out_.end(), v.begin(), v.end()); }
  void text(std::string_view v) { view(std::as_bytes(std::span(v))); }
  std::size_t size() const { return out_.size(); }

 private:
  void integer(std::uint64_t v, std::size_t size);
  Bytes& out_;
};

/// RFC 1071 sum of 16-bit words, not yet folded or complemented; an odd last byte counts as if followed by zero.
std::uint64_t checksum_add(std::uint64_t sum, ByteView data);
/// Folds and complements.
std::uint16_t checksum_finish(std::uint64_t sum);

}  // namespace common
