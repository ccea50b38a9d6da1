#pragma once
// What is known of the other node through the sync link: the newest report, and what remains of it when the link goes.
#include <map>
#include <string>
#include <string_view>

#include "common/notify.hpp"
#include "common/time.hpp"

namespace vrrpd {

class Peer {
 public:
  void on_report(const common::PeerReport& report, common::Time now);
  /// Without syncd there is no link, and no replica either: what it held is gone with it.
  void on_syncd_lost(common::Time now);

  common::LinkState link() const { return report_.link; }
  bool linked() const { return report_.link == common::LinkState::up; }
  /// syncd has said that the link is up and now does not even repeat it: it hangs, or has far too much to do.
  bool silent(common::Time now) const;
  /// Since when the link is not up.
  common::Deadline unlinked_since() const { return unlinked_since_; }
  /// An authentic datagram has come from a peer since this process began, or a stranger with a wrong key.
  bool ever_met() const { return ever_met_; }
  bool config_differs() const { return report_.config_differs; }
  const std::string& node() const { return report_.node; }

  /// What the peer says of the group now. None: nothing is said, and then nothing may be concluded: the link is down,
  /// or the peer's vrrpd is dead, hung, or only just starting.
  const common::GroupReport* statement(std::string_view group) const;
  /// The newest term that the peer knows of; also one that is only just starting, and states nothing, knows.
  common::Term newest(std::string_view group) const;
  /// Our replica of the peer's flows is complete. Stays as it was while the link is down: silence adds nothing to it.
  bool complete(std::string_view group) const;
  /// Flows of ours that the peer has not acknowledged yet.
  std::uint64_t backlog(std::string_view group) const;
  /// Of our mastership, while the link was down; see common::GroupReport.
  std::uint64_t made_apart(std::string_view group) const;
  std::uint64_t served_apart(std::string_view group) const;

 private:
  common::PeerReport report_;
  common::Time reported_at_;
  std::map<std::string, common::PeerReport::Replica, std::less<>> replicas_;
  common::Deadline unlinked_since_;
  bool ever_met_ = false;
};

}  // namespace vrrpd
