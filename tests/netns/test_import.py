"""The article's two files go through the importer, and what comes out runs as it is."""
import os

from lib.isolation import libc
from lib.netns import run
from lib.router import Router
from lib.scenario import Lab, down_interval
from lib.traffic import LoadPlan
from lib.wait import require

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/import")
KEY = "/etc/steadynat/sync.key"


def own_etc(directory):
    """/etc with a layer of this test's own on it, in the mount namespace that only this test has. False: this kernel
    cannot."""
    layer = os.path.join(directory, "etc")
    os.makedirs(layer)
    if libc.mount(b"none", layer.encode(), b"tmpfs", 0, None) != 0:
        return False
    for name in ("upper", "work"):
        os.makedirs(os.path.join(layer, name))
    options = f"lowerdir=/etc,upperdir={layer}/upper,workdir={layer}/work"
    return libc.mount(b"none", b"/etc", b"overlay", 0, options.encode()) == 0


def write_key(path, key):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(key)


def test_article():
    """vyatta R1 R2: accepted by check, and 200 connections live through a power cut."""
    lab = Lab()
    natctl = os.path.join(lab.binaries, "natctl")
    made = run([natctl, "import", "vyatta"] + [f"{EXAMPLES}/{name}.config.boot" for name in ("R1", "R2")])
    require("not taken over: service ssh" in made.stderr, f"what is not taken over is not named: {made.stderr}")
    text, key = made.stdout, KEY
    if not own_etc(lab.directory):
        key = os.path.join(lab.directory, "sync.key")
        text = text.replace(KEY, key)
        print("    no overlay here: the path of the key is another one")
    write_key(key, run([natctl, "keygen"]).stdout)
    config = os.path.join(lab.directory, "steadynat.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    for name, host in lab.network.routers.items():
        run([natctl, "check", "--config", config, "--node", name])
        lab.routers[name] = Router(host, lab.binaries, lab.directory, config)
        lab.routers[name].start()
    lab.config = config
    lab.wait_ready("R1")
    lab.start_load(LoadPlan(connections=200, uploads=1, downloads=1, new_rate=20))
    lab.load.settle(2.0)
    event = lab.load.measure("power cut of the master", lab.routers["R1"].host.power_cut, least=8.0)
    problems = lab.check_event(event, silence_limit_ms=down_interval(1.0) * 1000 + 100)
    require(lab.routers["R2"].state() == "master", f"R2 is {lab.routers['R2'].state()} after the power cut")
    lab.finish(problems, verify=False)
