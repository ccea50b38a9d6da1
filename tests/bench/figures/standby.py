"""What each connection costs a standby that writes it into its kernel as it comes: `commit: continuous` beside
conntrackd's DisableExternalCache. A standby of ours does not listen to its kernel's reports of new connections, but its
master does, and on one machine the kernel then makes them for both; hence the floor is an insert that is heard."""
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
    result = {}
    for name, options in (("heard", ["--listen"]), ("unheard", [])):
        result[name] = load(namespace, "insert", flows, *options)["cpu"] / flows * 1e6
        load(namespace, "delete", flows)
    return result


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def lines(results, flows):
    del flows
    us, them, kernel = results["ours"]["receiver"], results["conntrackd"]["receiver"], results["floor"]
    yield Figure("CPU per event, receiver that writes its kernel", f"{us:.1f} us", f"{them:.1f} us",
                 f"{kernel['heard']:.1f} us ({kernel['unheard']:.1f} us unheard)",
                 f"floor + {us - kernel['heard']:.1f} us",
                 f"<= floor + {MARGIN_US} us", us <= kernel["heard"] + MARGIN_US)
