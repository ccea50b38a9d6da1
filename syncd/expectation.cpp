#include "syncd/expectation.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

namespace syncd::record_bytes {
namespace {

using common::IpAddress;

constexpr unsigned kIpv6 = 0x01, kSourcePort = 0x02, kTranslated = 0x04, kOfReply = 0x08, kSavedAddress = 0x10;
constexpr unsigned kFollowsMaster = 0x20, kNamedFunction = 0x40;
constexpr std::string_view kFollowMaster = "nat-follow-master";
constexpr std::size_t kHead = 5, kPorts = 4;

unsigned form_of(const Expectation& e) {
  unsigned form = (e.tuple.source.is_v4() ? 0 : kIpv6) | (e.source_port_counts ? kSourcePort : 0);
  if (e.translation)
    form |= kTranslated | (e.translation->of_reply ? kOfReply : 0) |
            (e.translation->address.is_unspecified() ? 0 : kSavedAddress);
  if (!e.function.empty()) form |= e.function == kFollowMaster ? kFollowsMaster : kNamedFunction;
  return form;
}

/// Of the bytes behind the head, as far as the form says.
std::size_t size_of_form(unsigned form) {
  const std::size_t width = (form & kIpv6) ? 16 : 4;
  std::size_t size = kHead + 2 * width + kPorts;
  if (form & kTranslated) size += 2 + ((form & kSavedAddress) ? width : 0);
  return size + ((form & kNamedFunction) ? 1 : 0);
}

IpAddress address_at(ByteView bytes, std::size_t at, bool v6) {
  return v6 ? IpAddress::v6(bytes.subspan(at).first<16>()) : IpAddress::v4(bytes.subspan(at).first<4>());
}

/// Reads the one at the front, and takes it off; the caller looks whether it has its proper form.
std::optional<Expectation> take(ByteView& bytes) {
  if (bytes.empty()) return std::nullopt;
  const unsigned form = byte_at(bytes, 0);
  if (bytes.size() < size_of_form(form)) return std::nullopt;
  const bool v6 = (form & kIpv6) != 0;
  const std::size_t width = v6 ? 16 : 4;
  Expectation e{.protocol = static_cast<std::uint8_t>(byte_at(bytes, 1)),
                .source_bits = static_cast<std::uint8_t>(byte_at(bytes, 4)),
                .source_port_counts = (form & kSourcePort) != 0,
                .kind = static_cast<std::uint8_t>(byte_at(bytes, 2)),
                .flags = static_cast<std::uint8_t>(byte_at(bytes, 3))};
  std::size_t at = kHead;
  e.tuple.source = address_at(bytes, at, v6);
  e.tuple.destination = address_at(bytes, at + width, v6);
  at += 2 * width;
  e.tuple.source_port = u16_at(bytes, at);
  e.tuple.destination_port = u16_at(bytes, at + 2);
  at += kPorts;
  if (form & kTranslated) {
    auto& translation = e.translation.emplace(Expectation::Translation{});
    translation.of_reply = (form & kOfReply) != 0;
    translation.address = v6 ? IpAddress::v6(std::array<std::byte, 16>{}) : IpAddress();
    if (form & kSavedAddress) translation.address = address_at(bytes, std::exchange(at, at + width), v6);
    translation.port = u16_at(bytes, at);
    at += 2;
  }
  if (form & kFollowsMaster) e.function = kFollowMaster;
  if (form & kNamedFunction) {
    const std::size_t size = byte_at(bytes, at++);
    if (size == 0 || size > kMaxFunctionName || bytes.size() - at < size) return std::nullopt;
    const ByteView name = bytes.subspan(at, size);
    e.function.assign(reinterpret_cast<const char*>(name.data()), name.size());
    at += size;
  }
  bytes = bytes.subspan(at);
  return e;
}

}  // namespace

std::size_t size_of(const Expectation& e) {
  const unsigned form = form_of(e);
  return size_of_form(form) + ((form & kNamedFunction) ? e.function.size() : 0);
}

void write_expectation(const Expectation& e, Pen& pen) {
  pen.u8(form_of(e));
  pen.u8(e.protocol);
  pen.u8(e.kind);
  pen.u8(e.flags);
  pen.u8(e.source_bits);
  pen.address(e.tuple.source);
  pen.address(e.tuple.destination);
  pen.u16(e.tuple.source_port);
  pen.u16(e.tuple.destination_port);
  if (e.translation) {
    if (!e.translation->address.is_unspecified()) pen.address(e.translation->address);
    pen.u16(e.translation->port);
  }
  if (form_of(e) & kNamedFunction) {
    pen.u8(static_cast<unsigned>(e.function.size()));
    pen.bytes(std::as_bytes(std::span(e.function)));
  }
}

std::optional<std::vector<Expectation>> read_expectations(ByteView bytes) {
  std::vector<Expectation> out;
  while (!bytes.empty()) {
    const ByteView before = bytes;
    auto e = take(bytes);
    if (!e || (!out.empty() && !(out.back() < *e))) return std::nullopt;
    // There is one form of each: what reads the same and is written otherwise is refused.
    std::array<std::byte, 2 * kMaxExtras> again;
    Pen pen(again.data());
    write_expectation(*e, pen);
    const ByteView written(again.data(), static_cast<std::size_t>(pen.at() - again.data()));
    if (!std::ranges::equal(written, before.first(before.size() - bytes.size()))) return std::nullopt;
    out.push_back(std::move(*e));
  }
  if (out.empty()) return std::nullopt;
  return out;
}

}  // namespace syncd::record_bytes
