"""The article's network: a WAN, a LAN and a dedicated link, an upstream host, two LAN hosts and two
routers."""
import json
import re
import time

from .netns import Namespace, Switch
from .process import at_once
from .wait import doubts

WAN_VIRTUAL = "10.10.0.101"
LAN_VIRTUAL = "192.168.100.1"
UPSTREAM = "10.10.0.1"
SERVER = "203.0.113.10"  # a host behind the upstream router, played by its namespace
LAN_PREFIX = "192.168.100.0/24"

ADDRESSES = {
    "R1": {"eth0": "10.10.0.102/24", "eth1": "10.10.10.2/24", "eth2": "192.168.100.2/24"},
    "R2": {"eth0": "10.10.0.103/24", "eth1": "10.10.10.3/24", "eth2": "192.168.100.3/24"},
}
SWITCH_OF = {"eth0": "wan", "eth1": "link", "eth2": "lan"}

LEAK_TABLE = f"""
table bridge leak {{
  counter untranslated {{ }}
  counter foreign_source {{ }}
  chain prerouting {{
    type filter hook prerouting priority 0; policy accept;
    ip saddr {LAN_PREFIX} counter name untranslated
    ip daddr {SERVER} ip saddr != {WAN_VIRTUAL} meta l4proto {{ tcp, udp }} counter name foreign_source
  }}
}}
"""


# Three system calls; a router must not forward for longer than this after its dedicated link is gone.
POWER_CUT_NS = 2_000_000


class RouterHost:
    """A router's hardware: namespace, cables and carrier. What runs on it is the business of `Router`."""

    def __init__(self, network, name):
        self.name = name
        self.network = network
        self.namespace = Namespace(name.lower())
        for interface, address in ADDRESSES[name].items():
            network.switches[SWITCH_OF[interface]].plug(self.namespace, interface, name.lower())
            self.namespace.ip(f"addr add {address} dev {interface}", f"link set {interface} up")
        self.namespace.ip(f"route add default via {UPSTREAM}")
        self.namespace.sysctl("net.ipv4.ip_forward", 1)
        self.namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.namespace.sysctl("net.ipv4.conf.all.send_redirects", 0)
        for interface in SWITCH_OF:
            self.namespace.sysctl(f"net.ipv4.conf.{interface}.send_redirects", 0)
            self.namespace.sysctl(f"net.ipv4.conf.{interface}.rp_filter", 0)
        self.macs = {interface: self.namespace.mac(interface) for interface in SWITCH_OF}
        self.powered = True

    def _switch(self, interface):
        return self.network.switches[SWITCH_OF[interface]]

    def power_cut(self):
        """Silent: unplugged from every switch, the link first, so that nothing is told to the peer any
        more. The machine itself keeps running, which only matters to a test that powers it on again.
        Returns the moment."""
        with at_once():
            at = time.monotonic_ns()
            for interface in ("eth1", "eth0", "eth2"):
                self._switch(interface).unplug_silently(self.name.lower())
            took = time.monotonic_ns() - at
        self.powered = False
        # A router that still forwards while it cannot replicate any more is another and a worse fault than a power cut.
        if took >= POWER_CUT_NS:
            doubts.append(f"the power cut itself took {took / 1e6:.1f} ms")
        return at

    def power_on(self):
        """The order is that of switches that wake up: the LAN first, the dedicated link last."""
        at = time.monotonic_ns()
        for interface in ("eth2", "eth0", "eth1"):
            self._switch(interface).plug_again(self.name.lower())
        self.powered = True
        return at

    def carrier_down(self, interface):
        at = time.monotonic_ns()
        self._switch(interface).port_down(self.name.lower())
        return at

    def carrier_up(self, interface):
        at = time.monotonic_ns()
        self._switch(interface).port_up(self.name.lower())
        return at

    def unplug(self, interface):
        self._switch(interface).unplug_silently(self.name.lower())

    def plug(self, interface):
        self._switch(interface).plug_again(self.name.lower())

    def has_address(self, address):
        return (
            re.search(rf"\binet {re.escape(address)}/", self.namespace.show("-4", "addr", "show")) is not None
        )


class Network:
    """`make_router(network, name)`: what stands at the places of the two routers; None: nothing yet, the test plugs
    machines of its own in."""

    def __init__(self, make_router=RouterHost):
        self.switches = {name: Switch(f"{name}-switch") for name in ("wan", "lan", "link")}
        self.server = self._host("server", "wan", "10.10.0.1/24")
        self.server.ip(f"addr add {SERVER}/32 dev lo")
        self.server.sysctl("net.core.somaxconn", 8192)
        self.server.sysctl("net.ipv4.tcp_max_syn_backlog", 8192)
        self.clients = [
            self._host("client1", "lan", "192.168.100.11/24", LAN_VIRTUAL),
            self._host("client2", "lan", "192.168.100.12/24", LAN_VIRTUAL),
        ]
        self.client_addresses = ["192.168.100.11", "192.168.100.12"]
        self.routers = {name: make_router(self, name) for name in ("R1", "R2")} if make_router else {}
        self.switches["wan"].namespace.nft(LEAK_TABLE)

    def _host(self, name, switch, address, gateway=None):
        host = Namespace(name)
        self.switches[switch].plug(host, "eth0", name)
        host.ip(f"addr add {address} dev eth0", "link set eth0 up")
        if gateway is not None:
            # Acknowledging at once costs less than a timer for each message, and the processors are few.
            host.ip(f"route add default via {gateway} quickack 1")
        return host

    def leaks(self):
        """Packets that left the routers towards the WAN untranslated, or not from the virtual address. All
        must be 0."""
        output = (
            self.switches["wan"]
            .namespace.run(["nft", "-j", "list", "counters", "table", "bridge", "leak"])
            .stdout
        )
        counters = [item["counter"] for item in json.loads(output)["nftables"] if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in counters}
