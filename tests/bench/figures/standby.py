"""What each connection costs a standby that writes it into its kernel as it comes: `commit: continuous` beside
conntrackd's DisableExternalCache. Two things the namespaces of one machine share, and two routers would not. The
load is made of packets, because requests to the kernel have one lock, for which the standby would wait. And a
standby of ours does not listen to its kernel's reports of new connections, but its master does, and the kernel then
makes them for both; hence the floor is an insert that is heard, as fast as it goes, and at the load's pace."""
from lib.netns import Namespace
from lib.sync_pair import TABLE
from pairs import OurPair, TheirPair, load, tracked
from lib.wait import wait_until

from . import Figure

RATE = 25000
MARGIN_US = 1.5
# Where the packets of the load go: a cable that leads nowhere, through the translation.
AWAY = ["link add away type veth peer name nowhere", "link set away up", "link set nowhere up",
        "neigh add 198.18.0.2 lladdr 02:00:00:00:00:99 dev away", "route add 198.18.0.2 dev away",
        "route add 203.0.113.0/24 via 198.18.0.2 dev away"]
TRANSLATION = """table ip load {
  chain post { type nat hook postrouting priority 100; oifname away snat to 10.10.0.101; }
}
"""


def _receive(pair, flows):
    namespace = pair.first.namespace
    namespace.ip(*AWAY)
    namespace.nft(TRANSLATION)
    before = pair.second.cpu()
    load(namespace, "packets", flows, "--rate", RATE)
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
    for name, options in (("heard", ["--listen"]), ("paced", ["--listen", "--rate", RATE]), ("unheard", [])):
        result[name] = load(namespace, "insert", flows, *options)["cpu"] / flows * 1e6
        load(namespace, "delete", flows)
    return result


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def lines(results, flows):
    del flows
    us, them, kernel = results["ours"]["receiver"], results["conntrackd"]["receiver"], results["floor"]
    yield Figure("CPU per event, receiver that writes its kernel", f"{us:.1f} us", f"{them:.1f} us",
                 f"{kernel['heard']:.1f} us ({kernel['paced']:.1f} us at this pace, {kernel['unheard']:.1f} unheard)",
                 f"floor + {us - kernel['heard']:.1f} us",
                 f"<= floor + {MARGIN_US} us", us <= kernel["heard"] + MARGIN_US)
