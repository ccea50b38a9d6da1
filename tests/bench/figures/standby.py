"""What each connection costs a standby that writes it into its kernel as it comes: `commit: continuous` beside
conntrackd's DisableExternalCache."""
from lib.netns import Namespace
from lib.sync_pair import TABLE
from pairs import OurPair, TheirPair, load, tracked
from lib.wait import wait_until

from . import Figure

RATE = 25000
MARGIN_US = 1.5


def _receive(pair, flows):
    before = pair.second.cpu()
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    wait_until(lambda: tracked(pair.second.namespace) >= flows, 60, "the standby's kernel has all connections", 0.2)
    return {"receiver": (pair.second.cpu() - before) / flows * 1e6}


def ours(flows):
    return _receive(OurPair(flows, "continuous"), flows)


def theirs(flows):
    return _receive(TheirPair(flows, "DisableExternalCache On"), flows)


def floor(flows):
    namespace = Namespace("alone")
    namespace.nft(TABLE)
    namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
    return {"insert": load(namespace, "insert", flows, "--listen")["cpu"] / flows * 1e6}


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def lines(results, flows):
    del flows
    us, them, kernel = results["ours"]["receiver"], results["conntrackd"]["receiver"], results["floor"]["insert"]
    yield Figure("CPU per event, receiver that writes its kernel", f"{us:.1f} us", f"{them:.1f} us", f"{kernel:.1f} us",
                 f"floor + {us - kernel:.1f} us", f"<= floor + {MARGIN_US} us", us <= kernel + MARGIN_US)
