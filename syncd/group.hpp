#pragma once
// What is known of a group: our role in it, the stream of its flows that we send as master, the replica of them that we
// keep as backup. Ownership of a flow is its group's role, so a role change is a few assignments here.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.hpp"
#include "common/term.hpp"
#include "common/time.hpp"
#include "syncd/digest.hpp"
#include "syncd/frame.hpp"
#include "syncd/table.hpp"

namespace syncd {

/// unknown: vrrpd has not told yet. Nothing is sent, applied or removed then.
enum class Role : std::uint8_t { unknown, backup, master };

struct Group {
  std::string name;
  std::uint64_t id = 0;    ///< hash of the name, for the link
  bool replicated = true;  ///< among `sync.groups`
  Role role = Role::unknown;
  common::Term told;    ///< newest that our own vrrpd has told of
  common::Term newest;  ///< newest that anybody has told of
  common::Term rival;   ///< newer claim of the peer that we have drained for
  /// The term whose connections we hold to the last one: as its master, or as a replica that was completed.
  common::Term held;
  /// Entries with another generation belong to an earlier stream or role: their versions mean nothing.
  std::uint16_t generation = 1;
  bool anticipated = false;    ///< a takeover may be near
  std::uint64_t unshared = 0;  ///< entries that the peer has never said to have
  std::uint64_t withheld = 0;  ///< entries that the peer is not to have
  /// Our mastership, or our last one, began without all connections of the one before it, and nobody has told them yet.
  bool lacking = false;
  /// This process began beside a working mastership, and nobody knows what the peer had of it before.
  bool inherited = false;
  /// Inherited, and not yet read from the kernel: until then there is nothing to offer, and nothing may be swept.
  bool unread = false;
  common::Deadline offered_at;      ///< as backup: when what the peer may lack was first offered
  std::uint32_t refused_offer = 0;  ///< the peer's epoch in which it took no offer
  /// Newest stream that the peer has said to send, whether we follow it or not.
  std::uint32_t told_epoch = 0;
  /// See common::GroupReport. While the link is down they grow, when it comes up they are what the meeting is about.
  std::uint64_t made_apart = 0, served_apart = 0;
  std::uint64_t flows = 0;      ///< entries that are not gone
  std::uint64_t in_kernel = 0;  ///< of these, as far as we know
  std::uint64_t refused = 0;    ///< of these, by the kernel: it is not asked again for a while
  Buckets buckets;              ///< of these

  /// Ours to the peer.
  struct Stream {
    std::uint32_t epoch = 0;  ///< 0: none
    StreamKind kind = StreamKind::mastership;
    bool everything = true;  ///< else: of the remainder, what is unshared
    bool followed = false;   ///< the peer has said that it applies this epoch
    bool walking = false;    ///< the walk over all flows is not at its end
    bool all_sent = false;   ///< the peer has acknowledged all of the walk
    bool drained = false;
    std::uint64_t mark = 0;  ///< in the line of what is to be sent: the walk's end
    Slot cursor = 0;
    std::uint64_t sent = 0;  ///< flows in this walk
  } stream;

  /// The peer's, while we are backup.
  struct Replica {
    std::uint32_t epoch = 0;    ///< of the peer's stream that we apply; 0: none
    std::uint32_t highest = 0;  ///< newest epoch of the peer's incarnation that we ever applied: none is taken up twice
    common::Term term;
    bool complete = false;  ///< the peer's walk has ended, and what it did not have is swept
    bool sweeping = false;
    Slot cursor = 0;
  } replica;

  /// The peer's remainder, while we hold all the rest.
  struct Adoption {
    std::uint32_t epoch = 0;  ///< 0: none
    bool complete = false;
  } adoption;
};

/// Its connections are the other router's, as far as we know.
inline bool flow_of_peer(const Group& group) {
  return group.role != Role::master;
}

class Groups {
 public:
  /// Keeps the state of groups whose names stay; their order may not change what entries say, so that names only
  /// append.
  void configure(const common::Config& config);

  Group& operator[](std::size_t i) { return all_[i]; }
  const Group& operator[](std::size_t i) const { return all_[i]; }
  std::size_t size() const { return all_.size(); }
  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  std::size_t index(const Group& group) const { return static_cast<std::size_t>(&group - all_.data()); }
  Group* find(std::string_view name);
  Group* find(std::uint64_t id);
  /// The one whose replica follows this epoch of the peer; or takes this remainder; or was told of it at all.
  Group* follower_of(std::uint32_t epoch);
  Group* adopter_of(std::uint32_t epoch);
  Group* told_of(std::uint32_t epoch);

 private:
  std::vector<Group> all_;
};

/// The same on both routers, and on every build.
std::uint64_t stable_hash(std::string_view text);

}  // namespace syncd
