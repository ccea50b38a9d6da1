"""What the tests are made of: a fresh network, a running pair, a load, and the questions asked afterwards."""
import os
import tempfile

from .network import LAN_VIRTUAL, WAN_VIRTUAL, Network
from .router import Router, find, write_config
from .traffic import Load, LoadPlan
from .wait import TestFailed, require, wait_until
from .wire import ArpObserver, Sniffer

# The groups' order in the tables; the standby of a fresh pair is R2.
PRIORITY = {"R1": 200, "R2": 100}


def down_interval(interval, priority=PRIORITY["R2"]):
    """Seconds: 3 * interval + skew, RFC 9568 6.1."""
    return 3 * interval + (256 - priority) / 256 * interval


def skew(interval, priority=PRIORITY["R2"]):
    return (256 - priority) / 256 * interval


def binaries():
    return os.environ.get("STEADYNAT_BIN", os.path.join(os.getcwd(), "build", "bin"))


class Lab:
    """One network, and everything that runs in it. The isolation of the test removes it all at the end."""

    current = None

    def __init__(self):
        Lab.current = self
        self.binaries = binaries()
        self.directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-test-")
        os.makedirs(self.directory, exist_ok=True)
        self.network = Network()
        self.routers = {}
        self.load = None
        self.interval = 0.1

    # --- building

    def start_pair(self, interval=0.1, commit="continuous", mapping="fully-random", wait=True, changes=()):
        """Both routers with all daemons; R1 becomes master, R2 its complete standby."""
        self.interval = interval
        text = f"{int(interval * 1000)}ms"
        self.config = write_config(self.directory, self.binaries, text, commit, mapping, changes)
        for name, host in self.network.routers.items():
            self.routers[name] = Router(host, self.binaries, self.directory, self.config)
        for router in self.routers.values():
            router.start()
        if wait:
            self.wait_ready("R1")
        return self.routers["R1"], self.routers["R2"]

    def start_load(self, plan=None):
        self.load = Load(
            self.network, plan or LoadPlan(), os.path.join(self.binaries, "traffic"), self.directory
        )
        return self.load.start()

    # --- asking

    def master(self):
        masters = [
            name
            for name, router in self.routers.items()
            if router.host.powered and router.state() == "master"
        ]
        return masters[0] if len(masters) == 1 else None

    def wait_ready(self, master, timeout=40):
        """`master` is master with an open gate, the other one its backup, and both say that a failover is
        safe."""
        other = "R2" if master == "R1" else "R1"

        def ready():
            first, second = self.routers[master].status(), self.routers[other].status()
            self._last = (first, second)
            return (
                state_of(first) == "master"
                and state_of(second) == "backup"
                and first.get("failover_ready")
                and second.get("failover_ready")
            )

        try:
            wait_until(ready, timeout, f"{master} is master and the pair is failover-ready", every=0.2)
        except TestFailed as failure:
            reasons = [f"{s.get('node')}: {state_of(s)} {s.get('reasons')}" for s in self._last]
            raise TestFailed(
                f"{failure} ({'; '.join(reasons)}; {'; '.join(self.died()) or 'all daemons run'})"
            ) from None

    def died(self):
        return [text for router in self.routers.values() for text in router.died()]

    def show(self, event):
        print(
            f"    {event.name}: silence {event.silence_ms:.1f} ms (from {(event.silence_from - event.at) / 1e6:.0f} ms "
            f"after it), {event.connections} connections, "
            f"{event.broken} broken, {event.stalled} stalled, slowest {event.slowest_ms:.0f} ms, "
            f"{event.fresh_started} new ({len(event.fresh_failed)} failed, "
            f"{event.fresh_excused} in the instant)",
            flush=True,
        )

    def answering(self):
        """Which routers answer ARP for each virtual address: {address: [names]}."""
        names = {mac: host.name for host in self.network.routers.values() for mac in host.macs.values()}
        result = {}
        for switch, address in (("wan", WAN_VIRTUAL), ("lan", LAN_VIRTUAL)):
            observer = ArpObserver(self.network.switches[switch])
            result[address] = sorted(names.get(mac, mac) for mac in observer.who_has(address))
            observer.close()
        return result

    def sniff(self, router):
        """What this router sends at its WAN and its LAN."""
        port = router.name.lower()
        return [Sniffer(self.network.switches[switch].namespace, port) for switch in ("wan", "lan")]

    # --- judging

    def check_event(self, event, silence_limit_ms=None):
        self.show(event)
        problems = event.problems()
        if silence_limit_ms is not None and event.silence_ms > silence_limit_ms:
            problems.append(
                f"{event.name}: silence {event.silence_ms:.1f} ms, allowed {silence_limit_ms:.1f} ms"
            )
        return problems

    def check_counters(self, *names):
        """The takeovers were clean: nobody was late, no gate opened by its deadline."""
        problems = []
        for name in names or self.routers:
            for counter in ("late_ready", "deadline_opened"):
                value = self.routers[name].counter(counter)
                if value:
                    problems.append(f"{name}: {counter} is {value}")
        return problems

    def check_leaks(self):
        return [f"{count} packets {name}" for name, count in self.network.leaks().items() if count]

    def check_daemons(self):
        return self.died()

    def verify(self, timeout=15):
        """`sync verify` compares both kernels; a moment of change is allowed to pass."""
        last = []
        if (
            self.load is not None
        ):  # what begins or ends between two dumps differs without anything being wrong
            self.load.ask_clients("fresh-pause", "fresh-pause")

        def same():
            result = self.routers[self.master() or "R1"].natctl_json("sync", "verify")
            last.append(result)
            return list(find(result, "differ")) == [0]

        try:
            wait_until(same, timeout, "sync verify says 0 differ", every=0.5)
            return []
        except TestFailed as failure:
            return [f"{failure}: {str(last[-1])[:300]}"]

    def dump(self):
        """What one wants to see after a failure, beside the logs."""
        for router in self.routers.values():
            views = {
                "status.json": lambda r=router: r.natctl("status", "--json", check=False, timeout=5).stdout,
                "events.txt": lambda r=router: r.natctl("show", "events", check=False, timeout=5).stdout,
                "vrrp.txt": lambda r=router: r.natctl("show", "vrrp", check=False, timeout=5).stdout,
                "sync.txt": lambda r=router: r.natctl("show", "sync", check=False, timeout=5).stdout,
                "nat.txt": lambda r=router: r.natctl("show", "nat", check=False, timeout=5).stdout,
                "ruleset.nft": lambda r=router: r.namespace.run(
                    ["nft", "list", "ruleset"], check=False
                ).stdout,
                "addresses.txt": lambda r=router: r.namespace.show("addr", "show"),
                "conntrack.txt": lambda r=router: r.namespace.run(["conntrack", "-L"], check=False).stdout,
            }
            for name, view in views.items():
                try:
                    text = view()
                except Exception as error:  # a hung daemon must not hide the other views
                    text = f"{type(error).__name__}: {error}\n"
                with open(os.path.join(router.logs, name), "w", encoding="utf-8") as file:
                    file.write(text)

    def finish(self, problems, verify=True):
        """The questions of every scenario; raises with all answers that are wrong."""
        problems = list(problems)
        problems += self.check_daemons()
        problems += self.check_leaks()
        problems += self.check_counters()
        if verify:
            problems += self.verify()
        if self.load is not None:
            server = self.load.stop()["server"]
            if server["wrong"]:
                problems.append(f"the server saw wrong data {server['wrong']} times")
        require(not problems, "; ".join(problems))


def state_of(status):
    groups = status.get("groups")
    return groups[0]["state"] if groups else None
