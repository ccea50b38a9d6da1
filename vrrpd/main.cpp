// vrrpd: virtual addresses between two routers, VRRP version 3. Wires the parts; decides nothing.
#include <cstdio>
#include <exception>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"
#include "common/io/options.hpp"
#include "common/io/serve.hpp"
#include "vrrpd/io/passwords.hpp"
#include "vrrpd/io/shell.hpp"

namespace {

/// Above ordinary programs, so that a busy router does not look dead; below the kernel's own threads (50).
constexpr int kRealTimePriority = 10;

int run(int argc, const char* const* argv) {
  const auto options =
      common::io::parse_daemon_options(argc, argv, "vrrpd", "shares virtual addresses with the other router by VRRP");
  if (!options) return options.error();
  common::io::log_open("vrrpd", options->debug);
  auto config = common::io::load_config(*options);
  if (!config) return common::io::kExitUsage;
  if (!config->vrrp) return common::io::exit_without_section(*options, "vrrp", "vrrpd");
  const auto status = vrrpd::io::read_passwords(*config);
  if (!status) {
    std::fprintf(stderr, "%s\n", status.error().text.c_str());
    return common::io::kExitUsage;
  }
  if (options->check) return 0;
  common::io::prefer_real_time(kRealTimePriority);  // before anything starts a thread, which inherits it
  common::io::lock_memory();
  return common::io::serve<vrrpd::io::Shell>(*options, std::move(*config));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vrrpd: %s\n", error.what());
    return 1;
  }
}
