#include "vrrpd/peer.hpp"

namespace vrrpd {

using common::LinkState;

namespace {

/// As long as the agent believes a report.
constexpr common::Duration kSilence = 3 * common::kPeerReportEvery;

}  // namespace

void Peer::on_report(const common::PeerReport& report, common::Time now) {
  const bool was_linked = linked();
  report_ = report;
  reported_at_ = now;
  std::map<std::string, common::PeerReport::Replica, std::less<>> replicas;
  for (const auto& replica : report_.replicas) {
    const bool was_complete = complete(replica.group);
    auto& mine = replicas[replica.group] = replica;
    // Silence adds nothing to a replica and takes nothing from it; what we made meanwhile is ours to know.
    if (!linked()) mine.complete = was_complete;
  }
  replicas_ = std::move(replicas);
  if (linked()) {
    unlinked_since_.reset();
  } else if (was_linked || !unlinked_since_) {
    unlinked_since_ = now;
  }
  if (report_.link == LinkState::up || report_.link == LinkState::refused) ever_met_ = true;
}

void Peer::on_syncd_lost(common::Time now) {
  if (linked() || !unlinked_since_) unlinked_since_ = now;
  report_ = common::PeerReport{.link = LinkState::down, .node = report_.node};
  replicas_.clear();
}

bool Peer::silent(common::Time now) const {
  return linked() && now >= reported_at_ + kSilence;
}

const common::GroupReport* Peer::statement(std::string_view group) const {
  if (!linked()) return nullptr;
  for (const common::GroupReport& said : report_.groups)
    if (said.group == group && said.state != common::GroupState::initialize) return &said;
  return nullptr;
}

common::Term Peer::newest(std::string_view group) const {
  if (!linked()) return {};
  for (const common::GroupReport& said : report_.groups)
    if (said.group == group) return said.term;
  return {};
}

bool Peer::complete(std::string_view group) const {
  const auto found = replicas_.find(group);
  return found != replicas_.end() && found->second.complete;
}

std::uint64_t Peer::made_apart(std::string_view group) const {
  const auto found = replicas_.find(group);
  return found == replicas_.end() ? 0 : found->second.made_apart;
}

std::uint64_t Peer::served_apart(std::string_view group) const {
  const auto found = replicas_.find(group);
  return found == replicas_.end() ? 0 : found->second.served_apart;
}

std::uint64_t Peer::backlog(std::string_view group) const {
  const auto found = replicas_.find(group);
  return found == replicas_.end() ? 0 : found->second.backlog;
}

}  // namespace vrrpd
