// What the reader of the configuration says about mistakes: the exact line, so that a change of wording is
// seen.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/prng.hpp"
#include "tests/common/config_diagnosis.hpp"

using namespace common;
using namespace diagnosis;

namespace {

std::string group_with(const std::string& line) {
  return kHead + kGroup + "      " + line + "\n";
}  // 10
std::string file_with(const std::string& line) {
  return kHead + kGroup + line + "\n";
}  // 10

}  // namespace

TEST_CASE("what is no YAML, or the wrong kind of it, is said in one line") {
  check_all({
      {"", {"f:1:1: error: the file is empty"}},
      {"# nothing\n", {"f:1:1: error: the file is empty"}},
      {"- a\n", {"f:1:1: error: expected keys with values, such as `version: 1`"}},
      {"word", {"f:1:1: error: expected keys with values, such as `version: 1`"}},
      {"a: b: c\n", {"f:1:5: error: not valid YAML: illegal map value"}},
      {std::string(600, '['), {"f:1:1: error: maps and lists are nested too deeply"}},
      {std::string((4 << 20) + 1, ' '), {"f:1:1: error: the file is longer than 4194304 bytes"}},
      {kHead + kGroup + "---\nb: 1\n", {"f:10:1: error: a second document begins here; the file must hold only one"}},
      {kHead + kGroup + "}\n", {"f:10:1: error: not valid YAML: illegal flow end"}},
      {",ersion: 1\n", {"f:1:1: error: not valid YAML: unexpected ','"}},
      {kHead + "vrrp: &x {}\n",
       {"f:5:7: error: anchors (&name) are not supported", "f:5:7: error: vrrp: 'groups' is missing"}},
      {file_with("nat: !!map {}"), {"f:10:6: error: tags (!type) are not supported"}},
  });
}

TEST_CASE("mistakes at the top of the file") {
  check_all({
      {"version: 2\nnodes: { R1: }\nnat: {}\n",
       {"f:1:10: error: version: expected 1, the only version so far, found '2'"}},
      {kHead, {"f:1:1: error: nothing to do: at least one of vrrp, nat or firewall must be given"}},
      {"nat: {}\n", {"f:1:1: error: 'version' is missing", "f:1:1: error: 'nodes' is missing"}},
      {"version: 1\nnodes:\nnat: {}\n", {"f:2:1: error: nodes: name the two routers here"}},
      {file_with("firewal: {}"), {"f:10:1: error: unknown key 'firewal'; did you mean 'firewall'?"}},
      {file_with("logging: {}"),
       {"f:10:1: error: unknown key 'logging'; known keys: version, nodes, vrrp, address_groups, "
        "port_groups, sync, nat, firewall"}},
      {file_with("vrrp: {}"), {"f:10:1: error: duplicate key 'vrrp', first given in line 5"}},
      {file_with("nat: [1]"), {"f:10:6: error: nat: expected a map, found a list"}},
  });
}

TEST_CASE("mistakes about the nodes") {
  const std::string tail = "nat: {}\n";
  check_all({
      {"version: 1\nnodes: { R1: { priority: 0 } }\n" + tail,
       {"f:2:26: error: nodes.R1.priority: expected a number from 1 to 255, found '0'"}},
      {"version: 1\nnodes: { R1: { priority: 010 } }\n" + tail,
       {"f:2:26: error: nodes.R1.priority: expected a number from 1 to 255, found '010'"}},
      {"version: 1\nnodes: { R1: { prioritty: 10 } }\n" + tail,
       {"f:2:16: error: unknown key 'prioritty' in nodes.R1; did you mean 'priority'?"}},
      {"version: 1\nnodes: { R1: , R2: , R3: }\n" + tail, {"f:2:22: error: a third node, 'R3'; a pair has two"}},
      {"version: 1\nnodes: { R1: , 'R 2': }\n" + tail,
       {"f:2:16: error: 'R 2' cannot be the name of a node; use at most 63 letters, digits, '-', '_' and "
        "'.'"}},
      {"version: 1\nnodes: { R1: { sync_address: 10.0.0.1/24 } }\n" + tail,
       {"f:2:30: error: nodes.R1.sync_address: expected an address without a prefix length, found "
        "'10.0.0.1/24'"}},
      {"version: 1\nnodes: { R1: { sync_address: ten } }\n" + tail,
       {"f:2:30: error: nodes.R1.sync_address: 'ten' is not an IP address"}},
      {"version: 1\nnodes: { R1: { sync_address: 10.0.0.1, sync_addresses: {} } }\n" + tail,
       {"f:2:14: error: nodes.R1: give either sync_address or sync_addresses"}},
  });
}

