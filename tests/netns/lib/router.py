"""A router of ours: the host, its three daemons and what can happen to them."""
import json
import os
import shutil
import subprocess
import time

from .netns import run
from .network import LAN_VIRTUAL, WAN_VIRTUAL
from .process import Process, tail
from .wait import wait_until

DAEMONS = ("vrrpd", "syncd", "agent")

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../examples/pair/steadynat.yaml")


class Router:
    def __init__(self, host, binaries, directory, config):
        self.host = host
        self.name = host.name
        self.namespace = host.namespace
        self.config = config
        self._binaries = binaries
        self.run_dir = os.path.join(directory, self.name, "run")
        self.logs = os.path.join(directory, self.name)
        os.makedirs(self.logs, exist_ok=True)
        self.daemons = {}

    # --- daemons

    def log(self, daemon):
        return os.path.join(self.logs, f"{daemon}.log")

    def _command(self, program):
        return [os.path.join(self._binaries, program)]

    def options(self):
        return ["--config", self.config, "--node", self.name, "--run-dir", self.run_dir]

    def start(self, *daemons):
        """All three by default, in an order that must not matter."""
        for daemon in daemons or DAEMONS:
            argv = self._command("natctl") + ["agent"] if daemon == "agent" else self._command(daemon)
            self.daemons[daemon] = Process(
                f"{self.name} {daemon}", argv + self.options(), self.namespace, self.log(daemon)
            )

    def stop(self, *daemons):
        """SIGTERM; the exit codes."""
        return {
            daemon: self.daemons[daemon].terminate()
            for daemon in daemons or DAEMONS
            if daemon in self.daemons
        }

    def kill(self, *daemons):
        """SIGKILL. Returns the moment."""
        at = time.monotonic_ns()
        for daemon in daemons or DAEMONS:
            if daemon in self.daemons:
                self.daemons[daemon].kill()
        return at

    def pause(self, daemon):
        at = time.monotonic_ns()
        self.daemons[daemon].pause()
        return at

    def resume(self, daemon):
        at = time.monotonic_ns()
        self.daemons[daemon].resume()
        return at

    def died(self):
        """Daemons that ended although nobody asked: name, exit code, last words."""
        return [
            f"{self.name} {name}: exit {d.process.returncode}: {tail(d.log, 3)}"
            for name, d in self.daemons.items()
            if not d.alive()
        ]

    # --- the machine

    def reboot(self):
        """Power is gone already or goes with it: every daemon, the connections, the table, the addresses,
        /run."""
        self.kill()
        self.daemons.clear()
        self.namespace.run(["nft", "delete", "table", "inet", "steadynat"], check=False)
        self.namespace.run(["conntrack", "-F"], check=False)
        self.drop_virtual_addresses()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def drop_virtual_addresses(self):
        for interface, address in (("eth0", WAN_VIRTUAL), ("eth2", LAN_VIRTUAL)):
            for prefix in ("24", "32"):
                self.namespace.run(
                    ["ip", "addr", "del", f"{address}/{prefix}", "dev", interface], check=False
                )

    def holds_addresses(self):
        """How many of the two virtual addresses are on this router."""
        return sum(self.host.has_address(address) for address in (WAN_VIRTUAL, LAN_VIRTUAL))

    # --- natctl

    def natctl(self, *words, check=True, timeout=30):
        return self.namespace.run(
            self._command("natctl") + list(words) + self.options(), check=check, timeout=timeout
        )

    def natctl_json(self, *words):
        """The JSON that natctl prints, or None when it prints none in time."""
        try:
            return json.loads(self.natctl(*words, "--json", check=False).stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return None

    def status(self):
        return self.natctl_json("status") or {}

    def state(self):
        """master, backup, fault, initialize; or None when vrrpd does not answer."""
        groups = self.status().get("groups")
        return groups[0]["state"] if groups else None

    def gate(self):
        return (self.status().get("nat") or {}).get("gate")

    def synced(self):
        return (self.status().get("sync") or {}).get("state") == "synced"

    def counter(self, name):
        """A counter of any daemon, wherever it stands in the listings; None when none of them knows it."""
        found = [
            value for part in ("vrrp", "sync", "nat") for value in find(self.natctl_json("show", part), name)
        ]
        return sum(found) if found else None

    def wait_state(self, state, timeout=15):
        return wait_until(lambda: self.state() == state, timeout, f"{self.name} is {state}")


def find(tree, name):
    """All numbers of this name in a JSON tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name and isinstance(value, (int, float)):
                yield value
            else:
                yield from find(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from find(value, name)


def write_config(directory, binaries, interval="100ms", commit="continuous", mapping="fully-random", changes=()):
    """The example's file with a few values of its own, and a key: the same for both routers. `changes`: more that is
    another text than in the example."""
    key_file = os.path.join(directory, "sync.key")
    key = run([os.path.join(binaries, "natctl"), "keygen"]).stdout
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    with open(EXAMPLE, encoding="utf-8") as file:
        text = file.read()
    for old, new in (
        ("advertise_interval: 1s", f"advertise_interval: {interval}"),
        ("key_file: /etc/steadynat/sync.key", f"key_file: {key_file}"),
        ("commit: continuous", f"commit: {commit}"),
        ("translate_to: 10.10.0.101 }", f"translate_to: 10.10.0.101, port_mapping: {mapping} }}"),
        *changes,
    ):
        if text.count(old) != 1:
            raise ValueError(f"{EXAMPLE}: expected exactly one '{old}'")
        text = text.replace(old, new)
    path = os.path.join(directory, "steadynat.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
