#include "syncd/offer.hpp"

namespace syncd {

using common::Time;

std::optional<Offers::Offer> Offers::wanted(const Group& group, const GroupState& said) const {
  if (group.unread) return std::nullopt;
  const Group::Stream& stream = group.stream;
  if (said.epoch != 0 && said.kind == StreamKind::mastership) {
    if (group.replica.epoch == said.epoch || group.refused_offer == said.epoch) return std::nullopt;
    const bool everything = said.lacking || group.inherited;
    if (everything ? group.flows == 0 : group.unshared == 0) return std::nullopt;
    return Offer{StreamKind::remainder, everything};
  }
  // It claims: what it has got so far decides what it is to get, and will be told in a moment.
  if (peer_.masters(group))
    return stream.epoch == 0 ? std::nullopt : std::optional(Offer{stream.kind, stream.everything});
  if (group.held.valid() && group.held == group.newest && said.holds < group.held)
    return Offer{StreamKind::legacy, true};
  const bool something = group.inherited ? group.flows > 0 : group.unshared > 0;
  if (said.holds.valid() && said.holds == group.newest && group.held < said.holds && something)
    return Offer{StreamKind::remainder, group.inherited};
  return std::nullopt;
}

/// Only a master's stream is worth following in the end: it is not put off for ever.
bool Offers::waits_for(const Group& group, const GroupState& said) const {
  return group.stream.epoch != 0 && !group.stream.followed && said.epoch != 0 && said.kind == StreamKind::mastership;
}

bool Offers::review(Group& group, const GroupState& said, Time now) {
  Group::Stream& stream = group.stream;
  const auto offer = wanted(group, said);
  if (!offer) {
    group.offered_at.reset();
    if (stream.epoch == 0) return false;
    sender_.end_stream(group);
    // What it said of versions was between the two of us, for this one stream.
    ++group.generation;
    peer_.tell_now(now);
    return true;
  }
  if (stream.epoch != 0 && Offer{stream.kind, stream.everything} == *offer) {
    if (stream.followed || !waits_for(group, said) || now < *group.offered_at + kOfferPatience) return false;
    group.refused_offer = said.epoch;
    return review(group, said, now);
  }
  sender_.begin_stream(group, offer->kind, offer->everything);
  ++store_.counters[offer->kind == StreamKind::legacy ? Counter::legacies_sent : Counter::remainders_sent];
  group.offered_at = now;
  peer_.tell_now(now);
  return false;
}

bool Offers::review(bool link_up, Time now) {
  if (!link_up) return false;
  bool ended = false;
  for (Group& group : store_.groups) {
    const GroupState* said = peer_.said(group);
    if (group.role != Role::backup || !group.replicated || said == nullptr) continue;
    ended = review(group, *said, now) || ended;
  }
  return ended;
}

common::Deadline Offers::deadline() const {
  common::Deadline at;
  for (const Group& group : store_.groups)
    if (const GroupState* said = peer_.said(group);
        group.role == Role::backup && said && group.offered_at && waits_for(group, *said))
      at = common::earliest(at, *group.offered_at + kOfferPatience);
  return at;
}

}  // namespace syncd
