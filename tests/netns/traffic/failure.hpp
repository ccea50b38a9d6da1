#pragma once
// Why a connection is lost, as the table of results names it.
#include <cerrno>
#include <cstdint>
#include <string_view>

#include "traffic/json.hpp"
#include "traffic/net.hpp"

namespace traffic {

enum class Failure : std::uint8_t { reset, closed, refused, wrong_data, timeout, other };
inline constexpr std::size_t kFailures = 6;

inline std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::reset:
      return "reset";
    case Failure::closed:
      return "closed";
    case Failure::refused:
      return "refused";
    case Failure::wrong_data:
      return "wrong_data";
    case Failure::timeout:
      return "timeout";
    case Failure::other:
      return "other";
  }
  return "?";
}

inline Failure failure_of(int error) {
  if (error == ECONNRESET || error == EPIPE) return Failure::reset;
  if (error == ECONNREFUSED) return Failure::refused;
  if (error == ETIMEDOUT) return Failure::timeout;
  return Failure::other;
}

/// Counts by reason, and the first few in detail: a report of 6,000 equal lines helps nobody.
class FailureLog {
 public:
  struct Entry {
    std::uint16_t port = 0;
    Failure failure = Failure::other;
    int error = 0;
    Nanoseconds started = 0, established = 0, failed = 0;
  };
  void add(const Entry& entry) {
    ++counts_[static_cast<std::size_t>(entry.failure)];
    ++total_;
    if (entries_.size() < kKept) entries_.push_back(entry);
  }
  std::uint64_t total() const { return total_; }
  Json counts() const {
    Json result;
    for (std::size_t i = 0; i < kFailures; ++i) {
      if (counts_[i] != 0) result.field(to_string(static_cast<Failure>(i)), counts_[i]);
    }
    return result;
  }
  std::vector<Json> entries() const {
    std::vector<Json> result;
    for (const Entry& entry : entries_) {
      Json one;
      one.field("port", entry.port).field("reason", to_string(entry.failure));
      one.field("error", entry.error == 0 ? std::string() : error_name(entry.error));
      one.field("started", entry.started).field("established", entry.established).field("failed", entry.failed);
      result.push_back(one);
    }
    return result;
  }

 private:
  static constexpr std::size_t kKept = 100;
  std::uint64_t counts_[kFailures] = {};
  std::uint64_t total_ = 0;
  std::vector<Entry> entries_;
};

/// How much arrived in each 10 ms since the start, for the plots.
class Bins {
 public:
  static constexpr Nanoseconds kWidth = 10 * kMillisecond;
  explicit Bins(Nanoseconds start) : start_(start) { counts_.reserve(60000); }
  void add(Nanoseconds at) {
    const auto bin = static_cast<std::size_t>((at - start_) / kWidth);
    if (at < start_ || bin > kLimit) return;
    if (counts_.size() <= bin) counts_.resize(bin + 1);
    ++counts_[bin];
  }
  Nanoseconds start() const { return start_; }
  const std::vector<std::uint32_t>& counts() const { return counts_; }

 private:
  static constexpr std::size_t kLimit = 720'000;  ///< two hours
  Nanoseconds start_;
  std::vector<std::uint32_t> counts_;
};

}  // namespace traffic
