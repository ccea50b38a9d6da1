#include "syncd/roles.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/overload.hpp"

namespace syncd {

using common::Time;

void Roles::on_connected(const std::string& node, Actions& out) {
  common::Hello hello{.role = common::Role::syncd, .node = node, .terms = {}};
  for (const Group& group : parts_.store.groups)
    if (group.newest.valid()) hello.terms.push_back({group.name, group.newest});
  out.push_back(SendNotify{std::move(hello)});
}

void Roles::on_message(const common::NotifyMessage& message, bool link_up, Time now, Actions& out) {
  std::visit(common::Overload{
                 [&](const common::Welcome& m) {
                   for (const auto& g : m.groups) on_state(g.group, g.state, g.phase, g.term, true, now);
                 },
                 [&](const common::Entered& m) { on_state(m.group, m.state, m.phase, m.term, false, now); },
                 [&](const common::Prepare& m) { on_prepare(m, now, out); },
                 [&](const common::Drain& m) { on_drain(m, link_up, now, out); },
                 [&](const common::Anticipate& m) {
                   Group* group = parts_.store.groups.find(m.group);
                   if (group != nullptr && group->replicated) parts_.commit.anticipate(*group, m.on);
                 },
                 [&](const common::LocalReport& m) { parts_.peer.local_report(m, now); },
                 [](const auto&) {},  // for the agent, or from a vrrpd that is newer than we are
             },
             message);
  advance(link_up, now, out);
}

bool Roles::older(Group& group, const common::Term& term) {
  if (term < group.told) {
    ++parts_.store.counters[Counter::stale_term];
    return true;
  }
  group.told = term;
  group.newest = std::max(group.newest, term);
  return false;
}

// --- whose the flows are
// ----------------------------------------------------------------------------------------------

void Roles::on_state(const std::string& name, common::GroupState state, common::Phase phase, const common::Term& term,
                     bool welcome, Time now) {
  Group* group = parts_.store.groups.find(name);
  if (group == nullptr || older(*group, term)) return;
  if (state == common::GroupState::master) {
    for (Takeover& takeover : takeovers_)
      if (&parts_.store.groups[takeover.group] == group) takeover.entered = true;
    // A syncd that starts beside a working master finds everything in the kernel: nothing is to be written.
    return become_master(*group, term, !(welcome && group->role == Role::unknown), now);
  }
  if (phase == common::Phase::claiming && group->role != Role::unknown) return;  // prepare has said, or will say, more
  // The group's last master, as far as this router knows: what was begun here since the syncd before us died, or when
  // the peer was away, stands in the kernel only.
  if (welcome && group->role == Role::unknown && term.valid() && term.node == parts_.peer.node())
    group->inherited = true, group->unread = !parts_.observer.dumped_once();
  become_backup(*group, now);
}

void Roles::become_master(Group& group, const common::Term& term, bool take_over, Time now) {
  if (group.role != Role::master) group.made_apart = group.served_apart = 0;
  if (group.role == Role::master) {
    group.held = term;
    group.stream.drained = false;  // a departure was called off, or a rival was met and stays away
    return parts_.peer.tell_now(now);
  }
  group.role = Role::master;
  parts_.receiver.stop_following(group);
  group.inherited = !take_over;
  // One that left in between, and comes back as the last master, lacks what it lacked.
  group.lacking = take_over && (group.lacking || !(group.held.valid() && holds_everything(group)));
  if (take_over) parts_.commit.take_over(group, holds_everything(group), now);
  group.held = term;
  parts_.selection.became_master();
  if (group.replicated) parts_.sender.begin_stream(group, StreamKind::mastership);
  parts_.observer.want_dump(now + (take_over ? kDumpAfterTakeover : common::Duration{}));
  parts_.peer.tell_now(now);
}

void Roles::become_backup(Group& group, Time now) {
  const std::size_t index = parts_.store.groups.index(group);
  const Role was = group.role;
  group.role = Role::backup;
  std::erase_if(takeovers_, [index](const Takeover& t) { return t.group == index; });
  if (was != Role::master) return;
  for (std::size_t i = drains_.size(); i-- > 0;) {
    if (drains_[i].group != index) continue;
    parts_.sender.forget(drains_[i].mark);
    drains_.erase(drains_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  parts_.sender.end_stream(group);
  parts_.commit.step_down(group);
  // Our former flows are candidates now: the new master's walk confirms them or has them swept.
  group.replica = {.epoch = 0, .highest = group.replica.highest, .term = {}};
  ++group.generation;
  parts_.peer.tell_now(now);
}

// --- taking over
// ------------------------------------------------------------------------------------------------------

void Roles::on_prepare(const common::Prepare& prepare, Time now, Actions& out) {
  Group* group = parts_.store.groups.find(prepare.group);
  if (group == nullptr || !group->replicated) {
    out.push_back(SendNotify{common::Ready{prepare.group, prepare.term, true, "not replicated"}});
    return;
  }
  const common::Term before = group->newest;
  if (older(*group, prepare.term)) return;
  ++parts_.store.counters[Counter::prepares];
  const std::size_t index = parts_.store.groups.index(*group);
  std::erase_if(takeovers_, [index](const Takeover& t) { return t.group == index; });
  // What the kernel had to say until now, it said of copies: their end must not end a flow of ours.
  Takeover takeover{.group = index, .term = prepare.term, .request = ++last_request_};
  takeover.wait_until = now + kDrainWait;
  takeover.legacy_until = now + kLegacyWait;
  takeover.before = before;
  takeover.failures = parts_.commit.failures();
  takeovers_.push_back(takeover);
  // held stands for the terms before this one: whether nothing is missing, decides how much is to be looked at.
  if (group->held.valid() && group->held == before) group->held = prepare.term;
  out.push_back(SyncEvents{takeover.request});
}

bool Roles::peer_still_drains(const Takeover& takeover, bool link_up, Time now) const {
  if (!link_up || takeover.wait_until <= now) return false;
  const Group& group = parts_.store.groups[takeover.group];
  const GroupState* said = parts_.peer.said(group);
  if (said == nullptr || said->epoch == 0 || said->epoch != group.replica.epoch || said->drained) return false;
  // It says nothing when its vrrpd is dead or hangs: its syncd lives, hears of our claim, and drains by itself.
  if (!said->report) return parts_.peer.claimed(group);
  return said->report->phase == common::Phase::leaving || said->report->phase == common::Phase::handing_over;
}

/// Nobody is master, the peer holds what the last one had, and we do not (yet).
bool Roles::legacy_is_coming(const Takeover& takeover, bool link_up, Time now) const {
  if (!link_up || takeover.legacy_until <= now) return false;
  const Group& group = parts_.store.groups[takeover.group];
  const GroupState* said = parts_.peer.said(group);
  if (said == nullptr || !said->holds.valid() || said->holds != takeover.before) return false;
  if (said->epoch != 0 && said->kind != StreamKind::legacy) return false;
  return group.held != takeover.before && group.held != takeover.term;
}

/// The peer claims a newer term, and our vrrpd has not said anything: it hangs, or is dead. The agent hears of the
/// claim at the same time and shuts the gate; what passed it until then must still get across, or the peer breaks it.
void Roles::review_rivals(bool link_up, Time now) {
  if (!link_up) return;
  for (std::size_t i = 0; i < parts_.store.groups.size(); ++i) {
    Group& group = parts_.store.groups[i];
    const GroupState* said = parts_.peer.said(group);
    if (group.role != Role::master || !group.replicated || said == nullptr || !said->report) continue;
    const bool claims =
        said->report->state == common::GroupState::master || said->report->phase == common::Phase::claiming;
    if (!claims || said->report->term <= group.told || said->report->term == group.rival) continue;
    const common::Standing theirs{said->report->made_apart, said->report->served_apart, said->report->term};
    if (common::stays({group.made_apart, group.served_apart, group.told}, theirs)) continue;
    group.rival = said->report->term;
    drains_.push_back({.group = i, .term = group.told, .until = now + kDrainWait, .begin = now + kGateShutsIn});
  }
}

void Roles::on_synced(std::uint64_t request, bool link_up, Time now, Actions& out) {
  for (Takeover& takeover : takeovers_)
    if (takeover.request == request && !takeover.flipped) takeover.synced = true;
  for (Draining& draining : drains_) {
    if (draining.request != request || draining.mark != 0) continue;
    // What is too young to be replicated is not too young to be handed over.
    parts_.selection.let_young_go(draining.group, now);
    draining.mark = parts_.sender.mark();
  }
  advance(link_up, now, out);
}

void Roles::flip(Takeover& takeover, Time now, Actions& out) {
  Group& group = parts_.store.groups[takeover.group];
  if (group.held.valid() && group.held == takeover.before) group.held = takeover.term;
  // One that is master already, and is asked anew, has packets passing.
  takeover.entered |= group.role == Role::master;
  become_master(group, takeover.term, true, now);
  takeover.flipped = true;
  takeover.request = ++last_request_;
  out.push_back(FlushKernel{takeover.request});
}

void Roles::on_flushed(std::uint64_t request, Time now, Actions& out) {
  const auto it =
      std::ranges::find_if(takeovers_, [request](const Takeover& t) { return t.flipped && t.request == request; });
  if (it == takeovers_.end()) return;
  if (parts_.commit.pending() && ++it->rounds < kFlushRounds) {
    it->request = ++last_request_;
    out.push_back(FlushKernel{it->request});
    return;
  }
  const std::uint64_t failed = parts_.commit.failures() - it->failures;
  common::Ready ready{parts_.store.groups[it->group].name, it->term, failed == 0, {}};
  takeovers_.erase(it);
  review_hearing(now, out);  // before anybody opens the gate
  if (failed != 0) {
    ++parts_.store.counters[Counter::prepares_failed];
    ready.detail =
        "the kernel refused " + std::to_string(failed) + " connections: " + refusal_text(parts_.commit.last_failure());
  }
  out.push_back(SendNotify{std::move(ready)});
}

/// A backup with a whole replica has nothing to learn from packets, and neither has one that is taking over before its
/// gate opens. For as long as nobody listens the kernel makes no report, and writing an entry costs half (measured).
bool Roles::quiet(const Group& group) const {
  if (!group.replicated) return true;
  if (group.role == Role::backup) return group.replica.complete;
  const auto taking_over = [&](const Takeover& t) {
    return &parts_.store.groups[t.group] == &group && t.flipped && !t.entered;
  };
  return group.role == Role::master && std::ranges::any_of(takeovers_, taking_over);
}

/// Where no gate kept packets out while nobody listened, a dump finds what they did.
void Roles::review_hearing(Time now, Actions& out) {
  const bool hear = !std::ranges::all_of(parts_.store.groups, [this](const Group& group) { return quiet(group); });
  if (std::exchange(hearing_, hear) == hear) return;
  out.push_back(HearPackets{hear});
  const auto is_master = [](const Group& group) { return group.role == Role::master; };
  if (hear && std::ranges::any_of(parts_.store.groups, is_master)) parts_.observer.want_dump(now + kDumpAfterTakeover);
}

// --- leaving
// ----------------------------------------------------------------------------------------------------------

void Roles::on_drain(const common::Drain& drain, bool link_up, Time now, Actions& out) {
  Group* group = parts_.store.groups.find(drain.group);
  if (group == nullptr || !group->replicated) {
    out.push_back(SendNotify{common::Drained{drain.group, drain.term, true, "not replicated"}});
    return;
  }
  if (older(*group, drain.term)) return;
  ++parts_.store.counters[Counter::drains];
  drains_.push_back({.group = parts_.store.groups.index(*group),
                     .term = drain.term,
                     .until = now + std::chrono::milliseconds(drain.timeout_ms),
                     .request = ++last_request_});
  if (group->role != Role::master)
    return finish_drain(drains_.size() - 1, false, "this node is not the master", now, out);
  // Of two masters one leaves: it has no follower, and what only it knows becomes a part of what the other one has.
  const bool remains = !group->stream.followed && parts_.peer.masters(*group);
  if (link_up && remains) {
    offer_remainder(*group, now);
  } else if (!link_up || !group->stream.followed) {
    return finish_drain(drains_.size() - 1, false, "no peer takes the connections", now, out);
  }
  drains_.back().answers = parts_.peer.answers();
  parts_.peer.ask_now(now);
  out.push_back(SyncEvents{last_request_});
}

void Roles::finish_drain(std::size_t at, bool confirmed, std::string detail, Time now, Actions& out) {
  const Draining draining = drains_[at];
  drains_.erase(drains_.begin() + static_cast<std::ptrdiff_t>(at));
  Group& group = parts_.store.groups[draining.group];
  if (!draining.passed) parts_.sender.forget(draining.mark);
  if (!confirmed) ++parts_.store.counters[Counter::drains_unconfirmed];
  group.stream.drained = confirmed && group.role == Role::master;
  if (confirmed) parts_.peer.tell_now(now);
  out.push_back(SendNotify{common::Drained{group.name, draining.term, confirmed, std::move(detail)}});
}

void Roles::on_passed(Sender::Mark mark) {
  for (Draining& draining : drains_)
    if (draining.mark == mark) draining.passed = true;
}

void Roles::advance(bool link_up, Time now, Actions& out) {
  review_rivals(link_up, now);
  for (Draining& draining : drains_) {
    if (!draining.begin || *draining.begin > now) continue;
    draining.begin.reset();
    draining.request = ++last_request_;
    out.push_back(SyncEvents{draining.request});
  }
  for (std::size_t i = drains_.size(); i-- > 0;) review_drain(i, link_up, now, out);
  resume_mastership(now);
  for (Takeover& takeover : takeovers_)
    if (!takeover.flipped && takeover.synced && !peer_still_drains(takeover, link_up, now) &&
        !legacy_is_coming(takeover, link_up, now))
      flip(takeover, now, out);
  review_hearing(now, out);
}

void Roles::offer_remainder(Group& group, Time now) {
  const bool everything = group.inherited || parts_.peer.said(group)->lacking;
  parts_.sender.begin_stream(group, StreamKind::remainder, everything);
  ++parts_.store.counters[Counter::remainders_sent];
  parts_.peer.tell_now(now);
}

/// A remainder belongs to a departure. Whoever is master after it, because vrrpd hangs or came to another answer, goes
/// on as one.
void Roles::resume_mastership(Time now) {
  for (std::size_t i = 0; i < parts_.store.groups.size(); ++i) {
    Group& group = parts_.store.groups[i];
    if (group.role != Role::master || !group.replicated || group.stream.kind == StreamKind::mastership) continue;
    if (std::ranges::any_of(drains_, [i](const Draining& d) { return d.group == i; })) continue;
    parts_.sender.begin_stream(group, StreamKind::mastership);
    parts_.peer.tell_now(now);
  }
}

void Roles::review_drain(std::size_t at, bool link_up, Time now, Actions& out) {
  const Draining& draining = drains_[at];
  Group& group = parts_.store.groups[draining.group];
  const Group::Stream& stream = group.stream;
  const bool whole = stream.all_sent && parts_.observer.in_step();
  const bool lives = draining.answers != parts_.peer.answers();
  if (draining.passed && whole && lives) return finish_drain(at, true, {}, now, out);
  if (!link_up) return finish_drain(at, false, "the peer was lost", now, out);
  if (!stream.followed && stream.kind == StreamKind::mastership) {
    // It has let go of us to become master itself: what it has not acknowledged is a remainder now.
    if (!parts_.peer.masters(group)) return finish_drain(at, false, "the peer was lost", now, out);
    offer_remainder(group, now);
  }
  if (draining.until <= now)
    finish_drain(
        at, false,
        draining.passed && lives ? "the peer does not have all connections yet" : "the peer has not confirmed in time",
        now, out);
}

common::Deadline Roles::deadline(Time now) const {
  // A deadline that is over must not come again.
  const auto next = [now](Time until) { return until > now ? common::Deadline(until) : common::Deadline(); };
  common::Deadline at;
  for (const Takeover& t : takeovers_)
    if (!t.flipped && t.synced) at = common::earliest(at, common::earliest(next(t.wait_until), next(t.legacy_until)));
  for (const Draining& d : drains_) at = common::earliest(at, common::earliest(d.begin, d.until));
  return at;
}

}  // namespace syncd
