#include <algorithm>
#include <span>
#include <tuple>

#include "syncd/expectation.hpp"
#include "syncd/record_bytes.hpp"

namespace syncd::record_bytes {
namespace {

constexpr std::uint8_t kSctp = 132;
enum class Extra : std::uint8_t { sctp = 1, shifts = 2, labels = 3, helper = 4, synproxy = 5, expectations = 6 };

/// A part of the extras that we know has its form; one that we do not know has any.
bool fits(unsigned type, ByteView value) {
  const std::size_t size = value.size();
  switch (static_cast<Extra>(type)) {
    case Extra::sctp:
      return size == 9;
    case Extra::shifts:
      return size == 24;
    case Extra::labels:
      return size == std::tuple_size_v<Labels>;
    case Extra::helper:
      return size >= 1 && size <= kMaxHelperName;
    case Extra::synproxy:
      return size == 12;
    case Extra::expectations:
      return read_expectations(value).has_value();
  }
  return true;
}

/// Calls `each(type, value)` for every part. False: it is no proper list.
template <typename Each>
bool for_extras(ByteView extras, Each each) {
  unsigned before = 0;
  while (!extras.empty()) {
    if (extras.size() < 2) return false;
    const unsigned type = byte_at(extras, 0);
    const std::size_t size = byte_at(extras, 1);
    if (type <= before || extras.size() - 2 < size || !fits(type, extras.subspan(2, size))) return false;
    each(type, extras.subspan(2, size));
    extras = extras.subspan(2 + size);
    before = type;
  }
  return true;
}

}  // namespace

/// There are no extras but the master, which stands elsewhere.
bool only_master(const Extras& extras) {
  return !extras.sctp && !extras.shifts && !extras.labels && extras.helper.empty() && !extras.synproxy &&
         extras.expectations.empty();
}

std::size_t expectations_that_fit(const Extras& extras) {
  if (extras.expectations.empty()) return 0;
  constexpr std::size_t kHead = 2;
  std::size_t left = kMaxExtras - kHead;
  if (extras.sctp) left -= kHead + 9;
  if (extras.shifts) left -= kHead + 24;
  if (extras.labels) left -= kHead + extras.labels->size();
  if (!extras.helper.empty()) left -= kHead + std::min(extras.helper.size(), kMaxHelperName);
  if (extras.synproxy) left -= kHead + 12;
  std::size_t n = 0;
  for (; n < extras.expectations.size(); ++n) {
    const std::size_t size = size_of(extras.expectations[n]);
    if (size > left) break;
    left -= size;
  }
  return n;
}

std::expected<std::size_t, RecordError> inspect_extras(ByteView data, std::size_t at, unsigned head) {
  if (at >= data.size()) return std::unexpected(RecordError::truncated);
  const std::size_t size = byte_at(data, at);
  if (size == 0 || size > kMaxExtras) return std::unexpected(RecordError::extras_form);
  if (data.size() - at - 1 < size) return std::unexpected(RecordError::truncated);
  const bool sctp = (head >> 1 & 3) == 0 && byte_at(data, 1) == kSctp;
  bool proper = true;
  const bool whole = for_extras(data.subspan(at + 1, size), [&](unsigned type, ByteView) {
    proper = proper && (type != static_cast<unsigned>(Extra::sctp) || sctp);
  });
  if (!whole || !proper) return std::unexpected(RecordError::extras_form);
  return size + 1;
}

void write_extras(const Extras& extras, Pen& pen) {
  std::byte* const length = pen.at();
  pen.u8(0);
  const auto part = [&pen](Extra type, std::size_t size) {
    pen.u8(static_cast<unsigned>(type));
    pen.u8(static_cast<unsigned>(size));
  };
  if (extras.sctp) {
    part(Extra::sctp, 9);
    pen.u8(extras.sctp->state);
    pen.u32(extras.sctp->tag_original);
    pen.u32(extras.sctp->tag_reply);
  }
  if (extras.shifts) {
    part(Extra::shifts, 24);
    for (const SequenceShift& shift : *extras.shifts)
      for (const std::uint32_t value : {shift.position, shift.before, shift.after}) pen.u32(value);
  }
  if (extras.labels) {
    part(Extra::labels, extras.labels->size());
    pen.bytes(*extras.labels);
  }
  if (!extras.helper.empty()) {
    const auto name = std::as_bytes(std::span(extras.helper)).first(std::min(extras.helper.size(), kMaxHelperName));
    part(Extra::helper, name.size());
    pen.bytes(name);
  }
  if (extras.synproxy) {
    part(Extra::synproxy, 12);
    for (const std::uint32_t v : {extras.synproxy->initial, extras.synproxy->timestamp, extras.synproxy->offset})
      pen.u32(v);
  }
  if (const std::size_t n = expectations_that_fit(extras); n != 0) {
    part(Extra::expectations, 0);
    std::byte* const begin = pen.at();
    for (const Expectation& expectation : std::span(extras.expectations).first(n)) write_expectation(expectation, pen);
    *(begin - 1) = static_cast<std::byte>(pen.at() - begin);
  }
  *length = static_cast<std::byte>(pen.at() - length - 1);
}

Extras read_extras(ByteView bytes) {
  Extras out;
  for_extras(bytes, [&out](unsigned type, ByteView v) {
    switch (static_cast<Extra>(type)) {
      case Extra::sctp:
        out.sctp = {static_cast<std::uint8_t>(byte_at(v, 0)), u32_at(v, 1), u32_at(v, 5)};
        break;
      case Extra::shifts:
        out.shifts = {SequenceShift{u32_at(v, 0), u32_at(v, 4), u32_at(v, 8)},
                      SequenceShift{u32_at(v, 12), u32_at(v, 16), u32_at(v, 20)}};
        break;
      case Extra::labels:
        std::ranges::copy(v, out.labels.emplace().begin());
        break;
      case Extra::helper:
        out.helper.assign(reinterpret_cast<const char*>(v.data()), v.size());
        break;
      case Extra::synproxy:
        out.synproxy = {u32_at(v, 0), u32_at(v, 4), u32_at(v, 8)};
        break;
      case Extra::expectations:
        out.expectations = *read_expectations(v);
        break;
    }
  });
  return out;
}

}  // namespace syncd::record_bytes
