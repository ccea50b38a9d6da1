"""The two pairs that are measured, with the same words for both: our syncds, and Debian's conntrackds in the mode that
everybody runs (FTFW). R1 is the master, R2 its backup; the part of vrrpd is played here."""
import contextlib
import ctypes
import json
import os
import re
import socket
import time

from lib.netns import CommandFailed, run
from lib.process import Process
from lib.scenario import binaries
from lib.sync_pair import ADDRESS, SyncPair, SyncRouter
from lib.wait import require, wait_until

CONNTRACKD = """Sync {{
  Mode FTFW {{ {mode} }}
  UDP {{
    IPv4_address {own}
    IPv4_Destination_Address {peer}
    Port 3780
    Interface eth1
    SndSocketBuffer 8388608
    RcvSocketBuffer 8388608
    Checksum on
  }}
}}
General {{
  HashSize {size}
  HashLimit {limit}
  LogFile {directory}/conntrackd.log
  LockFile {directory}/conntrackd.lock
  UNIX {{ Path {directory}/conntrackd.ctl }}
  NetlinkBufferSize 20971520
  NetlinkBufferSizeMaxGrowth 83886080
  Filter From Userspace {{
    Protocol Accept {{ TCP UDP }}
    Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 10.10.10.2 IPv4_address 10.10.10.3 }}
  }}
}}
"""
# linux/netlink.h, linux/netfilter/nfnetlink_compat.h, and the call that glibc has no name for.
SOL_NETLINK, ADD_MEMBERSHIP, DROP_MEMBERSHIP, LIST_MEMBERSHIPS, NETLINK_NETFILTER = 270, 1, 2, 9, 12
CONNTRACK_NEW, CONNTRACK_UPDATE = 1, 2
SYS_PIDFD_GETFD = 438
VRRPD_PRIORITY = 10
# Reports that are on their way inside a daemon and on the link when the load has ended.
SETTLE = 120


def load(namespace, *words, timeout=300):
    """ctload's own report."""
    output = namespace.run([os.path.join(binaries(), "ctload"), *map(str, words)], check=False, timeout=timeout)
    if not output.stdout:
        raise CommandFailed(f"ctload {words}: {output.stderr}")
    report = json.loads(output.stdout)
    require(report["errors"] == 0, f"the kernel refused {report['errors']} messages of ctload {words}")
    return report


def entries(namespace):
    """In the kernel, of the load's kind."""
    return len(namespace.run(["conntrack", "-L", "-p", "tcp", "--dport", "80"]).stdout.splitlines())


def tracked(namespace):
    """In the kernel, of whatever kind: a cheap question."""
    return int(namespace.run(["conntrack", "-C"]).stdout)


@contextlib.contextmanager
def sockets_of(pid):
    """Copies of the process's netlink sockets to netfilter."""
    pidfd, found = os.pidfd_open(pid), []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
            if fd < 0:
                continue
            try:
                each = socket.socket(fileno=fd)
            except OSError:
                os.close(fd)
                continue
            found.append(each)
        yield [each for each in found if each.family == socket.AF_NETLINK and each.proto == NETLINK_NETFILTER]
    finally:
        for each in found:
            each.close()
        os.close(pidfd)


@contextlib.contextmanager
def priority_of_vrrpd(vrrpd):
    """It goes before syncd, and so must who plays it: the bulk that follows a takeover takes a processor on each
    router, and here that is all there are."""
    threads = [0, vrrpd.reader.native_id]
    before = [(os.sched_getscheduler(each), os.sched_getparam(each)) for each in threads]
    for each in threads:
        os.sched_setscheduler(each, os.SCHED_RR, os.sched_param(VRRPD_PRIORITY))
    try:
        yield
    finally:
        for each, (policy, parameter) in zip(threads, before):
            os.sched_setscheduler(each, policy, parameter)


