"""Two sync links on real kernels: one that is added, moved or taken out by a reload, and one that is lost."""
import json
import os
import re
import signal

from lib.scenario import binaries
from lib.sync_pair import Cable, SyncPair, tcp_entries
from lib.wait import require, wait_until

# Nothing passes, and the carrier stays.
CUT = """table inet cut {
  chain in { type filter hook prerouting priority -300; iifname "eth3" drop; }
  chain out { type filter hook output priority -300; oifname "eth3" drop; }
}
"""


def second_cable():
    return Cable("eth3", "10.10.11.2/24", "10.10.11.3/24")


def reload(pair, router):
    pair.configure("")
    told = router.said().count("read anew")
    router.syncd.signal(signal.SIGHUP)
    wait_until(lambda: router.said().count("read anew") > told, 30, f"{router.name} has read its file anew")


def reload_both(pair, cables):
    pair.cables = cables
    for router in (pair.first, pair.second):
        reload(pair, router)


def carries(pair, first, what):
    """The pair replicates now."""
    pair.first.insert(list(tcp_entries(500, first=first)))
    pair.wait_synced(30)
    pair.wait_same(30)
    require(len(pair.second.table()) == first + 500, f"{what}: R2 has {len(pair.second.table())} connections")


def test_links_by_reload():
    """A link that a reload adds carries the pair when the first is cut; then the first is taken out; then the addresses
    change, and without a key nothing but the address says who the peer is."""
    pair = SyncPair(secured=False)
    pair.plug()
    first, second = pair.start()
    pair.wait_synced()
    carries(pair, 0, "one link")
    both = [Cable(), second_cable()]
    pair.cables = both[1:]
    pair.plug()
    reload_both(pair, both)
    carries(pair, 500, "a second link by reload")
    second.namespace.ip("link set eth1 down")
    carries(pair, 1000, "the first link cut")
    reload_both(pair, both[1:])
    carries(pair, 1500, "the first link taken out")
    moved = Cable("eth3", "10.10.12.2/24", "10.10.12.3/24")
    for router in (first, second):
        router.namespace.ip(f"addr add {moved.addresses[router.name]} dev eth3")
    reload_both(pair, [moved])
    carries(pair, 2000, "other addresses by reload")


def named(router, link):
    """What the router says of that link as a reason why a failover is not safe now."""
    return [reason for reason in router.status().get("reasons", []) if reason.endswith(f"sync link {link}")
            or reason.startswith(f"sync link {link}: ")]


def natctl(router, *words):
    options = ["--config", router.config, "--node", router.name, "--run-dir", router.run_dir]
    return router.namespace.run([os.path.join(binaries(), "natctl"), *words, *options], check=False).stdout


def shown(router):
    return natctl(router, "show", "sync", "link")


def lost_says_doctor(router):
    findings = json.loads(natctl(router, "doctor", "--json"))["findings"]
    return [finding["what"] for finding in findings if finding["what"].startswith("the sync link ")]


def up_say_metrics(router):
    return dict(re.findall(r'^steadynat_sync_link_up{interface="(\w+)"} (\d)$', natctl(router, "metrics"), re.M))


def test_one_of_two_links_lost():
    """Both routers name the link on which nothing arrives although its interface is up, and why one cannot be used."""
    pair = SyncPair(cables=[Cable(), second_cable()])
    pair.plug()
    first, second = pair.start()
    pair.wait_synced()
    for router in (first, second):
        wait_until(lambda r=router: not r.status()["reasons"], 30, f"{router.name} has no reason")
    second.namespace.nft(CUT)
    for router, other in ((first, "R2"), (second, "R1")):
        wait_until(lambda r=router: named(r, "eth3"), 30, f"{router.name} names the link")
        text = named(router, "eth3")
        require(text == [f"{other} is not heard on the sync link eth3"], f"{router.name} says {text}")
        require(not named(router, "eth1"), f"{router.name} names the other link, too")
        require("eth3: heard" in shown(router), f"{router.name} shows {shown(router)}")
        lost = [f"the sync link eth3 is lost: {other} is not heard over it"]
        wait_until(lambda r=router, what=lost: lost_says_doctor(r) == what, 30,
                   f"doctor on {router.name} names the link and not the other one")
        wait_until(lambda r=router: up_say_metrics(r) == {"eth1": "1", "eth3": "0"}, 30, f"metrics of {router.name}")
    carries(pair, 0, "one of two links")
    second.namespace.nft("delete table inet cut")
    for router in (first, second):
        wait_until(lambda r=router: not r.status()["reasons"], 30, f"{router.name} has no reason any more")
    first.namespace.ip("link del eth3")
    for router in (first, second):
        wait_until(lambda r=router: named(r, "eth3") == ["sync link eth3: there is no interface eth3"], 30,
                   f"{router.name} says that there is no interface")
        require("eth3: there is no interface eth3" in shown(router), f"{router.name} shows {shown(router)}")
