"""Network namespaces, switches and cables. Switches are bridges in namespaces of their own, cables are veth
pairs."""
import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading

from .isolation import libc

CLONE_NEWNET = 0x40000000

RTM_SETLINK = 19
NLM_F_REQUEST, NLM_F_ACK = 1, 4
IFLA_PROTINFO = 12
NLA_F_NESTED = 0x8000
IFLA_BRPORT_STATE = 1
BR_STATE_DISABLED, BR_STATE_FORWARDING = 0, 3
IFF_UP = 1

# Packets: each of the load's connections may have a few in flight at once.
CABLE_QUEUE = 20000


class CommandFailed(Exception):
    pass


def run(argv, check=True, timeout=60, **arguments):
    """Runs a command to its end and returns its output; a failure carries what it said."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **arguments
    )
    if check and done.returncode != 0:
        raise CommandFailed(
            f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )
    return done


class Namespace:
    """One host. Removed by its own name; the isolation of the test run removes it in any case."""

    _switching = threading.RLock()

    def __init__(self, name):
        self.name = name
        run(["ip", "netns", "add", name])
        self._descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.ip("link set lo up")

    def enter(self):
        """For the calling thread, or a child between fork and exec."""
        if libc.setns(self._descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in this namespace for a few statements: to open sockets, or files under
        /proc/sys."""
        with Namespace._switching:
            home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.enter()
                yield
            finally:
                libc.setns(home, CLONE_NEWNET)
                os.close(home)

    def run(self, argv, **arguments):
        return run(argv, preexec_fn=self.enter, **arguments)

    def ip(self, *lines):
        """`ip` commands, all in one process; the first that fails is an error."""
        text = "\n".join(lines) + "\n"
        return run(["ip", "-n", self.name, "-batch", "-"], input=text).stdout

    def show(self, *words):
        """One line per object."""
        return run(["ip", "-n", self.name, "-o", *words]).stdout

    def nft(self, text, check=True):
        return self.run(["nft", "-f", "-"], input=text, check=check)

    def sysctl(self, key, value):
        with self.inside(), open("/proc/sys/" + key.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(str(value))

    def read_sysctl(self, key):
        with self.inside(), open("/proc/sys/" + key.replace(".", "/"), encoding="ascii") as file:
            return file.read().strip()

    def index(self, interface):
        with self.inside():
            return socket.if_nametoindex(interface)

    def mac(self, interface):
        for line in self.show("link", "show", "dev", interface).splitlines():
            words = line.split()
            return words[words.index("link/ether") + 1]
        raise CommandFailed(f"{self.name}: no interface {interface}")

    def remove(self):
        os.close(self._descriptor)
        run(["ip", "netns", "del", self.name], check=False)


class RouteNetlink:
    """Changes links without starting a program, so that a power cut hits all cables in the same instant."""

    def __init__(self, namespace):
        with namespace.inside():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(5)

    def _set_link(self, family, index, flags, change, attributes=b""):
        body = struct.pack("=BBHiII", family, 0, 0, index, flags, change) + attributes
        header = struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
        self._socket.send(header + body)
        answer = self._socket.recv(4096)
        (error,) = struct.unpack_from("=i", answer, 16)
        if error != 0:
            raise OSError(-error, f"setlink: {os.strerror(-error)}")

    def set_port(self, index, forwards):
        """A bridge's port takes and gives frames, or none. Taking the port out of the bridge would do as well,
        but that waits for an RCU grace period (netdev_rx_handler_unregister), which busy processors make long."""
        state = struct.pack("=HHBxxx", 5, IFLA_BRPORT_STATE, BR_STATE_FORWARDING if forwards else BR_STATE_DISABLED)
        nested = struct.pack("=HH", 4 + len(state), IFLA_PROTINFO | NLA_F_NESTED) + state
        self._set_link(socket.AF_BRIDGE, index, 0, 0, nested)

    def set_up(self, index, up):
        self._set_link(socket.AF_UNSPEC, index, IFF_UP if up else 0, IFF_UP)


def queue_at_the_cable(namespace, interface):
    """Gives a veth the queue that a network card has.

    Left alone, all cables of all hosts end in one queue per processor of the whole machine, 1,000 packets long
    (net.core.netdev_max_backlog), and what does not fit is lost: after an outage, when thousands of connections send
    again in the same instant, that is the test's own doing. With NAPI (which `gro on` switches on) the receiving end
    has a ring of its own, and a queueing discipline holds back what the ring does not take yet.
    """
    namespace.run(["ethtool", "-K", interface, "gro", "on"])
    namespace.run(["tc", "qdisc", "replace", "dev", interface, "root", "pfifo", "limit", str(CABLE_QUEUE)])


class Switch:
    """A dumb switch: no spanning tree, floods multicast, forgets nothing that a failover would have to wait
    for."""

    def __init__(self, name):
        self.namespace = Namespace(name)
        self.namespace.ip(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set br0 up"
        )
        # A switch looks at no IP header. Where br_netfilter is loaded it would, for each frame, at a high
        # price.
        for family in ("ip", "ip6", "arp"):
            with contextlib.suppress(FileNotFoundError):
                self.namespace.sysctl(f"net.bridge.bridge-nf-call-{family}tables", 0)
        self._netlink = RouteNetlink(self.namespace)
        self._ports = {}

    def plug(self, host, interface, port):
        """A cable from this switch's `port` to the host's `interface`."""
        self.namespace.ip(
            f"link add {port} type veth peer name {interface} netns {host.name}",
            f"link set {port} master br0",
            f"link set {port} up",
        )
        for end, name in ((self.namespace, port), (host, interface)):
            queue_at_the_cable(end, name)
        self._ports[port] = self.namespace.index(port)

    def adopt(self, port):
        """An interface that is in this switch's namespace already, a virtual machine's, becomes a port."""
        self.namespace.ip(f"link set {port} master br0", f"link set {port} up")
        self._ports[port] = self.namespace.index(port)

    def unplug_silently(self, port):
        """No frame passes any more, and the host's carrier stays: nobody is told."""
        self._netlink.set_port(self._ports[port], False)

    def plug_again(self, port):
        self._netlink.set_port(self._ports[port], True)

    def port_down(self, port):
        """The host at this port loses its carrier."""
        self._netlink.set_up(self._ports[port], False)

    def port_up(self, port):
        self._netlink.set_up(self._ports[port], True)