class Router:
    """What both kinds have in common: a process, and a kernel."""

    @contextlib.contextmanager
    def unheard(self):
        """For a while the kernel makes no reports for this daemon. Whether anybody listens is one question for the
        whole machine, all its namespaces together; the two routers of a pair are two machines, and the one that commits
        does not pay for the ears of the other. While this lasts nothing may happen here that the daemon has to know."""
        with sockets_of(self.process().pid) as sockets:
            heard = [(each, group) for each in sockets for group in (CONNTRACK_NEW, CONNTRACK_UPDATE)
                     if int.from_bytes(each.getsockopt(SOL_NETLINK, LIST_MEMBERSHIPS, 4), "little") >> (group - 1) & 1]
            for each, group in heard:
                each.setsockopt(SOL_NETLINK, DROP_MEMBERSHIP, group)
            try:
                yield
            finally:
                for each, group in heard:
                    each.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def cpu(self):
        """Seconds that the process has had of the processors, to the nanosecond."""
        return time.clock_gettime((~self.process().pid) << 3 | 2)

    def cpu_parts(self):
        """Seconds in the program, and in the kernel for it, as the clock's ticks have found it."""
        with open(f"/proc/{self.process().pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:13]]

    def resident(self):
        """Bytes of memory of its own."""
        with open(f"/proc/{self.process().pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Anonymous: +(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024

    def pin(self, processor):
        """For the measurements in which two programs share two processors."""
        os.sched_setaffinity(self.process().pid, {processor})

    def link_bytes(self):
        """Both ways, with Ethernet's headers, as the interface counts them."""
        with self.namespace.inside(), open("/proc/net/dev", encoding="ascii") as file:
            counts = next(line for line in file if line.strip().startswith("eth1:")).split(":")[1].split()
        return int(counts[0]) + int(counts[8])


class Ours(Router):
    def __init__(self, router):
        self.router = router
        self.name, self.namespace = router.name, router.namespace
        self.term = 1

    def process(self):
        return self.router.syncd.process

    def held(self):
        """Connections of the other router that are known here."""
        return self.router.status().get("peer_flows", 0)

    def committed(self):
        return self.router.status().get("committed_flows", 0)

    def lost(self):
        """Times that the kernel could not give it all it had to report."""
        return self.router.counter("io_event_overruns")

    def take_over(self):
        """Seconds from vrrpd's prepare to syncd's ready."""
        self.term += 1
        term = {"counter": self.term, "node": self.name}
        with priority_of_vrrpd(self.router.vrrpd):
            begun = time.monotonic()
            self.router.vrrpd.send(type="prepare", group="MAIN-GW", term=term, timeout_ms=60000)
            ready = self.router.vrrpd.wait_for("ready", 120, term=term)
            took = time.monotonic() - begun
        require(ready["ok"], f"{self.name} is not ready: {ready.get('detail')}")
        self.router.vrrpd.enter("master", term)
        return took

    def step_down(self, winner):
        self.term = winner.term
        self.router.vrrpd.enter("backup", {"counter": winner.term, "node": winner.name})


class OurPair:
    def __init__(self, flows, commit="on-takeover"):
        del flows  # syncd's table grows as needed
        self.pair = SyncPair(commit=commit)
        self.pair.plug()
        self.first, self.second = Ours(self.pair.first), Ours(self.pair.second)
        self.pair.start()
        self.pair.wait_synced()

    def restart_second(self):
        """R2 comes back with nothing, and asks for everything by itself."""
        self.pair.second.syncd.kill()
        self.pair.second.start()

    def wait_held(self, router, count):
        """All connections of the other side have arrived, and nothing is under way any more."""
        wait_until(lambda: router.held() == count, SETTLE, f"{router.name} knows all {count} connections")
        self.pair.wait_synced(SETTLE)

    def hand_over(self, count):
        """R2 is the master after this, R1 its backup that knows everything. Returns the seconds of R2's commit."""
        with self.first.unheard():
            took = self.second.take_over()
        self.first.step_down(self.second)
        self.wait_held(self.first, count)
        return took

    def hand_back(self, count):
        with self.second.unheard():
            took = self.first.take_over()
        self.second.step_down(self.first)
        self.wait_held(self.second, count)
        return took


class Theirs(Router):
    def __init__(self, name, directory, flows, mode=""):
        # A namespace with the same table and sysctls as ours has; its vrrpd is never asked.
        self.router = SyncRouter(name, directory, "backup")
        self.name, self.namespace, self.directory = name, self.router.namespace, self.router.directory
        own, peer = ("10.10.10.2", "10.10.10.3") if name == "R1" else ("10.10.10.3", "10.10.10.2")
        # One bucket for each connection, which is more than its manual asks for.
        size = 1 << max(14, (flows - 1).bit_length())
        self.config = os.path.join(self.directory, "conntrackd.conf")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONNTRACKD.format(mode=mode, own=own, peer=peer, size=size, limit=4 * size,
                                         directory=self.directory))

    def start(self):
        argv = ["/usr/sbin/conntrackd", "-C", self.config]
        self.daemon = Process(f"{self.name} conntrackd", argv, self.namespace, f"{self.directory}/conntrackd.out")
        wait_until(lambda: os.path.exists(f"{self.directory}/conntrackd.ctl"), 10, "conntrackd listens")

    def process(self):
        return self.daemon.process

    def command(self, *words):
        return self.namespace.run(["/usr/sbin/conntrackd", "-C", self.config, *words], timeout=300).stdout

    def _cached(self, which):
        text = self.command("-s", "cache")
        section = text.split(f"cache:{which}")[1]
        return int(re.search(r"active objects:\s+(\d+)", section).group(1))

    def held(self):
        return self._cached("external")

    def lost(self):
        return int(re.search(r"netlink overrun:\s+(\d+)", self.command("-s", "runtime")).group(1))

    def take_over(self):
        """Seconds of a commit as its own script does it, which is when connections work again."""
        begun = time.monotonic()
        self.command("-c")
        return time.monotonic() - begun

    def become_primary(self):
        """The rest of the script."""
        for option in ("-f", "-R", "-B"):
            self.command(option)


class TheirPair:
    def __init__(self, flows, mode=""):
        directory = os.environ["STEADYNAT_LOGS"]
        self.first, self.second = (Theirs(name, directory, flows, mode) for name in ("R1", "R2"))
        self.first.namespace.ip("link add eth1 type veth peer name eth1 netns r2")
        for router in (self.first, self.second):
            router.namespace.ip(f"addr add {ADDRESS[router.name]} dev eth1", "link set eth1 up")
        for router in (self.first, self.second):
            router.start()
        time.sleep(2)  # its timers of a second: hello, and the answer to it

    def wait_held(self, router, count):
        wait_until(lambda: router.held() >= count, SETTLE, f"conntrackd of {router.name} knows all {count} connections",
                   every=0.3)

    def restart_second(self):
        self.second.daemon.kill()
        os.remove(f"{self.second.directory}/conntrackd.ctl")
        os.remove(f"{self.second.directory}/conntrackd.lock")
        self.second.start()
        self.second.command("-n")

    def hand_over(self, count):
        with self.first.unheard():
            took = self.second.take_over()
        self.second.become_primary()
        self.first.command("-n")
        self.wait_held(self.first, count)
        return took

    def hand_back(self, count):
        del count
        with self.second.unheard():
            return self.first.take_over()


def version():
    """Of the conntrackd that is measured."""
    return re.search(r"v([\d.]+)", run(["/usr/sbin/conntrackd", "-v"], check=False).stdout).group(1)
