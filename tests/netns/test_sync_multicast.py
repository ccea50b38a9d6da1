"""The sync link over multicast, on real kernels: through a switch that knows who is in a group, beside other links, and
beside a router that knows of no group."""
import os
import re
import shutil
import signal

from lib.scenario import Lab
from lib.sync_pair import Cable, SyncPair, tcp_entries
from lib.traffic import LoadPlan
from lib.wait import require, wait_until

GROUP, GROUP6 = "225.0.0.50", "ff02::50"
# What leaves over a link: to the group and no further than the next router, to anybody else, and who says he is in it.
COUNT = """table inet leaving_{interface} {{
  counter group {{ }}
  counter beside {{ }}
  counter reports {{ }}
  chain out {{
    type filter hook output priority 0; policy accept;
    oifname != "{interface}" accept
    meta l4proto igmp counter name reports accept
    meta l4proto != udp accept
    udp dport != 3781 accept
    ip daddr {group} ip ttl 1 counter name group accept
    ip6 daddr {group6} ip6 hoplimit 1 counter name group accept
    counter name beside
  }}
}}
"""
# Nothing but what the pair itself needs: among it the switch's questions.
CHANGES = (
    ("links: [ { interface: eth1 } ]", f"links: [ {{ interface: eth1, multicast: {GROUP} }} ]"),
    ("firewall:\n", "firewall:\n  to_the_router: { interfaces: { eth1: local }, default_action: drop }\n"),
)


def count(namespace, interface):
    namespace.nft(COUNT.format(interface=interface, group=GROUP, group6=GROUP6))


def counted(namespace, interface, name):
    listing = namespace.run(["nft", "list", "counter", "inet", f"leaving_{interface}", name]).stdout
    return int(re.search(r"packets (\d+)", listing)[1])


def snoop(switch, querier):
    """The switch sends a group to its members alone; as querier it asks each second who they are."""
    switch.namespace.ip(
        f"link set br0 type bridge mcast_snooping 1 mcast_startup_query_interval 100 mcast_query_interval 100 "
        f"mcast_query_response_interval 50 mcast_querier {querier}"
    )


def test_through_a_switch_that_snoops():
    """The pair replicates to the group and nowhere else, answers the switch, joins again after its cable was unplugged,
    and a power cut breaks nothing."""
    lab = Lab()
    switch = lab.network.switches["link"]
    snoop(switch, querier=1)
    spaces = [host.namespace for host in lab.network.routers.values()]
    for space in spaces:
        count(space, "eth1")
    first, second = lab.start_pair(changes=CHANGES)
    lab.start_load(LoadPlan(connections=100, uploads=1, downloads=1, new_rate=10))
    for space in spaces:
        told = counted(space, "eth1", "reports")  # who joins says so twice of itself
        wait_until(lambda s=space, n=told + 2: counted(s, "eth1", "reports") > n, 30, "its questions have answers")
    snoop(switch, querier=0)
    second.host.carrier_down("eth1")
    wait_until(lambda: not second.synced() and not first.synced(), 30, "the cable is unplugged")
    joined = counted(spaces[1], "eth1", "reports")
    second.host.carrier_up("eth1")
    wait_until(lambda: counted(spaces[1], "eth1", "reports") > joined, 30, "R2 joins the group again")
    lab.wait_ready("R1")
    problems = lab.verify()
    event = lab.load.measure("power cut of the master", first.host.power_cut, least=2.0, abrupt=True)
    problems += lab.check_event(event, silence_limit_ms=1000)
    require(second.state() == "master", f"R2 is {second.state()} after the power cut")
    for space in spaces:
        to_group, beside = (counted(space, "eth1", name) for name in ("group", "beside"))
        require(to_group > 100 and beside == 0, f"{to_group} datagrams went to the group, {beside} elsewhere")
    lab.finish(problems, verify=False)


def test_three_links_at_once():
    """IPv4 and IPv6 multicast and a unicast link together, and each of them alone."""
    pair = SyncPair(cables=[
        Cable(settings=f", multicast: {GROUP}"),
        Cable("eth3", "fd00:10::2/64", "fd00:10::3/64", f', multicast: "{GROUP6}"'),
        Cable("eth4", "10.10.11.2/24", "10.10.11.3/24"),
    ])
    uses = {"eth1": ("group", "beside"), "eth3": ("group", "beside"), "eth4": ("beside", "group")}
    first, second = pair.first, pair.second
    for name in uses:
        count(first.namespace, name)
    pair.plug()
    pair.start()
    pair.wait_synced()
    for name, (used, other) in uses.items():
        wait_until(lambda n=name, u=used: counted(first.namespace, n, u) > 100, 30, f"{name} is used, too")
        require(counted(first.namespace, name, other) == 0, f"{name}: something was sent to the {other}")
    for turn, alone in enumerate(uses):
        for name in uses:
            second.namespace.ip(f"link set {name} {'up' if name == alone else 'down'}")
        # IPv6 forgets the addresses of an interface that is down; whatever brings it up gives them again.
        if alone == "eth3":
            second.namespace.ip("addr add fd00:10::3/64 dev eth3 nodad")
        first.insert(list(tcp_entries(1000, first=1000 * turn)))
        pair.wait_synced(30)
        pair.wait_same(30)
        require(len(second.table()) == 1000 * (turn + 1), f"{alone}: R2 has {len(second.table())} connections")
    body, error = first.ask("sync.verify")
    require(not error and body["differ"] == 0, f"verify says {body} {error}")


def test_one_router_without_the_group():
    """The link stays down, the router with the group says why, and reading the right file mends it."""
    pair = SyncPair(cables=[Cable(settings=f", multicast: {GROUP}")])
    pair.plug()
    pair.second.config = os.path.join(pair.directory, "without.yaml")
    with open(pair.first.config, encoding="ascii") as right, open(pair.second.config, "w", encoding="ascii") as file:
        file.write(right.read().replace(f", multicast: {GROUP}", ""))
    first, second = pair.start()
    reason = f"R2 sends to the address of R1 and not to {GROUP}, the multicast group of the sync link: use the same"
    wait_until(lambda: any(reason in r for r in first.status().get("reasons", [])), 30, "R1 says what R2 lacks")
    wait_until(lambda: "R1 is not heard on the sync link" in second.status()["reasons"], 30, "R2 says whom it lacks")
    require(first.counter("beside_group") > 0, "nothing was counted")
    first.insert(list(tcp_entries(500)))
    shutil.copy(first.config, second.config)
    second.syncd.signal(signal.SIGHUP)
    pair.wait_synced(30)
    pair.wait_same(30)
    require(len(second.table()) == 500, f"R2 has {len(second.table())} connections")
