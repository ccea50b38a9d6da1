"""From vrrpd's prepare to syncd's ready with `commit: continuous`, at a full table, back and forth."""
import statistics

from pairs import OurPair, TheirPair, load

from . import Figure

RATE = 30000
TURNS = 20


def ours(flows):
    pair = OurPair(flows, "continuous")
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    pair.wait_held(pair.second, flows)
    took = []
    while len(took) < TURNS:
        took.append(pair.hand_over(flows))
        took.append(pair.hand_back(flows))
    return {"median": statistics.median(took), "worst": max(took), "all": took}


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
