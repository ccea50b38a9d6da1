#pragma once
// The parts of the engine and how they hang together. Rules live in the parts; here is routing only.
#include "syncd/audit.hpp"
#include "syncd/commit.hpp"
#include "syncd/engine.hpp"
#include "syncd/inquiry.hpp"
#include "syncd/link.hpp"
#include "syncd/observer.hpp"
#include "syncd/offer.hpp"
#include "syncd/ownership.hpp"
#include "syncd/papers.hpp"
#include "syncd/peer.hpp"
#include "syncd/receiver.hpp"
#include "syncd/retention.hpp"
#include "syncd/roles.hpp"
#include "syncd/room.hpp"
#include "syncd/selection.hpp"
#include "syncd/sender.hpp"
#include "syncd/verify.hpp"

namespace syncd {

/// Answers to it come one at a time, and nobody waits for more.
inline constexpr std::size_t kMostCommits = 16;
/// Above the numbers that takeovers use for the same question.
inline constexpr std::uint64_t kFirstCommit = std::uint64_t{1} << 63;

struct Engine::State {
  State(common::Config c, Secrets secrets, Time now)
      : config(std::move(c)),
        nonces(secrets.random),
        store(nonces.next_u64()),
        room(store),
        sender(store),
        selection(store, sender),
        commit(store, config.sync ? config.sync->commit : common::CommitPolicy::continuous),
        receiver(store, sender, commit, ownership),
        observer(store, sender, commit, selection, ownership),
        retention(store, sender, receiver, ownership),
        link(config, std::move(secrets.key), nonces, store.counters, now),
        peer(store, config, now),
        offers(store, sender, peer),
        roles({store, sender, selection, receiver, commit, observer, peer}),
        verify(store, ownership, selection, receiver, config),
        audit({store, sender, receiver, commit, peer}),
        inquiries(store),
        papers(config) {
    configure();
  }

  bool configure();
  void review_ownership(Time now);
  void handle(const Event& event, Time now, Actions& out);
  void on_datagram(const DatagramReceived& datagram, Time now);
  void on_session(Time now);
  void on_frame(const Frame& frame, Time now);
  void on_peer_state(const PeerState& state, Time now);
  void consider_streams(Time now);
  void on_dumped(const FlowsDumped& dumped, Time now);
  void on_request(const RequestReceived& request, Time now, Actions& out);
  void advance(Time now, Actions& out);
  void advance_link(Time now, Actions& out);
  void end_meeting(common::Time now);
  bool may_dump() const;
  bool may_select() const;
  /// Records of another protocol have other digests.
  bool may_audit(Time now) const { return link.up(now) && link.protocol() == kProtocol; }
  void start_dumps(Time now, Actions& out);
  bool compose_control(Time now);
  bool compose_data(Time now);
  void resync(Time now);
  void on_measured(const TableSize& size, Time now, Actions& out);
  void start_commit(std::uint64_t client, std::uint64_t id, Actions& out);
  bool on_committed(std::uint64_t request, Actions& out);
  std::optional<Time> deadline() const;
  bool describe(const Group& g, bool up, Status& s) const;
  Status status(Time now) const;
  Names names() const { return {config.node, config.peer, link.protocol()}; }

  common::Config config;
  NonceSource nonces;
  Store store;
  Room room;
  Ownership ownership;
  Sender sender;
  Selection selection;
  Commit commit;
  Receiver receiver;
  Observer observer;
  Retention retention;
  Link link;
  Peer peer;
  Offers offers;
  Roles roles;
  Verify verify;
  Audit audit;
  Inquiries inquiries;
  Papers papers;

  enum class DumpFor : std::uint8_t { nobody, observer, verify } dump_for = DumpFor::nobody;
  std::uint64_t last_dump = 0;
  /// An operator's, answered when the kernel has taken what it takes.
  struct Committing {
    std::uint64_t client = 0, id = 0, request = 0;
    int rounds = 0;
  };
  std::vector<Committing> commits;
  std::uint64_t last_commit = kFirstCommit;
  bool addresses_known = false;
  bool vrrpd_connected = false;
  bool changing_key = false;
  common::LinkState link_was = common::LinkState::none;
  common::Deadline met_until;  ///< what was counted while apart decides who stays; then it is of the past
  std::uint64_t peer_incarnation = 0;
  common::Bytes payload;
  Time stepped_at{};
};

}  // namespace syncd
