#include "syncd/peer.hpp"

#include <algorithm>
#include <utility>

#include "syncd/link.hpp"

namespace syncd {

using common::Deadline;
using common::Time;

bool holds_everything(const Group& group) {
  return !group.newest.valid() || group.held == group.newest;
}

Peer::Peer(Store& store, const common::Config& config, Time now) : store_(store), tell_at_(now), report_at_(now) {
  configure(config);
}

void Peer::configure(const common::Config& config) {
  node_ = config.node;
  peer_ = config.peer;
  config_hash_ = stable_hash(config.digest);
  keepalive_ = keepalive_for(config);
}

// --- what we tell
// -----------------------------------------------------------------------------------------------------

void Peer::local_report(const common::LocalReport& report, Time now) {
  local_.clear();
  for (const common::GroupReport& g : report.groups) {
    Stated stated{g, std::nullopt};
    if (g.valid_for_ms > 0) stated.until = now + std::chrono::milliseconds(g.valid_for_ms);
    stated.report.valid_for_ms = 0;
    local_.push_back(std::move(stated));
  }
  if (report.probe) probe_ = true;
  tell_now(now);
}

void Peer::forget_local(Time now) {
  local_.clear();
  tell_now(now);
}

void Peer::expire(Time now) {
  const auto expired = std::erase_if(local_, [now](const Stated& s) { return s.until && *s.until <= now; });
  if (expired == 0) return;
  store_.counters[Counter::reports_expired] += expired;
  tell_now(now);
}

PeerState Peer::state_to_tell(Time now, std::uint8_t protocol) {
  expire(now);
  PeerState state;
  state.serial = ++last_serial_;
  state.config = config_hash_;
  state.keepalive = std::chrono::ceil<std::chrono::milliseconds>(keepalive_);
  for (const Group& g : store_.groups) {
    GroupState gs;
    gs.group = g.id;
    if (g.stream.epoch != 0 && g.replicated) {
      gs.epoch = g.stream.epoch;
      gs.kind = g.stream.kind;
      gs.term = g.role == Role::master ? g.told : g.held;
      gs.all_sent = g.stream.all_sent;
      gs.drained = g.stream.drained;
    }
    gs.following = g.adoption.epoch != 0 ? g.adoption.epoch : g.replica.epoch;
    gs.released = g.replica.epoch == g.replica.highest ? 0 : g.replica.highest;
    gs.holds = g.held;
    gs.lacking = g.lacking;
    gs.compares = protocol == kProtocol && g.role == Role::backup && g.replica.epoch != 0 && g.replica.complete;
    const auto stated = std::ranges::find(local_, g.name, [](const Stated& s) { return s.report.group; });
    if (stated != local_.end()) {
      gs.report = stated->report;
      gs.report->made_apart = g.role == Role::master ? g.made_apart : 0;
      gs.report->served_apart = g.role == Role::master ? g.served_apart : 0;
      gs.report->group.clear();
    }
    state.groups.push_back(std::move(gs));
  }
  state.table = table_;
  return state;
}

void Peer::told(Time now) {
  tell_at_ = now + keepalive_;
}

// --- what we are told
// -------------------------------------------------------------------------------------------------

bool Peer::on_state(PeerState state) {
  // Not the datagram's counter: where both sides began a session, each may go on sending in another one.
  if (state.serial <= newest_serial_) return false;
  newest_serial_ = state.serial;
  state.serial = 0;  // says nothing of the peer
  peer_table_ = std::exchange(state.table, std::nullopt);
  if (said_ == state) return true;
  said_ = std::move(state);
  ++said_changes_;
  for (const GroupState& gs : said_->groups) {
    Group* group = store_.groups.find(gs.group);
    if (group == nullptr) continue;
    group->newest = std::max(group->newest, gs.term);
    if (gs.report) group->newest = std::max(group->newest, gs.report->term);
  }
  return true;
}

common::Duration Peer::keepalive() const {
  return said_ ? std::max<common::Duration>(keepalive_, said_->keepalive) : kSlowestKeepalive;
}

void Peer::on_probe(Time now) {
  answer_ = true;
  tell_now(now);
}

bool Peer::claimed(const Group& group) const {
  return std::ranges::any_of(local_, [&](const Stated& s) {
    return s.report.group == group.name && s.report.phase == common::Phase::claiming;
  });
}

bool Peer::masters(const Group& group) const {
  const GroupState* gs = said(group);
  if (gs == nullptr) return false;
  if (gs->epoch != 0 && gs->kind == StreamKind::mastership) return true;
  return gs->report &&
         (gs->report->state == common::GroupState::master || gs->report->phase == common::Phase::claiming);
}

const GroupState* Peer::said(const Group& group) const {
  if (!said_) return nullptr;
  const auto it = std::ranges::find(said_->groups, group.id, &GroupState::group);
  return it == said_->groups.end() ? nullptr : &*it;
}

// --- reports
// ----------------------------------------------------------------------------------------------------------

common::PeerReport Peer::make_report(common::LinkState link, std::uint64_t backlog) const {
  common::PeerReport report;
  report.link = link;
  report.node = peer_;
  report.heard = link == common::LinkState::up;
  report.config_differs = config_differs();
  for (const Group& group : store_.groups) {
    const GroupState* gs = said(group);
    if (gs && gs->report) {
      report.groups.push_back(*gs->report);
      report.groups.back().group = group.name;
    }
    if (group.replicated)
      report.replicas.push_back({group.name, holds_everything(group), group.role == Role::master ? backlog : 0,
                                 group.role == Role::master ? group.made_apart : 0,
                                 group.role == Role::master ? group.served_apart : 0});
  }
  return report;
}

static_assert(kMaxGroups <= 32, "a bit per group");

Peer::Brief Peer::brief(common::LinkState link) const {
  Brief brief{.link = link, .config_differs = config_differs(), .said = said_changes_};
  for (std::size_t i = 0; i < store_.groups.size(); ++i)
    if (holds_everything(store_.groups[i])) brief.complete |= 1u << i;
  return brief;
}

std::optional<common::PeerReport> Peer::report(common::LinkState link, std::uint64_t backlog, Time now) {
  const Brief fresh = brief(link);
  if (!answered_ && report_at_ > now && reported_ == fresh) return std::nullopt;
  answered_ = false;
  report_at_ = now + common::kPeerReportEvery;
  reported_ = fresh;
  return make_report(link, backlog);
}

Deadline Peer::deadline(bool can_tell) const {
  Deadline at = report_at_;
  if (!can_tell) return at;
  at = common::earliest(at, tell_at_);
  for (const Stated& stated : local_) at = common::earliest(at, stated.until);
  return at;
}

}  // namespace syncd
