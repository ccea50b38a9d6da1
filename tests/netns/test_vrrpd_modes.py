"""vrrpd's rarer modes: the owner of its addresses, Accept_Mode, a slow start."""
import os
import time

from lib.process import Process
from lib.scenario import binaries
from lib.segment import Segments, Vrrpd
from lib.wait import require, wait_until

INSTANCE = "wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }"


def test_owner():
    """Priority 255: active at once, preempts, and its address stays where the operating system has put it."""
    net = Segments()
    owner, other = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    for router in (owner, other):
        router.write(INSTANCE, priorities=(255, 100), group="preempt: false")
    other.start()
    other.wait("master")
    net.r1.namespace.ip("addr add 10.0.0.254/24 dev eth0")
    at = time.monotonic()
    owner.start()
    owner.wait("master")
    took = time.monotonic() - at
    require(took < 0.3, f"the owner took {took:.2f} s: it has nothing to wait for")
    other.wait("backup")
    require(not net.r2.holds("10.0.0.254"), "two routers have the address")
    require("exists already" not in owner.said(), "it took its own address for somebody else's")
    owner.stop()
    wait_until(lambda: net.r2.holds("10.0.0.254"), 2, "the other takes over after the owner's priority 0")
    require(net.r1.holds("10.0.0.254"), "the owner's address was removed")


def test_accept():
    """`accept: false`: a virtual address answers ARP and neighbours, and takes nothing else. It needs the agent."""
    net = Segments()
    router = Vrrpd(net.r1, net.directory)
    router.write("wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24], accept: false }\n"
                 "wan6: { interface: eth0, vrid: 10, virtual_addresses: ['fe80::254/64', '2001:db8:1::254/64'], "
                 "accept: false }\n"
                 "open: { interface: eth0, vrid: 11, virtual_addresses: [10.0.0.253/24] }")
    router.start()
    argv = [os.path.join(binaries(), "natctl"), "agent", "--config", router.config, "--node", "R1", "--run-dir",
            router.run_dir]
    Process("R1 agent", argv, net.r1.namespace, os.path.join(net.directory, "agent.log"))
    router.wait("master")
    ping = ["ping", "-c", "1", "-W", "1"]
    net.r2.namespace.run([*ping, "10.0.0.253"])
    for address in ("10.0.0.254", "2001:db8:1::254"):
        done = net.r2.namespace.run([*ping, address], check=False)
        require(done.returncode != 0, f"{address} took a ping")
        neighbours = net.r2.namespace.show("neigh", "show", "to", address)
        require(net.r1.macs["eth0"] in neighbours, f"{address} did not answer its neighbours: {neighbours}")


def test_startup_delay():
    """A start alone is no reason to claim for a while; a master that leaves still is."""
    net = Segments()
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    second.write(INSTANCE)
    second.start()
    second.wait("master")
    first.write(INSTANCE, priorities=(50, 100), group="startup_delay: 2s")
    at = time.monotonic()
    first.start()
    first.wait("backup")
    second.stop()
    first.wait("master")
    require(time.monotonic() - at < 1.5, "a priority 0 was not enough")
    first.stop()
    at = time.monotonic()
    first.start()
    first.wait("master")
    took = time.monotonic() - at
    require(1.9 < took < 2.6, f"alone it took {took:.2f} s instead of 2")
