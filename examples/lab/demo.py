#!/usr/bin/python3
"""Two routers, two LAN hosts with 2,000 connections, a power cut: what becomes of the connections.

Everything happens in network namespaces of this machine and is gone afterwards, also after Ctrl-C.
"""
import argparse
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "tests", "netns")]
sys.dont_write_bytecode = True

from lib.isolation import Isolated  # noqa: E402
from lib.scenario import Lab  # noqa: E402
from lib.traffic import LoadPlan  # noqa: E402
from lib.wait import TestFailed  # noqa: E402
from lib.wire import Sniffer  # noqa: E402
from pairs import KeepalivedPair, SteadynatPair  # noqa: E402
from plot import Series, render  # noqa: E402
from screen import Masters, Progress, table  # noqa: E402

PICTURE = """
  client1 192.168.100.11 --+               +-- R1 --+
                           |- LAN switch --|   ||   |-- WAN switch -- 10.10.0.1 -- server 203.0.113.10
  client2 192.168.100.12 --+               +-- R2 --+
               virtual addresses: 192.168.100.1 for the clients, 10.10.0.101 towards the server
"""


class Run:
    """One pair through all events."""

    def __init__(self, kind, options):
        self.options = options
        self.lab = Lab()
        self.began = time.monotonic_ns()
        self.total = options.connections
        self.udp = {}
        self.rows = []
        self.broken_before = 0
        self.sniffer = Sniffer(self.lab.network.server, "eth0")
        self.masters = Masters(self.sniffer, {"10.10.0.102": "R1", "10.10.0.103": "R2"}, options.interval)
        self.last_echoed = (0, 0)
        self.progress = Progress(self.line)
        self.progress.say(f"\n== {kind.name}: starting both routers")
        self.pair = kind(self.lab, options)
        self.name = kind.name

    def seconds(self, at=None):
        return ((at or time.monotonic_ns()) - self.began) / 1e9

    def line(self):
        """The line of progress."""
        load = self.lab.load
        records = [client.latest("progress") for client in load.clients] if load is not None else []
        if len(records) < 2 or None in records:
            return f"{self.seconds():6.1f} s  {self.states()}"
        echoed = sum(record["echoed"] for record in records)
        at = min(record["at"] for record in records)
        before, then = self.last_echoed
        rate = (echoed - before) / ((at - then) / 1e9) if at > then else 0
        self.last_echoed = (echoed, at)
        total = {key: sum(record[key] for record in records) for key in ("lively", "broken", "fresh_done")}
        return (
            f"{self.seconds():6.1f} s  {self.states()}  {total['lively']:5}/{self.total} connections alive, "
            f"{total['broken']} broken, {rate:7.0f} echoes/s, {total['fresh_done']} new ones made"
        )

    def states(self):
        masters = self.masters.now()
        return "  ".join(
            f"{name} {('MASTER' if name in masters else 'BACKUP') if host.powered else 'NO POWER':8}"
            for name, host in self.lab.network.routers.items()
        )

    def go(self):
        options = self.options
        self.progress.say(
            f"{self.seconds():6.1f} s  opening {options.connections} connections and {options.udp_flows} "
            "UDP flows, both clients from the same source ports"
        )
        plan = LoadPlan(
            connections=options.connections,
            uploads=2,
            downloads=2,
            new_rate=50,
            udp_flows=options.udp_flows,
            udp_interval_ms=500,
            udp_echo=True,
        )
        self.lab.start_load(plan)
        self.lab.load.settle(3.0)
        for title, text, action, abrupt in self.pair.events():
            self.progress.say(f"{self.seconds():6.1f} s  {text}")
            self.one_event(title, action, abrupt)
            self.lab.load.settle(2.0)
        self.progress.stop()
        reports = self.lab.load.stop()
        self.sniffer.close()
        tcp = Series([reports["client1"], reports["client2"]])
        return self.name, self.lab.load.events, Series([reports["probe"]]), tcp

    def one_event(self, title, action, abrupt):
        load = self.lab.load
        load.ask_clients("udp-clear", "udp-clear")
        event = load.measure(title, action, least=3.0, longest=20.0, abrupt=abrupt)
        moved = sum(check["udp"]["moved"] for check in load.ask_clients("check", "check"))
        load.ask_clients("udp-clear", "udp-clear")
        load.settle(1.2)
        reached = sum(check["udp"]["reached"] for check in load.ask_clients("check", "check"))
        reached = max(
            0, reached - moved
        )  # another translated port is another flow, to whoever is at the far end
        broken = event.broken - self.broken_before
        self.broken_before = event.broken
        failed = len(event.fresh_failed)
        self.rows.append(
            [
                title,
                f"{self.seconds(event.at):.1f} s",
                event.connections - event.broken - event.stalled,
                broken,
                event.stalled,
                f"{reached}/{self.options.udp_flows}",
                failed,
                f"{event.silence_ms:.0f} ms",
            ]
        )
        good = not broken and not event.stalled and reached == self.options.udp_flows and not failed
        self.progress.say(
            f"{self.seconds():6.1f} s  {title}: silence {event.silence_ms:.0f} ms, "
            f"{'nothing lost' if good else f'{broken} broken, {event.stalled} stalled'}"
        )
        return good

    def report(self):
        """Prints the tables; true when nothing was lost."""
        print(
            f"\n{self.name}: {self.total} connections, {self.options.udp_flows} UDP flows, adverts every "
            f"{self.options.interval:g} s\n"
        )
        print(
            table(
                ["event", "at", "kept", "broken", "stalled", "UDP kept", "new failed", "longest silence"],
                self.rows,
            )
        )
        print(
            "\nwho was master when: "
            + ", ".join(f"{name} from {self.seconds(at):.1f} s" for at, name in self.masters.changes())
        )
        problems = self.pair.problems()
        for problem in problems:
            print(f"  {problem}")
        lost = any(
            row[3] or row[4] or row[6] or row[5] != f"{self.options.udp_flows}/{self.options.udp_flows}"
            for row in self.rows
        )
        return not lost and not problems


