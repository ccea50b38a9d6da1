#pragma once
// What a node that is not master streams all the same, so that no connection is lost for want of a listener:
//   legacy     nobody is master, we hold what the last one had and the peer does not (it was rebooted, or cut off)
//   remainder  the peer holds all the rest, as master or as the last one; we may know what it has never heard of
// The terms decide who is who: the newer is never replaced by the older. While something is offered nothing is
// followed, as the end of the peer's walk would sweep it.
#include <optional>

#include "common/time.hpp"
#include "syncd/peer.hpp"
#include "syncd/sender.hpp"
#include "syncd/store.hpp"

namespace syncd {

/// A peer that has not taken an offer after this time will not: it is answered within a round trip and a step.
inline constexpr common::Duration kOfferPatience = std::chrono::seconds(1);

class Offers {
 public:
  Offers(Store& store, Sender& sender, Peer& peer) : store_(store), sender_(sender), peer_(peer) {}

  /// True: an offer has ended, and what the peer streams may be followed now.
  bool review(bool link_up, common::Time now);
  common::Deadline deadline() const;

 private:
  struct Offer {
    StreamKind kind = StreamKind::mastership;
    bool everything = true;
    bool operator==(const Offer&) const = default;
  };
  std::optional<Offer> wanted(const Group& group, const GroupState& said) const;
  bool waits_for(const Group& group, const GroupState& said) const;
  bool review(Group& group, const GroupState& said, common::Time now);

  Store& store_;
  Sender& sender_;
  Peer& peer_;
};

}  // namespace syncd
