// What the reader says about mistakes in instances of VRRP: families, versions, owners, and how they reach the peer.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/common/config_diagnosis.hpp"

using namespace common;
using namespace diagnosis;

TEST_CASE("mistakes about families, versions and owners") {
  check_all({
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4, 'fe80::1'] }"),
       {"f:10:61: error: vrrp.groups.G.instances.lan.virtual_addresses: 1.2.3.4 and fe80::1 are not of one family, "
        "IPv4 or IPv6; make an instance for each"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: ['2001:db8::1/64', 'fe80::1/64'] }"),
       {"f:10:61: error: vrrp.groups.G.instances.lan.virtual_addresses: the first IPv6 address must be link-local, "
        "such as fe80::1/64 (RFC 9568 5.2.9)"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: ['fe80::/64', '::1', 'ff02::1'] }"),
       {"f:10:62: error: vrrp.groups.G.instances.lan.virtual_addresses: fe80::/64 is a network; give the address of a "
        "host in it",
        "f:10:75: error: vrrp.groups.G.instances.lan.virtual_addresses: ::1 cannot be the address of a router",
        "f:10:82: error: vrrp.groups.G.instances.lan.virtual_addresses: ff02::1 cannot be the address of a router"}},
      // A link-local address once for each link; a VRID once for each family.
      {instance_with("lan: { interface: eth0, vrid: 1, virtual_addresses: ['fe80::1/64'] }\n"
                     "        dmz: { interface: eth2, vrid: 1, virtual_addresses: ['fe80::1/64'] }"),
       {}},
      {instance_with("lan: { interface: eth0, vrid: 3, virtual_addresses: ['fe80::1/64'] }\n"
                     "        dmz: { interface: eth0, vrid: 4, virtual_addresses: ['fe80::1/64'] }"),
       {"f:11:62: error: vrrp.groups.G.instances.dmz.virtual_addresses: fe80::1 is a virtual address already, in line "
        "10"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: ['fe80::1/64'], version: 2 }"),
       {"f:10:14: error: vrrp.groups.G.instances.lan: VRRP version 2 knows IPv4 only; use version 3"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4], version: 2, "
                     "advertise_interval: 1500ms }"),
       {"f:10:14: error: vrrp.groups.G.instances.lan: VRRP version 2 needs an advertise_interval in whole seconds, not "
        "1500ms"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4], version: 2+3, "
                     "advertise_interval: 500ms, password_file: /p }"),
       {}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4], password_file: /p }"),
       {"f:10:14: error: vrrp.groups.G.instances.lan: password_file: only VRRP version 2 has passwords"}},
      {instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4], priority: { R1: 255 } }"),
       {"f:7:5: error: vrrp.groups.G: on R1 some instances have priority 255 (the router's own addresses) and others "
        "have not; they could not move together"}},
  });
}

TEST_CASE("mistakes about unicast, virtual MACs and routes") {
  const auto instance = [](const std::string& more) {
    return instance_with("lan: { interface: eth2, vrid: 2, virtual_addresses: [1.2.3.4/24], " + more + " }");
  };
  const std::string lan = ": error: vrrp.groups.G.instances.lan";
  check_all({
      {instance("unicast: { R1: 1.2.3.5 }"), {"f:10:84" + lan + ".unicast: the address of R2 is missing"}},
      {instance("unicast: { R1: 1.2.3.5, R2: 'fe80::1' }"),
       {"f:10:103" + lan + ".unicast.R2: fe80::1 is not an IPv4 address, as those of the instance are"}},
      {instance("unicast: { R1: 1.2.3.5, R2: 224.0.0.18 }"),
       {"f:10:103" + lan + ".unicast.R2: 224.0.0.18 cannot be the address of a router"}},
      {instance("unicast: { R1: 1.2.3.5, R2: 1.2.3.6, R3: 1.2.3.7 }"),
       {"f:10:112" + lan +
        ".unicast: no node is called 'R3'; did you mean 'R1'?; a router that is no node stands in "
        "unicast_peers"}},
      {instance("unicast_minimum_ttl: 0"),
       {"f:10:14" + lan + ": unicast_minimum_ttl needs unicast, the addresses of the nodes",
        "f:10:96" + lan + ".unicast_minimum_ttl: expected a number from 1 to 255, found '0'"}},
      {instance("virtual_mac: 'a b'"),
       {"f:10:88" + lan +
        ".virtual_mac: 'a b' cannot be the name of an interface (at most 15 printable characters, "
        "without spaces or any of /:\"\\*)"}},
      {instance("virtual_mac: vm") +
           "        dmz: { interface: eth3, vrid: 2, virtual_addresses: [1.3.3.4], virtual_mac: vm }\n",
       {"f:11:85: error: vrrp.groups.G.instances.dmz.virtual_mac: 'vm' is the name of an interface with a virtual MAC "
        "already, in line 10; give another name"}},
      {instance("virtual_routes: [{ via: 1.2.3.1 }]"), {"f:10:92" + lan + ".virtual_routes: 'to' is missing"}},
      {instance("virtual_routes: [{ to: default, via: 'fe80::1', source: 1.2.3.4 }]"),
       {"f:10:92" + lan + ".virtual_routes: to, via and source are not of one family, IPv4 or IPv6"}},
      {instance("virtual_routes: [{ to: default, via: 1.2.3.1 }, { to: 0.0.0.0/0, via: 1.2.3.9 }]"),
       {"f:10:123" + lan +
        ".virtual_routes: the route to 0.0.0.0/0 stands here already, in line 10; give them different "
        "metrics"}},
      {instance("virtual_routes: [{ to: default, via: 1.2.3.1 }, { to: 0.0.0.0/0, via: 1.2.3.9, metric: 7 }]"), {}},
      {instance("excluded_addresses: [1.2.3.4]"),
       {"f:10:96" + lan + ".excluded_addresses: 1.2.3.4 is a virtual address already, in line 10"}},
      {"version: 1\nnodes: { R1: { priority: 255 } }\n"
       "vrrp: { groups: { G: { instances: { a: { interface: e, vrid: 1, virtual_addresses: [10.0.0.1], virtual_mac: "
       "true } } } } }\n",
       {"f:3:19: error: vrrp.groups.G: priority 255 on R1 means that the addresses are its interfaces' own, so that "
        "they "
        "cannot have a virtual MAC"}},
  });
}
