"""What groups track: scripts, files, processes and interfaces, and what it does to who is master."""
import os
import shutil
import stat

from lib.process import Process
from lib.segment import Segments, Vrrpd
from lib.wait import require, wait_until

WAN = "wan: { interface: eth0, vrid: 10, virtual_addresses: [10.0.0.254/24] }"


def write(path, text, mode=0o644):
    """Never half written: somebody looks at it all the time."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def test_track():
    net = Segments()
    script, health = (os.path.join(net.directory, name) for name in ("check", "health"))
    seen = os.path.join(net.directory, "seen")
    for path in (net.directory, os.path.dirname(net.directory)):
        os.chmod(path, os.stat(path).st_mode | stat.S_IXOTH)
    with open(seen, "w", encoding="ascii"):
        os.chmod(seen, 0o666)

    def script_that(does):
        write(script, f'#!/bin/sh\necho "$1 $2 $(id -un) $STEADYNAT_NODE" >> {seen}\n{does}\n', 0o755)

    script_that("exit 0")
    there, pipe = (os.path.join(net.directory, name) for name in ("there", "pipe"))
    write(there, "")
    os.mkfifo(pipe)  # nobody will ever write into it: to open it must not wait for that
    net.r1.namespace.ip("link add up0 type veth peer name up1", "link set up0 up", "link set up1 up")
    helper = os.path.join(net.directory, "trackedhelper")
    shutil.copy("/bin/sleep", helper)
    process = Process("tracked", [helper, "300"], net.r1.namespace, os.path.join(net.directory, "sleep.log"))
    track = (
        "track:\n"
        f"  uplink: {{ script: {script}, interval: 200ms, timeout: 200ms, fall: 2, rise: 2, weight: 150,\n"
        "            user: nobody }\n"
        f"  health: {{ file: {health}, interval: 100ms }}\n"
        f"  exists: {{ script: /usr/bin/test, arguments: [-e, {there}], interval: 200ms, weight: 130 }}\n"
        f"  pipe: {{ file: {pipe}, interval: 100ms }}\n"
        "  port: { interface: up0, weight: 120 }\n"
        "  helper: { process: trackedhelper, interval: 100ms, weight: 110 }\n"
    )
    first, second = Vrrpd(net.r1, net.directory), Vrrpd(net.r2, net.directory)
    first.write(WAN, group=track)
    second.write(WAN)
    for router in (first, second):
        router.start()
    first.wait("master")
    second.wait("backup")
    wait_until(lambda: "G uplink nobody R1" in open(seen, encoding="ascii").read(), 30, "the script runs as nobody")
    require(all(each["good"] for each in first.group()["tracks"]), f"{first.group()['tracks']}")

    def moves(what, break_it, mend_it):
        break_it()
        second.wait("master")
        first.wait("backup")
        wait_until(lambda: [each["name"] for each in first.group()["tracks"]
                            if not each["good"] or each["adjustment"]] == [what], 30, f"{what} alone is said to fail")
        mend_it()
        first.wait("master")
        second.wait("backup")

    moves("uplink", lambda: script_that("exit 1"), lambda: script_that("exit 0"))
    moves("uplink", lambda: script_that("exec sleep 300"), lambda: script_that("exit 0"))
    require(first.status()["counters"]["io_tracks_timed_out"] > 0, "a script that hangs was not ended")
    moves("exists", lambda: os.remove(there), lambda: write(there, ""))
    require("pipe: is not a regular file; taken for 0" in first.said(), f"a pipe is named in {first.log}")
    moves("health", lambda: write(health, "-150\n"), lambda: os.remove(health))
    moves("port", lambda: net.r1.namespace.ip("link set up1 down"), lambda: net.r1.namespace.ip("link set up1 up"))

    write(health, "fault\n")
    first.wait("fault")
    second.wait("master")
    require("health" in " ".join(first.group()["reasons"]), f"{first.group()['reasons']}")
    write(health, "0\n")
    first.wait("master")
    process.kill()
    second.wait("master")
    first.stop()
    require(second.state() == "master", "alone and not master")
