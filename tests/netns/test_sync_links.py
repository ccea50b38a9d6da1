"""Two sync links on real kernels: one that is added, moved or taken out by a reload, and one that is lost."""
import signal

from lib.sync_pair import Cable, SyncPair, tcp_entries
from lib.wait import require, wait_until


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
