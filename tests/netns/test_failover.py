"""Every event that a pair of routers has to survive, under load, with both commit policies.

Each row does its event and puts the pair back as it was (R1 master, R2 its complete standby), so that a row
can be repeated: once in a normal run, five times with --soak, where the median is judged too, and again
with 1 s adverts.
"""
import json
import os
import select
import socket
import statistics
import time

from lib.scenario import Lab, down_interval, skew
from lib.traffic import LoadPlan
from lib.network import LAN_VIRTUAL, SERVER, WAN_VIRTUAL
from lib.wait import TestFailed, require, wait_until

FULL = LoadPlan()
QUICK = LoadPlan(connections=600, uploads=2, downloads=2, new_rate=40)
# What vrrpd's death may take until nobody but its successor answers: the addresses' short lifetime.
ARP_SETTLES = 2.5
# A server that hears of a connection and does not answer.
DEAF = """
table ip deaf {
  chain in {
    type filter hook input priority 0
    tcp dport 7999 drop
  }
}
"""


class Round:
    """The measured events of a row, over all its repetitions."""

    def __init__(self, lab):
        self.lab = lab
        self.problems = []
        self._silences = {}
        self._limits = {}

    def event(self, name, action, median=None, worst=None, **arguments):
        """Limits in seconds, None where the figure is only reported."""
        event = self.lab.load.measure(name, action, **arguments)
        self.problems += self.lab.check_event(event)
        self._silences.setdefault(name, []).append(event.silence_ms)
        self._limits[name] = (median, worst)
        return event

    def require(self, condition, text):
        if not condition:
            self.problems.append(text)

    def judge(self):
        """Silences against their limits; also left as JSON beside the logs, for the figures of the README."""
        for name, silences in self._silences.items():
            median, worst = self._limits[name]
            middle = statistics.median(silences)
            if len(silences) >= 5 and median is not None and middle > median * 1000:
                self.problems.append(
                    f"{name}: median silence {middle:.1f} ms, allowed {median * 1000:.1f} ms"
                )
            if worst is not None and max(silences) > worst * 1000:
                self.problems.append(f"{name}: silence {max(silences):.1f} ms, allowed {worst * 1000:.1f} ms")
        figures = {
            name: {"median_ms": statistics.median(s), "worst_ms": max(s), "all_ms": s}
            for name, s in self._silences.items()
        }
        with open(os.path.join(self.lab.directory, "figures.json"), "w", encoding="ascii") as file:
            json.dump({"interval": self.lab.interval, "silences": figures}, file, indent=1)


def takeover(lab):
    """(median, worst) of a takeover after silence."""
    formula = down_interval(lab.interval)
    return {"median": formula + 0.020, "worst": formula + 0.060}


def back_to_r1(lab, action=lambda: None):
    """Does `action`, which makes R1 whole again, and waits until it has caught up and taken the group back.
    """

    def bring():
        at = time.monotonic_ns()
        action()
        lab.wait_ready("R1", timeout=40)
        return at

    return bring


# --- rows ---------------------------------------------------------------------------------------------


def power_cut_and_return(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]
    rounds.event("power cut of the master", first.host.power_cut, **takeover(lab))
    rounds.require(second.state() == "master", f"R2 is {second.state()} after the power cut")
    rounds.event("power back on", back_to_r1(lab, first.host.power_on), abrupt=False)


def reboot(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]
    rounds.event("reboot: power gone", first.host.power_cut, **takeover(lab))
    first.reboot()
    rounds.require(second.state() == "master", f"R2 is {second.state()} while R1 reboots")

    def come_back():
        first.host.power_on()
        first.start()

    rounds.event("reboot: back again", back_to_r1(lab, come_back), abrupt=False)


def carrier(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]
    limit = skew(lab.interval) + 0.050
    for interface, name in (("eth0", "WAN"), ("eth2", "LAN")):
        rounds.event(
            f"carrier lost on the {name}",
            lambda which=interface: first.host.carrier_down(which),
            median=limit,
            worst=limit,
        )
        rounds.require(second.state() == "master", f"R2 is {second.state()} after R1 lost its {name} carrier")
        rounds.require(first.state() == "fault", f"R1 is {first.state()} without its {name} carrier")
        rounds.event(
            f"carrier of the {name} back",
            back_to_r1(lab, lambda which=interface: first.host.carrier_up(which)),
            abrupt=False,
        )


def carrier_both(lab, rounds):
    routers = list(lab.routers.values())

    def ten_seconds():
        at = time.monotonic_ns()
        for router in routers:
            router.host.carrier_down("eth2")
        time.sleep(10)
        for router in routers:
            router.host.carrier_up("eth2")
        return at

    limit = 10 + down_interval(lab.interval)
    rounds.event("both without LAN carrier for 10 s", ten_seconds, median=limit, worst=limit, longest=40)
    rounds.event("back in order", back_to_r1(lab), abrupt=False)


