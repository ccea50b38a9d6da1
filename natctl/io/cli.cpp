#include "natctl/io/cli.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "common/io/options.hpp"
#include "common/settings.hpp"
#include "natctl/io/completion.hpp"

namespace natctl::io {
namespace {

constexpr const char* kPurpose = "Watches and steers a pair of routers that fail over with all their connections.";

struct Leaf {
  const char* name;
  const char* help;
  Command command;
};

constexpr Leaf kSync[] = {
    {"verify", "Compare the connections of both kernels and name those that differ", Command::sync_verify},
    {"resync", "Fetch everything from the other router again", Command::sync_resync},
    {"flush", "Forget the connections of the other router that are not in the kernel", Command::sync_flush},
    {"commit", "Write the connections of the other router into the kernel now", Command::sync_commit},
};
constexpr Leaf kNat[] = {
    {"check", "Try the table on the kernel without changing it", Command::nat_check},
    {"apply", "Have the agent load the table again", Command::nat_apply},
    {"clear", "Delete the table inet steadynat: nothing is translated or kept out any more", Command::nat_clear},
};
constexpr Leaf kShow[] = {
    {"nat", "The table, its gates and counters", Command::show_nat},
    {"events", "The last changes of state and what happened when in each", Command::show_events},
};

constexpr Leaf kImport[] = {
    {"vyatta", "config.boot of Vyatta 6.x, or a list of set commands", Command::import_files},
    {"vyos", "The same of VyOS 1.2 to 1.5", Command::import_files},
    {"keepalived", "keepalived.conf, and conntrackd.conf if there is one, of each router", Command::import_files},
    {"conntrackd", "conntrackd.conf of each router", Command::import_files},
};

constexpr const char* kFooter =
    "--config, --node, --run-dir and --json may stand anywhere on the line. Manual: natctl(8), steadynat.yaml(5).";

/// "FILE..." where CLI11 would say "FILE(1x)".
class UsageWords : public CLI::Formatter {
 public:
  std::string make_option_usage(const CLI::Option* option) const override {
    std::string words = make_option_name(option, true);
    if (option->get_expected_max() > 1) words += "...";
    return option->get_required() ? words : "[" + words + "]";
  }
};

CLI::App* add_leaf(CLI::App& parent, const Leaf& leaf, Invocation& into) {
  CLI::App* sub = parent.add_subcommand(leaf.name, leaf.help);
  sub->callback([&into, command = leaf.command] { into.command = command; });
  return sub;
}

template <std::size_t N>
CLI::App* add_family(CLI::App& app, const char* name, const char* help, const Leaf (&leaves)[N], Invocation& into) {
  CLI::App* family = app.add_subcommand(name, help);
  family->require_subcommand(1);
  for (const Leaf& leaf : leaves) add_leaf(*family, leaf, into);
  return family;
}

void add_import(CLI::App& app, Invocation& into) {
  CLI::App* family =
      app.add_subcommand("import", "Make a configuration file for both routers out of those of another system");
  family->require_subcommand(1);
  for (const Leaf& leaf : kImport) {
    CLI::App* sub = family->add_subcommand(leaf.name, leaf.help);
    sub->callback([&into, leaf] {
      into.command = leaf.command;
      into.dialect = leaf.name;
    });
    sub->add_option("FILE", into.files, "Files of one router or of both")->required()->expected(1, 4);
    sub->add_flag("--rewrite-masquerade", into.rewrite_masquerade,
                  "Translate to the interface's virtual address where the file says masquerade");
    sub->add_option("--addresses", into.addresses,
                    "Print the interfaces' own addresses instead, for ifupdown or networkd")
        ->check(CLI::IsMember({"ifupdown", "networkd"}))
        ->type_name("FORM");
  }
}

void add_options(CLI::App& app, Invocation& into) {
  app.add_option("--config", into.options.config, "Configuration file of the pair")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--node", into.options.node, "Name of this router in the file (default: the host name)")
      ->type_name("NAME");
  app.add_option("--run-dir", into.options.run_dir, "Directory for sockets and state")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_flag("--json", into.json, "Print JSON");
  app.set_version_flag("--version", "natctl " + std::string(common::io::version()));
}

/// What looks and changes nothing.
void add_observing(CLI::App& app, Invocation& into) {
  CLI::App* config = app.add_subcommand("config", "The configuration file");
  config->require_subcommand(1);
  add_leaf(*config, {"check", "Check the configuration file", Command::check}, into);
  add_leaf(*config, {"dump", "What the file says for this router, with all defaults", Command::config_dump}, into);
  add_leaf(*config,
           {"diff", "What another file says otherwise; without one: that of the other router", Command::config_diff},
           into)
      ->add_option("FILE", into.files, "The other file, such as a copy of the other router's")
      ->expected(1);
  CLI::App* metrics = add_leaf(app, {"metrics", "The state in Prometheus' text format", Command::metrics}, into);
  metrics->add_option("--textfile", into.textfile, "Write it there, for node_exporter's textfile collector")
      ->type_name("FILE");
  metrics->add_option("--listen", into.listen, "Serve it over HTTP on a loopback address, such as 127.0.0.1:9781")
      ->type_name("ADDRESS:PORT");
  add_leaf(app, {"monitor", "What happens on this router, as it happens", Command::monitor}, into);
  CLI::App* top = add_leaf(app, {"top", "What both routers do at this moment, again and again", Command::top}, into);
  top->add_option("--interval", into.interval, "From one look to the next")
      ->type_name("DURATION")
      ->capture_default_str();
  top->add_option("--count", into.count, "End after so many looks")->type_name("NUMBER");
  add_leaf(app, {"doctor", "Look for what would make a failover fail, each with its remedy", Command::doctor}, into);
}

void add_commands(CLI::App& app, Invocation& into) {
  add_leaf(app, {"status", "Is the pair ready to fail over? (exit code 0 yes, 1 no, 3 no answer)", Command::status},
           into);
  CLI::App* switchover =
      add_leaf(app, {"switchover", "Hand a group over to the other router", Command::switchover}, into);
  switchover->add_option("GROUP", into.group, "Name of the group (default: the only one)");
  switchover->add_flag("--force", into.force, "Even if the other router is not ready; connections may break");
  CLI::App* release =
      add_leaf(app, {"release", "Let a router have a group back that was switched over", Command::release}, into);
  release->add_option("GROUP", into.group, "Name of the group (default: the only one)");
  CLI::App* show = add_family(app, "show", "Details", kShow, into);
  CLI::App* connections =
      add_leaf(*show, {"connections", "The connections that are replicated", Command::show_connections}, into);
  connections->add_option("FILTER", into.filter,
                          "Only those with this protocol, address, prefix, port, or owner (own, peer)");
  connections->add_flag("--kernel", into.kernel, "Instead all that the kernel's own table holds");
  add_leaf(*show, {"vrrp", "Groups and instances, in a table", Command::show_vrrp}, into)
      ->add_option("WHAT", into.filter,
                   "detail, statistics or events; the name of a group or of an instance: only that one, in detail")
      ->expected(0, 2);
  add_leaf(*show, {"sync", "The link to the other router and its counters", Command::show_sync}, into)
      ->add_option("WHAT", into.filter,
                   "status, statistics, link, queue; or cache internal, cache external, and a filter of connections");
  add_family(app, "sync", "The connections that the two routers share", kSync, into);
  add_family(app, "nat", "The nftables table", kNat, into);
  add_leaf(app, {"check", "Check the configuration file", Command::check}, into);
  add_observing(app, into);
  add_import(app, into);
  add_leaf(app, {"keygen", "Print a fresh key for the sync link", Command::keygen}, into);
  CLI::App* completion = app.add_subcommand("completion", "Print a script for the shell that completes these commands");
  completion->require_subcommand(1);
  CLI::App* bash = add_leaf(*completion, {"bash", "For bash", Command::completion}, into);
  bash->callback([&app, &into] {
    into.command = Command::completion;
    into.script = bash_completion(app);
  });
  CLI::App* agent = add_leaf(app, {"agent", "Keep the nftables table, in the foreground", Command::agent}, into);
  agent->add_flag("--check", into.options.check, "Check the configuration and exit");
  agent->add_flag("--debug", into.options.debug, "Log more");
}

bool takes_value(std::string_view option) {
  return option == "--config" || option == "--node" || option == "--run-dir";
}

std::vector<std::string_view> names_below(CLI::App& app) {
  std::vector<std::string_view> names;
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; })) names.push_back(sub->get_name());
  return names;
}

