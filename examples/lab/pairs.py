"""The two pairs that the demo can run: ours, and Debian's keepalived and conntrackd."""
import os
import time

from lib.process import Process
from lib.router import Router, write_config
from lib.static_router import load_table
from lib.wait import wait_until


class SteadynatPair:
    name = "steadynat"

    def __init__(self, lab, options):
        self.lab = lab
        lab.start_pair(interval=options.interval, commit=options.commit)
        self.first, self.second = lab.routers["R1"], lab.routers["R2"]

    def events(self):
        """(title, what the screen says, action, the master is cut off in the middle)"""
        return [
            (
                "power cut of R1",
                "R1 loses its power: unplugged from every switch and the link",
                self._cut,
                True,
            ),
            (
                "power back on",
                "R1 has power again: two masters meet, R1 catches up and takes over",
                self._back,
                False,
            ),
            ("natctl switchover", "the operator moves the group to R2", self._switch, False),
            ("natctl release", "the operator lets R1 have the group back", self._release, False),
        ]

    def _cut(self):
        return self.first.host.power_cut()

    def _back(self):
        at = self.first.host.power_on()
        self.lab.wait_ready("R1", timeout=60)
        return at

    def _switch(self):
        at = time.monotonic_ns()
        self.first.natctl("switchover")
        wait_until(lambda: self.second.state() == "master", 10, "R2 is master after natctl switchover")
        return at

    def _release(self):
        at = time.monotonic_ns()
        self.first.natctl("release")
        self.lab.wait_ready("R1", timeout=60)
        return at

    def problems(self):
        return self.lab.check_daemons() + self.lab.check_leaks() + self.lab.check_counters()


KEEPALIVED = """global_defs {{
  router_id {name}
  script_user root
  vrrp_version 3
}}
vrrp_sync_group MAIN-GW {{
  group {{ wan lan }}
  notify_master "{script} primary"
  notify_backup "{script} backup"
  notify_fault "{script} fault"
}}
vrrp_instance wan {{
  state BACKUP
  interface eth0
  virtual_router_id 1
  priority {priority}
  advert_int {interval}
  virtual_ipaddress {{ 10.10.0.101/24 }}
}}
vrrp_instance lan {{
  state BACKUP
  interface eth2
  virtual_router_id 2
  priority {priority}
  advert_int {interval}
  virtual_ipaddress {{ 192.168.100.1/24 }}
}}
"""

CONNTRACKD = """Sync {{
  Mode FTFW {{ }}
  UDP {{
    IPv4_address {own}
    IPv4_Destination_Address {peer}
    Port 3780
    Interface eth1
    SndSocketBuffer 1249280
    RcvSocketBuffer 1249280
    Checksum on
  }}
}}
General {{
  HashSize 32768
  HashLimit 131072
  LogFile {directory}/conntrackd.log
  LockFile {directory}/conntrackd.lock
  UNIX {{ Path {directory}/conntrackd.ctl }}
  NetlinkBufferSize 2097152
  NetlinkBufferSizeMaxGrowth 8388608
  Filter From Userspace {{
    Protocol Accept {{ TCP UDP }}
    Address Ignore {{
      IPv4_address 127.0.0.1
      IPv4_address 10.10.0.102
      IPv4_address 10.10.0.103
      IPv4_address 192.168.100.2
      IPv4_address 192.168.100.3
      IPv4_address 10.10.10.2
      IPv4_address 10.10.10.3
    }}
  }}
}}
"""

# The calls that conntrackd's manual asks for at each transition.
NOTIFY = """#!/bin/sh
conntrackd() {{ /usr/sbin/conntrackd -C {config} "$@" >>{directory}/notify.log 2>&1; }}
case "$1" in
  primary) conntrackd -c; conntrackd -f; conntrackd -R; conntrackd -B ;;
  backup) conntrackd -t; conntrackd -n ;;
  fault) conntrackd -t ;;
esac
"""


class KeepalivedPair:
    name = "keepalived + conntrackd"

    def __init__(self, lab, options):
        self.lab = lab
        self._processes = {}
        for host, priority, own, peer in (
            (lab.network.routers["R1"], 200, "10.10.10.2", "10.10.10.3"),
            (lab.network.routers["R2"], 100, "10.10.10.3", "10.10.10.2"),
        ):
            directory = os.path.join(lab.directory, host.name)
            os.makedirs(directory, exist_ok=True)
            load_table(host)
            host.namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
            self._write(
                directory, "conntrackd.conf", CONNTRACKD.format(own=own, peer=peer, directory=directory)
            )
            script = self._write(
                directory,
                "notify",
                NOTIFY.format(config=f"{directory}/conntrackd.conf", directory=directory),
                0o755,
            )
            self._write(
                directory,
                "keepalived.conf",
                KEEPALIVED.format(
                    name=host.name, script=script, priority=priority, interval=options.interval
                ),
            )
            self._start(host, "conntrackd")
            self._start(host, "keepalived")
        time.sleep(4 * options.interval + 3)

    @staticmethod
    def _write(directory, name, text, mode=0o644):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def _start(self, host, program):
        directory = os.path.join(self.lab.directory, host.name)
        if program == "conntrackd":
            argv = ["/usr/sbin/conntrackd", "-C", f"{directory}/conntrackd.conf"]
        else:
            argv = [
                "/usr/sbin/keepalived",
                "-n",
                "-l",
                "-P",
                "-f",
                f"{directory}/keepalived.conf",
                "-p",
                f"{directory}/keepalived.pid",
                "-r",
                f"{directory}/vrrp.pid",
            ]
        self._processes[host.name, program] = Process(
            f"{host.name} {program}", argv, host.namespace, os.path.join(directory, f"{program}.out")
        )

    def events(self):
        return [
            (
                "power cut of R1",
                "R1 loses its power: unplugged from every switch and the link",
                self._cut,
                True,
            ),
            ("power back on", "R1 has power again and preempts", self._back, False),
            ("keepalived stopped on R1", "the operator moves the group to R2", self._stop, False),
            ("keepalived started on R1", "the operator lets R1 have the group back", self._restart, False),
        ]

    def _first(self):
        return self.lab.network.routers["R1"]

    def _cut(self):
        return self._first().power_cut()

    def _back(self):
        at = self._first().power_on()
        time.sleep(10)
        return at

    def _stop(self):
        at = time.monotonic_ns()
        self._processes["R1", "keepalived"].terminate()
        return at

    def _restart(self):
        at = time.monotonic_ns()
        self._start(self._first(), "keepalived")
        time.sleep(10)
        return at

    def problems(self):
        return self.lab.check_leaks()
