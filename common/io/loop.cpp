#include "common/io/loop.hpp"

#include <sys/wait.h>
#include <systemd/sd-event.h>

#include <csignal>
#include <ctime>
#include <map>
#include <utility>

namespace common::io {

namespace {

// Microseconds. 0 would be taken for "do not care", which sd-event makes 250 ms.
constexpr std::uint64_t kTimerAccuracy = 1;

Duration read_clock(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// Rounded up: a handler that is called before its time would find nothing to do, and ask again at once.
std::uint64_t microseconds_of(Time at) {
  const std::int64_t ns = at.time_since_epoch().count();
  return ns <= 0 ? 0 : (static_cast<std::uint64_t>(ns) + 999) / 1000;
}

/// Ends the source now: also from inside its own handler nothing is called any more.
void drop(sd_event_source*& source) {
  source = sd_event_source_disable_unref(source);
}

/// Handlers live in objects of their own that a call keeps alive: a handler may remove itself.
struct Watch : std::enable_shared_from_this<Watch> {
  ~Watch() { drop(source); }
  Loop::Handler handler;
  sd_event_source* source = nullptr;
};

struct Alarm : std::enable_shared_from_this<Alarm> {
  ~Alarm() { drop(source); }
  std::function<void()> handler;
  sd_event_source* source = nullptr;
};

struct Signals {
  std::function<void()> terminate, reload;
  std::vector<sd_event_source*> sources;
};

struct Child : std::enable_shared_from_this<Child> {
  ~Child() { drop(source); }
  std::function<void(int)> handler;
  std::map<int, std::shared_ptr<Child>>* children = nullptr;
  int pid = 0;
  sd_event_source* source = nullptr;
};

// The callbacks are noexcept because an exception must not unwind through sd-event, which is C.

int on_io(sd_event_source*, int, std::uint32_t events, void* data) noexcept {
  const auto watch = static_cast<Watch*>(data)->shared_from_this();
  watch->handler(events);
  return 0;
}

int on_time(sd_event_source*, std::uint64_t, void* data) noexcept {
  const auto alarm = static_cast<Alarm*>(data)->shared_from_this();
  alarm->handler();
  return 0;
}

int on_signal(sd_event_source*, const signalfd_siginfo* info, void* data) noexcept {
  const auto* signals = static_cast<const Signals*>(data);
  const auto& handler = info->ssi_signo == SIGHUP ? signals->reload : signals->terminate;
  if (handler) handler();
  return 0;
}

/// siginfo_t tells the parts of what wait() tells in one number.
int wait_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

int on_exit_of_child(sd_event_source*, const siginfo_t* info, void* data) noexcept {
  const auto child = static_cast<Child*>(data)->shared_from_this();
  child->children->erase(child->pid);
  child->handler(wait_status(*info));
  return 0;
}

void block(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

class AlarmTimer : public Loop::Timer {
 public:
  explicit AlarmTimer(std::shared_ptr<Alarm> alarm) : alarm_(std::move(alarm)) {}
  ~AlarmTimer() override { drop(alarm_->source); }

  void set(Deadline at) override {
    if (!at) {
      sd_event_source_set_enabled(alarm_->source, SD_EVENT_OFF);
      return;
    }
    check(sd_event_source_set_time(alarm_->source, microseconds_of(*at)) >= 0, "a timer is set");
    check(sd_event_source_set_enabled(alarm_->source, SD_EVENT_ONESHOT) >= 0, "a timer is started");
  }

 private:
  std::shared_ptr<Alarm> alarm_;
};

}  // namespace

Time now() {
  return Time(read_clock(CLOCK_BOOTTIME));
}

std::string wall_clock(Time time) {
  const Duration real = read_clock(CLOCK_REALTIME) + (time - now());
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(real).count();
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
  const std::string fraction = std::to_string(1000 + ms % 1000);
  return std::string(text, size) + fraction.substr(1) + "Z";
}

struct Loop::State {
  sd_event* event = nullptr;
  std::map<int, std::shared_ptr<Watch>> watches;
  std::map<int, std::shared_ptr<Child>> children;
  Signals signals;
  int code = 0;
};

Loop::Loop() : state_(std::make_unique<State>()) {
  check(sd_event_new(&state_->event) >= 0, "an event loop is made");
  // sd-event hears of children only while the signal is blocked.
  block({SIGCHLD});
}

Loop::~Loop() {
  state_->watches.clear();
  state_->children.clear();
  for (sd_event_source* source : state_->signals.sources) sd_event_source_disable_unref(source);
  sd_event_unref(state_->event);
}

void Loop::watch(int fd, std::uint32_t events, Handler handler, Priority priority) {
  check(!state_->watches.contains(fd), "a descriptor is watched once");
  const auto watch = std::make_shared<Watch>();
  watch->handler = std::move(handler);
  check(sd_event_add_io(state_->event, &watch->source, fd, events, on_io, watch.get()) >= 0, "a descriptor is watched");
  sd_event_source_set_priority(watch->source, static_cast<std::int64_t>(priority));
  state_->watches.emplace(fd, watch);
}

void Loop::change(int fd, std::uint32_t events) {
  const auto found = state_->watches.find(fd);
  check(found != state_->watches.end(), "a changed descriptor is watched");
  check(sd_event_source_set_io_events(found->second->source, events) >= 0, "the events of a descriptor are changed");
}

void Loop::unwatch(int fd) {
  const auto found = state_->watches.find(fd);
  if (found == state_->watches.end()) return;
  drop(found->second->source);
  state_->watches.erase(found);
}

std::unique_ptr<Loop::Timer> Loop::timer(std::function<void()> handler, Priority priority) {
  const auto alarm = std::make_shared<Alarm>();
  alarm->handler = std::move(handler);
  check(sd_event_add_time(state_->event, &alarm->source, CLOCK_BOOTTIME, 0, kTimerAccuracy, on_time, alarm.get()) >= 0,
        "a timer is made");
  sd_event_source_set_enabled(alarm->source, SD_EVENT_OFF);
  sd_event_source_set_priority(alarm->source, static_cast<std::int64_t>(priority));
  return std::make_unique<AlarmTimer>(alarm);
}

void Loop::on_signals(std::function<void()> terminate, std::function<void()> reload) {
  Signals& signals = state_->signals;
  signals.terminate = std::move(terminate);
  signals.reload = std::move(reload);
  block({SIGTERM, SIGINT, SIGHUP});
  if (!signals.sources.empty()) return;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    sd_event_source* source = nullptr;
    check(sd_event_add_signal(state_->event, &source, number, on_signal, &signals) >= 0, "a signal is watched");
    signals.sources.push_back(source);
  }
}

void Loop::on_child(int pid, std::function<void(int)> handler) {
  const auto child = std::make_shared<Child>();
  child->handler = std::move(handler);
  child->children = &state_->children;
  child->pid = pid;
  check(sd_event_add_child(state_->event, &child->source, pid, WEXITED, on_exit_of_child, child.get()) >= 0,
        "a child that has not been waited for is watched");
  state_->children.emplace(pid, child);
}

bool Loop::start_watchdog() {
  return sd_event_set_watchdog(state_->event, 1) > 0;
}

void Loop::run() {
  check(sd_event_loop(state_->event) >= 0, "the event loop ends by stop()");
}

void Loop::stop(int code) {
  state_->code = code;
  sd_event_exit(state_->event, code);
}

int Loop::exit_code() const {
  return state_->code;
}

}  // namespace common::io
