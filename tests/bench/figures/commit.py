"""Writing a whole table into the kernel at a takeover: into an empty one, and where the entries exist already, which is
every failback: once as they were when the router lost its mastership, once with each of them changed since."""
import statistics

from lib.netns import Namespace
from lib.sync_pair import TABLE
from pairs import OurPair, TheirPair, entries, load

from . import Figure, per_second, times

# Of the inserts that make the load; slow enough for conntrackd.
RATE = 30000


def _commit(pair, flows):
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    pair.wait_held(pair.second, flows)
    empty = pair.hand_over(flows)
    existing = pair.hand_back(flows)
    pair.hand_over(flows)
    load(pair.second.namespace, "update", flows, "--rate", RATE, "--state", 4)
    pair.wait_held(pair.first, flows)
    changed = pair.hand_back(flows)
    counts = [entries(router.namespace) for router in (pair.first, pair.second)]
    return {"empty": empty, "existing": existing, "changed": changed, "entries": min(counts)}


def ours(flows):
    return _commit(OurPair(flows), flows)


def theirs(flows):
    return _commit(TheirPair(flows), flows)


def floor(flows):
    """The same messages in batches of 64, made in advance; without a listener in the same namespace, as ours listens
    only when the commit is done, and with one. The middle one of three. The kernel's chains hold the entries of all
    namespaces: as many as the pair's other router has stand beside."""
    result = {}
    beside, namespace = Namespace("beside"), Namespace("alone")
    for each in (beside, namespace):
        each.nft(TABLE)
    load(beside, "insert", flows)
    namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
    for name, options in (("listening", ["--listen"]), ("silent", [])):
        for what in ("insert", "update"):
            result[f"{name}_{what}"] = []
        for _ in range(3):
            for what in ("insert", "update"):
                result[f"{name}_{what}"].append(load(namespace, what, flows, *options)["seconds"])
            result["entries"] = entries(namespace)
            load(namespace, "delete", flows)
    return {key: statistics.median(value) if isinstance(value, list) else value for key, value in result.items()}


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def lines(results, flows):
    us, them, kernel = results["ours"], results["conntrackd"], results["floor"]
    of_floor, ratio = kernel["silent_insert"] / us["empty"], them["empty"] / us["empty"]
    yield Figure(
        "commit, empty table", per_second(flows, us["empty"]), per_second(flows, them["empty"]),
        f"{per_second(flows, kernel['silent_insert'])} (heard: {per_second(flows, kernel['listening_insert'])})",
        f"{ratio:.2f} x, {of_floor:.2f} of the floor", ">= 1.4 x, >= 0.85 of the floor",
        ratio >= 1.4 and of_floor >= 0.85)
    cases = ("commit, entries exist unchanged", "existing"), ("commit, entries exist, all changed", "changed")
    for name, key in cases:
        ratio = them[key] / us[key]
        yield Figure(f"{name}, {flows:,}", f"{us[key] * 1e3:,.0f} ms", f"{them[key] * 1e3:,.0f} ms",
                     f"{kernel['silent_update'] * 1e3:,.0f} ms", times(them[key], us[key]), ">= 8 x", ratio >= 8)
