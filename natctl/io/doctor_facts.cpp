#include "natctl/io/doctor_facts.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/io/machine.hpp"
#include "common/io/options.hpp"
#include "natctl/doctor.hpp"
#include "natctl/io/ask_peer.hpp"
#include "natctl/io/daemon_status.hpp"
#include "natctl/io/nftables.hpp"
#include "natctl/io/terminal.hpp"
#include "natctl/nft.hpp"
#include "natctl/ruleset.hpp"

namespace natctl::io {
namespace {

namespace fs = std::filesystem;

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  const auto text = common::io::read_file(path);
  std::uint64_t value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

bool takes_multicast(const std::string& interface) {
  const auto flags = common::io::read_file("/sys/class/net/" + interface + "/flags");
  return !flags || (std::strtoul(flags->c_str(), nullptr, 16) & IFF_MULTICAST) != 0;
}

Facts::Interface interface_of(const std::string& name) {
  const bool exists = if_nametoindex(name.c_str()) != 0;
  const auto mtu = number_in("/sys/class/net/" + name + "/mtu");
  // sysfs shows the namespace that it was mounted in; without an answer nothing is said of the MTU.
  return {exists, mtu ? static_cast<int>(*mtu) : 65535, takes_multicast(name)};
}

std::string link_of(const fs::path& path) {
  std::error_code ignored;
  return fs::read_symlink(path, ignored).string();
}

/// Daemons that would answer the same adverts or write the same connections, where we do.
std::vector<std::string> rivals() {
  static constexpr std::array<std::string_view, 3> kRivals{"keepalived", "conntrackd", "ucarp"};
  std::vector<std::string> found;
  const std::string here = link_of("/proc/self/ns/net");
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator("/proc", failure)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto name = common::io::read_file(entry.path() / "comm");
    if (!name || std::ranges::find(kRivals, first_line(*name)) == kRivals.end()) continue;
    if (link_of(entry.path() / "ns/net") != here) continue;
    found.push_back(fmt::format("{} (process {})", first_line(*name), pid));
  }
  return found;
}

std::string fault_of_hook(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return "there is no such file";
  if (!S_ISREG(info.st_mode)) return "it is no file";
  if ((info.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) return "it is not executable";
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others than its owner may write to it";
  return {};
}

void look_at_files(const common::Config& config, Facts& facts) {
  if (config.sync && !config.sync->key_file.empty())
    if (const auto key = common::io::read_key_file(config.sync->key_file); !key) facts.key_fault = key.error().text;
  if (!config.vrrp) return;
  for (const auto& group : config.vrrp->groups)
    for (const std::string* path :
         {&group.hooks.notify, &group.hooks.master, &group.hooks.backup, &group.hooks.fault, &group.hooks.stop})
      if (!path->empty())
        if (std::string fault = fault_of_hook(*path); !fault.empty()) facts.hook_faults[*path] = std::move(fault);
}

std::string fault_of_table(const common::Config& config) {
  const auto ruleset = make_ruleset(config);
  if (!ruleset) return ruleset.error().text;
  const auto tried = Nftables().check(render_table(*ruleset, {}));
  return tried ? std::string() : tried.error().text;
}

Facts collect(const common::Config& config) {
  Facts facts;
  for (const std::string& name : wanted_sysctls(config))
    if (auto value = common::io::sysctl(name)) facts.sysctls[name] = std::move(*value);
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const auto& instance : group.instances)
        facts.interfaces[instance.interface] = interface_of(instance.interface);
  if (config.sync)
    for (const auto& link : config.sync->links) facts.interfaces[link.interface] = interface_of(link.interface);
  facts.daemons = rivals();
  facts.conntrack_count = number_in("/proc/sys/net/netfilter/nf_conntrack_count");
  facts.conntrack_max = number_in("/proc/sys/net/netfilter/nf_conntrack_max");
  facts.conntrack_buckets = number_in("/proc/sys/net/netfilter/nf_conntrack_buckets");
  look_at_files(config, facts);
  facts.helpers = common::io::conntrack_helpers();
  if (config.has_table()) facts.table_fault = fault_of_table(config);
  return facts;
}

std::int64_t clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// A syncd that does not answer is told of by the question for the peer.
void ask_syncd(const Invocation& invocation, const common::Config& config, Facts& facts) {
  if (!config.sync) return;
  if (const Answer answer = status_of(invocation.options.run_dir, "syncd"); answer.body)
    facts.lost_links = lost_links(*answer.body);
}

void ask_peer(const Invocation& invocation, const common::Config& config, Facts& facts) {
  if (!config.sync || config.peer.empty()) return;
  const std::int64_t asked = clock_ms();
  const auto papers = papers_of_peer(invocation.options.run_dir);
  const std::int64_t answered = clock_ms();
  if (!papers) {
    facts.peer_fault = papers.error().text;
    return;
  }
  facts.peer = *papers;
  if (papers->time_ms == 0) return;
  // It looked at its clock somewhere between the two.
  if (papers->time_ms < asked) facts.clocks_apart_ms = papers->time_ms - asked;
  if (papers->time_ms > answered) facts.clocks_apart_ms = papers->time_ms - answered;
}

}  // namespace

int run_doctor(const Invocation& invocation) {
  const auto config = common::io::load_config(invocation.options);
  if (!config) return common::io::kExitUsage;
  Facts facts = collect(*config);
  ask_syncd(invocation, *config, facts);
  ask_peer(invocation, *config, facts);
  const std::vector<Finding> findings = examine(*config, facts);
  std::fputs((invocation.json ? findings_json(findings) : folded(findings_text(findings), terminal_columns())).c_str(),
             stdout);
  const bool bad = std::ranges::any_of(findings, [](const Finding& f) { return f.weight == Finding::Weight::error; });
  return bad ? 1 : 0;
}

}  // namespace natctl::io
