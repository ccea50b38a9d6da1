"""From vrrpd's prepare to syncd's ready with `commit: continuous`, at a full table, back and forth. After each of them
all connections are streamed the other way; how long do ordinary programs wait for that?"""
import statistics
import threading
import time

from pairs import OurPair, TheirPair, load

from . import Figure

RATE = 30000
TURNS = 20


NAP = 0.001


class Onlooker:
    """An ordinary program that wakes up each millisecond."""

    def __enter__(self):
        self.waited, self._over = 0.0, False
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join()

    def _look(self):
        before = time.monotonic()
        while not self._over:
            time.sleep(NAP)
            now = time.monotonic()
            self.waited = max(self.waited, now - before - NAP)
            before = now


def ours(flows):
    pair = OurPair(flows, "continuous")
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    pair.wait_held(pair.second, flows)
    took = []
    with Onlooker() as onlooker:
        while len(took) < TURNS:
            took.append(pair.hand_over(flows))
            took.append(pair.hand_back(flows))
    return {"median": statistics.median(took), "worst": max(took), "all": took, "waited": onlooker.waited}


def theirs(flows):
    """Its one way that keeps idle connections is the commit."""
    pair = TheirPair(flows)
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    pair.wait_held(pair.second, flows)
    return {"took": pair.second.take_over()}


SIDES = {"ours": ours, "conntrackd": theirs}


def lines(results, flows):
    us, them = results["ours"], results["conntrackd"]
    yield Figure(f"takeover, continuous, {flows:,} flows",
                 f"{us['median'] * 1e3:.1f} ms, worst {us['worst'] * 1e3:.1f} of {TURNS}",
                 f"{them['took'] * 1e3:,.0f} ms", ratio=f"1 / {them['took'] / us['median']:,.0f}",
                 wanted="median < 5 ms, worst < 20 ms", met=us["median"] < 0.005 and us["worst"] < 0.020)
    yield Figure("an ordinary program waits meanwhile", f"at most {us['waited'] * 1e3:.0f} ms")
