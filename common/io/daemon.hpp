#pragma once
// What the three programs do alike at start: options, reading of the configuration with its messages, the run
// directory, sd_notify and the watchdog.
#include <optional>
#include <string>

#include "common/config.hpp"
#include "common/io/loop.hpp"

namespace common::io {

struct DaemonOptions {
  std::string config = "/etc/steadynat/steadynat.yaml";
  std::string node;  ///< empty: the host name
  std::string run_dir = "/run/steadynat";
  bool check = false;
  bool if_configured = false;  ///< end with 0 when the file has no section for this program
  bool debug = false;
};

/// Reads the file and prints every diagnostic to stderr. None: exit with code 2 (what is wrong has been printed).
std::optional<Config> load_config(const DaemonOptions& options);
/// Creates the run directory and `state` below it. Fails with one line.
Status prepare_run_dir(const std::string& run_dir);
/// Replaces the file in one step (write, rename), mode 0600.
Status write_file(const std::string& path, const std::string& text);
std::optional<std::string> read_file(const std::string& path);
/// A short text that others must not read. `what` it is and what to do about its absence stand in the messages.
Result<std::string> read_secret(const std::string& path, const std::string& what, const std::string& advice);
/// 32 bytes from base64. Refuses a file that group or others can read, with the chmod to run.
Result<std::vector<std::byte>> read_key_file(const std::string& path);

/// True when the file of this program has been replaced since it was started: an upgrade waits for a restart.
bool program_replaced();

void notify_ready();
void notify_stopping();
void notify_status(const std::string& text);
/// Answers systemd's watchdog from the loop itself, if systemd asks for it.
void start_watchdog(Loop& loop);
/// Best effort: real-time priority (SCHED_RR); a warning where the system refuses.
void prefer_real_time(int priority);
/// Best effort: no page of this process is ever swapped out; a warning where the system refuses.
void lock_memory();

}  // namespace common::io
