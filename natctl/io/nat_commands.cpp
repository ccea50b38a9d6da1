#include "natctl/io/nat_commands.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/io/notify_socket.hpp"
#include "common/io/options.hpp"
#include "natctl/io/nftables.hpp"
#include "natctl/line_diff.hpp"
#include "natctl/nft.hpp"
#include "natctl/ruleset.hpp"

namespace natctl::io {
namespace {

using namespace std::chrono_literals;

constexpr common::Duration kAgentTimeout = 5s;

int done(const Invocation& invocation, std::string_view text) {
  std::puts(invocation.json ? "{\"ok\": true}" : std::string(text).c_str());
  return 0;
}

}  // namespace

int nat_check(const Invocation& invocation) {
  const auto config = common::io::load_config(invocation.options);
  if (!config) return common::io::kExitUsage;
  if (!config->has_table())
    return done(invocation, invocation.options.config + ": has neither `nat` nor `firewall`, so there is no table");
  const auto ruleset = make_ruleset(*config);
  if (!ruleset) {
    std::fprintf(stderr, "%s: %s\n", invocation.options.config.c_str(), ruleset.error().text.c_str());
    return common::io::kExitUsage;
  }
  // With the gates as they stand: whether one is open is not what was asked.
  const auto listing = Nftables().list();
  const auto in_force = Nftables().list_text();
  if (!listing || !in_force) return failed(listing ? in_force.error().text : listing.error().text);
  const auto wanted = as_listed(render_table(*ruleset, read_gates(*listing).value_or(GateStates{})));
  if (!wanted) return failed("the kernel would refuse the table: " + wanted.error().text);
  const std::string diff = line_diff(*in_force, *wanted);
  if (invocation.json) {
    std::puts(nlohmann::json{{"ok", true}, {"changes", !diff.empty()}, {"diff", diff}}.dump(2).c_str());
    return 0;
  }
  std::fputs(diff.c_str(), stdout);
  return done(invocation, fmt::format("{}: the kernel would take the table{}", invocation.options.config,
                                      diff.empty() ? "; nothing would change" : ""));
}

int nat_clear(const Invocation& invocation) {
  // A living agent must know, or it would take the missing table for an accident and load it again.
  const auto reply = common::io::ask(invocation.options.run_dir + "/agent.sock", {.verb = "nat.clear"}, kAgentTimeout);
  if (reply && !reply->ok) return failed(reply->error);
  if (!reply)
    if (const auto removed = Nftables().run(render_removal()); !removed)
      return failed("the table could not be deleted: " + removed.error().text);
  return done(invocation, "the table inet steadynat is gone");
}

}  // namespace natctl::io
