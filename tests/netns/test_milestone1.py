"""The main job: 200 connections through a silent power cut of the master, both routers with all three
daemons."""
from lib.scenario import Lab, down_interval
from lib.traffic import LoadPlan
from lib.wait import require


def test_200_connections_survive_a_power_cut():
    """commit on-takeover, translation fully-random, 0.1 s adverts: none broken, none stalled."""
    lab = Lab()
    first, second = lab.start_pair(interval=0.1, commit="on-takeover")
    lab.start_load(LoadPlan(connections=200, uploads=1, downloads=1, new_rate=20))
    lab.load.settle(2.0)
    event = lab.load.measure("power cut of the master", first.host.power_cut, least=4.0)
    problems = lab.check_event(event, silence_limit_ms=down_interval(0.1) * 1000 + 60)
    require(second.state() == "master", f"R2 is {second.state()} after the power cut")
    require(event.connections == 200, f"{event.connections} connections instead of 200")
    lab.finish(problems, verify=False)
