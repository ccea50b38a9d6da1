#pragma once
// What a group tracks: each look is counted, and enough of them in a row change the verdict.
#include <string>
#include <vector>

#include "common/config.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/status.hpp"

namespace vrrpd {

class Tracker {
 public:
  /// Nothing fails before it has been looked at: a start must not be a fault.
  explicit Tracker(const common::GroupConfig& group);

  /// True: a verdict or a value has changed.
  bool on_look(const Tracked& look);
  bool on_link(const LinkChanged& link, common::Time now);
  /// When a carrier has been lost, or back, for as long as it takes to count.
  common::Deadline settles_at() const;
  bool settle(common::Time now);
  /// What stays the same keeps its verdict.
  void reconfigure(const common::GroupConfig& group);

  /// The name of one that fails and has no weight; empty: none.
  std::string fault() const;
  /// To be added to the priority.
  int adjustment() const;
  std::vector<TrackStatus> status() const;

 private:
  struct Item {
    common::TrackConfig config;
    bool good = true;
    int value = 0;
    int streak = 0;                         ///< looks in a row that contradict the verdict
    bool existed = false, carrier = false;  ///< an interface, as it was reported last
    common::Deadline settles_at;            ///< what was reported becomes the verdict
  };
  bool judge(Item& item, bool good, int value);

  std::vector<Item> items_;
  common::Duration down_delay_, up_delay_;
};

}  // namespace vrrpd
