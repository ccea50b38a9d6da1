#include "vrrpd/io/hooks.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "common/io/log.hpp"
#include "vrrpd/io/process.hpp"

namespace vrrpd::io {
namespace {

using common::io::log;
using common::io::LogLevel;

/// A hook that hangs while the group flaps must not pile up work: beyond this the oldest waiting one, which
/// tells of a state long past, is left out. A group may have dozens of instances with two hooks each.
constexpr std::size_t kMaxWaiting = 256;
/// Between asking a hook to end and ending it.
constexpr common::Duration kKillGrace = std::chrono::seconds(1);

std::string how_it_ended(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted) return "was not run (exit code 127)";
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  return "signal " + std::to_string(WTERMSIG(status));
}

}  // namespace

Hooks::Hooks(common::io::Loop& loop, Counters& counters, std::vector<std::string> environment)
    : loop_(loop), counters_(counters), environment_(std::move(environment)) {}

Hooks::~Hooks() = default;

void Hooks::when_idle(std::function<void()> handler) {
  when_idle_ = std::move(handler);
}

bool Hooks::idle() const {
  return std::ranges::all_of(queues_, [](const auto& entry) { return entry.second.pid == 0; });
}

void Hooks::run(RunHook hook) {
  const Key key = hook.group;
  Queue& queue = queues_[key];
  if (queue.waiting.size() >= kMaxWaiting) {
    ++counters_.hooks_dropped;
    log(LogLevel::warning, "hook_dropped",
        queue.waiting.front().path + ": left out, because earlier hooks of " + key + " are still running");
    queue.waiting.pop_front();
  }
  queue.waiting.push_back(std::move(hook));
  if (queue.pid == 0) start_next(key);
}

void Hooks::start_next(const Key& key) {
  Queue& queue = queues_.at(key);
  while (queue.pid == 0 && !queue.waiting.empty()) {
    const RunHook hook = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    if (start(key, queue, hook)) return;
  }
  queues_.erase(key);
}

bool Hooks::start(const Key& key, Queue& queue, const RunHook& hook) {
  Command command{hook.path, hook.arguments, environment_, hook.user};
  constexpr std::array<const char*, 4> kNames{"STEADYNAT_KIND", "STEADYNAT_NAME", "STEADYNAT_STATE",
                                              "STEADYNAT_PRIORITY"};
  for (std::size_t i = 0; i < std::min(kNames.size(), hook.arguments.size()); ++i)
    command.environment.push_back(std::string(kNames[i]) + "=" + hook.arguments[i]);
  command.environment.push_back("STEADYNAT_GROUP=" + hook.group);
  const auto pid = start_process(command);
  if (!pid) {
    ++counters_.hooks_failed;
    log(LogLevel::error, "hook_failed", pid.error().text);
    return false;
  }
  ++counters_.hooks_run;
  queue.pid = *pid;
  queue.killed = false;
  queue.timer = loop_.timer([this, key, path = hook.path] { overdue(key, path); }, common::io::Loop::Priority::normal);
  queue.timer->set(common::io::now() + hook.timeout);
  loop_.on_child(*pid, [this, key, path = hook.path](int status) { ended(key, path, status); });
  return true;
}

void Hooks::overdue(const Key& key, const std::string& path) {
  Queue& queue = queues_.at(key);
  if (queue.pid == 0) return;
  if (queue.killed) {
    kill(-queue.pid, SIGKILL);
    return;
  }
  queue.killed = true;
  ++counters_.hooks_timed_out;
  log(LogLevel::warning, "hook_timed_out", path + ": still running after its timeout: it is ended");
  kill(-queue.pid, SIGTERM);
  queue.timer->set(common::io::now() + kKillGrace);
}

void Hooks::ended(const Key& key, const std::string& path, int status) {
  Queue& queue = queues_.at(key);
  // What the hook left running in its group goes with it only if it was ended by us.
  if (queue.killed) kill(-queue.pid, SIGKILL);
  if (status != 0) {
    ++counters_.hooks_failed;
    log(LogLevel::warning, "hook_failed", path + ": " + how_it_ended(status));
  }
  queue.pid = 0;
  queue.timer.reset();
  start_next(key);
  if (when_idle_ && idle()) when_idle_();
}

}  // namespace vrrpd::io
