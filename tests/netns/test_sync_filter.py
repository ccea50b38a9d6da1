"""Connections that the configuration keeps from the other router, on real kernels and a real link."""
import signal

from lib.sync_pair import SyncPair, tcp_entries, udp_entries
from lib.wait import require, wait_until

NO_NAMES = "filter: { exclude: [ { protocol: udp, destination_ports: 53 } ], replicate_after: 8s }"
NO_TCP = "filter: { include: [ { translated: snat } ], exclude: [ { tcp_state: established } ] }"


def of_protocol(entries, protocol):
    return [entry for entry in entries if entry.startswith(protocol)]


def verify(pair):
    for router in (pair.first, pair.second):
        body, error = router.ask("sync.verify")
        require(not error and body["differ"] == 0, f"verify on {router.name} says {body} {error}")


def reload(pair, more):
    pair.configure(more)
    for router in (pair.first, pair.second):
        router.syncd.signal(signal.SIGHUP)


def test_filter():
    """UDP to port 53 stays where it is, and so does what ends young; another filter withdraws and sends."""
    pair = SyncPair(more=NO_NAMES)
    first, second = pair.start()
    pair.plug()
    pair.wait_synced()
    first.insert(list(tcp_entries(20, first=1000)))
    first.conntrack("-D", "-p", "tcp")
    first.insert([*tcp_entries(200), *udp_entries(50)])
    wait_until(lambda: first.status().get("withheld_flows") == 250, 30, "R1 knows all connections, and withholds them")
    verify(pair)
    wait_until(lambda: len(second.table()) == 200, 30, "R2 has what is old enough")
    require(second.table() == of_protocol(first.table(), "tcp"), "R2 has other connections than R1's of TCP")
    require(first.status()["withheld_flows"] == 50, "R1 withholds something else than 50 connections of UDP")
    require(first.counter("filtered_excluded") == 50, "not each connection of UDP was counted")
    require(first.counter("filtered_young") == 20, "not each connection that ended young was counted")
    require(second.counter("endings_received") == 0, "R2 was told of connections that ended young")
    verify(pair)

    reload(pair, NO_TCP)
    wait_until(lambda: second.table() == of_protocol(first.table(), "udp"), 30, "R2 has those of UDP instead")
    require(len(first.table()) == 250, "connections ended with their replication")
    verify(pair)
    reload(pair, "")
    pair.wait_same()
    require(len(second.table()) == 250, "not all connections are replicated without a filter")
    require(first.status()["withheld_flows"] == 0, "something is withheld without a filter")
    verify(pair)
