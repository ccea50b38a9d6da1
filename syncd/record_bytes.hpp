#pragma once
// Bytes of records, for the files that read and write them.
#include <cstring>

#include "syncd/record.hpp"

namespace syncd::record_bytes {

using common::ByteView;

/// Writes into a buffer that is known to be long enough: kMaxRecord is the sum of all parts.
class Pen {
 public:
  explicit Pen(std::byte* at) : at_(at) {}
  void u8(unsigned v) { *at_++ = static_cast<std::byte>(v); }
  void u16(unsigned v) {
    u8(v >> 8 & 0xff);
    u8(v & 0xff);
  }
  void u32(std::uint32_t v) {
    u16(v >> 16);
    u16(v & 0xffff);
  }
  void address(const common::IpAddress& a) {
    const ByteView bytes = a.bytes();
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void bytes(ByteView v) {
    std::memcpy(at_, v.data(), v.size());
    at_ += v.size();
  }
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8((v & 0x7f) | 0x80);
    u8(static_cast<unsigned>(v));
  }
  std::byte* at() const { return at_; }

 private:
  std::byte* at_;
};

inline unsigned byte_at(ByteView data, std::size_t at) {
  return std::to_integer<unsigned>(data[at]);
}
inline std::uint16_t u16_at(ByteView data, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(data, at) << 8 | byte_at(data, at + 1));
}

inline std::uint32_t u32_at(ByteView data, std::size_t at) {
  return std::uint32_t{u16_at(data, at)} << 16 | u16_at(data, at + 2);
}

// --- extras (record_extras.cpp)

bool only_master(const Extras& extras);
void write_extras(const Extras& extras, Pen& pen);
/// How many of the expectations find room beside the other extras.
std::size_t expectations_that_fit(const Extras& extras);
/// Size of the extras, with the byte of their length.
std::expected<std::size_t, RecordError> inspect_extras(ByteView data, std::size_t at, unsigned head);
/// Of extras that inspect_extras() has made sure of, without the byte of their length.
Extras read_extras(ByteView bytes);

}  // namespace syncd::record_bytes
