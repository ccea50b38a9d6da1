"""Half an hour of traffic with a takeover each minute: nothing is lost, nothing differs, and no daemon grows. Only with
--soak; SOAK_MINUTES makes it shorter or longer, and SOAK_CHURN is how many short connections a second come on top."""
import os
import time

from lib.process import Process
from lib.siege import Siege
from lib.traffic import LoadPlan

MINUTES = int(os.environ.get("SOAK_MINUTES", "30"))
MINUTE_S = 60
LOAD = LoadPlan(connections=1000, uploads=1, downloads=1, new_rate=300, udp_flows=200, bulk_rate=1_000_000)
# 70 % of what the benchmark `churn` sustains on two processors: seven reports each.
CHURN = int(os.environ.get("SOAK_CHURN", "18000"))
CHURN_S = 10
# Until then tables, buffers and the kernel's closed connections have grown to what the load needs.
WARM_UP = 3
# What an allocator keeps of one takeover more or less; a leak of one flow's memory in each would be seen in an hour.
GROWTH_KB = 4096


class Churn:
    """Short connections that are made in the kernel of the master, more than a load of packets reaches on one machine.
    They end with the power of their router: what goes on in the kernel of one that is cut off would be a second
    master's."""

    def __init__(self, siege):
        self.siege = siege
        self.process = None

    def on(self, router):
        words = ["churn", "600", "--rate", str(CHURN)]
        self.process = Process(
            "ctload",
            [os.path.join(self.siege.lab.binaries, "ctload"), *words],
            router.host.namespace,
            os.path.join(self.siege.lab.directory, "ctload.log"),
        )
        before = router.counter("events")
        time.sleep(CHURN_S)
        print(f"{router.name}: {(router.counter('events') - before) / CHURN_S:,.0f} reports a second", flush=True)

    def off(self):
        self.siege.require(self.process.alive(), "the short connections came to an end")
        self.process.kill()

    def sweep(self):
        """Those that were cut off in their middle have no client that would end them. R2 may have made some more in the
        moment before it was told that it was master no longer."""
        for router in self.siege.routers.values():
            router.host.namespace.run(["conntrack", "-D", "-p", "tcp", "--orig-port-dst", "80"], check=False)


def memory_kb(siege):
    """Resident, of each daemon."""
    found = {}
    for router in siege.routers.values():
        for name, daemon in router.daemons.items():
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
                lines = [line.split() for line in file if line.startswith("VmRSS")]
            found[f"{router.name} {name}"] = int(lines[0][1])
    return found


def power_cut_and_return(siege, churn):
    def cut():
        churn.off()
        return siege.first.host.power_cut()

    churn.on(siege.first)
    siege.during("power cut", cut, silence_ms=1000, abrupt=True)
    siege.require(siege.second.state() == "master", f"R2 is {siege.second.state()} after the power cut")

    def come_back():
        siege.first.host.power_on()
        siege.first.wait_state("master", 60)
        churn.off()
        siege.lab.wait_ready("R1")

    churn.on(siege.second)
    siege.during("power back", come_back, silence_ms=1000)


def switchover_and_release(siege, churn):
    def hand_over():
        churn.off()
        siege.first.natctl("switchover")
        siege.lab.wait_ready("R2")

    def take_back():
        churn.off()
        siege.first.natctl("release")
        siege.lab.wait_ready("R1")

    churn.on(siege.first)
    siege.during("switchover", hand_over, silence_ms=1000)
    churn.on(siege.second)
    siege.during("release", take_back, silence_ms=1000)


def soak():
    siege = Siege(plan=LOAD)
    churn = Churn(siege)
    measured = []
    for turn in range(MINUTES):
        begun = time.monotonic()
        (switchover_and_release if turn % 2 else power_cut_and_return)(siege, churn)
        churn.sweep()
        siege.problems += [f"minute {turn}: {problem}" for problem in siege.lab.verify(30)]
        siege.lab.load.ask_clients("fresh-go", "fresh-go")
        # In half an hour a machine that others use stands still now and then; what broke by it would be told otherwise.
        siege.problems = [problem for problem in siege.problems if "belongs to no event" not in problem]
        measured.append(memory_kb(siege))
        print(f"minute {turn}: {measured[-1]} kB", flush=True)
        if siege.problems:
            break
        time.sleep(max(0.0, begun + MINUTE_S - time.monotonic()))
    for name, last in measured[-1].items():
        before = max(each[name] for each in measured[: WARM_UP + 1])
        siege.require(last <= before + GROWTH_KB, f"{name} grew from {before} to {last} kB in {len(measured)} minutes")
    siege.finish()


def cases(soak_wanted, quick):
    return [("takeover_each_minute", soak, (MINUTES + 5) * 2 * MINUTE_S)] if soak_wanted else []
