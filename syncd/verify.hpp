#pragma once
// `natctl sync verify`: do both routers' kernels hold the same connections? Each side dumps its kernel and reduces the
// dump to records; the asking side fetches the other's records over the link, part by part, and compares. Traffic goes
// on meanwhile, so what differs is looked at again, up to kVerifyRounds times, and only what differs each time is
// named. With on-takeover the standby's kernel is empty by intent: its table stands in.
//
// Flows with an address of the standby itself, which is a host behind the master like any other, are sent by the
// master, who cannot know, and rightly not taken in by the standby: they are no differences. A standby that asks knows
// them by its addresses; one that is asked appends their keys, marked as gone, in parts of their own: a peer of an
// older release passes over those.
#include <tsl/robin_map.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config.hpp"
#include "common/time.hpp"
#include "syncd/engine.hpp"
#include "syncd/frame.hpp"
#include "syncd/ownership.hpp"
#include "syncd/receiver.hpp"
#include "syncd/selection.hpp"
#include "syncd/store.hpp"

namespace syncd {

inline constexpr int kVerifyRounds = 3;
inline constexpr common::Duration kVerifyPause = std::chrono::milliseconds(300);
/// Parts on their way at once, and how long to wait for one before asking again.
inline constexpr std::uint32_t kVerifyWindow = 32;
inline constexpr common::Duration kVerifyAskAgain = std::chrono::milliseconds(20);
/// After this long without an answer the peer is given up.
inline constexpr common::Duration kVerifyPatience = std::chrono::seconds(10);
/// Flows named in the reply: more would not be read, and the reply must fit one packet of the notify protocol.
inline constexpr std::size_t kVerifyNamed = 100;
/// Bytes of records in one part: with a question and a full acknowledgement it fits the smallest datagram.
inline constexpr std::size_t kVerifyPart = 1080;
/// Of one side: kMaxFlows and some with long records. What is beyond is not compared.
inline constexpr std::size_t kVerifyParts = 600000;
/// Parts that are worked on in one step: about 9000 flows, a few milliseconds.
inline constexpr std::size_t kVerifySlice = 200;

/// The peer is told so often that there is something to repair: no answer is waited for.
inline constexpr int kVerifyTellRepair = 3;

class Verify {
 public:
  Verify(Store& store, const Ownership& ownership, const Selection& selection, const Receiver& receiver,
         const common::Config& config)
      : store_(store), ownership_(ownership), selection_(selection), receiver_(receiver), config_(config) {}

  /// An operator asks. The reply comes later, or at once when it cannot be. `run` is a number never used before.
  void start(std::uint64_t client, std::uint64_t id, std::uint64_t run, bool link_up, common::Time now, Actions& out);
  /// A dump of our kernel is wanted, for us or for the peer.
  bool wants_dump() const { return !dump_running_ && (own_wanted_ || snapshot_wanted_); }
  void dump_started();
  void on_dumped(std::span<const Flow> flows, bool last, bool failed);

  void on_ask(const PartAsk& ask);
  /// `without_extras`: the peer knows of none, so none are compared.
  void on_part(const Part& part, bool without_extras, common::Time now);

  /// Something to say to the peer now.
  bool has_to_say(common::Time now) const;
  std::optional<PartAsk> poll_ask(common::Time now);
  /// Its records stay valid until the next call of anything here.
  std::optional<Part> poll_part();

  void advance(bool link_up, common::Time now, Actions& out);
  bool working() const { return run_ && run_->stage >= Stage::indexing; }
  /// True once after a comparison, ours or the peer's, that found differences: each side then brings its table and its
  /// kernel together. Not earlier, or what is repaired meanwhile would not be named.
  bool take_repair() { return std::exchange(repair_, false); }
  common::Deadline deadline() const;

 private:
  using Parts = std::vector<common::Bytes>;
  enum class Stage : std::uint8_t { pausing, gathering, indexing, matching, leftovers };
  struct Mine {
    std::string_view state;
    bool matched = false;
  };
  struct Run {
    std::uint64_t client = 0, id = 0;
    std::uint64_t run = 0;  ///< another one for every round
    int round = 0;
    Stage stage = Stage::gathering;
    common::Time resume_at{};
    bool have_own = false;
    bool without_extras = false;
    Parts own, peer;
    std::uint32_t missing = 0;   ///< first part of the peer that has not come
    std::uint32_t asked_to = 0;  ///< one past the last part that was asked for
    common::Time ask_at{}, heard{};
    std::size_t at = 0;  ///< part, within the stage
    tsl::robin_map<std::string_view, Mine> index;
    std::map<std::string, std::string> differing, before;  ///< key -> what to tell of it
    std::uint64_t compared = 0;
  };

  void begin_round(common::Time now);
  void take(const Flow& flow);
  void take_table();
  void name_kept_out();
  static void append(Parts& parts, common::ByteView record);
  bool from_kernel(std::size_t group) const;
  void work(common::Time now, Actions& out);
  void index_part(common::Bytes& part);
  void match_part(const common::Bytes& part);
  void set_aside(common::ByteView key);
  void leftover_part(const common::Bytes& part);
  void note(common::ByteView record, std::string text);
  void end_round(common::Time now, Actions& out);
  void fail(const std::string& why, Actions& out);

  Store& store_;
  const Ownership& ownership_;
  const Selection& selection_;
  const Receiver& receiver_;
  const common::Config& config_;
  bool own_wanted_ = false, snapshot_wanted_ = false;
  bool dump_running_ = false, dump_for_own_ = false, dump_for_snapshot_ = false;
  Parts dumping_;
  std::uint64_t snapshot_run_ = 0;
  Parts snapshot_;                      ///< of us, for the peer
  std::vector<std::uint32_t> to_send_;  ///< parts that the peer asked for, last first
  std::optional<Run> run_;
  bool repair_ = false;
  int repairs_to_tell_ = 0;
  std::uint64_t ended_run_ = 0;
};

}  // namespace syncd
