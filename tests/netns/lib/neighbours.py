"""VRRP routers of others: keepalived and FRR's vrrpd, as Debian packages them."""
import os
import shutil
import signal

from .process import Process
from .wait import require

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
