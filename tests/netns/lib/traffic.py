"""The traffic tool in the hosts of the network, and what an event did to it."""
import os
import time
from dataclasses import dataclass, field

from .first_seen import FirstSeen
from .network import POWER_CUT_NS, SERVER
from .process import Tool
from .wait import TestFailed

# Between two events nothing happens; what a busy machine itself keeps silent stays below this.
UNSEEN_LIMIT_MS = 100.0
FRESH_PORTS = "30000-59999"


@dataclass
class LoadPlan:
    """What both LAN hosts do together; each does half, from the same source ports."""

    connections: int = 6000
    uploads: int = 4
    downloads: int = 4
    bulk_rate: int = 500_000
    new_rate: int = 100
    udp_flows: int = 0
    udp_interval_ms: int = 2000
    udp_echo: bool = False
    interval_ms: int = 100
    probe_us: int = 1000
    ramp: int = 4000  # connections opened in a second


@dataclass
class Event:
    """One event of a scenario, measured."""

    name: str
    at: int = 0  # CLOCK_MONOTONIC, ns
    silence_ms: float = 0.0  # the longest one of the probe since the event
    silence_from: int = 0
    unseen_ms: float = 0.0  # the longest silence between the event before and this one
    connections: int = 0
    broken: int = 0  # reset, closed, refused, timed out or with wrong data
    reasons: dict = field(default_factory=dict)
    stalled: int = 0  # no echo of a later message within 5 s + 2 x silence
    slowest_ms: float = 0.0
    bulk_broken: int = 0
    bulk_stalled: int = 0
    fresh_started: int = 0
    fresh_failed: list = field(default_factory=list)  # that nothing excuses
    fresh_excused: int = 0  # begun in the instant of the cut, before any replication could know of them
    details: list = field(default_factory=list)

    def problems(self):
        """Sentences; none when the event did no harm."""
        found = []
        if self.broken:
            found.append(f"{self.broken} of {self.connections} connections broken ({words(self.reasons)})")
        if self.stalled:
            found.append(f"{self.stalled} of {self.connections} connections stalled")
        if self.bulk_broken or self.bulk_stalled:
            found.append(f"transfers: {self.bulk_broken} broken, {self.bulk_stalled} stalled")
        if self.fresh_failed:
            reasons = {}
            for failure in self.fresh_failed:
                reasons[failure["reason"]] = reasons.get(failure["reason"], 0) + 1
            when = ", ".join(f"{(f['started'] - self.at) / 1e6:.0f}" for f in self.fresh_failed[:5])
            found.append(
                f"{len(self.fresh_failed)} new connections failed ({words(reasons)}; "
                f"begun {when} ms after the event; {self._known_since()})"
            )
        if self.unseen_ms > UNSEEN_LIMIT_MS:
            found.append(f"a silence of {self.unseen_ms:.0f} ms before it that belongs to no event")
        return [f"{self.name}: {text}" for text in found]

    def _known_since(self):
        seen = [f["seen"] for f in self.fresh_failed[:5] if f.get("seen") is not None]
        return f"for a router {', '.join(f'{(at - self.at) / 1e6:.0f}' for at in seen) or 'never'}"


def words(reasons):
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"


