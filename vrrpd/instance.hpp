#pragma once
// One virtual router on one interface: RFC 9568 6.4 without the decision to change state, which belongs to the group
// that the instance is a member of. The instance keeps the timers, learns from adverts, and says what it hears.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/config.hpp"
#include "common/time.hpp"
#include "vrrpd/advert.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/presence.hpp"
#include "vrrpd/status.hpp"

namespace vrrpd {

/// RFC 9568 6.4: Initialize, Backup, Active.
enum class RouterState : std::uint8_t { initialize, backup, active };

/// What an advert is to the router that hears it (6.4.2 and 6.4.3).
enum class Rank : std::uint8_t {
  leaving,  ///< priority 0
  lower,    ///< than ours; as active also: equal, and the sender's address is lower
  higher,   ///< than ours; as backup also: equal
};

struct Heard {
  Rank rank = Rank::lower;
  int priority = 0;
  common::IpAddress source;
};

class Instance {
 public:
  /// As a member of this group.
  Instance(common::InstanceConfig config, const common::GroupConfig& group);

  // --- the interface
  /// True: what we have announced has another MAC now.
  bool on_link(const LinkChanged& link, common::Time now);
  /// When a carrier has been lost, or back, for long enough to count (link_down_delay, link_up_delay).
  common::Deadline settles_at() const { return settles_at_; }
  void settle(common::Time now);
  bool known() const { return link_.has_value(); }  ///< the shell has reported the interface at least once
  bool usable() const;
  /// Why it is not usable: one sentence, or empty.
  std::string trouble() const;

  // --- receiving
  /// Decodes, counts and ranks. None: dropped, a counter says why.
  std::optional<Heard> receive(const AdvertReceived& packet, int priority, common::Time now, Actions& out);
  /// 6.4.2 (430): adopt the interval of the advert received last and start the down timer anew. `stranger`: the link
  /// says that it was not our peer's. Until a stranger has been heard twice its silence is judged by our own interval,
  /// or one forged packet that speaks of 40.95 s would take the group away for minutes.
  void accept(int priority, common::Time now, bool stranger = false);
  /// 6.4.2 (415): priority 0 was heard, the down timer becomes the skew time.
  void shorten(int priority, common::Time now);
  /// The priority 0 was not believed: wait as if it had not come.
  void restore(int priority, common::Time now);

  // --- roles
  void become(RouterState role, int priority, common::Time now);
  RouterState role() const { return role_; }
  /// As backup: when the active router counts as dead. As active: none.
  common::Deadline down_at() const { return down_at_; }
  common::Deadline advert_at() const { return advert_at_; }
  bool leaving_heard() const { return leaving_heard_; }
  bool hears_active(common::Time now) const;  ///< an advert with priority > 0 within the down interval
  common::Deadline last_advert() const { return last_advert_; }  ///< with priority > 0, since becoming backup
  common::Duration interval() const { return interval_; }
  common::Duration active_interval() const { return active_interval_; }
  common::Duration skew(int priority) const;
  common::Duration down_interval(int priority) const { return 3 * active_interval_ + skew(priority); }

  /// Addresses, routes and their announcements.
  Presence& presence() { return presence_; }
  const Presence& presence() const { return presence_; }

  // --- sending
  void advertise(int priority, common::Time now, Actions& out);
  /// 6.4.3: a lower router is answered at once, so that it, and the bridges, know better. Bounded by kAnswerGap.
  void answer(int priority, common::Time now, Actions& out);
  void say_goodbye(Actions& out);  ///< priority 0

  /// New values of everything but what makes it this virtual router; see reload.hpp. `aloud`: as for Presence::tick().
  void reconfigure(const common::InstanceConfig& config, const common::GroupConfig& group, common::Time now, bool aloud,
                   Actions& out);
  const common::InstanceConfig& config() const { return config_; }
  InstanceStatus status(common::GroupState state, int priority) const;
  void count(const std::string& what) { ++counters_[what]; }

 private:
  bool v6() const { return config_.family() == common::Family::ipv6; }
  common::IpAddress source() const;  ///< of our adverts; unspecified: none yet
  bool owns_addresses() const;
  Acceptance acceptance() const;
  bool from_stranger(const AdvertReceived& packet);
  bool spoken_twice(const Advert& advert, const common::IpAddress& source, common::Time now);
  void remember(const Advert& advert, const common::IpAddress& source, ChecksumForm form, Actions& out);
  void send(int priority, Actions& out);

  common::InstanceConfig config_;
  bool owner_;
  Presence presence_;
  common::Duration interval_;                 ///< ours
  common::Duration active_interval_;          ///< learned: 6.1 Active_Adver_Interval
  std::vector<common::IpAddress> addresses_;  ///< what our adverts list, and the peer's should
  std::optional<LinkChanged> link_;
  common::Duration link_down_delay_{}, link_up_delay_{};
  bool carrier_ = false;  ///< as reported last; link_ follows it after the delay
  common::Deadline settles_at_;
  RouterState role_ = RouterState::initialize;
  common::Deadline down_at_, advert_at_;
  common::Deadline last_advert_, last_sent_;
  common::Duration heard_interval_{};       ///< of the advert received last
  Version active_version_, heard_version_;  ///< likewise: they differ in how the skew is counted
  common::Deadline v3_heard_;               ///< a VRRPv3 advert of active_, with both versions spoken
  common::IpAddress heard_from_;            ///< whose it was
  common::Deadline heard_at_;
  bool repeated_ = false;  ///< it was not that router's first
  bool doubted_ = false;   ///< a stranger's first was accepted last
  bool leaving_heard_ = false;
  common::IpAddress active_;  ///< whose adverts we hear
  ChecksumForm form_;         ///< what we send
  bool mismatch_told_ = false;
  std::map<std::string, std::uint64_t> counters_;
};

}  // namespace vrrpd
