"""Bad input from the configuration: broken or contradictory files are refused with file, line and column, at
the start by every daemon and by `natctl check`, and at a reload without anything being changed."""
import os
import re
import signal

from lib.router import DAEMONS
from lib.siege import Siege
from lib.wait import wait_until

# What is changed in a good file, and what must be said of it. The place is looked up in the broken file itself.
BROKEN = (
    (
        "vrid: 1,",
        "vird: 1,",
        "vird",
        "unknown key 'vird' in vrrp.groups.MAIN-GW.instances.wan; did you mean 'vrid'?",
    ),
    ("vrid: 2,", "vrid: 256,", "256", "from 1 to 255"),
    ("interface: eth2, vrid: 2", "interface: eth0, vrid: 1", None, "vrid 1 is used on eth0 already, in line"),
    ("advertise_interval: 100ms", "advertise_interval: 100", "100 ", "unit"),
    ("advertise_interval: 100ms", "advertise_interval: 9ms", "9ms", "10ms"),
    (
        "virtual_addresses: [10.10.0.101/24]",
        "virtual_addresses: [10.10.0.301/24]",
        "10.10.0.301/24",
        "is not an IP address",
    ),
    ("priority: 200,", "priority: 300,", "300", "from 1 to 255"),
    ("sync_address: 10.10.10.3", "sync_address: 10.10.10.2", None, "both nodes have 10.10.10.2 on eth1"),
    ("groups: [MAIN-GW]", "groups: [MAIN-GX]", "MAIN-GX", "did you mean 'MAIN-GW'?"),
    ("commit: continuous", "commit: sometimes", "sometimes", "continuous"),
    ("version: 1", "version: 7", "7", "version"),
    (
        "preempt: true",
        "preempt: true\n      preempt: false",
        None,
        "duplicate key 'preempt', first given in line",
    ),
    ("default_action: accept", "default_action: perhaps", "perhaps", "accept"),
    ("translate_to: 10.10.0.101,", "translate_to: nowhere,", "nowhere", "'nowhere' is"),
    ("nat:", "nat: [", None, "not valid YAML"),
    ("vrrp:", "\tvrrp:", None, "not valid YAML"),
)


def variants(good):
    """(what was done, text, line that must be named or None, word of the message)"""
    for old, new, where, word in BROKEN:
        at = good.index(old)
        text = good[:at] + new + good[at + len(old) :]
        line = text.count("\n", 0, text.index(where, at)) + 1 if where else None
        yield new, text, line, word


def commands(router):
    options = router.options()
    for daemon in DAEMONS:
        argv = router._command("natctl") + ["agent"] if daemon == "agent" else router._command(daemon)
        yield daemon, argv + options
    yield "natctl check", router._command("natctl") + ["check"] + options


def said_well(output, path, line, word):
    """One line for the mistake: file:line:column: error: what is wrong."""
    errors = re.findall(rf"^{re.escape(path)}:(\d+):(\d+): error: (.+)$", output, re.MULTILINE)
    return any(
        (line is None or int(at) == line) and int(column) > 0 and word in text for at, column, text in errors
    )


def test_broken_configuration():
    """Refused at the start with exit code 2, and at a reload of everything on both routers, under load."""
    siege = Siege()
    with open(siege.lab.config, encoding="utf-8") as file:
        good = file.read()
    broken = os.path.join(siege.lab.directory, "broken.yaml")
    router = siege.first
    config, run_dir = router.config, router.run_dir
    router.config, router.run_dir = broken, os.path.join(siege.lab.directory, "other-run")
    for what, text, line, word in variants(good):
        with open(broken, "w", encoding="utf-8") as file:
            file.write(text)
        for name, argv in commands(router):
            done = router.namespace.run(argv, check=False, timeout=10)
            output = done.stdout + done.stderr
            siege.require(
                done.returncode == 2, f"{what}: {name} exits with {done.returncode}: {output[:200]}"
            )
            siege.require(said_well(output, broken, line, word), f"{what}: {name} says: {output[:300]}")
    siege.require(not os.path.exists(router.run_dir), "something was started with a broken file")
    key = os.path.join(siege.lab.directory, "sync.key")
    os.chmod(key, 0o640)
    router.config = config
    for name, argv in commands(router):
        if name in ("syncd", "natctl check"):
            done = router.namespace.run(argv, check=False, timeout=10)
            siege.require(
                done.returncode == 2 and f"chmod 600 {key}" in done.stderr, f"open key: {name}: {done.stderr}"
            )
    os.chmod(key, 0o600)
    router.run_dir = run_dir
    reload_broken(siege, good)
    siege.power_cut()
    siege.finish(verify=False)


def picture(router):
    """All that a reload could change."""
    status = router.status()
    groups = [
        {key: group[key] for key in ("state", "phase", "term", "priority")} for group in status["groups"]
    ]
    table = router.namespace.run(["nft", "-s", "list", "table", "inet", "steadynat"]).stdout
    return (
        groups,
        status["sync"]["state"],
        table,
        router.namespace.show("-4", "addr", "show", "dev", "eth0").split("valid")[0],
    )


def refused(router):
    return any("refused when syncd read it anew" in reason for reason in router.status()["reasons"])


def reload_broken(siege, good):
    before = [picture(router) for router in siege.routers.values()]
    for number, (what, text, line, word) in enumerate(variants(good)):
        if number % 4 != 0:  # a few of them: the reader is the same
            continue

        def reload(broken=text):
            with open(siege.lab.config, "w", encoding="utf-8") as file:
                file.write(broken)
            for router in siege.routers.values():
                for daemon in DAEMONS:
                    router.daemons[daemon].signal(signal.SIGHUP)

        lengths = {(r.name, d): len(siege.log(r, d)) for r in siege.routers.values() for d in DAEMONS}
        siege.during(f"reload with {what.splitlines()[-1].strip()}", reload, least=0.7)
        for router in siege.routers.values():
            for daemon in DAEMONS:
                fresh = siege.log(router, daemon)[lengths[router.name, daemon] :]
                siege.require(
                    said_well(fresh, siege.lab.config, line, word),
                    f"{router.name} {daemon} says: {fresh[:300]}",
                )
                kept = "stays as it was" in fresh or "nothing is changed" in fresh
                siege.require(
                    kept, f"{router.name} {daemon} does not say that nothing changes: {fresh[:300]}"
                )
    after = [picture(router) for router in siege.routers.values()]
    siege.require(before == after, f"a broken file changed something: {before} became {after}")
    with open(siege.lab.config, "w", encoding="utf-8") as file:
        file.write(good)
    for router in siege.routers.values():
        siege.require(refused(router), f"the status of {router.name} does not say that its file was refused")
        for daemon in DAEMONS:
            router.daemons[daemon].signal(signal.SIGHUP)
        wait_until(lambda r=router: not refused(r), 30, f"{router.name} has taken over its file")
