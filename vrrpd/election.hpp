#pragma once
// Who may take over when: the table of rules for a group in backup, as one function without memory. Everything it
// needs stands in Facts, so that a rule can be read, and tested, without a router around it.
#include <optional>
#include <string_view>

#include "common/notify.hpp"
#include "common/time.hpp"

namespace vrrpd {

struct Facts {
  common::Time now;
  // --- ourselves
  std::string_view node;
  common::Term term;                 ///< the newest that we know of
  bool was_master = false;           ///< we were master in that term, since the last boot
  bool replicated = false;           ///< connections of this group are replicated: the peer is more than a stranger
  bool complete = true;              ///< our replica has everything
  bool yielded = false;              ///< we left and invited the peer to follow; nobody has yet
  common::Time started;              ///< when this process began
  common::Deadline listening_until;  ///< this process was stopped, and has to hear first what happened meanwhile
  // --- the peer, through the link
  bool linked = false;
  bool ever_met = false;                      ///< by link or by adverts, since this process began
  const common::GroupReport* said = nullptr;  ///< none: no statement
  common::Deadline leaving_since;             ///< since when it says that it leaves
  // --- the adverts
  bool hearing = false;          ///< an active router is heard on some member
  common::Time silent_at;        ///< when the last of the members' down timers runs out
  common::Deadline zero_at;      ///< when the skew after the first priority 0 ends; none: none was heard
  bool zero_everywhere = false;  ///< on all members
  common::Time overdue_at;       ///< when the members without one should have heard the next advert
  // --- times
  common::Duration down_interval{}, skew{}, witness_hold{};
};

enum class Decision { stay, claim, disbelieve };  ///< disbelieve: the priority 0 was forged or stray, wait as before

struct Verdict {
  Decision decision = Decision::stay;
  std::string_view why;    ///< of the claim, or of staying although the timers ran out
  common::Deadline again;  ///< when to ask again although nothing happens
};

/// Signs of the other node are given this much longer at the start, until the link has greeted.
inline constexpr common::Duration kFirstGreeting = std::chrono::seconds(1);

/// A peer in fault that was the last master gives its connections to us; for so long we wait for them. If there are
/// more than fit this time some begin anew, which is better than no router.
inline constexpr common::Duration kLegacyTime = std::chrono::seconds(1);

Verdict decide(const Facts& facts);

/// The peer says that it is, or is about to be, master.
bool claims_mastery(const common::GroupReport& said);

}  // namespace vrrpd
