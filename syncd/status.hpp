#pragma once
// What syncd says of itself: a value, so that natctl, the tests and the simulation read the same.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/notify.hpp"
#include "common/time.hpp"
#include "syncd/frame.hpp"

namespace syncd {

enum class SyncState : std::uint8_t { disconnected, syncing, synced };

/// One of the links that are configured.
struct LinkStatus {
  std::string interface;
  bool usable = false;
  bool quiet = false;              ///< the peer is heard on another one, and not on this one
  std::optional<double> heard_ms;  ///< since something of the peer came over it last; none: nothing did
  std::string trouble;             ///< why it cannot be used: a sentence, or empty
};

struct Status {
  SyncState state = SyncState::disconnected;
  std::string peer;  ///< node name of the peer, or empty
  common::LinkState link = common::LinkState::none;
  std::vector<LinkStatus> links;
  double lag_ms = 0;                  ///< age of the oldest change that the peer has not acknowledged
  std::uint64_t backlog = 0;          ///< flows that the peer has not acknowledged
  std::uint64_t local_flows = 0;      ///< internal cache
  std::uint64_t peer_flows = 0;       ///< external cache
  std::uint64_t committed_flows = 0;  ///< of the external cache, in the kernel
  std::uint64_t withheld_flows = 0;   ///< known here, and the peer is not to have them
  std::uint64_t memory_bytes = 0;
  std::uint64_t flow_limit = 0;  ///< so many there is room for
  bool config_differs = false;
  std::optional<TableSize> table, peer_table;    ///< of connections; none: not known
  std::vector<common::GroupReport> peer_groups;  ///< as the peer said last; none while the link is down
  std::vector<std::string> reasons;              ///< why a failover now would lose connections: sentences
  std::map<std::string, std::uint64_t> counters;
};

/// The JSON of a Reply to the verb "status".
std::string to_json(const Status& status);

}  // namespace syncd
