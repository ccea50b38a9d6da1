"""A peer that comes back with nothing gets everything: seconds from its start until it knows all. The floors are the
dump that the kernel would need, and the link at 1 Gbit/s."""
import time

from pairs import OurPair, TheirPair, load

from . import Figure, times

RATE = 30000
GIGABIT = 125e6


def _bulk(pair, flows):
    load(pair.first.namespace, "insert", flows, "--rate", RATE)
    pair.wait_held(pair.second, flows)
    before = pair.first.link_bytes()
    begun = time.monotonic()
    pair.restart_second()
    pair.wait_held(pair.second, flows)
    return {"took": time.monotonic() - begun, "bytes": pair.first.link_bytes() - before,
            "dump": load(pair.first.namespace, "dump", 0)["seconds"]}


def ours(flows):
    return _bulk(OurPair(flows), flows)


def theirs(flows):
    return _bulk(TheirPair(flows), flows)


SIDES = {"ours": ours, "conntrackd": theirs}


def lines(results, flows):
    us, them = results["ours"], results["conntrackd"]
    yield Figure(f"bulk to an empty peer, {flows:,} flows", f"{us['took']:.2f} s, {us['bytes'] / flows:.0f} B each",
                 f"{them['took']:.2f} s, {them['bytes'] / flows:.0f} B each",
                 f"dump {us['dump']:.2f} s, link of 1 Gbit/s {us['bytes'] / GIGABIT:.2f} s",
                 times(them["took"], us["took"]))
