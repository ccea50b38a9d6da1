"""What can be seen on the wire: who answers ARP for an address, and what a router sends."""
import ctypes
import select
import socket
import struct
import threading
import time

ETH_P_ALL, ETH_P_ARP = 0x0003, 0x0806
SO_ATTACH_FILTER = 26
ARP_REQUEST, ARP_REPLY = 1, 2


def text_of(mac):
    return ":".join(f"{byte:02x}" for byte in mac)


class ArpObserver:
    """A host at a switch that asks "who has" without having an address itself (the probe of RFC 5227)."""

    def __init__(self, switch):
        with switch.namespace.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
            self._socket.bind(("br0", ETH_P_ARP))
        self._mac = bytes.fromhex(switch.namespace.mac("br0").replace(":", ""))

    def who_has(self, address, wait=0.15):
        """The MAC addresses that answer."""
        target = socket.inet_aton(address)
        frame = (
            b"\xff" * 6
            + self._mac
            + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, ARP_REQUEST)
            + self._mac
            + b"\0" * 4
            + b"\0" * 6
            + target
        )
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recv(2048)
        self._socket.send(frame)
        answers = set()
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                break
            data = self._socket.recv(2048)
            if (
                len(data) >= 42
                and struct.unpack_from("!H", data, 20)[0] == ARP_REPLY
                and data[28:32] == target
            ):
                answers.add(text_of(data[22:28]))
        return answers

    def close(self):
        self._socket.close()


class Sniffer:
    """VRRP adverts and ARP frames that come in at an interface, with the moment of each. At a switch's port
    that is what the router behind it sends, also while the port is unplugged; at a host it is what
    everybody there can hear."""

    # arp, or ip with protocol 112: everything else is thrown away in the kernel.
    FILTER = [
        (0x28, 0, 0, 12),
        (0x15, 3, 0, ETH_P_ARP),
        (0x15, 0, 3, 0x0800),
        (0x30, 0, 0, 23),
        (0x15, 0, 1, 112),
        (0x06, 0, 0, 65535),
        (0x06, 0, 0, 0),
    ]

    def __init__(self, namespace, interface):
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in self.FILTER)
        self._program = ctypes.create_string_buffer(program, len(program))
        with namespace.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            head = struct.pack("HL", len(self.FILTER), ctypes.addressof(self._program))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, head)
            self._socket.bind((interface, ETH_P_ALL))
        # (CLOCK_MONOTONIC ns, sender's IP address, "arp" or "advert", priority of an advert)
        self.frames = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._stopping.is_set():
            if not select.select([self._socket], [], [], 0.2)[0]:
                continue
            try:
                data, (_, _, direction, _, _) = self._socket.recvfrom(2048)
            except OSError:  # the interface went down: said once, and frames come again when it is up
                continue
            at = time.monotonic_ns()
            if direction == socket.PACKET_OUTGOING or len(data) < 34:
                continue
            if struct.unpack_from("!H", data, 12)[0] == ETH_P_ARP:
                self.frames.append((at, socket.inet_ntoa(data[28:32]), "arp", None))
            else:
                header = 14 + (data[14] & 15) * 4
                if len(data) >= header + 8:
                    self.frames.append((at, socket.inet_ntoa(data[26:30]), "advert", data[header + 2]))

    def since(self, at):
        return [frame for frame in self.frames if frame[0] >= at]

    def close(self):
        self._stopping.set()
        self._thread.join()
        self._socket.close()
