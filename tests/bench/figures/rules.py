"""10,000 rules, half of them NAT and half of them firewall, in one transaction: the agent's `natctl nat apply`, from
the command to its answer, beside `nft -f` of the same table as the kernel lists it."""
import os
import statistics
import time

from lib.agent_bench import CONFIG, Bench
from lib.wait import require, wait_until

from . import Figure, times

RULES = 10000
ROUNDS = 5


def _config():
    nat = "".join(f"    {100 + i}: {{ outbound_interface: eth0, source_address: 10.{i // 250}.{i % 250}.0/24, "
                  "translate_to: 10.10.0.101 }\n" for i in range(RULES // 2))
    rules = "".join(f"      {1 + i}: {{ action: accept, protocol: tcp, source_address: 172.16.{i // 250}.{i % 250}, "
                    f"destination_ports: {1 + i} }}\n" for i in range(RULES // 2))
    head = CONFIG.format(mapping="preserve").split("firewall:")[0]
    firewall = "firewall:\n  many:\n    interfaces: { eth0: in }\n    default_action: drop\n    rules:\n"
    return head + nat + firewall + rules


def _loaded():
    bench = Bench(config=_config())
    bench.start()
    wait_until(lambda: bench.table(), 60, "the table is there")
    return bench


def _timed(action):
    taken = []
    for _ in range(ROUNDS):
        begun = time.monotonic()
        done = action()
        taken.append(time.monotonic() - begun)
        require(done.returncode == 0, f"refused: {done.stderr[:300]}")
    return statistics.median(taken)


def _switched(bench):
    """The gate shut and opened again, as a failover does: the slowest switch, in milliseconds, by the agent's log."""
    before = len(bench.switch_times())
    for term in range(1, ROUNDS + 1):
        ready, _ = bench.vrrpd.prepare(term)
        require(ready["ok"], f"the agent is not ready: {ready}")
        for switch, count in ((bench.vrrpd.open, 2 * term - 1), (bench.vrrpd.shut, 2 * term)):
            switch(term)
            wait_until(lambda: len(bench.switch_times()) - before >= count, 30, "the gate moves")
    return max(bench.switch_times()[before:])


def ours(_):
    bench = _loaded()
    return {"seconds": _timed(lambda: bench.natctl("nat", "apply")), "rules": bench.table().count("comment"),
            "switch_ms": _switched(bench)}


def floor(_):
    bench = _loaded()
    path = os.path.join(bench.directory, "listed.nft")
    with open(path, "w", encoding="utf-8") as file:
        listed = bench.router.run(["nft", "-s", "list", "table", "inet", "steadynat"]).stdout
        file.write("add table inet steadynat\ndelete table inet steadynat\n" + listed)
    bench.agent.kill()
    return {"seconds": _timed(lambda: bench.router.run(["nft", "-f", path], check=False)),
            "rules": bench.table().count("comment")}


SIDES = {"ours": ours, "floor": floor}


def lines(results, _):
    us, nft = results["ours"], results["floor"]
    require(us["rules"] == nft["rules"] >= RULES, f"not the same rules: {us['rules']} and {nft['rules']}")
    yield Figure(f"rules, {RULES:,} of the file in one transaction", f"{us['seconds'] * 1e3:,.0f} ms", "-",
                 f"{nft['seconds'] * 1e3:,.0f} ms (nft -f)", f"{times(us['seconds'], nft['seconds'])} of nft")
    yield Figure(f"the gate beside {RULES:,} rules, slowest of {2 * ROUNDS} switches", f"{us['switch_ms']:,.1f} ms")
