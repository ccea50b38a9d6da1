#pragma once
// A sync group: its instances move together, and with them the connections. The group alone decides when to claim, go
// live, open the gate, hand over and leave. Events change what is known; review() then looks at all that is known and
// moves. So an event that comes twice, late or never leaves the same group behind as one that came in time.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.hpp"
#include "common/notify.hpp"
#include "common/timers.hpp"
#include "vrrpd/election.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/instance.hpp"
#include "vrrpd/participants.hpp"
#include "vrrpd/peer.hpp"
#include "vrrpd/tracker.hpp"

namespace vrrpd {

/// What a step may use and where its actions go.
struct Context {
  Time now;
  Actions& out;
  Actions& hooks;  ///< performed after all else of this step: starting a program takes milliseconds
  const Participants& participants;
  const Peer& peer;
  bool table_loaded = false;  ///< the agent's table has been loaded in this boot
  bool probe = false;         ///< set to have the peer asked for its report
};

/// Mastership is claiming .. doubting: our adverts (except in doubt) hold the place.
enum class Stage : std::uint8_t {
  initialize,  ///< the interfaces have not been reported yet
  backup,
  claiming,      ///< adverts are out, addresses not yet: participants prepare
  master,        ///< addresses are live
  handing_over,  ///< planned switchover: gate shut, draining; either the peer confirms or we stay
  leaving,       ///< gate shut, draining, and then gone whatever the outcome
  doubting,      ///< gate shut, no adverts: the peer is back from a long silence and may hold a newer term
  fault,
  stopped,
};

/// How a mastership ends: with priority 0, when nobody follows yet; silently, when somebody is there already, as a
/// priority 0 of ours would then speak against the group's living master.
enum class Farewell : std::uint8_t { silent, priority_zero };

/// Who asked, to be answered when it is done.
struct Ticket {
  ClientId client = 0;
  std::uint64_t id = 0;
};

struct GroupSettings {
  std::string node;
  bool replicated = false;  ///< `sync` covers the group: syncd is a participant
  bool gated = false;       ///< there is a table: the agent is a participant
};

/// From an earlier process of this boot, or from the group's own life before a reload.
struct Inherited {
  common::Term term;
  bool held = false;
};

class Group {
 public:
  Group(common::GroupConfig config, GroupSettings settings, Inherited inherited, Time now);

  // --- events
  void on_link(const LinkChanged& link, Context& ctx);
  bool on_advert(const AdvertReceived& packet, Context& ctx);  ///< false: no instance has this interface and VRID
  void on_peer(Context& ctx);
  void on_ready(const common::Ready& ready, common::Role from, Context& ctx);
  void on_gate_shut(const common::GateShut& shut, Context& ctx);
  void on_drained(const common::Drained& drained, Context& ctx);
  void on_joined(common::Role role, const common::Hello& hello, Context& ctx);
  void on_lost(common::Role role, Context& ctx);
  void on_change(Context& ctx);  ///< something in the context changed
  void on_address_result(const AddressResult& result, Context& ctx);
  void on_tracked(const Tracked& look, Context& ctx);
  void on_disturbed(const Disturbed& event, Context& ctx);
  void on_overslept(common::Duration lateness, Context& ctx);
  void on_tick(Context& ctx);
  void switchover(bool force, Ticket ticket, Context& ctx);
  void release(Ticket ticket, Context& ctx);
  void stop(Context& ctx);
  /// One instance at least must be the same.
  void reconfigure(common::GroupConfig config, GroupSettings settings, Context& ctx);

  // --- what is
  const common::GroupConfig& config() const { return config_; }
  const std::string& name() const { return config_.name; }
  bool finished() const { return stage_ == Stage::stopped && !timers_.running(Timer::linger); }
  common::Deadline deadline() const;
  common::GroupReport report(const Context& ctx) const;
  common::GroupSnapshot snapshot() const;
  GroupStatus status(const Context& ctx) const;
  Inherited legacy() const { return {term_, held_}; }
  bool peer_alive(const Context& ctx) const;
  /// Between adverts, the longest of the members': a group moves when the last of them hears nothing.
  common::Duration interval() const;

 private:
  enum class Timer : std::uint8_t {
    start,
    again,
    anticipate,
    wish,
    prepare,
    gate,
    shut,
    drain,
    doubt,
    quiet,
    refuse,
    ticket,
    linger,
    count
  };
  enum class Answer : std::uint8_t { absent, waiting, good, bad };

  // --- group.cpp: the machine
  void review(Context& ctx);
  bool review_once(Context& ctx);  ///< true: the stage changed, look again
  void transition(Stage to, Farewell farewell, const std::string& cause, Context& ctx);
  void leave(Stage from, Stage to, Farewell farewell, Context& ctx);
  void enter(Stage from, const std::string& cause, Context& ctx);
  void tell(const std::string& cause, bool with_hooks, Context& ctx);
  void enter_fault(const std::string& cause, Context& ctx);
  void enter_stopped(const std::string& cause, Context& ctx);
  void run_hooks(Context& ctx);
  void note_term(const common::Term& term, Context& ctx);
  void store(Context& ctx) const;
  void expire_timers(Context& ctx);
  bool masters() const;
  void admit(Context& ctx);
  void join(Instance member, Context& ctx);
  void part(Instance& member, Context& ctx);
  void reply(bool ok, const std::string& error, Context& ctx);

