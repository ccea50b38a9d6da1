"""The sync link over paths that take less than an Ethernet frame, on real kernels."""
from lib.sync_pair import SyncPair, tcp_entries
from lib.wait import require, wait_until


def set_mtu(router, mtu):
    router.namespace.ip(f"link set eth1 mtu {mtu}")


def grow(pair, first):
    """More connections than go into small datagrams by chance, and nothing differs."""
    pair.first.insert(list(tcp_entries(3000, first=first)))
    pair.wait_same(30)
    require(len(pair.second.table()) == first + 3000, "R2 does not have all connections")
    for router in (pair.first, pair.second):
        body, error = router.ask("sync.verify")
        require(not error and body["differ"] == 0, f"verify on {router.name} says {body} {error}")


def test_small_mtu():
    """1280 at both ends, at the far end only, and while it is in use; less than that is said, and how to mend it."""
    pair = SyncPair()
    first, second = pair.start()
    pair.plug()
    for router in (first, second):
        set_mtu(router, 1280)
    pair.wait_synced()
    grow(pair, 0)
    require(first.counter("paths_narrowed") == 0, "R1 did not know the MTU of its own interface")

    set_mtu(first, 1500)  # what is larger than the far end takes, is dropped there without a word
    grow(pair, 3000)
    require(first.counter("paths_narrowed") == 1, "R1 did not find out what the path takes")
    set_mtu(second, 1500)
    grow(pair, 6000)

    first.namespace.ip("route add 10.10.10.3 dev eth1 src 10.10.10.2 mtu lock 1300")  # as learnt from ICMP
    grow(pair, 9000)
    first.namespace.ip("route del 10.10.10.3")

    set_mtu(first, 1000)
    wait_until(lambda: "the MTU of eth1 is 1000: give it 1280 at least" in first.said(), 30, "R1 names the trouble")
    wait_until(lambda: second.status().get("link") == "down", 30, "R2 hears nothing of R1")
    set_mtu(first, 1500)
    pair.wait_synced()
    grow(pair, 12000)
