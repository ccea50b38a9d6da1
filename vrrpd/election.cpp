#include "vrrpd/election.hpp"

#include <algorithm>

namespace vrrpd {

using common::GroupState;
using common::Phase;

namespace {

Verdict stay(common::Deadline again = {}, std::string_view why = {}) {
  return {Decision::stay, why, again};
}
Verdict claim(std::string_view why) {
  return {Decision::claim, why, {}};
}
Verdict claim_at(common::Time at, const Facts& f, std::string_view why, std::string_view waiting = {}) {
  return f.now >= at ? claim(why) : stay(at, waiting);
}

/// The later of what two rules ask for is never needed: whichever comes first claims or asks again.
Verdict sooner(const Verdict& a, const Verdict& b) {
  if (a.decision != Decision::stay) return a;
  if (b.decision != Decision::stay) return b;
  return {Decision::stay, a.why.empty() ? b.why : a.why, common::earliest(a.again, b.again)};
}

/// The master named us its successor: it has left, and we hold everything. Waiting would only cost silence. Whoever has
/// been started anew since holds nothing, and was not meant.
bool named_successor(const Facts& f) {
  return f.said && f.complete && f.said->phase == Phase::yielded && f.said->term >= f.term && f.said->term.valid();
}

/// We were the last master (before a restart, or a lost carrier), and the peer knows no newer one: nobody follows if we
/// do not, and what the down timer would wait for is known already. Not when a foreign router is heard.
bool last_master(const Facts& f) {
  if (!f.replicated || !f.said || f.hearing || f.yielded) return false;
  return f.was_master && f.said->term <= f.term && !claims_mastery(*f.said) && f.said->phase != Phase::yielded;
}

/// Priority 0 needs a second sign, as anybody on the segment can forge one: it has come on all members, or the link
/// says nothing to the contrary and the adverts on the other members stay away. A link that says "master" contradicts:
/// a master that leaves says so there first.
Verdict on_priority_zero(const Facts& f) {
  if (!f.zero_at) return stay();
  if (f.now < *f.zero_at) return stay(f.zero_at);
  if (f.said && claims_mastery(*f.said) && f.said->phase != Phase::leaving) return {Decision::disbelieve, {}, {}};
  // The peer says "not master": that is the second sign. Without a word from it the next adverts are waited for.
  if (f.zero_everywhere || f.said) return claim("priority 0");
  return claim_at(f.overdue_at, f, "priority 0");
}

/// All members' down timers ran out (or will, at silent_at).
Verdict on_silence(const Facts& f) {
  constexpr std::string_view kSilence = "no adverts";
  if (!f.replicated) return claim_at(f.silent_at, f, kSilence);
  if (f.said) {
    // A living master that cannot be heard: a bond or a spanning tree that is not forwarding yet. To claim now would
    // make two masters of one; to wait for ever would leave the segment without.
    if (claims_mastery(*f.said))
      return claim_at(
          f.silent_at + f.witness_hold, f, "peer is master but not heard",
          f.now >= f.silent_at ? "the link says that the peer is master, but its adverts are not heard" : "");
    // Nobody is master. The one with the connections goes first; a peer that cannot go is not waited for.
    const bool peer_has_more = !f.complete && f.said->complete;
    if (!peer_has_more) return claim_at(f.silent_at, f, kSilence);
    if (f.said->state == GroupState::backup) return claim_at(f.silent_at + f.down_interval, f, kSilence);
    // It cannot be master, and gives us what it has; nobody serves meanwhile, but nothing is broken either.
    return claim_at(
        f.silent_at + kLegacyTime, f, kSilence,
        f.now >= f.silent_at ? "the peer is not able to be master, and its connections are not all here yet" : "");
  }
  // Linked, but the peer's vrrpd says nothing: it is dead or hangs. The adverts decide, and they are silent.
  const bool holds_something = f.complete && f.term.valid();
  if (f.linked || f.ever_met || holds_something) return claim_at(f.silent_at, f, kSilence);
  // Never a sign of anybody, and we hold nothing (a replica of nothing calls itself complete): give the link the time
  // to greet somebody who may hold everything (both just booted, or our ports do not forward yet).
  return claim_at(std::max(f.silent_at, f.started + f.down_interval + kFirstGreeting), f, "no sign of a peer");
}

}  // namespace

bool claims_mastery(const common::GroupReport& said) {
  return said.state == GroupState::master || said.phase == Phase::claiming;
}

Verdict decide(const Facts& f) {
  if (f.listening_until && f.now < *f.listening_until) return stay(f.listening_until);
  if (named_successor(f)) return claim("the peer handed over");
  if (last_master(f)) return claim("was the last master");
  Verdict result = sooner(on_priority_zero(f), on_silence(f));
  // "Leaving" comes through the link, which nobody can forge. The skew is what RFC 9568 waits after a priority 0.
  if (f.leaving_since) result = sooner(claim_at(*f.leaving_since + f.skew, f, "the peer leaves"), result);
  return result;
}

}  // namespace vrrpd
