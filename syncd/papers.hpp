#pragma once
// What one router shows the other on demand: its configuration file and how its kernel is set up, as one text that the
// shell makes and natctl reads. For `natctl config diff` and `natctl doctor`, which compare the two. Not state that is
// repeated: an operator asks for it, and it comes in parts, each asked for again until it is here.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/time.hpp"
#include "syncd/engine.hpp"
#include "syncd/frame.hpp"

namespace syncd {

/// Bytes of one part (with a question and a full acknowledgement it fits the smallest datagram), and parts on their way
/// at once.
inline constexpr std::size_t kPapersPart = 1080;
inline constexpr std::uint32_t kPapersWindow = 32;
/// Longer than any answer of a peer that lives; each question costs it a datagram.
inline constexpr common::Duration kPapersAskAgain = std::chrono::milliseconds(50);
/// After this long without a part the peer is given up.
inline constexpr common::Duration kPapersPatience = std::chrono::seconds(3);
/// Twice the longest configuration file (as JSON it grows) and the rest: what claims to be longer is refused.
inline constexpr std::size_t kPapersParts = 8000;

class Papers {
 public:
  explicit Papers(const common::Config& config) : config_(config) {}

  /// An operator asks for the peer's. The reply comes later, or at once when it cannot be. `run` is a number never used
  /// before.
  void start(std::uint64_t client, std::uint64_t id, std::uint64_t run, bool link_up, common::Time now, Actions& out);

  void on_ask(const PartAsk& ask);
  void on_part(const Part& part, common::Time now);
  /// Ours, which `advance` had the shell collect.
  void collected(const std::string& text);

  /// Something to say to the peer now.
  bool has_to_say(common::Time now) const;
  std::optional<PartAsk> poll_ask(common::Time now);
  /// Its bytes stay valid until the next call of anything here.
  std::optional<Part> poll_part();

  void advance(bool link_up, common::Time now, Actions& out);
  common::Deadline deadline() const;

 private:
  struct Run {
    std::uint64_t client = 0, id = 0, run = 0;
    std::vector<common::Bytes> parts;  ///< empty until the first one says how many there are
    std::uint32_t missing = 0;         ///< first part that has not come
    std::uint32_t asked_to = 0;        ///< one past the last part that was asked for
    common::Time ask_at{}, heard{};
  };
  bool whole() const { return run_ && !run_->parts.empty() && run_->missing >= run_->parts.size(); }
  void finish(bool ok, std::string text, Actions& out);

  const common::Config& config_;
  std::optional<Run> run_;
  std::optional<PartAsk> over_;  ///< tells the peer that its papers are here, so that it can forget them
  std::uint64_t shown_run_ = 0;
  common::Bytes shown_;                 ///< ours, for the peer
  bool wanted_ = false;                 ///< the shell is to collect ours
  std::vector<std::uint32_t> to_send_;  ///< parts that the peer asked for, last first
};

}  // namespace syncd
