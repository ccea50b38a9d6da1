"""VRRP routers of others: keepalived and FRR's vrrpd, as Debian packages them."""
import json
import os
import shutil
import signal
import tempfile

from .process import Process
from .wait import require, wait_until

FRR = "/usr/lib/frr"


class Keepalived:
    def __init__(self, host, directory):
        require(shutil.which("keepalived"), "keepalived is not installed")
        self.host = host
        self.directory = os.path.join(directory, f"keepalived-{host.name}")
        os.makedirs(self.directory, exist_ok=True)
        self.config = os.path.join(self.directory, "keepalived.conf")
        self.log = os.path.join(self.directory, "keepalived.log")
        self.process = None

    def write(self, *instances, head="", tail=""):
        with open(self.config, "w", encoding="ascii") as file:
            file.write(f"global_defs {{ vrrp_version 3\n {head} }}\n" + "".join(instances) + tail)

    @staticmethod
    def instance(name="wan", interface="eth0", vrid=10, priority=150, interval="0.1", addresses=(), more=""):
        listed = "\n  ".join(f"{address} dev {interface}" for address in addresses)
        return (
            f"vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n"
            f" priority {priority}\n advert_int {interval}\n {more}\n virtual_ipaddress {{\n  {listed}\n }}\n}}\n"
        )

    def start(self):
        argv = ["keepalived", "-n", "-l", "-D", "-P", "-f", self.config, "-p", self.log + ".pid", "-r",
                self.log + ".vpid"]
        self.process = Process("keepalived", argv, self.host.namespace, self.log)

    def stop(self):
        self.process.terminate()

    def kill(self):
        """SIGKILL, for the child that speaks VRRP too: left alone it would say goodbye."""
        with open(self.log + ".vpid", encoding="ascii") as file:
            child = int(file.read())
        self.process.pause()
        os.kill(child, signal.SIGKILL)
        self.process.kill()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


class Frr:
    """zebra and vrrpd by hand. The interface with the virtual MAC is made outside of them, as FRR wants it; as backup
    they keep it in "protodown"."""

    def __init__(self, host, directory):
        require(os.path.exists(os.path.join(FRR, "vrrpd")), "frr is not installed")
        self.host = host
        self.directory = os.path.join(directory, f"frr-{host.name}")
        os.makedirs(self.directory, exist_ok=True)
        # Its daemons run as a user of their own, and reach each other below /run: each in a directory of this test.
        self.run_dir = tempfile.mkdtemp(prefix="frr-", dir="/run")
        self.processes = {}
        self.family = None

    def write(self, family, priority, addresses, vrid=10, interface="eth0", preempt=True):
        """Addresses with prefix lengths."""
        self.family = family
        macvlan = f"vrrp{family}-1"
        mac = f"00:00:5e:00:0{1 if family == 4 else 2}:{vrid:02x}"
        self.host.namespace.sysctl(f"net.ipv4.conf.{interface}.arp_ignore", 1)
        if not self.host.namespace.run(["ip", "link", "show", "dev", macvlan], check=False).stdout:
            self.host.namespace.ip(f"link add {macvlan} link {interface} type macvlan mode bridge")
            for key, value in (("disable_ipv6", 0), ("accept_dad", 0)):
                self.host.namespace.sysctl(f"net.ipv6.conf.{macvlan}.{key}", value)
            self.host.namespace.ip(f"link set dev {macvlan} address {mac}", f"link set {macvlan} up",
                                   *(f"addr add {address} dev {macvlan} {'nodad' if family == 6 else ''}"
                                     for address in addresses))
        word = "ip" if family == 4 else "ipv6"
        listed = "".join(f" vrrp {vrid} {word} {address.split('/')[0]}\n" for address in addresses)
        with open(os.path.join(self.run_dir, "vrrpd.conf"), "w", encoding="ascii") as file:
            file.write(f"interface {interface}\n vrrp {vrid} version 3\n vrrp {vrid} priority {priority}\n"
                       f" vrrp {vrid} advertisement-interval 100\n{listed}"
                       + ("" if preempt else f" no vrrp {vrid} preempt\n"))
        with open(os.path.join(self.run_dir, "zebra.conf"), "w", encoding="ascii") as file:
            file.write("!\n")

    def start(self):
        for path, _, files in os.walk(self.run_dir):
            for name in [path, *(os.path.join(path, file) for file in files)]:
                shutil.chown(name, "frr", "frr")
        for daemon in ("zebra", "vrrpd"):
            here = os.path.join(self.run_dir, daemon)
            argv = [os.path.join(FRR, daemon), "-f", here + ".conf", "-i", here + ".pid", "-z", self.run_dir + "/zserv",
                    "--vty_socket", self.run_dir, "-P", "0"]
            log = os.path.join(self.directory, f"{daemon}.log")
            self.processes[daemon] = Process(f"frr {daemon}", argv, self.host.namespace, log)
            wait_until(lambda d=daemon: os.path.exists(os.path.join(self.run_dir, f"{d}.vty")), 10, f"{daemon} listens")

    def state(self):
        """Master, Backup, Initialize; or None."""
        done = self.host.namespace.run(["vtysh", "--vty_socket", self.run_dir, "-c", "show vrrp json"], check=False)
        try:
            routers = json.loads(done.stdout)
        except ValueError:
            return None
        return routers[0][f"v{self.family}"]["status"] if routers else None

    def is_master(self):
        return self.state() == "Master"

    def is_backup(self):
        return self.state() == "Backup"

    def stop(self):
        for daemon in ("vrrpd", "zebra"):
            self.processes[daemon].terminate()

    def kill(self):
        for daemon in ("vrrpd", "zebra"):
            self.processes[daemon].kill()
