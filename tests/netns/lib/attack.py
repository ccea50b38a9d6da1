"""What a stranger, a fault or a mistake can send: VRRP adverts and sync datagrams made by hand, packets
recorded and sent again, and clients of the notify protocol that do not keep to it."""
import json
import os
import select
import socket
import struct
import subprocess
import threading
import time

from .network import ADDRESSES, LAN_VIRTUAL, WAN_VIRTUAL
from .wait import TestFailed
from .wire import ETH_P_ALL

VRRP_GROUP, VRRP_MAC = "224.0.0.18", "01005e000012"
SYNC_PORT = 3781
# A MAC address of nobody: with that of a router the switches would send its frames to us.
STRANGER_MAC = bytes.fromhex("02005e000066")
STRANGER = {"wan": "10.10.0.66", "lan": "192.168.100.66"}
VRID = {"wan": 1, "lan": 2}
VIRTUAL = {"wan": WAN_VIRTUAL, "lan": LAN_VIRTUAL}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(source, target, protocol, body, ttl=255):
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0xC0,
        20 + len(body),
        0,
        0,
        ttl,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(target),
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def advert_message(
    source, vrid, priority, addresses, interval_cs=10, version=3, kind=1, count=None, right=True
):
    """`count`: what the field says. `right`: the checksum, over pseudo-header and message."""
    listed = b"".join(socket.inet_aton(address) for address in addresses)
    count = len(addresses) if count is None else count
    message = struct.pack("!BBBBHH", version << 4 | kind, vrid, priority, count, interval_cs, 0) + listed
    pseudo = (
        socket.inet_aton(source) + socket.inet_aton(VRRP_GROUP) + struct.pack("!BBH", 0, 112, len(message))
    )
    total = checksum(pseudo + message) if right else checksum(pseudo + message) ^ 0x5555
    return message[:6] + struct.pack("!H", total) + message[8:]


class Stranger:
    """A host at a switch that sends what it likes."""

    def __init__(self, switch):
        with switch.namespace.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.bind(("br0", 0))

    def send(self, packet, mac=VRRP_MAC):
        self._socket.send(bytes.fromhex(mac.replace(":", "")) + STRANGER_MAC + b"\x08\x00" + packet)

    def close(self):
        self._socket.close()


class AdvertForger:
    """Adverts on the WAN or the LAN, right in all that is not said."""

    def __init__(self, network, segment):
        self._stranger = Stranger(network.switches[segment])
        self._segment = segment

    def send(self, priority=150, source=None, ttl=255, cut=None, more=b"", vrid=None, **fields):
        source = source or STRANGER[self._segment]
        vrid = VRID[self._segment] if vrid is None else vrid
        message = advert_message(
            source, vrid, priority, fields.pop("addresses", [VIRTUAL[self._segment]]), **fields
        )
        self._stranger.send(ip_packet(source, VRRP_GROUP, 112, message[:cut] + more, ttl))


class LinkForger:
    """Datagrams on the dedicated link, from the peer's address."""

    def __init__(self, network):
        self._stranger = Stranger(network.switches["link"])
        self._macs = {name: router.macs["eth1"] for name, router in network.routers.items()}

    def send(self, to, payload, source=None):
        target = ADDRESSES[to]["eth1"].split("/")[0]
        peer = ADDRESSES["R2" if to == "R1" else "R1"]["eth1"].split("/")[0]
        udp = struct.pack("!HHHH", SYNC_PORT, SYNC_PORT, 8 + len(payload), 0) + payload
        self._stranger.send(ip_packet(source or peer, target, 17, udp, 64), self._macs[to])


class LinkRecorder:
    """Sync datagrams as they leave the routers: (name of the sender, payload)."""

    def __init__(self, network):
        self._sockets = {}
        for name in network.routers:
            with network.switches["link"].namespace.inside():
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                s.bind((name.lower(), ETH_P_ALL))
            self._sockets[s] = name
        self._lock = threading.Lock()
        self._datagrams = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._stopping.is_set():
            for s in select.select(list(self._sockets), [], [], 0.2)[0]:
                data, (_, _, direction, _, _) = s.recvfrom(4096)
                if direction == socket.PACKET_OUTGOING or len(data) < 42 or data[12:14] != b"\x08\x00":
                    continue
                ports = struct.unpack_from("!HH", data, 34)
                if data[23] == 17 and ports == (SYNC_PORT, SYNC_PORT):
                    length = struct.unpack_from("!H", data, 38)[0]
                    with self._lock:
                        self._datagrams.append((self._sockets[s], data[42 : 34 + length]))

    def take(self):
        """What has come since the last call."""
        with self._lock:
            taken, self._datagrams = self._datagrams, []
        return taken

    def close(self):
        self._stopping.set()
        self._thread.join()
        for s in self._sockets:
            s.close()


class Client:
    """One connection to a daemon's socket that says what the test wants: messages, or any bytes."""

    def __init__(self, run_dir, daemon="vrrpd", timeout=5):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(timeout)
        self._socket.connect(os.path.join(run_dir, f"{daemon}.sock"))

    def say(self, kind, **fields):
        return self.throw((json.dumps({"type": kind, **fields}) + "\n").encode())

    def hello(self, role, terms=()):
        self.say("hello", version=1, role=role, node="R9", terms=list(terms))
        return self

    def throw(self, data):
        self._socket.send(data)
        return self

    def next(self):
        """The next message; None: the daemon has closed the connection."""
        try:
            packet = self._socket.recv(1 << 17)
        except ConnectionError:
            return None
        return json.loads(packet) if packet else None

    def expect(self, kind, timeout=5):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            message = self.next()
            if message is None:
                raise TestFailed(f"the daemon closed the connection, a '{kind}' was expected")
            if message["type"] == kind:
                return message
        raise TestFailed(f"no '{kind}' within {timeout} s")

    def closed(self):
        """Whether the daemon ends the connection, whatever it says before."""
        try:
            while self.next() is not None:
                pass
        except TimeoutError:
            return False
        return True

    def ask(self, verb, *arguments):
        self.say("request", id=1, verb=verb, arguments=list(arguments))
        return self.expect("reply")

    def close(self):
        self._socket.close()


ASK = """import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect(f"/proc/self/fd/{sys.argv[1]}/{sys.argv[2]}.sock")
s.send(b'{"type":"hello","version":1,"role":"control"}\\n')
s.send(json.dumps({"type": "request", "id": 1, "verb": sys.argv[3], "arguments": []}).encode() + b"\\n")
while True:
    message = json.loads(s.recv(1 << 17))
    if message["type"] == "reply" and not message.get("more"):
        print(json.dumps(message))
        break
"""


def ask_as_nobody(run_dir, daemon, verb):
    """The reply that a user without rights gets, on a socket that somebody has opened to all."""
    os.chmod(os.path.join(run_dir, f"{daemon}.sock"), 0o666)
    directory = os.open(run_dir, os.O_PATH)
    try:
        # The system's own, as that of the test may be one that only root can reach.
        argv = ["/usr/bin/python3", "-c", ASK, str(directory), daemon, verb]
        done = subprocess.run(
            argv,
            pass_fds=[directory],
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    finally:
        os.close(directory)
        os.chmod(os.path.join(run_dir, f"{daemon}.sock"), 0o660)
    if done.returncode != 0:
        raise TestFailed(f"{daemon} does not answer nobody: {done.stderr.strip()[-200:]}")
    return json.loads(done.stdout)
