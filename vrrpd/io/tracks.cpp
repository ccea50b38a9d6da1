#include "vrrpd/io/tracks.hpp"

#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "common/io/log.hpp"
#include "vrrpd/io/process.hpp"

namespace vrrpd::io {
namespace {

using common::TrackConfig;
using common::io::log;
using common::io::LogLevel;

/// A check of somebody else's is called as it wants to be.
std::vector<std::string> arguments_of(const std::string& group, const TrackConfig& track) {
  return track.arguments.value_or(std::vector<std::string>{group, track.name});
}

}  // namespace

Tracks::Tracks(common::io::Loop& loop, Counters& counters, std::vector<std::string> environment, Handler handler)
    : loop_(loop), counters_(counters), environment_(std::move(environment)), handler_(std::move(handler)) {}

Tracks::~Tracks() {
  for (auto& [key, item] : items_) end(item);
}

void Tracks::want(const common::Config& config) {
  std::map<Key, Item> before = std::exchange(items_, {});
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const TrackConfig& track : group.tracks) {
        if (track.kind == TrackConfig::Kind::interface) continue;
        const Key key{group.name, track.name};
        const auto old = before.find(key);
        if (old != before.end() && old->second.config == track) {
          items_.insert(before.extract(old));
          continue;
        }
        Item& item = items_[key];
        item.group = group.name;
        item.config = track;
        item.next = loop_.timer([this, key] { look(key); }, common::io::Loop::Priority::normal);
        item.next->set(common::io::now());
      }
  for (auto& [key, item] : before) end(item);
}

/// A script that nobody waits for any more is not left running.
void Tracks::end(Item& item) {
  if (item.config.kind == TrackConfig::Kind::script && item.pid != 0) kill(-item.pid, SIGKILL);
  item.next.reset();
  item.overdue.reset();
}

void Tracks::look(const Key& key) {
  Item& item = items_.at(key);
  item.next->set(common::io::now() + item.config.interval);
  switch (item.config.kind) {
    case TrackConfig::Kind::interface:
      return;
    case TrackConfig::Kind::script:
      return run(key, item);
    case TrackConfig::Kind::file:
      return read(item);
    case TrackConfig::Kind::process:
      return find(item);
  }
}

void Tracks::tell(const Item& item, bool good, int value) {
  handler_(Tracked{item.group, item.config.name, good, value});
}

// --- scripts -----------------------------------------------------------------------------------------------------

void Tracks::run(const Key& key, Item& item) {
  if (item.pid != 0) return;  // it ignores even that it was ended
  const auto pid =
      start_process({item.config.target, arguments_of(item.group, item.config), environment_, item.config.user});
  if (!pid) {
    log(LogLevel::error, "track_failed", pid.error().text);
    return tell(item, false);
  }
  item.pid = *pid;
  item.killed = false;
  item.overdue = loop_.timer([this, key] { too_slow(key); }, common::io::Loop::Priority::normal);
  item.overdue->set(common::io::now() + item.config.timeout);
  loop_.on_child(*pid, [this, key, pid = *pid](int status) { ended(key, pid, status); });
}

void Tracks::too_slow(const Key& key) {
  Item& item = items_.at(key);
  if (item.pid == 0) return;
  ++counters_.tracks_timed_out;
  item.killed = true;
  kill(-item.pid, SIGKILL);
}

void Tracks::ended(const Key& key, int pid, int status) {
  const auto found = items_.find(key);
  if (found == items_.end() || found->second.pid != pid) return;  // of a configuration that is gone
  Item& item = found->second;
  item.pid = 0;
  item.overdue.reset();
  const bool not_run = WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted;
  if (not_run && !std::exchange(item.said, true))
    log(LogLevel::error, "track_failed", item.config.target + ": was not run (exit code 127)");
  tell(item, !item.killed && status == 0);
}

// --- files and processes -----------------------------------------------------------------------------------------

void Tracks::read(Item& item) {
  const auto look = look_at_file(item.config.target);
  if (!look) {
    if (!std::exchange(item.said, true))
      log(LogLevel::warning, "track_failed", item.config.target + ": " + look.error().text + "; taken for 0");
    return tell(item, true);
  }
  item.said = false;
  tell(item, look->good, look->value);
}

/// The process that was found last is looked at alone; a search goes on turn by turn, and adverts come in between.
void Tracks::find(Item& item) {
  if (!item.search) {
    if (item.pid != 0 && process_runs(item.pid, item.config.target)) return tell(item, true);
    item.search = std::make_unique<ProcessSearch>(item.config.target);
  }
  const auto found = item.search->step();
  if (!found) return item.next->set(common::io::now());
  item.search.reset();
  item.pid = *found;
  tell(item, item.pid != 0);
}

}  // namespace vrrpd::io
