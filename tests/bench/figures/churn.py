"""Short connections, a report for each of their creation, five changes and end: how many a second before the kernel has
to drop reports. The load and the receiver share one processor, the sender has the other."""
from lib.netns import Namespace
from lib.sync_pair import TABLE
from pairs import OurPair, TheirPair, load

from . import Figure, times

SECONDS = 8
RATES = [2500, 3500, 5000, 7000, 10000, 14000, 20000, 28000]
# The load does what it can; less than this part of what was asked for is its own limit.
REACHED = 0.95


def _churn(pair):
    """The highest rate at which nothing was lost, and what ended the search."""
    pair.first.pin(1)
    pair.second.pin(0)
    best = {"rate": 0.0, "limit": "load", "sender": 0.0}
    for rate in RATES:
        before = pair.first.cpu()
        report = load(pair.first.namespace, "churn", SECONDS, "--rate", rate)
        used = pair.first.cpu() - before
        if pair.first.lost() > 0:
            return best | {"limit": f"overrun at {rate:,}/s"}
        reached = report["count"] / report["seconds"]
        if reached > best["rate"]:
            best = best | {"rate": reached, "sender": used / report["seconds"]}
        if reached < REACHED * rate:
            return best | {"limit": "the load"}
    return best


def ours(flows):
    return _churn(OurPair(flows))


def theirs(flows):
    return _churn(TheirPair(flows))


def floor(flows):
    """The load alone: with a listener that the kernel makes each report for, and without."""
    del flows
    namespace = Namespace("alone")
    namespace.nft(TABLE)
    namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
    result = {}
    for name, options in (("heard", ["--listen"]), ("unheard", [])):
        report = load(namespace, "churn", 2, "--rate", 100000, *options)
        result[name] = report["count"] / report["seconds"]
    return result


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def lines(results, flows):
    del flows
    us, them = results["ours"], results["conntrackd"]
    kernel = results["floor"]
    yield Figure(
        "churn, short connections",
        *(f"{each['rate']:,.0f}/s ({each['sender'] * 100:.0f} % of a processor; limit: {each['limit']})"
          for each in (us, them)),
        f"{kernel['heard']:,.0f}/s ({kernel['unheard']:,.0f}/s unheard)", times(us["rate"], them["rate"]), ">= 3 x",
        us["rate"] >= 3 * them["rate"])
