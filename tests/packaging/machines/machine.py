"""A router as a whole Debian: what both kinds, containers and virtual machines, have in common."""
import json
import os
import shlex
import time
from dataclasses import dataclass

from lib.wait import TestFailed, wait_until


@dataclass
class Answer:
    code: int
    text: str


class Machine:
    """Subclasses start and end it, and pass commands to it."""

    def __init__(self, name, network, directory):
        self.name = name
        self.network = network
        self.logs = os.path.join(directory, name)
        os.makedirs(self.logs, exist_ok=True)
        self.powered = False

    # --- of the subclass

    def boot(self):
        raise NotImplementedError

    def power_cut(self):
        """The moment, CLOCK_MONOTONIC in ns."""
        raise NotImplementedError

    def ask(self, command, timeout):
        """An Answer."""
        raise NotImplementedError

    def put_files(self, directory, target):
        """Copies what lies in a directory of the host into one of the machine."""
        raise NotImplementedError

    # --- commands

    def run(self, command, check=True, timeout=120):
        """A shell command in the machine; what it printed."""
        begun = time.monotonic()
        answer = self.ask(command, timeout)
        with open(os.path.join(self.logs, "commands"), "a", encoding="utf-8") as log:
            took = time.monotonic() - begun
            log.write(f"{time.strftime('%H:%M:%S')} $ {command}\n{answer.text}[exit {answer.code}, {took:.1f} s]\n")
        if check and answer.code != 0:
            raise TestFailed(f"{self.name}: {command}: exit {answer.code}: {answer.text.strip()[-600:]}")
        return answer.text

    def succeeds(self, command, timeout=60):
        return self.ask(command, timeout).code == 0

    def write(self, path, text, mode="644"):
        if os.path.dirname(path):
            self.run(f"mkdir -p {shlex.quote(os.path.dirname(path))}")
        self.run(f"printf %s {shlex.quote(text)} >{shlex.quote(path)} && chmod {mode} {shlex.quote(path)}")

    def wait_booted(self, timeout):
        """systemd has done what there was to do at the start."""

        def done():
            try:
                state = self.ask("systemctl is-system-running", 30).text.strip()
            except TestFailed:
                return False
            return state if state in ("running", "degraded") else False

        state = wait_until(done, timeout, f"{self.name} has booted", every=0.5)
        if state == "degraded":
            raise TestFailed(f"{self.name}: units failed: {self.run('systemctl --failed --no-legend --plain')}")

    # --- our programs in it

    def status(self):
        """natctl's, or {} when it says nothing."""
        try:
            return json.loads(self.ask("natctl status --json 2>/dev/null", 30).text)
        except ValueError:
            return {}

    def state(self):
        groups = self.status().get("groups")
        return groups[0]["state"] if groups else None

    def differing(self):
        """How many connections differ between the two kernels, or None."""
        try:
            return json.loads(self.ask("natctl sync verify --json", 90).text).get("differ")
        except ValueError:
            return None

    def process(self, unit):
        """Its main process, 0 when there is none."""
        return int(self.run(f"systemctl show -p MainPID --value {unit}").strip() or 0)

    def collect(self):
        """What one wants to see after a failure."""
        for name, command in {
            "journal": "journalctl -b --no-pager -o short-precise",
            "status": "natctl status; natctl show events; natctl show vrrp; natctl show sync; natctl show nat",
            "system": "systemctl --failed --no-pager; systemctl status --no-pager 'steadynat*'",
            "network": "ip addr; ip route; nft list ruleset",
        }.items():
            try:
                text = self.ask(command, 60).text
            except Exception as error:  # a dead machine must not hide the others
                text = f"{type(error).__name__}: {error}\n"
            with open(os.path.join(self.logs, name), "w", encoding="utf-8") as file:
                file.write(text)