TEST_CASE("mistakes in a group") {
  check_all({
      {group_with("advertise_interval: 1"),
       {"f:10:27: error: vrrp.groups.G.advertise_interval: a duration needs a unit; write 1s, 1ms or 1min"}},
      {group_with("advertise_interval: 5ms"),
       {"f:10:27: error: vrrp.groups.G.advertise_interval: 5ms is out of range; it may be 10ms to 40950ms"}},
      {group_with("advertise_interval: 40.96s"),
       {"f:10:27: error: vrrp.groups.G.advertise_interval: 40.96s is out of range; it may be 10ms to "
        "40950ms"}},
      {group_with("advertise_interval: 15ms"),
       {"f:10:27: error: vrrp.groups.G.advertise_interval: 15ms is not a multiple of 10ms, the unit of "
        "adverts"}},
      {group_with("advertise_interval: fast"),
       {"f:10:27: error: vrrp.groups.G.advertise_interval: expected a duration such as 100ms, 1s or 2min, "
        "found 'fast'"}},
      {group_with("preempt: yes"), {"f:10:16: error: vrrp.groups.G.preempt: expected true or false, found 'yes'"}},
      {group_with("preempt: []"), {"f:10:16: error: vrrp.groups.G.preempt: expected a single value, found a list"}},
      {group_with("preempt:"), {"f:10:7: error: vrrp.groups.G.preempt: expected a single value, found nothing"}},
      {group_with("priority: 100"),
       {"f:10:17: error: vrrp.groups.G.priority: one number for both routers would be a tie; write { R1: 100 "
        "} or "
        "leave it to the nodes"}},
      {group_with("priority: { R1: 100, R3: 200 }"),
       {"f:10:28: error: vrrp.groups.G.priority: no node is called 'R3'; did you mean 'R1'?"}},
      {group_with("preempt_without_sync: nevr"),
       {"f:10:29: error: vrrp.groups.G.preempt_without_sync: expected never or a duration such as 60s, found "
        "'nevr'"}},
      {group_with("gate_timeout: 500ms"),
       {"f:8:7: error: vrrp.groups.G: gate_timeout (500ms) is shorter than prepare_timeout (1s)"}},
      {group_with("address_lifetime: 1500ms"),
       {"f:10:25: error: vrrp.groups.G.address_lifetime: 1500ms is not in whole seconds, the kernel's unit "
        "of lifetimes"}},
      {group_with("hooks: { notify: notify.sh }"),
       {"f:10:24: error: vrrp.groups.G.hooks.notify: 'notify.sh' is not an absolute path"}},
      {group_with("garp: { count: 0, repeat: 1s }"),
       {"f:10:22: error: vrrp.groups.G.garp.count: expected a number from 1 to 100, found '0'",
        "f:10:25: error: unknown key 'repeat' in vrrp.groups.G.garp; known keys: count, repeat_after, refresh"}},
      {kHead + "vrrp: { groups: { G: { instances: {} } } }\n",
       {"f:5:35: error: vrrp.groups.G.instances: at least one instance is needed"}},
      {kHead + "vrrp: { groups: }\n", {"f:5:9: error: vrrp.groups: at least one group is needed"}},
  });
}

