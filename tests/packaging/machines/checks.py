"""Is what runs in a machine what the units promise?"""
from .pair import UNITS

CAPABILITIES = {
    "steadynat-syncd": {"net_admin"},
    "steadynat-nat": {"net_admin"},
    "steadynat-vrrpd": {"net_admin", "net_raw"},
}
BITS = {12: "net_admin", 13: "net_raw"}
LOCKED = ("steadynat-vrrpd", "steadynat-nat")


def check_processes(pair, machine):
    """As tight as it was meant to be, and no tighter than the daemons can bear."""
    for unit in UNITS:
        pid = machine.process(unit)
        lines = machine.run(f"cat /proc/{pid}/status").splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        held = int(status["CapPrm"], 16) | int(status["CapBnd"], 16)
        names = {BITS.get(bit, str(bit)) for bit in range(64) if held >> bit & 1}
        pair.check(names == CAPABILITIES[unit], f"{unit} has the capabilities {sorted(names)}")
        pair.check(status["Uid"].split()[0] != "0", f"{unit} runs as root")
        pair.check(status["NoNewPrivs"].strip() == "1", f"{unit} may gain privileges")
    check_real_time(pair, machine)
    forwarding = machine.run("cat /proc/sys/net/ipv4/ip_forward").strip()
    pair.check(forwarding == "1", "forwarding is off with a table in force")


def check_real_time(pair, machine):
    # In a container whose root may not raise limits, systemd cannot either; a virtual machine's can.
    if not machine.succeeds("prlimit --rtprio=10 true"):
        print(f"    {machine.name}: limits cannot be raised here, so real-time priority is not looked at", flush=True)
        return
    for unit in UNITS:
        policy = machine.run(f"chrt -p {machine.process(unit)}")
        pair.check("SCHED_RR" in policy, f"{unit}: {policy}")
    for unit in LOCKED:
        locked = machine.run(f"grep VmLck /proc/{machine.process(unit)}/status").split()[1]
        pair.check(int(locked) > 0, f"{unit} has locked no memory")
    said = machine.run("journalctl -b --no-pager -p warning -o cat " + " ".join(f"-t {unit}" for unit in UNITS))
    for word in ("ermitted", "denied", "real-time", "locked"):
        pair.check(word not in said, f"{machine.name}: the daemons complain: {said}")
