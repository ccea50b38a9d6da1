"""Is the measure right? A router that works must pass, and a failover that forgets every connection must
fail."""
import socket
import time

from lib.first_seen import FirstSeen
from lib.network import SERVER
from lib.scenario import Lab
from lib.static_router import load_table, take_addresses
from lib.traffic import LoadPlan
from lib.wait import require

SMALL = LoadPlan(connections=200, uploads=1, downloads=1, new_rate=20)


def test_one_static_router_passes():
    """200 connections through one nft router for five seconds: none broken, no silence, nothing leaks."""
    lab = Lab()
    router = lab.network.routers["R1"]
    load_table(router)
    take_addresses(router)
    load = lab.start_load(SMALL)
    event = load.measure("no event", lambda: None, least=5.0, abrupt=False)
    lab.show(event)
    require(not event.problems(), "; ".join(event.problems()))
    require(event.connections == 200, f"{event.connections} connections instead of 200")
    require(event.silence_ms < 50, f"a silence of {event.silence_ms:.1f} ms although nothing happened")
    require(not any(lab.network.leaks().values()), f"leaks: {lab.network.leaks()}")
    reports = load.stop()
    require(reports["server"]["wrong"] == 0, "the server saw wrong data")
    require(reports["server"]["accepted"] > 300, "hardly any new connection was made")


def test_failover_without_sync_fails():
    """Two nft routers that know nothing of each other, translation fully-random: the failover breaks the
    connections. A measure that does not notice this would prove nothing."""
    lab = Lab()
    first, second = lab.network.routers["R1"], lab.network.routers["R2"]
    for router in (first, second):
        load_table(router)
    take_addresses(first)
    load = lab.start_load(SMALL)

    def fail_over():
        at = first.power_cut()
        take_addresses(second)
        return at

    event = load.measure("failover without sync", fail_over, least=6.0)
    lab.show(event)
    harmed = event.broken + event.stalled
    require(harmed >= 180, f"only {harmed} of 200 connections were harmed: the measure is blind")
    require(event.silence_ms < 5000, "the probe, a new flow to the second router, did not come back")


def test_a_router_notes_when_a_connection_began():
    """What excuses a new connection that a power cut has broken must be the moment at which it began."""
    lab = Lab()
    router = lab.network.routers["R1"]
    load_table(router)
    take_addresses(router)
    seen = FirstSeen(lab.network.routers.values())
    address = lab.network.client_addresses[0]
    with lab.network.server.inside():
        listener = socket.create_server((SERVER, 7999))
    with lab.network.clients[0].inside():
        before = time.monotonic_ns()
        connection = socket.create_connection((SERVER, 7999), timeout=10)
        after = time.monotonic_ns()
    time.sleep(0.5)
    port = connection.getsockname()[1]
    at = seen.of(address, port)
    require(at is not None and before <= at <= after, f"begun between {before} and {after}, noted at {at}")
    require(seen.of(address, port - 1) is None, "a connection that never was has been noted")
    connection.close()
    listener.close()


def test_leak_counters_see_a_leak():
    """A router without translation: the counters on the WAN switch must notice."""
    lab = Lab()
    router = lab.network.routers["R1"]
    take_addresses(router)
    lab.network.clients[0].run(["ping", "-c", "1", "-W", "1", "203.0.113.10"], check=False)
    require(lab.network.leaks()["untranslated"] > 0, "an untranslated packet was not counted")