def sigterm(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]
    limit = skew(lab.interval) + 0.020

    def terminate():
        at = time.monotonic_ns()
        code = first.stop("vrrpd")["vrrpd"]
        first.daemons.pop("vrrpd")
        rounds.require(code == 0, f"vrrpd ended with {code} after SIGTERM")
        return at

    rounds.event("SIGTERM of the master's vrrpd", terminate, median=limit, worst=limit, abrupt=False)
    rounds.require(second.state() == "master", f"R2 is {second.state()} after SIGTERM of R1's vrrpd")
    rounds.event("vrrpd started again", back_to_r1(lab, lambda: first.start("vrrpd")), abrupt=False)


def arp_settled(lab, at, text):
    """Exactly one router answers for each address, in time and for good. Returns problems."""
    allowed = down_interval(lab.interval) + ARP_SETTLES
    problems = []
    while True:
        answers = lab.answering()
        if all(names == ["R2"] for names in answers.values()):
            break
        if time.monotonic_ns() - at > allowed * 1e9:
            problems.append(f"{text}: after {allowed:.2f} s ARP is answered by {answers}")
            break
        time.sleep(0.05)
    time.sleep(1.0)
    answers = lab.answering()
    if any(len(names) != 1 for names in answers.values()):
        problems.append(f"{text}: ARP is answered by {answers}")
    return problems


def sigkill(lab, rounds):
    first = lab.routers["R1"]
    formula = down_interval(lab.interval)
    event = rounds.event(
        "SIGKILL of the master's vrrpd", lambda: first.kill("vrrpd"), worst=formula + 0.060,
        least=formula + 0.140,  # the addresses live on for a while, and the silence begins when they end
    )
    first.daemons.pop("vrrpd")
    rounds.problems += arp_settled(lab, event.at, event.name)
    rounds.event("vrrpd started again", back_to_r1(lab, lambda: first.start("vrrpd")), abrupt=False)


def sigstop(lab, rounds):
    first = lab.routers["R1"]
    formula = down_interval(lab.interval)
    event = rounds.event(
        "SIGSTOP of the master's vrrpd", lambda: first.pause("vrrpd"), worst=formula + 0.060,
        least=formula + 0.140,  # the addresses live on for a while, and the silence begins when they end
    )
    rounds.problems += arp_settled(lab, event.at, event.name)
    left = 10 - (time.monotonic_ns() - event.at) / 1e9
    time.sleep(max(0.0, left))
    sniffers = lab.sniff(first)
    moment = []

    def wake():
        moment.append(time.monotonic_ns())
        first.resume("vrrpd")

    rounds.event("SIGCONT after 10 s", back_to_r1(lab, wake), abrupt=False)
    rounds.problems += spoke_too_early(sniffers, moment[0], down_interval(lab.interval, 200))


def spoke_too_early(sniffers, at, listening):
    """Adverts, and ARP for the virtual addresses, that a woken vrrpd sent before it had listened."""
    problems = []
    for sniffer in sniffers:
        sniffer.close()
        for when, sender, kind, _ in sniffer.since(at):
            if when - at > listening * 1e9 or (kind == "arp" and sender not in (WAN_VIRTUAL, LAN_VIRTUAL)):
                continue
            problems.append(f"{(when - at) / 1e6:.1f} ms after SIGCONT R1 sent {kind} from {sender}")
    return problems[:3]


def syncd_killed(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]
    for router, role in ((second, "standby"), (first, "master")):

        def kill_and_restart(which=router):
            at = which.kill("syncd")
            time.sleep(1.0)
            which.start("syncd")
            lab.wait_ready("R1", timeout=40)
            return at

        rounds.event(f"syncd of the {role} killed and restarted", kill_and_restart, abrupt=False)
    rounds.event("power cut afterwards", first.host.power_cut, **takeover(lab))
    rounds.event("power back on", back_to_r1(lab, first.host.power_on), abrupt=False)


def switchover(lab, rounds):
    first, second = lab.routers["R1"], lab.routers["R2"]

    def switch():
        at = time.monotonic_ns()
        first.natctl("switchover")
        wait_until(lambda: second.state() == "master", 5, "R2 is master after natctl switchover")
        return at

    rounds.event("natctl switchover", switch, abrupt=False)
    time.sleep(10 * down_interval(lab.interval))
    states = (first.state(), second.state())
    rounds.require(
        states == ("backup", "master"), f"ten down intervals after the switchover R1, R2 are {states}"
    )
    rounds.event("natctl release", back_to_r1(lab, lambda: first.natctl("release")), abrupt=False)


ROWS = [
    power_cut_and_return,
    reboot,
    carrier,
    carrier_both,
    sigterm,
    sigkill,
    sigstop,
    syncd_killed,
    switchover,
]