  // --- group_members.cpp
  std::string obstacle(const Context& ctx) const;  ///< why the group is in fault; empty: it need not be
  int adjustment(const Context& ctx) const;
  bool syncd_keeps_up(const Context& ctx) const;
  int priority(const Context& ctx) const;  ///< of the group, between the two nodes
  int priority(const Instance& member, const Context& ctx) const;
  bool owner() const;
  common::Duration down_interval(const Context& ctx) const;  ///< the longest of the members'
  const common::GroupReport* said(const Context& ctx) const;
  bool complete(const Context& ctx) const;
  common::Duration shortest_down() const { return 3 * interval(); }

  // --- group_backup.cpp
  void enter_backup(const std::string& cause, Context& ctx);
  void leave_backup(Context& ctx);
  void review_backup(Context& ctx);
  void advert_as_backup(Instance& member, const Heard& heard, Context& ctx);
  bool accepts_lower(Context& ctx);
  Facts facts(const Context& ctx) const;
  void review_anticipation(Context& ctx);
  void review_wish(Context& ctx);
  void forget_inherited_addresses(Context& ctx);
  std::string why_not_requested(const Context& ctx) const;

  // --- group_mastery.cpp
  void enter_claiming(const std::string& cause, Context& ctx);
  void enter_master(Stage from, const std::string& cause, Context& ctx);
  void enter_handing_over(const std::string& cause, Context& ctx);
  void enter_leaving(const std::string& cause, Context& ctx);
  void enter_doubting(const std::string& cause, Context& ctx);
  void end_mastery(Stage from, Farewell farewell, Context& ctx);
  void review_mastery(Context& ctx);
  void review_claiming(Context& ctx);
  void review_master(Context& ctx);
  void review_departure(Context& ctx);
  void review_doubt(Context& ctx);
  void review_rivalry(Context& ctx);
  void advert_as_master(Instance& member, const Heard& heard, Context& ctx);
  void rival(Instance& member, const Heard& heard, Context& ctx);
  bool outranks(const common::GroupReport& peer, const Context& ctx) const;
  void evict(const common::GroupReport& peer, Context& ctx);
  bool suspect(const Context& ctx) const;
  void renumber(Context& ctx);
  void prepare(Context& ctx);
  void ask(common::Role role, Context& ctx);
  void open(common::OpenReason reason, Context& ctx);
  void shut(const std::string& cause, Context& ctx);
  void begin_departure(Context& ctx);
  void begin_drain(Context& ctx);
  void appear(Context& ctx);
  void withdraw(Context& ctx);
  void announce(Context& ctx);
  bool all_answered() const;
  bool all_good(const Context& ctx) const;
  bool can_shut(const Context& ctx) const;
  bool handover_wanted(const Context& ctx) const;
  std::string why_not_handed_over(const Context& ctx) const;

  // --- group_report.cpp
  common::GroupState public_state() const;
  common::Phase phase() const;
  void record(common::GroupState from, common::GroupState to, const std::string& cause, Context& ctx);
  void mark(std::string what, const Context& ctx);
  void log(Log::Level level, std::string name, const std::string& text, Context& ctx) const;
  std::vector<std::string> reasons(const Context& ctx) const;
  std::string gate_text(const Context& ctx) const;

  common::GroupConfig config_;
  GroupSettings settings_;
  std::vector<Instance> members_;
  std::vector<Instance> newcomers_;  ///< of a reload: they join when they can be used, and hold nobody up before
  Tracker tracker_;
  Stage stage_ = Stage::initialize;
  common::TimerTable<Timer> timers_;
  common::Term term_;      ///< the newest known; in mastership always ours
  common::Term mastered_;  ///< the newest that we were master in, in this boot: its connections are here
  common::Term higher_;    ///< in mastership: a higher one that somebody knows of
  Time started_, since_;
  bool stopping_ = false;

  // backup
  bool yielded_ = false;  ///< we left with everything confirmed, and nobody has followed yet
  bool held_ = false;     ///< an operator moved the group away from here
  bool requesting_ = false, by_operator_ = false;
  bool anticipating_ = false;
  bool inherited_addresses_ = true;  ///< a predecessor of this process may have left addresses behind
  bool met_by_advert_ = false;
  common::Deadline listening_until_, leaving_since_, zero_at_, lower_since_, wish_since_;
  std::string waiting_why_;  ///< the timers ran out and still we stay

  // mastership
  Time claimed_at_;
  Answer syncd_ = Answer::absent, agent_ = Answer::absent;
  Time prepare_until_;
  bool live_ = false;  ///< addresses are on
  bool opened_ = false, told_master_ = false;
  bool linked_ = false;     ///< the link was up at some time of this mastership
  bool contested_ = false;  ///< another master was seen: announce again when it is gone
  common::Deadline rival_since_, rival_last_, announced_at_;
  Time doubt_since_;
  bool heard_in_doubt_ = false;  ///< a second advert came: there is another master
  bool served_apart_ = false;    ///< traffic passed here while the link was down
  std::optional<bool> drained_;  ///< answer to Drain: confirmed or not
  bool forced_ = false, hold_after_ = false;
  bool evicted_ = false;  ///< leaving because the peer is master already
  common::Duration backoff_{};
  std::optional<Ticket> ticket_;

  std::map<std::string, std::uint64_t> counters_;
  std::vector<TransitionRecord> transitions_;
};

}  // namespace vrrpd