class Load:
    """Server, reflector, probe and the two clients."""

    # A new connection that was being made in the instant of a power cut may be unknown to the other router:
    # its state was nowhere else yet. Everything that a router saw earlier than this must have been replicated. How
    # many were excused is printed with each event.
    BEFORE_CUT_NS, AFTER_CUT_NS = 20_000_000, POWER_CUT_NS

    def __init__(self, network, plan, binary, logs):
        self.plan = plan
        self.network = network
        self._recovering_until = 0.0
        self._logs = logs
        self._binary = binary
        self.tools = []
        self.server = self._tool("server", network.server, ["server", "--address", SERVER])
        self.reflector = self._tool("reflect", network.server, ["reflect", "--address", SERVER])
        self.server.wait_for("ready")
        self.reflector.wait_for("ready")
        # A server that lags makes TCP send acknowledgements of their own, so the load would feed on itself.
        os.setpriority(os.PRIO_PROCESS, self.server.process.pid, -20)
        self.probe = None
        self.clients = []
        self.events = []
        self._watched = 0  # until when silences have been accounted for
        self._cuts = []  # moments of abrupt events
        self._known = set()  # failed new connections that have been counted
        self._first_seen = FirstSeen(network.routers.values())

    def _tool(self, name, namespace, arguments):
        tool = Tool(name, [self._binary] + arguments, namespace, os.path.join(self._logs, f"{name}.log"))
        self.tools.append(tool)
        return tool

    def start(self, timeout=60):
        """Opens everything and returns when all connections are there."""
        self.probe = self._tool(
            "probe",
            self.network.clients[0],
            ["probe", "--server", SERVER, "--local", self.network.client_addresses[0]]
            + ["--interval-us", str(self.plan.probe_us)],
        )
        plan = self.plan
        for i, namespace in enumerate(self.network.clients):
            half = lambda total, which=i: (total + 1 - which) // 2
            arguments = [
                "client",
                "--server",
                SERVER,
                "--local",
                self.network.client_addresses[i],
                "--connections",
                half(plan.connections),
                "--interval-ms",
                plan.interval_ms,
                "--ramp",
                half(plan.ramp),
                "--uploads",
                half(plan.uploads),
                "--downloads",
                half(plan.downloads),
                "--bulk-rate",
                plan.bulk_rate,
                "--new-rate",
                half(plan.new_rate),
                "--new-ports",
                FRESH_PORTS,
                "--udp-flows",
                half(plan.udp_flows),
                "--udp-interval-ms",
                plan.udp_interval_ms,
                "--udp-echo",
                "yes" if plan.udp_echo else "no",
            ]
            self.clients.append(self._tool(f"client{i + 1}", namespace, [str(word) for word in arguments]))
        for client in self.clients:
            record = client.wait_for("ready", timeout=timeout)
            if record["broken"]:
                raise TestFailed(f"{client.name}: {record['broken']} connections could not be opened")
        return self

    def ask_clients(self, command, kind):
        return [client.ask(command, kind) for client in self.clients]

    def settle(self, seconds=1.0):
        time.sleep(seconds)

    def mark(self):
        self.probe.ask("mark", "marked")
        self.ask_clients("mark", "marked")

    def measure(self, name, action, least=2.0, longest=None, abrupt=True):
        """Does the event and waits until everything goes on, or until the time is over that a connection
        may take.

        least: seconds to go on watching in any case, so that late damage is seen. longest: bound on the
        outage that is waited for, in seconds (default 30). abrupt: the master was cut off in the middle, so
        what began in that instant is excused.
        """
        unseen = self._silence_since_last_event()
        self.mark()
        begun = time.monotonic()
        at = action()
        event = Event(name=name, at=at if isinstance(at, int) else time.monotonic_ns())
        if abrupt:
            self._cuts.append(event.at)
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            probe = self.probe.ask("check", "check")
            heard = probe["at"] - probe["last"] < 100_000_000
            # TCP's back-off from an earlier, longer outage runs on in one direction when the other has
            # recovered already: such a connection is judged by the limit of the event that stopped it.
            limit = max(5.0 + 2.0 * probe["silence_ms"] / 1000.0, self._recovering_until - begun)
            checks = self.ask_clients(f"check {int(limit * 1000)}", "check")
            waiting = sum(check["echo"]["waiting"] for check in checks)
            still = sum(
                check["bulk"]["total"] - check["bulk"]["broken"] - check["bulk"]["moving"] for check in checks
            )
            if now - begun >= least and heard and waiting == 0 and still == 0:
                break
            if now - begun > (limit if heard else (longest or 30.0)):
                break
        self._recovering_until = max(self._recovering_until, begun + limit)
        self._fill(event, probe, checks)
        event.unseen_ms = unseen
        self._watched = probe["at"]
        self.events.append(event)
        return event

    def _silence_since_last_event(self):
        """The longest one that no event has accounted for: what comes late must not fall between events."""
        gaps = self.probe.ask("check", "check")["longest"]
        late = [gap["to"] - max(gap["from"], self._watched) for gap in gaps if gap["to"] > self._watched]
        return max(late, default=0) / 1e6 if self._watched else 0.0

    def _fill(self, event, probe, checks):
        event.silence_ms = probe["silence_ms"]
        event.silence_from = probe["silence_from"]
        for client, check in zip(self.clients, checks):
            echo, bulk, fresh = check["echo"], check["bulk"], check["fresh"]
            event.connections += echo["total"]
            event.broken += echo["broken"]
            for reason, count in echo["reasons"].items():
                event.reasons[reason] = event.reasons.get(reason, 0) + count
            event.stalled += echo["waiting"] + echo["late"]
            event.slowest_ms = max(event.slowest_ms, echo["slowest_ms"])
            event.bulk_broken += bulk["broken"]
            event.bulk_stalled += bulk["total"] - bulk["broken"] - bulk["moving"]
            event.fresh_started += fresh["started"]
            event.details += [
                f"{client.name} port {f['port']}: {f['reason']} {f['error']}"
                for f in check["echo_failures"][:3]
            ]
            for failure in check["fresh_failures"]:
                key = (client.name, failure["port"], failure["failed"])
                if key in self._known:
                    continue
                self._known.add(key)
                if self._in_the_instant(failure, self.network.client_addresses[self.clients.index(client)]):
                    event.fresh_excused += 1
                else:
                    event.fresh_failed.append(failure)

    def _in_the_instant(self, failure, address):
        """Whether a new connection began in the instant of a cut, for the tool or for the router that was cut off."""
        if not self._cuts:
            return False
        if failure["started"] < max(self._cuts) - self.BEFORE_CUT_NS:
            failure["seen"] = self._first_seen.of(address, failure["port"])
        moments = [moment for moment in (failure["started"], failure.get("seen")) if moment is not None]
        return any(-self.BEFORE_CUT_NS <= at - cut <= self.AFTER_CUT_NS for at in moments for cut in self._cuts)

    def stop(self):
        """Final reports by name of the tool."""
        reports = {}
        for tool in [*self.clients, self.probe, self.server]:
            if tool is not None:
                reports[tool.name] = tool.stop()
        self.close()
        return reports

    def close(self):
        for tool in self.tools:
            tool.close()