def run_row(row, commit, interval, mapping, repetitions, plan):
    lab = Lab()
    lab.start_pair(interval=interval, commit=commit, mapping=mapping)
    lab.start_load(plan)
    lab.wait_ready("R1")
    lab.load.settle(2.0)
    rounds = Round(lab)
    for _ in range(repetitions):
        try:
            row(lab, rounds)
        except TestFailed as failure:
            rounds.problems.append(str(failure))
        if rounds.problems:
            break
    rounds.judge()
    lab.finish(rounds.problems)


def udp_kept_by_the_client(commit, flows=300):
    """Kernel timeouts of 10 s, flows that only the client refreshes, silent from the cut on: the entries of
    the new master must be alive although no packet has ever passed there."""
    lab = Lab()
    for host in lab.network.routers.values():
        host.namespace.sysctl("net.netfilter.nf_conntrack_udp_timeout", 10)
        host.namespace.sysctl("net.netfilter.nf_conntrack_udp_timeout_stream", 10)
    first, _ = lab.start_pair(interval=0.1, commit=commit)
    lab.start_load(LoadPlan(connections=100, uploads=0, downloads=0, new_rate=10, udp_flows=flows))
    time.sleep(25)  # more than twice the timeout: an entry that nobody refreshes is gone
    lab.wait_ready("R1")
    lab.load.ask_clients("udp-clear", "udp-clear")
    lab.load.ask_clients("silent", "silent")
    event = lab.load.measure("power cut, UDP clients silent", first.host.power_cut, least=5.0)
    problems = lab.check_event(event)
    peers = lab.load.server.ask("push", "push")["peers"]
    time.sleep(1.0)
    reached = sum(check["udp"]["reached"] for check in lab.load.ask_clients("check", "check"))
    print(f"    server's packet reached {reached} of {flows} flows ({peers} known to it)")
    require(peers == flows, f"the server has heard of {peers} of {flows} flows: the test itself is wrong")
    if reached != flows:
        problems.append(f"the server's next packet reached {reached} of {flows} UDP flows")
    lab.finish(problems, verify=False)


def half_open(commit, flows=50):
    """Connections that nobody answers yet are equal on both routers, too, and are made by the router that takes over.
    """
    lab = Lab()
    first, second = lab.start_pair(interval=0.1, commit=commit)
    lab.wait_ready("R1")
    server = lab.network.server
    with server.inside():
        listener = socket.create_server((SERVER, 7999), backlog=flows)
    server.nft(DEAF)
    clients = []
    with lab.network.clients[0].inside():
        for _ in range(flows):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((SERVER, 7999))
            clients.append(client)
    waiting = ["conntrack", "-L", "-p", "tcp", "--state", "SYN_SENT"]
    if commit == "continuous":
        wait_until(
            lambda: second.namespace.run(waiting, check=False).stdout.count("dport=7999") == flows,
            5,
            f"R2's kernel has all {flows} half-open connections",
        )
    problems = lab.verify()
    first.host.power_cut()
    wait_until(lambda: second.state() == "master", 5, "R2 is master after the power cut")
    server.nft("delete table ip deaf")
    made = []
    wait_until(
        lambda: made.extend(c for c in clients if c not in made and select.select([], [c], [], 0)[1])
        or len(made) == flows,
        20,  # the handshake's attempts: 1, 2, 4 and 8 s apart
        "every connection is made in the end",
        every=0.2,
    )
    errors = [c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for c in clients]
    if any(errors):
        problems.append(f"{sum(map(bool, errors))} of {flows} connections failed: {os.strerror(max(errors))}")
    listener.close()
    lab.finish(problems, verify=False)


def cases(soak, quick):
    plan = QUICK if quick else FULL
    repetitions = 5 if soak else 1
    for commit in ("on-takeover",) if quick else ("on-takeover", "continuous"):
        for row in ROWS:
            yield case(row, commit, 0.1, "fully-random", repetitions, plan)
        yield (f"udp_kept_by_the_client[{commit}]", lambda c=commit: udp_kept_by_the_client(c), 180)
        yield (f"half_open[{commit}]", lambda c=commit: half_open(c), 60)
    if not quick:
        yield case(power_cut_and_return, "continuous", 0.1, "preserve", repetitions, plan)
    if soak:
        for commit in ("on-takeover", "continuous"):
            for row in ROWS:
                yield case(row, commit, 1.0, "fully-random", repetitions, plan)
        # Adverts so fast that a pause of this machine is a failover of its own: a few connections, and no repetition.
        yield case(power_cut_and_return, "continuous", 0.01, "fully-random", 1, QUICK)


def case(row, commit, interval, mapping, repetitions, plan):
    words = [commit]
    words += [f"{interval:g}s"] if interval != 0.1 else []
    words += [mapping] if mapping != "fully-random" else []
    limit = 120 + (90 + 60 * int(interval >= 1)) * repetitions
    return (
        f"{row.__name__}[{','.join(words)}]",
        lambda: run_row(row, commit, interval, mapping, repetitions, plan),
        limit,
    )