TEST_CASE("mistakes in an instance") {
  check_all({
      {instance_with("lan:"),
       {"f:10:9: error: vrrp.groups.G.instances.lan: 'interface' is missing",
        "f:10:9: error: vrrp.groups.G.instances.lan: 'vrid' is missing",
        "f:10:9: error: vrrp.groups.G.instances.lan: 'virtual_addresses' is missing"}},
      {instance_with("lan: { interface: eth0, vrid: 1, virtual_addresses: [192.168.100.1/24] }"),
       {"f:10:39: error: vrrp.groups.G.instances.lan.vrid: vrid 1 is used on eth0 already, in line 9; "
        "routers could not "
        "tell the two apart"}},
      {instance_with("lan: { interface: eth2, vrid: 256, virtual_addresses: [192.168.100.1/24] }"),
       {"f:10:39: error: vrrp.groups.G.instances.lan.vrid: expected a number from 1 to 255, found '256'"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: 192.168.100.1/24 }"),
       {"f:10:61: error: vrrp.groups.G.instances.lan.virtual_addresses: expected a list; write "
        "[192.168.100.1/24]"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.0/24] }"),
       {"f:10:62: error: vrrp.groups.G.instances.lan.virtual_addresses: 192.168.100.0/24 is a network; give "
        "the address of "
        "a host in it"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [192.168.100.255/24] }"),
       {"f:10:62: error: vrrp.groups.G.instances.lan.virtual_addresses: 192.168.100.255/24 is the broadcast "
        "address of its "
        "network"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [10.10.0.101] }"),
       {"f:10:62: error: vrrp.groups.G.instances.lan.virtual_addresses: 10.10.0.101 is a virtual address "
        "already, in line 9"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [] }"),
       {"f:10:61: error: vrrp.groups.G.instances.lan.virtual_addresses: at least one address is needed"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [224.0.0.1, 300.1.1.1] }"),
       {"f:10:62: error: vrrp.groups.G.instances.lan.virtual_addresses: 224.0.0.1 cannot be the address of a "
        "router",
        "f:10:73: error: vrrp.groups.G.instances.lan.virtual_addresses: '300.1.1.1' is not an IP address "
        "with or without a "
        "prefix length"}},
      {instance_with("lan: { interface: an-interface-name, vrid: 2, virtual_addresses: [1.2.3.4] }"),
       {"f:10:27: error: vrrp.groups.G.instances.lan.interface: 'an-interface-name' cannot be the name of an "
        "interface (at "
        "most 15 printable characters, without spaces or any of /:\"\\*)"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4], checksum: rfc5789 }"),
       {"f:10:82: error: vrrp.groups.G.instances.lan.checksum: expected auto, rfc5798 or rfc9568, found "
        "'rfc5789'; did you "
        "mean 'rfc5798'?"}},
  });
}

TEST_CASE("mistakes about the sync link") {
  check_all({
      {file_with("sync: { links: [{ interface: eth1 }] }"),
       {"f:10:7: error: sync: 'key_file' is missing (make one with natctl keygen); write `security: none` to "
        "do without"}},
      {file_with("sync: { links: [{ interface: eth1 }], key_file: /k, security: none }"),
       {"f:10:7: error: sync: give either key_file or `security: none`"}},
      {file_with("sync: { links: [{ interface: eth1 }], security: weak }"),
       {"f:10:49: error: sync.security: expected none, found 'weak'"}},
      {"version: 1\nnodes: { R1: { priority: 255, sync_address: 10.0.0.1 }, R2: { sync_address: 10.0.0.2 } }\n" +
           kGroup + "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:5:5: error: vrrp.groups.G: priority 255 on R1 means that the addresses are its own and never leave it, so "
        "that connections cannot follow them; use 1 to 254"}},
      {file_with("sync: { security: none }"), {"f:10:7: error: sync: 'links' is missing"}},
      {file_with("sync: { links: [], security: none }"), {"f:10:16: error: sync.links: at least one link is needed"}},
      {file_with("sync: { links: [{ interface: eth1 }], security: none, groups: [H] }"),
       {"f:10:64: error: sync.groups: no group is called 'H'; there are G"}},
      {file_with("sync: { links: [{ interface: eth1 }, { interface: eth1 }], security: none }"),
       {"f:3:3: error: nodes.R1: with several links give `sync_addresses: { eth1: ..., eth1: ... }` instead "
        "of sync_address",
        "f:4:3: error: nodes.R2: with several links give `sync_addresses: { eth1: ..., eth1: ... }` instead "
        "of sync_address",
        "f:10:38: error: sync.links: 'eth1' stands here twice"}},
      {file_with("sync: { links: [{ interface: eth1, multicast: 10.10.10.255 }], security: none }"),
       {"f:10:47: error: sync.links.multicast: 10.10.10.255 is no multicast address, such as 225.0.0.50 or ff02::50"}},
      {file_with("sync: { links: [{ interface: eth1, multicast: 225.0.0.0/24 }], security: none }"),
       {"f:10:47: error: sync.links.multicast: expected an address without a prefix length, found '225.0.0.0/24'"}},
      {file_with("sync: { links: [{ interface: eth1, multicast: true }], security: none }"),
       {"f:10:47: error: sync.links.multicast: 'true' is not an IP address"}},
      {file_with("sync: { links: [{ interface: eth1, multicast: 'ff11::50' }], security: none }"),
       {"f:10:47: error: sync.links.multicast: what is sent to ff11::50 never leaves a router; take one of ff02::/16, "
        "such as ff02::50"}},
      {file_with("sync: { links: [{ interface: eth1, multicast: 'ff02::50' }], security: none }"),
       {"f:10:17: error: sync.links: the multicast group ff02::50 is not of the family of the addresses on eth1"}},
      {file_with("sync: { links: [{ interface: eth1 }], security: none, commit: never, port: 0 }"),
       {"f:10:63: error: sync.commit: expected continuous or on-takeover, found 'never'",
        "f:10:76: error: sync.port: expected a number from 1 to 65535, found '0'"}},
      {"version: 1\nnodes: { R1: , R2: { sync_address: 10.0.0.2 } }\n" + kGroup +
           "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:2:10: error: nodes.R1: 'sync_address' is missing, the address of this node on the sync link "
        "eth1"}},
      {"version: 1\nnodes: { R1: { sync_address: 10.0.0.2 }, R2: { sync_address: 10.0.0.2 } }\n" + kGroup +
           "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:8:17: error: sync.links: both nodes have 10.0.0.2 on eth1"}},
      {"version: 1\nnodes: { R1: { sync_addresses: { eht1: 10.0.0.1 } }, R2: { sync_address: 10.0.0.2 } }\n" + kGroup +
           "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:2:10: error: nodes.R1.sync_addresses: sync.links has no 'eht1'; did you mean 'eth1'?",
        "f:2:10: error: nodes.R1: 'sync_address' is missing, the address of this node on the sync link "
        "eth1"}},
      {"version: 1\nnodes: { R1: { sync_address: 10.0.0.2 } }\n" + kGroup +
           "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:8:7: error: sync: needs two nodes"}},
      {kHead + "sync: { links: [{ interface: eth1 }], security: none }\n",
       {"f:5:7: error: sync: needs the section vrrp, whose groups say whose connections to send"}},
  });
}

