#!/usr/bin/python3
"""Are the units sound, and as tight as they were meant to be?

    units.py BINARIES
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEBIAN = os.path.join(ROOT, "packaging", "debian")
SERVICES = ("steadynat-vrrpd", "steadynat-syncd", "steadynat-nat")
# systemd's exposure: 0 is best, 10 is worst. Debian's keepalived has 9.6, its conntrackd 9.3.
WORST = 2.5


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def copy(source, *target):
    target = os.path.join(*target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(source, target)
    return target


def main():
    binaries = sys.argv[1]
    faults = []
    with tempfile.TemporaryDirectory() as root:
        for name in ("vrrpd", "syncd", "natctl"):
            copy(os.path.join(binaries, name), root, "usr/sbin", name)
        for name in ("bin/kill", "bin/sh"):
            copy("/" + name, root, name)
        # Units of the system that ours name must be there, or each is a complaint.
        shutil.copytree("/lib/systemd/system", os.path.join(root, "lib/systemd/system"), symlinks=True)
        units = [
            copy(os.path.join(DEBIAN, f"steadynat.{unit}"), root, "lib/systemd/system", unit)
            for unit in [f"{name}.service" for name in SERVICES] + ["steadynat.target"]
        ]
        said = run("systemd-analyze", "verify", "--man=no", f"--root={root}", *(os.path.basename(u) for u in units))
        faults += [line for line in said.stdout.splitlines() if "steadynat" in line]
        if said.returncode != 0 and not faults:
            faults.append(f"systemd-analyze verify: exit {said.returncode}: {said.stdout}")
        for unit in units[: len(SERVICES)]:
            said = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit).stdout
            found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
            score = float(found.group(1)) if found else None
            print(f"{os.path.basename(unit)}: exposure {score}")
            if score is None or score > WORST:
                faults.append(f"{os.path.basename(unit)}: exposure {score}, {WORST} at most\n{said}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
