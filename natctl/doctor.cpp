#include "natctl/doctor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "common/pair_sysctls.hpp"
#include "natctl/json_reader.hpp"

namespace natctl {
namespace {

using common::Config;
using Weight = Finding::Weight;

/// What every path of IPv6 takes: syncd does not use a link that takes less.
constexpr int kLeastMtu = 1280;
/// More connections than this per bucket, and the kernel walks long chains for each packet.
constexpr std::uint64_t kMostPerBucket = 8;
/// Logs of two routers whose clocks are further apart cannot be laid side by side.
constexpr std::int64_t kClocksApartMs = 1000;
/// In parts of ten of the limit.
constexpr std::uint64_t kNearlyFull = 8;

class Examination {
 public:
  Examination(const Config& config, const Facts& facts) : config_(config), facts_(facts) {}
  std::vector<Finding> run();

 private:
  void error(std::string what, std::string remedy) {
    found_.push_back({Weight::error, std::move(what), std::move(remedy)});
  }
  void warning(std::string what, std::string remedy) {
    found_.push_back({Weight::warning, std::move(what), std::move(remedy)});
  }
  std::optional<long> sysctl(const std::string& name) const;
  void want(const std::string& name, long value, Weight weight, const std::string& why);

  void forwarding();
  void filters();
  void conntrack();
  void neighbours();
  void interfaces();
  void rules();
  void files();
  void links();
  void loose();
  void peer();
  void peer_sysctl(std::string_view name, const std::string& why);
  void peer_helpers();

