"""Flows of protocols for which this machine has no sockets, made packet by packet: SCTP, GRE and others."""
import socket
import struct
import threading

SCTP, GRE, EXPERIMENT = 132, 47, 253
DATA, INIT, INIT_ACK, COOKIE_ECHO, COOKIE_ACK = 0, 1, 2, 10, 11

# Castagnoli's polynomial, reflected: the sum of RFC 9260, appendix A.
CRC_TABLE = []
for _value in range(256):
    for _ in range(8):
        _value = _value >> 1 ^ (0x82F63B78 if _value & 1 else 0)
    CRC_TABLE.append(_value)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def sctp_packet(source, destination, tag, kind, body):
    chunk = struct.pack("!BBH", kind, 3, 4 + len(body)) + body
    head = struct.pack("!HHI", source, destination, tag)
    return head + crc32c(head + b"\0\0\0\0" + chunk) + chunk


def init_body(tag):
    return struct.pack("!IIHHI", tag, 65536, 1, 1, 1)


def data_body(text):
    return struct.pack("!IHHI", 1, 0, 0, 0) + text.ljust(8, b"\0")


class RawHost:
    """Sends payloads of one IP protocol, and keeps what has come: (source address, payload)."""

    def __init__(self, host, protocol, address):
        with host.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        self._socket.bind((address, 0))
        self._changed = threading.Condition()
        self.received = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            packet, peer = self._socket.recvfrom(65535)
            with self._changed:
                self.received.append((peer[0], packet[(packet[0] & 15) * 4 :]))
                self._changed.notify_all()

    def send(self, address, payload):
        self._socket.sendto(payload, (address, 0))

    def wait(self, count, timeout=10):
        """The newest, once there are so many; None when they do not come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.received) >= count, timeout):
                return None
            return self.received[-1]


class RawFlow:
    """A question and its answer, again and again, within one connection; `seen` is whom the server saw."""

    def __init__(self, protocol, client, client_address, server, server_address):
        self.name = {GRE: "GRE", EXPERIMENT: "protocol 253"}[protocol]
        self._client = RawHost(client, protocol, client_address)
        self._server = RawHost(server, protocol, server_address)
        self._address = server_address
        self.seen = set()
        self._turn = 0

    def exchange(self):
        """Whether a packet came there and one came back."""
        self._turn += 1
        # GRE without a key, carrying nothing that anybody would look into.
        payload = struct.pack("!HHI", 0, 0x6558, self._turn)
        self._client.send(self._address, payload)
        there = self._server.wait(self._turn)
        if there is None:
            return False
        self.seen.add(there[0])
        self._server.send(there[0], payload)
        back = self._client.wait(self._turn)
        return back is not None and back[1] == payload


class SctpFlow:
    """An association of four packets, then data both ways under its tags."""

    name = "SCTP"

    def __init__(self, client, client_address, server, server_address):
        self._client, self._server = RawHost(client, SCTP, client_address), RawHost(server, SCTP, server_address)
        self._address = server_address
        self.seen = set()
        self._count = 0
        self._tags = 0x11111111, 0x22222222  # the client's own, the server's own

    def open(self):
        own, other = self._tags
        return (self._pass(0, INIT, init_body(own), own, INIT_ACK, init_body(other))
                and self._pass(other, COOKIE_ECHO, b"cookie..", own, COOKIE_ACK, b""))

    def exchange(self):
        own, other = self._tags
        return self._pass(other, DATA, data_body(b"there"), own, DATA, data_body(b"back"))

    def _pass(self, tag, kind, body, answer_tag, answer_kind, answer):
        self._count += 1
        self._client.send(self._address, sctp_packet(4000, 5000, tag, kind, body))
        there = self._server.wait(self._count)
        if there is None:
            return False
        port = struct.unpack_from("!H", there[1])[0]
        self.seen.add((there[0], port))
        self._server.send(there[0], sctp_packet(5000, port, answer_tag, answer_kind, answer))
        back = self._client.wait(self._count)
        return back is not None and struct.unpack_from("!HH", back[1]) == (5000, 4000)
