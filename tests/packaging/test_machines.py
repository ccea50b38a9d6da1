"""Two virtual machines: Debian's own kernel and systemd, the package installed as the guide says, the article's network
around them, and 500 connections through everything that happens to a pair in its life."""
import time

from lib.traffic import LoadPlan
from lib.wait import wait_until
from machines.checks import check_processes
from machines.guide import follow
from machines.pair import OTHER, UNITS, Pair, addresses
from machines.vm import Vm

# An emulated processor does about a tenth of a real one's work, on a machine that has other work to do.
SPEED = 6.0
PLAN = LoadPlan(
    connections=500, uploads=0, downloads=0, new_rate=4, interval_ms=2000, probe_us=20_000, ramp=50
)  # fmt: skip
# systemd's watchdog, with room for the emulation.
RESTARTED = 30
LIMIT = 3600


def through(*parts):
    """Two machines from the guide's first line to a pair under load, and through these parts of its life."""
    pair = Pair(Vm, speed=SPEED)
    pair.offer("new", "newer")
    pair.boot()
    for machine in pair:
        machine.run("cp /srv/repo/new.deb steadynat_new_amd64.deb && apt-get update")
    follow(pair, "quick-start.md", "ifupdown")
    pair.wait_ready("R1")
    kernels = {machine.run("uname -r").strip() for machine in pair}
    pair.check(all(kernel.startswith("6.1.") for kernel in kernels), f"the kernels are {kernels}")
    for machine in pair:
        check_processes(pair, machine)
        machine.run("sync")  # whoever installs a router does not pull its plug in the same minute
    pair.start_load(PLAN)
    pair.wait_ready("R1")

    for part in parts:
        begun = time.monotonic()
        part(pair)
        print(f"  {part.__name__}: {time.monotonic() - begun:.0f} s", flush=True)
    pair.check_same(timeout=60)
    pair.finish()


def cases(soak, quick):
    yield "power_cut_and_reboot", lambda: through(power_cut, reboot), LIMIT
    yield "switchover_and_upgrade", lambda: through(switchover, upgrade), LIMIT
    yield "unlike_kernels_and_watchdog", lambda: through(unlike_kernels, watchdog), LIMIT


def comes_back(pair, machine):
    """It boots, catches up, and takes the group back by itself."""

    def boot():
        at = time.monotonic_ns()
        machine.boot()
        pair.wait_ready("R1")
        return at

    return boot


def power_cut(pair):
    first, second = pair["R1"], pair["R2"]
    pair.measure("power cut of R1 (qemu killed)", first.power_cut, least=10.0)
    pair.check(second.state() == "master", f"R2 is {second.state()} after the power cut")
    pair.measure("R1 boots and takes the group back", comes_back(pair, first), abrupt=False, longest=120)


def reboot(pair):
    first, second = pair["R1"], pair["R2"]
    pair.measure("R1 shuts down in order", first.reboot, least=10.0, abrupt=False)
    pair.check(second.state() == "master", f"R2 is {second.state()} while R1 is down")
    pair.measure("R1 is back", comes_back(pair, first), abrupt=False, longest=120)


def switchover(pair):
    first, second = pair["R1"], pair["R2"]

    def switch():
        at = time.monotonic_ns()
        first.run("natctl switchover")
        wait_until(lambda: second.state() == "master", 60, "R2 is master after natctl switchover")
        return at

    def release():
        at = time.monotonic_ns()
        first.run("natctl release")
        pair.wait_ready("R1")
        return at

    pair.measure("natctl switchover", switch, abrupt=False)
    pair.measure("natctl release", release, abrupt=False)


def upgrade(pair):
    """apt on one and then on the other moves nothing; the restart that it asks for is a planned failover."""
    number = pair["R1"].run("dpkg-deb -f /srv/repo/newer.deb Version").strip()

    def install(machine):
        before = {unit: machine.process(unit) for unit in UNITS}
        machine.run(f"apt-get install -y --no-install-recommends steadynat={number}", timeout=120 * pair.speed)
        after = {unit: machine.process(unit) for unit in UNITS}
        vrrpd = UNITS[2]
        pair.check(after[vrrpd] == before[vrrpd], f"{machine.name}: the upgrade restarts vrrpd")
        for unit in UNITS[:2]:
            pair.check(after[unit] not in (0, before[unit]), f"{machine.name}: {unit} was not restarted")

    for name in ("R2", "R1"):
        machine = pair[name]
        term = machine.status()["groups"][0]["term"]
        pair.measure(f"apt upgrade of {name}", lambda which=machine: install(which), abrupt=False)
        pair.wait_ready("R1")
        pair.check(machine.status()["groups"][0]["term"] == term, f"the upgrade of {name} was a failover")
        pair.check(machine.status().get("restart_due") is True, f"{name}: status does not say that a restart is due")
    for name in ("R2", "R1"):

        def restart(which=pair[name]):
            at = time.monotonic_ns()
            which.run("systemctl restart steadynat-vrrpd")
            pair.wait_ready("R1")
            return at

        pair.measure(f"vrrpd of {name} restarted", restart, abrupt=False)


def unlike_kernels(pair):
    """Two namespaces share a kernel, two machines do not: doctor compares theirs, without being told where to look."""
    first, second = pair["R1"], pair["R2"]

    def said():
        return first.run("natctl doctor || true")

    def sysctl(name, other):
        here = first.run(f"sysctl -n {name}").strip()
        return f"sysctl -qw {name}={other}", f"{name} is {here} here and {other} on R2", f"sysctl -qw {name}={here}"

    loose = "net.netfilter.nf_conntrack_tcp_loose"
    unlike = (
        sysctl("net.netfilter.nf_conntrack_max", 70001),
        sysctl(loose, 1 - int(first.run(f"sysctl -n {loose}"))),
        ("modprobe nf_conntrack_ftp", "the helper for ftp is not loaded on R1", "modprobe -r nf_conntrack_ftp"),
        ("date -s '+30 seconds'", "the clock of R2 is", "date -s '-30 seconds'"),
    )
    for change, finding, back in unlike:
        pair.check(finding not in said(), f"doctor says before it is so: {finding}")
        second.run(change)
        wait_until(lambda words=finding: words in said(), 60, f"doctor says: {finding}", every=1)
        second.run(back)
        wait_until(lambda words=finding: words not in said(), 60, f"doctor says no longer: {finding}", every=1)


def watchdog(pair):
    """Each daemon of the master hangs: systemd ends it and starts it again. Only vrrpd's death moves the addresses."""
    first = pair["R1"]
    for unit in UNITS:

        def hang(which=unit):
            at = time.monotonic_ns()
            pid = first.process(which)
            first.run(f"kill -STOP {pid}")
            wait_until(
                lambda: first.process(which) not in (0, pid), RESTARTED * pair.speed, f"{which} was restarted", every=1
            )
            return at

        pair.measure(f"{unit} hangs", hang, least=5.0, longest=60)
        if unit != UNITS[2]:
            pair.check(len(addresses(first)) == 2, f"a hung {unit} takes the addresses of R1 down")
        pair.wait_ready("R1")
        pair.check(pair[OTHER["R1"]].state() == "backup", f"R2 is not backup after {unit} of R1 hung")
