#pragma once
// The command line of natctl as a value.
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "common/io/daemon.hpp"

namespace natctl::io {

enum class Command {
  agent,
  status,
  check,
  keygen,
  switchover,
  release,
  sync_verify,
  sync_resync,
  sync_flush,
  sync_commit,
  nat_check,
  nat_apply,
  nat_clear,
  show_vrrp,
  show_sync,
  show_nat,
  show_connections,
  show_events,
  import_files,
  config_dump,
  config_diff,
  metrics,
  doctor,
  top,
  monitor,
  completion,
};

struct Invocation {
  Command command = Command::status;
  common::io::DaemonOptions options;  ///< config, node, run_dir; the rest is for agent only
  bool json = false;
  std::string group;  ///< empty: the only one
  bool force = false;
  std::string dialect;             ///< of the files to import
  std::vector<std::string> files;  ///< the same
  bool rewrite_masquerade = false;
  std::string textfile;             ///< metrics go there instead of to the standard output
  std::string listen;               ///< metrics are served there
  std::string addresses;            ///< "ifupdown" or "networkd": these instead of the configuration
  std::vector<std::string> filter;  ///< of the connections to show
  bool kernel = false;              ///< show those of the kernel's table instead of those that are replicated
  std::string interval = "1s";      ///< top: from one look to the next
  unsigned count = 0;               ///< top: looks; 0: until it is ended
  std::string script;               ///< completion: what is to be printed
};

/// What to do, or the code to exit with at once: 0 after --help and --version, 2 after a mistake (what is to
/// be said has been printed).
/// Words of commands may be cut short as long as only one begins so: "sh vr".
std::expected<Invocation, int> parse_command_line(int argc, const char* const* argv);

void complain(std::string_view what);  ///< one line on the standard error, with our name before it
int failed(std::string_view what);     ///< complains; the exit code of what went wrong
int misused(std::string_view what);    ///< complains; the exit code of what was asked for wrongly

}  // namespace natctl::io
