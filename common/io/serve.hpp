#pragma once
// The life of a daemon between its options and its exit code.
#include <utility>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"
#include "common/io/loop.hpp"

namespace common::io {

/// Makes the run directory and a Shell(loop, options, arguments...), starts it, tells systemd, and serves until the
/// loop is stopped. The process's exit code; what kept it from starting has been logged.
template <typename Shell, typename... Arguments>
int serve(const DaemonOptions& options, Arguments&&... arguments) {
  auto status = prepare_run_dir(options.run_dir);
  if (status) {
    Loop loop;
    Shell shell(loop, options, std::forward<Arguments>(arguments)...);
    status = shell.start();
    if (status) {
      start_watchdog(loop);
      notify_ready();
      loop.run();
      return loop.exit_code();
    }
  }
  log(LogLevel::error, "start_failed", status.error().text);
  return 1;
}

}  // namespace common::io
