#include "common/bytes.hpp"

namespace common {

std::uint64_t ByteReader::integer(std::size_t size) {
  if (failed_ || left() < size) {
    failed_ = true;
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | std::to_integer<std::uint64_t>(data_[at_++]);
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint64_t byte = u8();
    if (failed_) return 0;
    if (shift == 63 && byte > 1) break;  // the tenth byte has room for one bit
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  failed_ = true;
  return 0;
}

ByteView ByteReader::view(std::size_t size) {
  if (failed_ || left() < size) {
    failed_ = true;
    return {};
  }
  const ByteView result = data_.subspan(at_, size);
  at_ += size;
  return result;
}

std::string ByteReader::text(std::size_t size) {
  const ByteView v = view(size);
  return std::string(reinterpret_cast<const char*>(v.data()), v.size());
}

void ByteWriter::varint(std::uint64_t v) {
  while (v >= 0x80) {
    u8(static_cast<std::uint8_t>(v | 0x80));
    v >>= 7;
  }
  u8(static_cast<std::uint8_t>(v));
}

void ByteWriter::integer(std::uint64_t v, std::size_t size) {
  for (std::size_t i = size; i-- > 0;) out_.push_back(static_cast<std::byte>(v >> (8 * i)));
}

std::uint64_t checksum_add(std::uint64_t sum, ByteView data) {
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += std::to_integer<std::uint64_t>(data[i]) << 8;
    if (i + 1 < data.size()) sum += std::to_integer<std::uint64_t>(data[i + 1]);
  }
  return sum;
}

std::uint16_t checksum_finish(std::uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace common
