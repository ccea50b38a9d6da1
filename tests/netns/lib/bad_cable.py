"""A cable between two routers that does to frames what bad cables do, each time the same for the same seed."""
import heapq
import random
import select
import socket
import threading
import time

from .netns import Namespace
from .sync_pair import ADDRESS

ETH_P_ALL = 0x0003
# How long a frame is held back that others shall overtake.
HELD_S = 0.003


class BadCable:
    """Between eth1 of both routers of a SyncPair. `loss`, `duplicate` and `reorder` are shares of the frames, `delay`
    is seconds that each takes, `cut` lets nothing pass. `damage`, if set, is given each frame and returns what it makes
    of it."""

    def __init__(self, pair, seed=1):
        self.loss = self.duplicate = self.reorder = self.delay = 0.0
        self.cut = False
        self.damage = None
        self.counts = {"passed": 0, "lost": 0, "doubled": 0, "overtaken": 0}
        self._random = random.Random(seed)
        self._late = []  # (when, number, socket, frame)
        self._number = 0
        self._namespace = Namespace("cable")
        ends = []
        for name, router in (("cable1", pair.first), ("cable2", pair.second)):
            self._namespace.ip(f"link add name {name} type veth peer name eth1 netns {router.namespace.name}",
                               f"link set {name} up")
            # Sums that the kernel leaves to a card would stay undone on this way.
            router.namespace.run(["ethtool", "-K", "eth1", "tx", "off"])
            router.namespace.ip(f"addr add {ADDRESS[router.name]} dev eth1", "link set eth1 up")
            with self._namespace.inside():
                end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                end.bind((name, ETH_P_ALL))
            ends.append(end)
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def set(self, loss=0.0, duplicate=0.0, reorder=0.0, delay=0.0):
        self.loss, self.duplicate, self.reorder, self.delay = loss, duplicate, reorder, delay

    def _carry(self):
        while True:
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for end in select.select(list(self._other), [], [], wait)[0]:
                frame, address = end.recvfrom(65535)
                if address[2] != socket.PACKET_OUTGOING:
                    self._take(self._other[end], frame)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, end, frame = heapq.heappop(self._late)
                self._put(end, frame)

    def _take(self, end, frame):
        if self.cut or self._random.random() < self.loss:
            self.counts["lost"] += 1
            return
        if self.damage:
            frame = self.damage(frame)
        copies = 1
        if self._random.random() < self.duplicate:
            copies = 2
            self.counts["doubled"] += 1
        for _ in range(copies):
            delay = self.delay
            if self._random.random() < self.reorder:
                delay += HELD_S
                self.counts["overtaken"] += 1
            if delay == 0.0:
                self._put(end, frame)
            else:
                self._number += 1
                heapq.heappush(self._late, (time.monotonic() + delay, self._number, end, frame))

    def _put(self, end, frame):
        try:
            end.send(frame)
            self.counts["passed"] += 1
        except OSError:
            self.counts["lost"] += 1  # the interface at the other end is down, or its queue is full