  const Config& config_;
  const Facts& facts_;
  std::vector<Finding> found_;
};

std::set<std::string> vrrp_interfaces(const Config& config) {
  std::set<std::string> names;
  if (config.vrrp)
    for (const auto& group : config.vrrp->groups)
      for (const auto& instance : group.instances) names.insert(instance.interface);
  return names;
}

bool has_family(const Config& config, common::Family family) {
  if (!config.vrrp) return false;
  for (const auto& group : config.vrrp->groups)
    for (const auto& instance : group.instances)
      for (const auto& address : instance.virtual_addresses)
        if (address.address.family() == family) return true;
  return false;
}

std::optional<long> Examination::sysctl(const std::string& name) const {
  const auto found = facts_.sysctls.find(name);
  long value = 0;
  if (found == facts_.sysctls.end()) return std::nullopt;
  const std::string& text = found->second;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() ? std::optional(value) : std::nullopt;
}

void Examination::want(const std::string& name, long value, Weight weight, const std::string& why) {
  const auto found = sysctl(name);
  if (!found || *found == value) return;
  found_.push_back(
      {weight, fmt::format("{} is {}: {}", name, *found, why), fmt::format("sysctl -w {}={}", name, value)});
}

void Examination::forwarding() {
  if (!config_.has_table()) return;
  if (has_family(config_, common::Family::ipv4) || !config_.vrrp)
    want("net.ipv4.ip_forward", 1, Weight::error, "this router forwards nothing");
  if (has_family(config_, common::Family::ipv6))
    want("net.ipv6.conf.all.forwarding", 1, Weight::error, "this router forwards no IPv6");
}

void Examination::filters() {
  for (const std::string& name : vrrp_interfaces(config_)) {
    // The greater of the two counts; 1 drops what comes by another way than the answer would take.
    const std::string own = fmt::format("net.ipv4.conf.{}.rp_filter", name);
    if (std::max(sysctl("net.ipv4.conf.all.rp_filter").value_or(0), sysctl(own).value_or(0)) == 1)
      warning(fmt::format("rp_filter of {} is 1: packets that come back over the other router for a moment are dropped",
                          name),
              fmt::format("sysctl -w net.ipv4.conf.all.rp_filter=2 {}=2", own));
    want(fmt::format("net.ipv4.conf.{}.promote_secondaries", name), 1, Weight::warning,
         "when the first address of a network goes, the virtual one beside it goes with it");
    if (sysctl("net.ipv4.conf.all.arp_ignore").value_or(1) == 0 &&
        sysctl(fmt::format("net.ipv4.conf.{}.arp_ignore", name)).value_or(1) == 0)
      warning(fmt::format("arp_ignore of {} is 0: it answers for addresses of other interfaces", name),
              fmt::format("sysctl -w net.ipv4.conf.{}.arp_ignore=1", name));
    if (sysctl("net.ipv4.conf.all.arp_announce").value_or(1) == 0 &&
        sysctl(fmt::format("net.ipv4.conf.{}.arp_announce", name)).value_or(1) == 0)
      warning(fmt::format("arp_announce of {} is 0: it may ask for neighbours in the name of another network", name),
              fmt::format("sysctl -w net.ipv4.conf.{}.arp_announce=2", name));
  }
}

void Examination::conntrack() {
  want("net.netfilter.nf_conntrack_events", 1, Weight::error, "changes of connections are not told, so not replicated");
  if (!facts_.conntrack_max) {
    error("the kernel has no connection tracking: nothing can be translated or replicated", "modprobe nf_conntrack");
    return;
  }
  const std::uint64_t max = *facts_.conntrack_max;
  if (facts_.conntrack_count && *facts_.conntrack_count * 10 > max * kNearlyFull)
    error(fmt::format("{} of {} connections: the table is nearly full", *facts_.conntrack_count, max),
          fmt::format("sysctl -w net.netfilter.nf_conntrack_max={}, on both routers", 2 * max));
  if (facts_.conntrack_buckets && *facts_.conntrack_buckets * kMostPerBucket < max)
    warning(fmt::format("{} buckets for up to {} connections: chains grow long when the table fills",
                        *facts_.conntrack_buckets, max),
            fmt::format("sysctl -w net.netfilter.nf_conntrack_buckets={}, on both routers", max / 4));
}

/// A LAN whose hosts do not fit costs each new connection after a takeover a second.
void Examination::neighbours() {
  std::uint64_t hosts = 0;
  if (config_.vrrp)
    for (const auto& group : config_.vrrp->groups)
      for (const auto& instance : group.instances)
        for (const auto& address : instance.virtual_addresses)
          if (address.address.is_v4() && address.length < 31) hosts += (1ull << (32 - address.length)) - 2;
  const auto limit = sysctl("net.ipv4.neigh.default.gc_thresh3");
  if (limit && hosts > static_cast<std::uint64_t>(*limit))
    warning(fmt::format("net.ipv4.neigh.default.gc_thresh3 is {}, but the networks beside this router have room for {} "
                        "hosts",
                        *limit, hosts),
            fmt::format("sysctl -w net.ipv4.neigh.default.gc_thresh3={}", hosts));
}

void Examination::interfaces() {
  for (const auto& [name, interface] : facts_.interfaces)
    if (!interface.exists)
      error(fmt::format("there is no interface {}", name),
            fmt::format("correct the file, or map the name under nodes.{}.interfaces", config_.node));
  if (!config_.sync) return;
  for (const auto& link : config_.sync->links) {
    const auto found = facts_.interfaces.find(link.interface);
    if (found != facts_.interfaces.end() && found->second.exists && found->second.mtu < kLeastMtu)
      error(fmt::format("the MTU of the link {} is {}: syncd does not use it", link.interface, found->second.mtu),
            fmt::format("ip link set {} mtu 1500, on both routers; {} is the least", link.interface, kLeastMtu));
    if (found != facts_.interfaces.end() && found->second.exists && link.multicast && !found->second.multicast)
      warning(fmt::format("the link {} is to send to {}, and the interface is one without multicast", link.interface,
                          link.multicast->to_string()),
              fmt::format("take `multicast` out of sync.links, or ip link set {} multicast on", link.interface));
  }
}

void Examination::rules() {
  if (config_.nat)
    for (const auto& rule : config_.nat->source)
      if (!rule.exclude && !rule.translate_to)
        warning(fmt::format("source rule {} is masquerade: no such connection survives a failover", rule.number),
                "translate_to: a virtual address");
  if (!facts_.table_fault.empty())
    error("the kernel would refuse the table: " + facts_.table_fault, "natctl nat check");
  for (const std::string& daemon : facts_.daemons)
    error(fmt::format("{} runs here, too: the two get in each other's way", daemon), "stop it and disable it");
}

void Examination::files() {
  if (!facts_.key_fault.empty()) error(facts_.key_fault, "natctl keygen makes a key; both routers need the same");
  for (const auto& [path, why] : facts_.hook_faults)
    warning(fmt::format("the hook {} cannot run: {}", path, why),
            fmt::format("chmod 755 {}, or correct the file", path));
}

/// The pair works on, and the loss is seen at the next one.
void Examination::links() {
  for (const auto& [interface, why] : facts_.lost_links)
    warning(fmt::format("the sync link {} is lost: {}", interface, why),
            fmt::format("look at the cable, and at ip link show {} on both routers", interface));
}

/// The guards of the table do the same for what NAT rules cover.
void Examination::loose() {
  if (config_.sync && !config_.nat)
    want(std::string(common::kTcpLoose), 0, Weight::warning,
         "in a failover a packet from the midst of a connection makes an entry that keeps the right one out");
}

/// What should be alike on both routers.
void Examination::peer() {
  const auto& other = facts_.peer;
  if (!facts_.peer_fault.empty())
    warning(fmt::format("what {} is like is not known: {}", config_.peer, facts_.peer_fault),
            "look at natctl status, and run natctl doctor there, too");
  if (!other) return;
  if (other->digest != config_.digest)
    warning(fmt::format("{} runs with another configuration than this file", other->node),
            "natctl config diff shows how they differ; reload the daemons where a file is newer than they are");
  peer_sysctl(common::kConntrackMax, "after a failover to the smaller table connections do not fit");
  peer_sysctl(common::kConntrackBuckets, "the router with less is slower under the same load");
  peer_sysctl(common::kTcpLoose, "what passes on one router does not pass on the other");
  peer_helpers();
  if (const std::int64_t apart = facts_.clocks_apart_ms; std::abs(apart) >= kClocksApartMs)
    warning(fmt::format("the clock of {} is {:.1f} s {} this one: what the two log cannot be laid side by side",
                        other->node, static_cast<double>(std::abs(apart)) / 1000, apart < 0 ? "behind" : "ahead of"),
            "timedatectl set-ntp true, on both routers");
}

void Examination::peer_sysctl(std::string_view name, const std::string& why) {
  const auto ours = facts_.sysctls.find(std::string(name));
  const auto theirs = facts_.peer->sysctls.find(std::string(name));
  if (ours == facts_.sysctls.end() || theirs == facts_.peer->sysctls.end() || ours->second == theirs->second) return;
  warning(fmt::format("{} is {} here and {} on {}: {}", name, ours->second, theirs->second, facts_.peer->node, why),
          fmt::format("set {} to the same value on both routers, also in /etc/sysctl.d", name));
}

void Examination::peer_helpers() {
  if (!facts_.helpers || !facts_.peer->helpers) return;
  const auto lacks = [this](const std::vector<std::string>& has, const std::vector<std::string>& needs,
                            const std::string& where) {
    for (const std::string& helper : needs)
      if (std::ranges::find(has, helper) == has.end())
        warning(fmt::format("the helper for {} is not loaded on {}: connections that it makes room for fail there",
                            helper, where),
                fmt::format("modprobe nf_conntrack_{} there, or unload it on both routers", helper));
  };
  lacks(*facts_.peer->helpers, *facts_.helpers, facts_.peer->node);
  lacks(*facts_.helpers, *facts_.peer->helpers, config_.node);
}

std::vector<Finding> Examination::run() {
  forwarding();
  filters();
  conntrack();
  neighbours();
  interfaces();
  rules();
  files();
  links();
  loose();
  peer();
  std::ranges::stable_sort(found_, {}, &Finding::weight);
  return std::move(found_);
}

}  // namespace

std::map<std::string, std::string> lost_links(const std::string& status) {
  const Json json = parse_json(status);
  std::map<std::string, std::string> lost;
  for (const Json& link : array_of(json, "links")) {
    const std::string trouble = text_of(link, "trouble");
    if (!trouble.empty())
      lost[text_of(link, "interface")] = trouble;
    else if (flag_of(link, "quiet"))
      lost[text_of(link, "interface")] = text_of(json, "peer") + " is not heard over it";
  }
  return lost;
}

std::vector<std::string> wanted_sysctls(const Config& config) {
  std::vector<std::string> names{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding",
                                 "net.netfilter.nf_conntrack_events", "net.ipv4.neigh.default.gc_thresh3"};
  names.insert(names.end(), std::begin(common::kPairSysctls), std::end(common::kPairSysctls));
  std::set<std::string> interfaces = vrrp_interfaces(config);
  interfaces.insert("all");
  for (const std::string& interface : interfaces)
    for (const char* key : {"rp_filter", "promote_secondaries", "arp_ignore", "arp_announce"})
      names.push_back(fmt::format("net.ipv4.conf.{}.{}", interface, key));
  return names;
}

std::vector<Finding> examine(const Config& config, const Facts& facts) {
  return Examination(config, facts).run();
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings)
    out += fmt::format("{}: {}\n    {}\n", finding.weight == Weight::error ? "error" : "warning", finding.what,
                       finding.remedy);
  return out.empty() ? "nothing found that would make a failover fail\n" : out;
}

std::string findings_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings)
    list.push_back({{"severity", finding.weight == Weight::error ? "error" : "warning"},
                    {"what", finding.what},
                    {"remedy", finding.remedy}});
  return dump(Json{{"findings", std::move(list)}}, 2) + "\n";
}

}  // namespace natctl