TEST_CASE("more groups than the routers can tell each other of are refused where they are to be replicated") {
  std::string groups = "vrrp:\n  groups:\n";
  const auto add = [&](int n) {
    groups += fmt::format(
        "    G{0}: {{ instances: {{ i{0}: {{ interface: e{0}, vrid: 1, virtual_addresses: [10.1.{0}.1/24] }} }}, "
        "protects: [10.2.{0}.0/24] }}\n",
        n);
  };
  const std::string sync = "sync: { links: [{ interface: eth1 }], security: none }\n";
  for (int n = 1; n <= 24; ++n) add(n);
  check_all({{kHead + groups + sync, {}}});
  add(25);
  check_all({{kHead + groups, {}},
             {kHead + groups + sync,
              {"f:32:7: error: sync: there are 25 groups, and 24 at most can be replicated; put instances that belong "
               "together into one group"}}});
}

TEST_CASE("mistakes in the rules") {
  check_all({
      {file_with("nat: { source: { 0: { translate_to: 10.10.0.101 } } }"),
       {"f:10:18: error: nat.source.0: a rule is called by its number, 1 to 999999"}},
      {file_with("nat: { source: { 1000000: { translate_to: 10.10.0.101 } } }"),
       {"f:10:18: error: nat.source.1000000: a rule is called by its number, 1 to 999999"}},
      {file_with("nat: { source: { 1: { group: H, translate_to: 10.10.0.101 } } }"),
       {"f:10:30: error: nat.source.1.group: no group is called 'H'; there are G"}},
      {file_with("nat: { source: { 1: { protocol: tpc, translate_to: 10.10.0.101 } } }"),
       {"f:10:33: error: nat.source.1.protocol: unknown protocol 'tpc'; did you mean 'tcp'?"}},
      {file_with("nat: { source: { 1: { port_mapping: rnd, translate_to: 10.10.0.101 } } }"),
       {"f:10:37: error: nat.source.1.port_mapping: expected preserve, random or fully-random, found 'rnd'"}},
      {file_with("nat: { source: { 1: { source_address: 'fd00::/8', translate_to: 10.10.0.101 } } }"),
       {"f:10:65: error: nat.source.1.translate_to: source_address and translate_to are not of one family, "
        "IPv4 or IPv6"}},
      {file_with("firewall: { a: { interfaces: { eth0: inn } } }"),
       {"f:10:38: error: firewall.a.interfaces.eth0: expected in, out or local, found 'inn'; did you mean "
        "'in'?"}},
      {file_with("firewall: { a: { interfaces: { eth0: in } }, b: { interfaces: { eth0: in } } }"),
       {"f:10:71: error: firewall.b.interfaces.eth0: rule set 'a' is used there already; an interface has "
        "one per direction"}},
      {file_with("firewall: { a: { interfaces: { eth0: in }, rules: { 1: { state: [old] } } } }"),
       {"f:10:56: error: firewall.a.rules.1: 'action' is missing",
        "f:10:66: error: firewall.a.rules.1.state: expected new, established, related or invalid, found "
        "'old'"}},
      {file_with("firewall: { a: { interfaces: { eth0: in }, rules: { 1: { action: drop, destination_ports: "
                 "[22] } } } }"),
       {"f:10:56: error: firewall.a.rules.1: ports need a protocol that has them; add `protocol: tcp`, udp "
        "or tcp_udp"}},
  });
}

