"""What a replicated connection costs: processor time of both daemons per report of the kernel, from cache to cache (the
standby's kernel is left alone), memory on both sides, bytes on the link. And the same at a tenth of the size. The floor
of the sender is a program that reads as many reports, as seldom as syncd does, and throws them away."""
import threading
import time

from lib.netns import Namespace
from lib.sync_pair import TABLE
from pairs import OurPair, TheirPair, load

from . import Figure

# Reports per second: neither of the two is overrun.
RATE = 25000
# Changes of connections that exist, for the cost of one at each size of the table.
CHANGES = 50000


def _spend(pair, router_counts, action):
    """Microseconds of (sender, receiver) for each of `count` reports, and bytes on the link."""
    count = router_counts
    before = [pair.first.cpu(), pair.second.cpu(), pair.first.link_bytes()]
    action()
    after = [pair.first.cpu(), pair.second.cpu(), pair.first.link_bytes()]
    used = [(late - early) / count for early, late in zip(before, after)]
    return used[0] * 1e6, used[1] * 1e6, used[2]


def _fill(pair, flows):
    result, small = {}, flows // 10
    sides = {"sender": pair.first, "receiver": pair.second}
    empty = [pair.first.resident(), pair.second.resident()]

    def fill(count, first):
        load(pair.first.namespace, "insert", count, "--first", first, "--rate", RATE)
        pair.wait_held(pair.second, first + count)

    def change(state):
        load(pair.first.namespace, "update", min(CHANGES, small), "--rate", RATE, "--state", state)
        pair.wait_held(pair.second, small if state == 4 else flows)

    fill(small, 0)
    result["small_sender"], result["small_receiver"], _ = _spend(pair, min(CHANGES, small), lambda: change(4))
    parts = {side: router.cpu_parts() for side, router in sides.items()}
    result["sender"], result["receiver"], result["bytes"] = _spend(pair, flows - small,
                                                                   lambda: fill(flows - small, small))
    for side, router in sides.items():
        own, kernel = (late - early for early, late in zip(parts[side], router.cpu_parts()))
        result[f"{side}_kernel"] = kernel / (own + kernel)
    full = [pair.first.resident(), pair.second.resident()]
    result["large_sender"], result["large_receiver"], _ = _spend(pair, min(CHANGES, small), lambda: change(3))
    result["internal"], result["external"] = [(late - early) / flows for early, late in zip(empty, full)]
    result["lost"] = pair.first.lost()
    return result


def ours(flows):
    return _fill(OurPair(flows), flows)


def theirs(flows):
    return _fill(TheirPair(flows), flows)


def floor(flows):
    namespace = Namespace("alone")
    namespace.nft(TABLE)
    namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
    result = {}

    def hear():
        result["hear"] = load(namespace, "hear", flows)["cpu"] / flows * 1e6

    hearing = threading.Thread(target=hear)
    hearing.start()
    time.sleep(1)  # it subscribes
    load(namespace, "insert", flows, "--rate", RATE)
    hearing.join()
    return result


SIDES = {"ours": ours, "conntrackd": theirs, "floor": floor}


def _at_most(name, unit, us, them, part, floor="-"):
    text = "{:.1f} {}" if us < 20 else "{:.0f} {}"
    return Figure(name, text.format(us, unit), text.format(them, unit), floor, ratio=f"1 / {them / us:.1f}",
                  wanted=f"<= 1 / {part}", met=us * part <= them)


def lines(results, flows):
    us, them = results["ours"], results["conntrackd"]
    yield _at_most("CPU per event, sender", "us", us["sender"], them["sender"], 3,
                   f"{results['floor']['hear']:.1f} us to read the reports")
    yield _at_most("CPU per event, receiver", "us", us["receiver"], them["receiver"], 3)
    yield Figure("of which in the kernel, sender and receiver",
                 *(f"{each['sender_kernel']:.0%}, {each['receiver_kernel']:.0%}" for each in (us, them)))
    yield _at_most("memory per flow, internal", "B", us["internal"], them["internal"], 4)
    yield _at_most("memory per flow, external", "B", us["external"], them["external"], 4)
    yield Figure("bytes on the link per flow", f"{us['bytes']:.0f} B", f"{them['bytes']:.0f} B",
                 ratio=f"1 / {them['bytes'] / us['bytes']:.1f}", wanted="<= 60 B", met=us["bytes"] <= 60)
    for side in ("sender", "receiver"):
        growth = us[f"large_{side}"] / us[f"small_{side}"]
        theirs_growth = them[f"large_{side}"] / them[f"small_{side}"]
        yield Figure(f"CPU per change, {side}, {flows:,} / {flows // 10:,} flows",
                     f"{us[f'large_{side}']:.1f} / {us[f'small_{side}']:.1f} us",
                     f"{them[f'large_{side}']:.1f} / {them[f'small_{side}']:.1f} us",
                     ratio=f"{growth:.2f} x ({theirs_growth:.2f} x)", wanted="< 1.3 x", met=growth < 1.3)
