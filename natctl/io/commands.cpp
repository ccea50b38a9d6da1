#include "natctl/io/commands.hpp"

#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "common/connection_filter.hpp"
#include "common/io/notify_socket.hpp"
#include "common/io/options.hpp"
#include "natctl/io/config_commands.hpp"
#include "natctl/io/daemon_status.hpp"
#include "natctl/io/doctor_facts.hpp"
#include "natctl/io/import_command.hpp"
#include "natctl/io/kernel_connections.hpp"
#include "natctl/io/monitor_view.hpp"
#include "natctl/io/nat_commands.hpp"
#include "natctl/io/terminal.hpp"
#include "natctl/io/top_view.hpp"
#include "natctl/report.hpp"
#include "natctl/ruleset.hpp"
#include "natctl/sync_view.hpp"

namespace natctl::io {
namespace {

using common::Duration;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

/// A switchover waits for the other router, which may first have to fetch what it lacks.
constexpr Duration kActionTimeout = 20s;
/// Two dumps of a full table, of which one comes over the link.
constexpr Duration kVerifyTimeout = 60s;

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
}

/// A screen for people, as wide as their terminal.
void show_screen(const std::string& text) {
  print(folded(text, terminal_columns()));
}

common::Result<common::Reply> ask(const Invocation& invocation, std::string_view daemon, std::string verb,
                                  std::vector<std::string> arguments, Duration timeout) {
  return common::io::ask(socket_of(invocation.options.run_dir, daemon),
                         {.verb = std::move(verb), .arguments = std::move(arguments)}, timeout);
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// The configuration without a word about it: `status` works without, it only judges better with it.
std::optional<common::Config> quiet_config(const Invocation& invocation, const std::string& node) {
  const auto text = common::io::read_file(invocation.options.config);
  if (!text) return std::nullopt;
  return common::parse_config(*text, invocation.options.config, node).config;
}

Answers ask_all(const Invocation& invocation) {
  Answers answers;
  answers.node = invocation.options.node.empty() ? host_name() : invocation.options.node;
  if (const auto config = quiet_config(invocation, answers.node)) {
    answers.vrrpd_expected = config->vrrp.has_value();
    answers.syncd_expected = config->sync.has_value();
    answers.agent_expected = config->has_table();
  }
  answers.vrrpd = status_of(invocation.options.run_dir, "vrrpd");
  answers.syncd = status_of(invocation.options.run_dir, "syncd");
  answers.agent = status_of(invocation.options.run_dir, "agent");
  return answers;
}

int run_status(const Invocation& invocation) {
  const Report report = make_status(ask_all(invocation));
  if (invocation.json)
    print(report.json);
  else
    show_screen(report.text);
  return report.exit_code;
}

/// Asks one daemon and prints its body in the form that is wanted.
int show(const Invocation& invocation, std::string_view daemon, std::string verb,
         std::string (*screen)(const std::string&), std::string (*as_json)(const std::string&) = indented) {
  const Duration timeout = verb == "status" ? kStatusTimeout : kActionTimeout;
  const auto reply = ask(invocation, daemon, std::move(verb), invocation.filter, timeout);
  if (!reply) return failed(reply.error().text);
  if (!reply->ok) return failed(reply->error);
  if (invocation.json)
    print(as_json(reply->body));
  else
    show_screen(screen(reply->body));
  return 0;
}

std::string connection_screen(const std::string& body) {
  return fitted_connections(connection_list(body), terminal_columns());
}

int show_connections(const Invocation& invocation) {
  // syncd would say the same, but not that the words were wrong rather than the answer.
  if (const auto filter = common::ConnectionFilter::parse(invocation.filter); !filter)
    return misused(filter.error().text);
  return invocation.kernel ? show_kernel_connections(invocation)
                           : show(invocation, "syncd", "connections", connection_screen);
}

int show_vrrp(const Invocation& invocation) {
  const auto reply = ask(invocation, "vrrpd", "status", {}, kStatusTimeout);
  if (!reply) return failed(reply.error().text);
  if (!reply->ok) return failed(reply->error);
  const Verdict view = vrrp_view(reply->body, invocation.filter, invocation.json);
  if (view.exit_code != 0)
    std::fputs(view.text.c_str(), stderr);
  else if (invocation.json)
    print(view.text);
  else
    show_screen(view.text);
  return view.exit_code;
}

int show_sync(const Invocation& invocation) {
  const SyncQuestion question = sync_question(invocation.filter);
  if (!question.mistake.empty()) return misused(question.mistake);
  if (const auto filter = common::ConnectionFilter::parse(question.filter.value_or(Words{})); !filter)
    return misused(filter.error().text);
  const bool cache = question.filter.has_value();
  const auto reply = ask(invocation, "syncd", cache ? "connections" : "status", question.filter.value_or(Words{}),
                         cache ? kActionTimeout : kStatusTimeout);
  if (!reply) return failed(reply.error().text);
  if (!reply->ok) return failed(reply->error);
  const std::string text = !cache            ? sync_view(reply->body, question.view, invocation.json)
                           : invocation.json ? indented(reply->body)
                                             : connection_screen(reply->body);
  if (invocation.json)
    print(text);
  else
    show_screen(text);
  return 0;
}

int act(const Invocation& invocation, std::string_view daemon, std::string verb, std::vector<std::string> arguments,
        std::string_view done) {
  const auto reply = ask(invocation, daemon, std::move(verb), std::move(arguments), kActionTimeout);
  if (!reply) return failed(reply.error().text);
  if (!reply->ok) return failed(reply->error);
  if (invocation.json)
    print(reply->body.empty() ? "{\"ok\": true}\n" : indented(reply->body));
  else
    print(fmt::format("{}\n", done));
  return 0;
}

std::vector<std::string> group_arguments(const Invocation& invocation) {
  std::vector<std::string> arguments;
  if (!invocation.group.empty()) arguments.push_back(invocation.group);
  if (invocation.force) arguments.emplace_back("--force");
  return arguments;
}

/// Whatever takes longer than it takes an action.
int judge(const Invocation& invocation, std::string verb, Verdict (*verdict_of)(const std::string&)) {
  const auto reply = ask(invocation, "syncd", std::move(verb), {}, kVerifyTimeout);
  if (!reply) return failed(reply.error().text);
  if (!reply->ok) return failed(reply->error);
  const Verdict verdict = verdict_of(reply->body);
  if (invocation.json)
    print(indented(reply->body));
  else
    show_screen(verdict.text);
  return verdict.exit_code;
}

/// A key that lies there must be usable; one that is missing may lie on the router only.
int check_key(const common::Config& config) {
  if (!config.sync || config.sync->key_file.empty()) return 0;
  const auto key = common::io::read_key_file(config.sync->key_file);
  if (key) return 0;
  if (key.error().code == ENOENT) {
    std::fprintf(stderr, "warning: %s\n", key.error().text.c_str());
    return 0;
  }
  std::fprintf(stderr, "%s\n", key.error().text.c_str());
  return common::io::kExitUsage;
}

int run_check(const Invocation& invocation) {
  const auto config = common::io::load_config(invocation.options);
  if (!config) return common::io::kExitUsage;
  if (const auto ruleset = make_ruleset(*config); !ruleset) {
    std::fprintf(stderr, "%s: %s\n", invocation.options.config.c_str(), ruleset.error().text.c_str());
    return common::io::kExitUsage;
  }
  if (const int code = check_key(*config); code != 0) return code;
  if (invocation.json) {
    print(fmt::format("{{\"ok\": true, \"node\": \"{}\", \"peer\": \"{}\", \"digest\": \"{}\"}}\n", config->node,
                      config->peer, config->digest));
  } else {
    print(fmt::format("{}: fine for node {}{} (digest {})\n", invocation.options.config, config->node,
                      config->peer.empty() ? "" : ", whose peer is " + config->peer, config->digest));
  }
  return 0;
}

int run_keygen() {
  if (sodium_init() < 0) return failed("no random numbers can be had from the kernel");
  constexpr std::size_t kKeyBytes = 32;
  std::array<unsigned char, kKeyBytes> key;
  std::array<char, sodium_base64_ENCODED_LEN(kKeyBytes, sodium_base64_VARIANT_ORIGINAL)> text;
  randombytes_buf(key.data(), key.size());
  sodium_bin2base64(text.data(), text.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  const bool printed = std::puts(text.data()) >= 0 && std::fflush(stdout) == 0;
  sodium_memzero(key.data(), key.size());
  sodium_memzero(text.data(), text.size());
  return printed ? 0 : failed("the key could not be written");
}

}  // namespace

int run_command(const Invocation& invocation) {
  switch (invocation.command) {
    case Command::agent:
      break;
    case Command::status:
      return run_status(invocation);
    case Command::check:
      return run_check(invocation);
    case Command::completion:
      print(invocation.script);
      return 0;
    case Command::keygen:
      return run_keygen();
    case Command::switchover:
      return act(invocation, "vrrpd", "switchover", group_arguments(invocation), "switched over");
    case Command::release:
      return act(invocation, "vrrpd", "release", group_arguments(invocation), "released");
    case Command::sync_verify:
      return judge(invocation, "sync.verify", verify_result);
    case Command::sync_resync:
      return act(invocation, "syncd", "sync.resync", {}, "everything has been asked for again");
    case Command::sync_flush:
      return act(invocation, "syncd", "sync.flush", {}, "forgotten, and asked for again");
    case Command::sync_commit:
      return judge(invocation, "sync.commit", commit_result);
    case Command::nat_check:
      return nat_check(invocation);
    case Command::nat_apply:
      return act(invocation, "agent", "nat.apply", {}, "the table is loaded");
    case Command::nat_clear:
      return nat_clear(invocation);
    case Command::show_vrrp:
      return show_vrrp(invocation);
    case Command::show_sync:
      return show_sync(invocation);
    case Command::show_nat:
      return show(invocation, "agent", "status", nat_details);
    case Command::show_connections:
      return show_connections(invocation);
    case Command::show_events:
      return show(invocation, "vrrpd", "status", event_list, events_json);
    case Command::import_files:
      return run_import(invocation);
    case Command::config_dump:
      return config_dump(invocation);
    case Command::config_diff:
      return config_diff(invocation);
    case Command::metrics:
      return run_metrics(invocation, ask_all);
    case Command::top:
      return run_top(invocation, ask_all);
    case Command::monitor:
      return run_monitor(invocation, ask_all);
    case Command::doctor:
      return run_doctor(invocation);
  }
  return failed("the agent is not run from here");
}

}  // namespace natctl::io
