"""A router in a virtual machine: Debian's own kernel, its interfaces on tap devices at the switches' bridges. The
processor is emulated (KVM is not to be had everywhere), so everything takes its time."""
import base64
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time

from lib.wait import TestFailed, wait_until

from . import image
from .container import INTERFACES
from .machine import Answer, Machine

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
MEMORY = "512M"
# Emulated, beside other jobs.
BOOT_LIMIT = 900
QUIET = "random.trust_cpu=on systemd.mask=e2scrub_reap.service"
SHUTDOWN_LIMIT = 300
START_LIMIT = 120


def open_tap(switch, port):
    """A descriptor of a new tap device that is a port of the switch; it vanishes with its last descriptor."""
    with switch.namespace.inside():
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        request = struct.pack("16sH22x", port.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(descriptor, TUNSETIFF, request)
    switch.adopt(port)
    return descriptor


class Vm(Machine):
    def __init__(self, name, network, directory):
        super().__init__(name, network, directory)
        base, self._kernel, self._initrd = image.disk()
        self._channel = os.path.join(self.logs, "commands.sock")
        self._disk = os.path.join(self.logs, "disk.qcow2")
        image.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, self._disk])
        self._files = None
        self._process = None
        self._socket = None
        self._boots = 0
        self._fresh = True
        self._asked = 0
        self._buffer = b""

    def put_files(self, directory, target):
        """Before the first boot: they come on a disk of their own."""
        self._files = (os.path.join(self.logs, "files.ext4"), target)
        image.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", directory, self._files[0], "256M"])

    def boot(self):
        self._boots += 1
        port = f"{self.name.lower()}-{self._boots}"
        descriptors, devices = [], []
        for number, (interface, switch) in enumerate(INTERFACES.items()):
            descriptor = open_tap(self.network.switches[switch], port)
            descriptors.append(descriptor)
            mac = f"52:54:00:00:{int(self.name[-1]):02x}:{number:02x}"
            devices += ["-netdev", f"tap,id={interface},fd={descriptor}",
                        "-device", f"virtio-net-pci,netdev={interface},mac={mac},romfile="]  # fmt: skip
        channel = self._channel
        drives = ["-drive", f"file={self._disk},if=virtio,cache=unsafe"]
        if self._files:
            drives += ["-drive", f"file={self._files[0]},if=virtio,format=raw,readonly=on"]
        arguments = [
            "qemu-system-x86_64", "-nodefaults", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", MEMORY, "-smp", "1",
            "-display", "none", "-serial", f"file:{self.logs}/console-{self._boots}",
            "-kernel", self._kernel, "-initrd", self._initrd,
            "-append", f"root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 mitigations=off {QUIET}",
            *drives, *devices, "-device", "virtio-rng-pci", "-device", "virtio-serial",
            "-chardev", f"socket,path={channel},server=on,wait=off,id=commands",
            "-device", "virtserialport,chardev=commands,name=commands",
        ]  # fmt: skip
        with open(os.path.join(self.logs, "qemu"), "ab") as log:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=descriptors
            )
        for descriptor in descriptors:
            os.close(descriptor)
        self.powered = True
        wait_until(lambda: os.path.exists(channel), START_LIMIT, f"{self.name}: qemu runs")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(channel)
        self.wait_booted(BOOT_LIMIT)
        if self._fresh:
            self.run(f"hostnamectl set-hostname {self.name}")
            if self._files:
                target = self._files[1]
                self.run(f"mount -o ro /dev/vdb /mnt && mkdir -p {target} && cp -a /mnt/. {target}/ && umount /mnt")
        self._fresh = False

    def ask(self, command, timeout):
        if self._process.poll() is not None:
            return Answer(-1, "not running")
        # The first line of the output says which question it answers: one that was given up may be answered later.
        self._asked += 1
        mark = f"#{self._asked}#"
        self._socket.sendall(base64.b64encode(f"echo '{mark}'\n{command}".encode()) + b"\n")
        end = time.monotonic() + timeout
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                code, _, text = line.partition(b" ")
                said, _, output = base64.b64decode(text).decode(errors="replace").partition("\n")
                if said == mark:
                    return Answer(int(code), output)
                continue
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                piece = self._socket.recv(65536)
            except TimeoutError:
                raise TestFailed(f"{self.name}: {command}: not within {timeout} s") from None
            if not piece:
                raise TestFailed(f"{self.name}: qemu ended")
            self._buffer += piece

    def power_cut(self):
        at = time.monotonic_ns()
        self._process.send_signal(signal.SIGKILL)
        self._end()
        return at

    def reboot(self):
        """In order, as `systemctl reboot` does it; ends switched off, as the container's does."""
        at = time.monotonic_ns()
        self._socket.sendall(base64.b64encode(b"systemctl --no-block poweroff") + b"\n")
        self._process.wait(SHUTDOWN_LIMIT)
        self._end()
        return at

    def _end(self):
        self._process.wait()
        self._socket.close()
        self._buffer = b""
        if os.path.exists(self._channel):
            os.unlink(self._channel)
        self.powered = False