TEST_CASE("what is legal but suspicious is a warning") {
  check_all({
      {file_with("nat: { source: { 1: { translate_to: 10.10.0.102 } } }"),
       {"f:10:37: warning: nat.source.1.translate_to: 10.10.0.102 is no virtual address, so it does not move "
        "in a failover: "
        "connections will break"}},
      {file_with("nat: { source: { 1: { translate_to: masquerade } } }"),
       {"f:10:37: warning: nat.source.1.translate_to: masquerade takes the router's own address, which does "
        "not move in a "
        "failover: every connection breaks; give a virtual address"}},
      {file_with("nat: { source: { 1: { outbound_interface: eth0 } } }"),
       {"f:10:21: warning: nat.source.1: without translate_to the router's own address is used (masquerade), "
        "which does not "
        "move in a failover: every connection breaks"}},
      {file_with("nat: { source: { 1: { source_address: 192.168.100.5/24, translate_to: 10.10.0.101 } } }"),
       {"f:10:39: warning: nat.source.1.source_address: 192.168.100.5/24 has bits set behind the prefix "
        "length; it is taken "
        "as 192.168.100.0/24"}},
      {file_with("firewall: { a: { interfaces: { eth0: in }, rules: { 1: { action: accept, state: "
                 "[established] } } } }"),
       {"f:10:81: warning: firewall.a.rules.1.state: established without related drops the ICMP errors that "
        "belong to "
        "accepted connections (path MTU discovery needs them); write [established, related]"}},
      {file_with("firewall: { a: { default_action: drop } }"),
       {"f:10:13: warning: firewall.a: without interfaces it has no effect"}},
      {"version: 1\nnodes: { R1: { interfaces: { dmz: enp9s0 } } }\n" + kGroup,
       {"f:2:10: warning: nodes.R1.interfaces: 'dmz' is used nowhere"}},
  });
}

TEST_CASE("several groups must be told apart") {
  const std::string two = kHead +
                          "vrrp:\n"
                          "  groups:\n"
                          "    A:\n"
                          "      instances: { wan: { interface: eth0, vrid: 1, virtual_addresses: [10.0.0.1/24] } }\n"
                          "      protects: [192.168.0.0/17]\n"
                          "    B:\n"
                          "      instances: { wan: { interface: eth0, vrid: 2, virtual_addresses: [10.0.0.2/24] } }\n";
  check_all({
      {two, {}},
      {two + "      protects: [192.168.1.0/24]\n",
       {"f:12:18: error: vrrp.groups.B.protects: 192.168.1.0/24 overlaps with 192.168.0.0/17 of group A; a "
        "connection must "
        "belong to one group"}},
      {two + "nat: { source: { 1: { translate_to: 10.0.0.1 } } }\n",
       {"f:10:5: error: vrrp.groups.B: 'protects' is missing; with several groups each names the inner "
        "networks whose "
        "connections are its own",
        "f:12:21: error: nat.source.1: 'group' is missing; with several groups a rule must name its own"}},
      {two + "      protects: [192.168.128.0/17]\nnat: { source: { 1: { group: B, translate_to: 10.0.0.1 } } "
             "}\n",
       {"f:13:47: error: nat.source.1.translate_to: 10.0.0.1 is a virtual address of group A, but the rule "
        "belongs to group "
        "B"}},
  });
}