def run_pair(kind, options, results):
    """In namespaces of its own. 0: nothing lost; 1: something was; 3: it could not be measured."""
    run = None
    try:
        run = Run(kind, options)
        data = run.go()
        good = run.report()
    except TestFailed as failure:
        if run is not None:
            run.progress.stop()
        print(f"\n{kind.name}: {failure}")
        return 3
    with open(results, "wb") as file:
        pickle.dump(data, file)
    return 0 if good else 1


def interval_of(text):
    """Seconds, from "100ms" or "1s"."""
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if text.endswith(unit) and text.removesuffix(unit).replace(".", "", 1).isdigit():
            return float(text.removesuffix(unit)) * factor
    raise argparse.ArgumentTypeError("a duration with its unit, as 100ms or 1s")


def parse():
    parser = argparse.ArgumentParser(prog="examples/demo", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument(
        "--compare", action="store_true", help="afterwards the same with Debian's keepalived and conntrackd"
    )
    parser.add_argument("--connections", type=int, default=2000, metavar="N")
    parser.add_argument("--udp-flows", type=int, default=100, metavar="N")
    parser.add_argument(
        "--interval", type=interval_of, default=0.1, metavar="TIME", help="of the adverts (100ms)"
    )
    parser.add_argument("--commit", choices=["continuous", "on-takeover"], default="continuous")
    parser.add_argument("--output", default="demo.svg", metavar="FILE", help="where the plot goes (demo.svg)")
    parser.add_argument("--logs", metavar="DIR", help="keep the daemons' logs there")
    return parser.parse_args()


def give_to_caller(path):
    """Under sudo the plot belongs to whoever called."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user and group:
        os.chown(path, int(user), int(group))


def main():
    options = parse()
    directory = options.logs or tempfile.mkdtemp(prefix="steadynat-demo-")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kinds = [SteadynatPair] + ([KeepalivedPair] if options.compare else [])
    codes, runs = {}, []
    print(PICTURE)
    try:
        for kind in kinds:
            os.environ["STEADYNAT_LOGS"] = os.path.join(directory, kind.__name__)
            os.makedirs(os.environ["STEADYNAT_LOGS"], exist_ok=True)
            results = os.path.join(directory, f"{kind.__name__}.results")
            child = Isolated(lambda which=kind, path=results: run_pair(which, options, path))
            try:
                codes[kind] = child.wait()
            except BaseException:
                child.end()
                raise
            if os.path.exists(results):
                with open(results, "rb") as file:
                    runs.append(pickle.load(file))
        if runs:
            render(options.output, runs)
            give_to_caller(options.output)
            print(f"\nplot: {os.path.abspath(options.output)}")
    finally:
        if options.logs is None:
            shutil.rmtree(directory, ignore_errors=True)
    code = codes[SteadynatPair]
    print(f"\nsteadynat: {'nothing was lost' if code == 0 else 'something was lost'}")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; everything is removed")
        sys.exit(130)