std::string enumerate(const std::vector<std::string_view>& words) {
  std::string all;
  for (const std::string_view word : words) all += (all.empty() ? "" : ", ") + std::string(word);
  return all;
}

/// Says which word was not understood, or what may follow: CLI11 only says that a command is missing.
std::string explain(CLI::App& app, const std::vector<std::string>& words, const std::string& otherwise) {
  CLI::App* at = &app;
  std::string path = "natctl";
  std::vector<std::string_view> names = names_below(app);
  bool all_known = true;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with("-")) {
      all_known = all_known && (takes_value(word) || word == "--json");
      if (takes_value(word)) ++i;
      continue;
    }
    if (names.empty()) return otherwise;
    if (std::ranges::find(names, word) == names.end()) {
      const std::string hint = common::did_you_mean(word, names);
      return fmt::format("{}: unknown command {}{}", path, common::quoted(word),
                         hint.empty() ? "; there are " + enumerate(names) : hint);
    }
    at = at->get_subcommand(word);
    names = names_below(*at);
    path += " " + word;
  }
  return names.empty() || !all_known ? otherwise
                                     : fmt::format("{}: a command is missing; one of {}", path, enumerate(names));
}

/// Writes words of commands out that were cut short. A line that says of which several a word may be one; none when all
/// is well or the word is of no command at all, which is said later.
std::optional<std::string> write_out(CLI::App& app, std::vector<std::string>& words) {
  CLI::App* at = &app;
  std::string path = "natctl";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (takes_value(words[i])) ++i;
    if (i >= words.size() || words[i].starts_with("-")) continue;
    if (i > 0 && takes_value(words[i - 1])) continue;
    std::vector<std::string_view> fitting;
    for (const std::string_view name : names_below(*at)) {
      if (name == words[i]) {
        fitting = {name};
        break;
      }
      if (name.starts_with(words[i])) fitting.push_back(name);
    }
    if (fitting.empty()) return std::nullopt;
    if (fitting.size() > 1) return fmt::format("{}: {} may be {}", path, common::quoted(words[i]), enumerate(fitting));
    words[i] = fitting.front();
    at = at->get_subcommand(words[i]);
    path += " " + words[i];
  }
  return std::nullopt;
}