TEST_CASE("an interface name that a node does not map is caught when it is nearly one") {
  const std::string text =
      "version: 1\nnodes: { R1: { interfaces: { wan: enp1s0, lan: enp2s0 } }, R2: }\n"
      "vrrp: { groups: { G: { instances: {\n"
      "  a: { interface: wann, vrid: 1, virtual_addresses: [10.0.0.1] },\n"
      "  b: { interface: lan, vrid: 1, virtual_addresses: [10.0.0.2] } } } } }\n";
  check_all({{text, {"f:4:19: error: nodes.R1.interfaces has no 'wann'; did you mean 'wan'?"}}});
  const std::string taken =
      "version: 1\nnodes: { R1: { interfaces: { wan: eth0 } }, R2: }\n"
      "vrrp: { groups: { G: { instances: {\n"
      "  a: { interface: wan, vrid: 1, virtual_addresses: [10.0.0.1] },\n"
      "  b: { interface: eth0, vrid: 1, virtual_addresses: [10.0.0.2] } } } } }\n";
  check_all({{taken, {"f:5:19: error: on node R1 'eth0' is the interface of 'wan' already"}}});
}

TEST_CASE("every mistake of a file is found at once, in the order of the file, and by both nodes alike") {
  const std::string text =
      "version: 3\n"
      "nodes:\n"
      "  R1: { priority: 300 }\n"
      "  R2: { prio: 100 }\n"
      "vrrp:\n"
      "  groups:\n"
      "    G:\n"
      "      preempt: maybe\n"
      "      instances:\n"
      "        wan: { interface: eth0, vird: 1, virtual_addresses: [10.10.0.101/24] }\n"
      "nat:\n"
      "  source:\n"
      "    10: { group: H, translate_to: 10.10.0.101 }\n";
  const std::vector<std::string> expected = {
      "f:1:10: error: version: expected 1, the only version so far, found '3'",
      "f:3:19: error: nodes.R1.priority: expected a number from 1 to 255, found '300'",
      "f:4:9: error: unknown key 'prio' in nodes.R2; known keys: priority, sync_address, sync_addresses, "
      "interfaces",
      "f:8:16: error: vrrp.groups.G.preempt: expected true or false, found 'maybe'",
      "f:10:14: error: vrrp.groups.G.instances.wan: 'vrid' is missing",
      "f:10:33: error: unknown key 'vird' in vrrp.groups.G.instances.wan; did you mean 'vrid'?",
      "f:13:18: error: nat.source.10.group: no group is called 'H'; there are G",
  };
  CHECK(diagnose(text, "R1") == expected);
  CHECK(diagnose(text, "R2") == expected);
  CHECK(!parse_config(text, "f", "R1").config.has_value());
}

TEST_CASE("bytes that a terminal would obey are not printed") {
  CHECK(diagnose("version: \"\\e[2J\"\nnodes: { R1: }\nnat: {}\n") ==
        std::vector<std::string>{"f:1:10: error: version: expected 1, the only version so far, found '\\x1b[2J'"});
}

TEST_CASE("no damage to a file makes the reader fall over") {
  std::ifstream file(STEADYNAT_SOURCE_DIR "/examples/pair/steadynat.yaml");
  std::stringstream stream;
  stream << file.rdbuf();
  const std::string whole = stream.str();
  REQUIRE(!whole.empty());
  Prng random(1);
  for (int round = 0; round < 1500; ++round) {
    std::string text = whole;
    for (std::uint64_t damages = random.below(6) + 1; damages > 0; --damages) {
      const std::size_t at = random.below(text.size());
      switch (random.below(5)) {
        case 0:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          text.erase(at, random.below(40));
          break;
        case 2:
          text.insert(at, text.substr(random.below(text.size()), random.below(40)));
          break;
        case 3:
          text[at] = "{}[]:,-&*!|>'\"\n #%@`"[random.below(20)];
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    const LoadedConfig loaded = parse_config(text, "f", "R1");
    bool error = !loaded.unknown_node_choices.empty();
    for (const Diagnostic& each : loaded.diagnostics) {
      error = error || each.severity == Diagnostic::Severity::error;
      CHECK(each.at.line >= 1);
      CHECK(each.at.column >= 1);
    }
    CHECK(loaded.config.has_value() == !error);
  }
}
