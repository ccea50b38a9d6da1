"""One or two segments with two routers and nothing else: for what vrrpd and its neighbours say to each other."""
import os
import subprocess
import tempfile

from .netns import Namespace, Switch
from .process import Process
from .scenario import binaries
from .vrrp_pair import status_of
from .wait import require, wait_until

SEGMENTS = ("wan", "lan")
V4 = "10.0.{segment}.{host}"
V6 = "2001:db8:{segment}::{host}"


class Host:
    """R1 ends in .2, R2 in .3, in every network and family: R2's address is the higher one."""

    def __init__(self, network, name, number):
        self.name = name
        self.number = number
        self.network = network
        self.namespace = Namespace(name.lower())
        self.sends_to = {}
        for index, (segment, switch) in enumerate(network.switches.items()):
            interface = f"eth{index}"
            switch.plug(self.namespace, interface, name.lower())
            self.sends_to[interface] = segment
            for key, value in (("disable_ipv6", 0), ("accept_dad", 0), ("addr_gen_mode", 1)):
                self.namespace.sysctl(f"net.ipv6.conf.{interface}.{key}", value)
            self.namespace.ip(
                f"addr add {self.v4(index)}/24 dev {interface}",
                f"link set {interface} up",
                f"addr add {self.link_local()}/64 dev {interface} nodad",
                f"addr add {self.v6(index)}/64 dev {interface} nodad",
            )
        self.macs = {interface: self.namespace.mac(interface) for interface in self.sends_to}

    def v4(self, segment=0):
        return V4.format(segment=segment, host=self.number)

    def v6(self, segment=0):
        return V6.format(segment=segment + 1, host=self.number)

    def link_local(self):
        return f"fe80::{self.number}"

    def holds(self, *addresses):
        """All of them are here."""
        text = self.namespace.show("addr", "show")
        return all(f" {address}/" in text for address in addresses)

    def holds_any(self, *addresses):
        text = self.namespace.show("addr", "show")
        return any(f" {address}/" in text for address in addresses)

    def unplug(self):
        for switch in self.network.switches.values():
            switch.unplug_silently(self.name.lower())

    def plug(self):
        for switch in self.network.switches.values():
            switch.plug_again(self.name.lower())


class Segments:
    """The switches, and two hosts at each of them."""

    def __init__(self, count=1):
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-test-")
        self.switches = {name: Switch(f"{name}-switch") for name in SEGMENTS[:count]}
        self.r1, self.r2 = Host(self, "R1", 2), Host(self, "R2", 3)

    def heal(self):
        for host in (self.r1, self.r2):
            host.plug()


class Vrrpd:
    """Our daemon on a host, with a configuration that the test writes."""

    def __init__(self, host, directory):
        self.host = host
        self.directory = os.path.join(directory, f"vrrpd-{host.name}")
        os.makedirs(self.directory, exist_ok=True)
        self.config = os.path.join(self.directory, "steadynat.yaml")
        self.run_dir = os.path.join(self.directory, "run")
        self.log = os.path.join(self.directory, "vrrpd.log")
        self.process = None

    def write(self, instances, priorities=(200, 100), group="", interval="100ms"):
        """`instances` and `group`: lines of YAML, without indentation."""
        def indented(text, columns):
            return "".join(" " * columns + line + "\n" for line in text.strip().splitlines())

        with open(self.config, "w", encoding="ascii") as file:
            file.write(
                "version: 1\nnodes:\n"
                f"  R1: {{ priority: {priorities[0]} }}\n  R2: {{ priority: {priorities[1]} }}\n"
                "vrrp:\n  groups:\n    G:\n"
                f"      advertise_interval: {interval}\n"
                + indented(group, 6) + "      instances:\n" + indented(instances, 8)
            )

    def command(self, *more):
        return [os.path.join(binaries(), "vrrpd"), "--config", self.config, "--node", self.host.name, "--run-dir",
                self.run_dir, *more]

    def start(self):
        self.process = Process(f"{self.host.name} vrrpd", self.command(), self.host.namespace, self.log)

    def stop(self):
        require(self.process.terminate() == 0, f"vrrpd of {self.host.name} ended badly; see {self.log}")

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def status(self):
        return status_of(self.run_dir) or {}

    def group(self):
        return (self.status().get("groups") or [{}])[0]

    def instance(self, name):
        return next(each for each in self.group()["instances"] if each["name"] == name)

    def state(self):
        return self.group().get("state")

    def wait(self, state, timeout=30):
        wait_until(lambda: self.state() == state, timeout, f"{self.host.name} is {state}", every=0.01)


class Capture:
    """Everything that passes a switch and is VRRP, ARP or ICMPv6, in a file for tshark."""

    def __init__(self, segments, switch="wan", what="arp or proto 112 or icmp6 or ip6 proto 112"):
        self.path = os.path.join(segments.directory, f"{switch}.pcap")
        argv = ["tcpdump", "-U", "--immediate-mode", "-i", "br0", "-w", self.path, what]
        self._process = Process("tcpdump", argv, segments.switches[switch].namespace, self.path + ".log")
        wait_until(lambda: os.path.exists(self.path), 5, "tcpdump runs")

    def stop(self):
        self._process.terminate()

    def show(self, what, *fields, options=()):
        dialect = ["-o", "vrrp.v3_checksum_as_in_v2:FALSE"]
        argv = ["tshark", "-r", self.path, *dialect, *options, "-Y", what, "-T", "fields"]
        for field in fields:
            argv += ["-e", field]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def check_adverts(self, mac, least=1):
        """tshark has nothing to say against any advert from this address. How many there are."""
        found = self.show(f"vrrp && eth.src == {mac}", "vrrp.checksum.status", "_ws.malformed", "_ws.expert.message",
                          "frame.number")
        wrong = [row for row in found if row[0] not in ("1", "Good") or row[1] or row[2]]
        require(not wrong, f"tshark complains of {len(wrong)} of {len(found)} adverts, first {wrong[:1]}")
        require(len(found) >= least, f"{len(found)} adverts were captured")
        return len(found)