void build(CLI::App& app, Invocation& into) {
  app.fallthrough();
  app.formatter(std::make_shared<UsageWords>());
  app.footer(kFooter);
  app.require_subcommand(1);
  add_options(app, into);
  add_commands(app, into);
}

int refused(const std::string& line) {
  std::fprintf(stderr, "%s\nnatctl --help lists the commands.\n", line.c_str());
  return common::io::kExitUsage;
}

}  // namespace

std::expected<Invocation, int> parse_command_line(int argc, const char* const* argv) {
  Invocation result;
  CLI::App app{kPurpose, "natctl"};
  build(app, result);
  if (argc <= 1) {
    std::fputs(app.help().c_str(), stderr);
    return std::unexpected(common::io::kExitUsage);
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  if (const auto unclear = write_out(app, words)) return std::unexpected(refused(*unclear));
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // CLI11 takes them from the end
  } catch (const CLI::Success& help_or_version) {
    return std::unexpected(app.exit(help_or_version));
  } catch (const CLI::ParseError& error) {
    return std::unexpected(refused(explain(app, words, std::string("natctl: ") + error.what())));
  }
  return result;
}

void complain(std::string_view what) {
  std::fprintf(stderr, "natctl: %s\n", std::string(what).c_str());
}

int failed(std::string_view what) {
  complain(what);
  return 1;
}

int misused(std::string_view what) {
  complain(what);
  return common::io::kExitUsage;
}

}  // namespace natctl::io
