"""vrrpd as the agent sees it: the test says what it says, and when it goes away."""
import json
import os
import select
import socket
import time

from .wait import TestFailed

GROUP = "MAIN-GW"


class FakeVrrpd:
    """Listens where vrrpd would. One agent at a time."""

    def __init__(self, run_dir, node="R1"):
        self._path = os.path.join(run_dir, "vrrpd.sock")
        self._node = node
        self._listener = None
        self._agent = None
        self.heard = []
        os.makedirs(run_dir, exist_ok=True)

    def accept(self, state="backup", term=0, node="", timeout=10):
        """Waits for the agent's Hello and answers with Welcome. Returns the Hello."""
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.path.exists(self._path):
                os.unlink(self._path)
            self._listener.bind(self._path)
            self._listener.listen(4)
        if not select.select([self._listener], [], [], timeout)[0]:
            raise TestFailed("the agent does not connect")
        self._agent, _ = self._listener.accept()
        hello = self.expect("hello", timeout)
        group = {"group": GROUP, "state": state, "phase": "idle", "term": {"counter": term, "node": node}}
        self.send("welcome", version=1, node=self._node, groups=[group])
        return hello

    def send(self, kind, **fields):
        self._agent.send((json.dumps({"type": kind, **fields}) + "\n").encode())

    def expect(self, kind, timeout=5):
        """The next message of this type; what comes before it is kept in `heard`."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._agent], [], [], left)[0]:
                break
            packet = self._agent.recv(65536)
            if not packet:
                raise TestFailed(f"the agent closed the connection, a '{kind}' was expected")
            message = json.loads(packet)
            self.heard.append(message)
            if message["type"] == kind:
                return message
        raise TestFailed(f"the agent sends no '{kind}' within {timeout} s")

    def prepare(self, counter, node="R1"):
        """Returns the Ready and the seconds that it took."""
        begun = time.monotonic()
        self.send("prepare", group=GROUP, term={"counter": counter, "node": node}, timeout_ms=1000)
        ready = self.expect("ready")
        return ready, time.monotonic() - begun

    def open(self, counter, reason="ready", node="R1"):
        self.send("open", group=GROUP, term={"counter": counter, "node": node}, reason=reason)

    def shut(self, counter, node="R1"):
        self.send("shut", group=GROUP, term={"counter": counter, "node": node}, cause="test")

    def close(self):
        """As if the process had ended."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            os.unlink(self._path)
