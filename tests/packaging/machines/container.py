"""A router in a container: the host's kernel, its own network namespace, and systemd as its first process."""
import os
import shutil
import signal
import subprocess
import time

from lib.netns import Namespace
from lib.wait import TestFailed, wait_until

from . import image
from .machine import Answer, Machine

INTERFACES = {"eth0": "wan", "eth1": "link", "eth2": "lan"}
BOOT_LIMIT = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Nothing of the environment of the test gets into a machine.
CLEAN = ("/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")


def cgroup_roots():
    """systemd wants a part of the tree of its own; on hosts with the old layout there are two trees."""
    base = "/sys/fs/cgroup"
    if os.path.exists(f"{base}/cgroup.procs"):
        return [base]
    return [f"{base}/{name}" for name in ("unified", "systemd") if os.path.isdir(f"{base}/{name}")]


class Container(Machine):
    def __init__(self, name, network, directory):
        super().__init__(name, network, directory)
        self._overlay = os.path.join(directory, name, "overlay")
        self.root = os.path.join(self._overlay, "root")
        # Whoever gave the first part of the name removes what bears it when everything has ended.
        run = os.environ.get("STEADYNAT_CGROUP", "steadynat-test")
        self._cgroup = f"{run}-{time.monotonic_ns()}-{name}"
        self._process = None
        self._namespace = None
        self._boots = 0
        for part in ("upper", "work", "root"):
            os.makedirs(os.path.join(self._overlay, part), exist_ok=True)
        # Overlays do not lie upon each other on every file system: memory does, and is gone with the mount namespace.
        image.run(["mount", "-t", "tmpfs", "none", self._overlay])
        for part in ("upper", "work", "root"):
            os.makedirs(os.path.join(self._overlay, part), exist_ok=True)
        layers = f"lowerdir={image.root()},upperdir={self._overlay}/upper,workdir={self._overlay}/work"
        image.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root])
        self._put("etc/hostname", name + "\n")

    def _put(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    def boot(self):
        self._boots += 1
        self._namespace = Namespace(f"{self.name.lower()}-{self._boots}")
        for interface, switch in INTERFACES.items():
            self.network.switches[switch].plug(self._namespace, interface, self._port())
        os.makedirs("/run/systemd/nspawn", exist_ok=True)
        arguments = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot",
            f"--machine={self.name.lower()}", f"--hostname={self.name}", f"--directory={self.root}",
            f"--network-namespace-path=/run/netns/{self._namespace.name}",
            "--capability=CAP_NET_ADMIN,CAP_IPC_LOCK,CAP_SYS_NICE,CAP_SYS_RESOURCE",
            "--resolv-conf=off", "--timezone=off",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
        with open(os.path.join(self.logs, "console"), "ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=self._enter_cgroup,
            )
        self.powered = True
        wait_until(self._first, BOOT_LIMIT, f"{self.name} has a first process")
        self.wait_booted(BOOT_LIMIT)

    def _port(self):
        return f"{self.name.lower()}-{self._boots}"

    def _enter_cgroup(self):
        for base in cgroup_roots():
            os.makedirs(f"{base}/{self._cgroup}", exist_ok=True)
            with open(f"{base}/{self._cgroup}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")

    def _first(self):
        """Process id of systemd, as this namespace of process ids has it; None while there is none."""
        if self._process.poll() is not None:
            raise TestFailed(f"{self.name}: nspawn ended with {self._process.returncode}; see {self.logs}/console")
        try:
            with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            return None
        for child in children:
            with open(f"/proc/{child}/comm", encoding="ascii") as file:
                if file.read().strip() == "systemd":
                    return int(child)
        return None

    def ask(self, command, timeout):
        first = self._first()
        if first is None:
            return Answer(-1, "not running")
        argv = ["nsenter", "-t", str(first), "-a", *CLEAN, "/bin/bash", "-c", "cd /root; " + command]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise TestFailed(f"{self.name}: {command}: not within {timeout} s") from None
        return Answer(done.returncode, done.stdout)

    def put_files(self, directory, target):
        shutil.copytree(directory, os.path.join(self.root, target.lstrip("/")), dirs_exist_ok=True)

    def power_cut(self):
        """Unplugged first, all at once and silently; then everything ends."""
        at = time.monotonic_ns()
        for switch in ("link", "wan", "lan"):
            self.network.switches[switch].unplug_silently(self._port())
        self._process.send_signal(signal.SIGKILL)
        self._end()
        return at

    def reboot(self):
        """In order, as `systemctl reboot` does it."""
        at = time.monotonic_ns()
        self.ask("systemctl --no-block poweroff", 30)
        self._process.wait(60)
        self._end()
        return at

    def _end(self):
        """What a machine loses with its power: processes, memory, addresses, tables. Its disk stays."""
        self._process.wait()
        self.powered = False
        for base in cgroup_roots():
            for folder, _, _ in os.walk(f"{base}/{self._cgroup}", topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
        self._namespace.remove()
