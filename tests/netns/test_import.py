"""The article's two files go through the importer, and what comes out runs as it is."""
import os
import random
import re
import subprocess
import tempfile

from lib.isolation import libc
from lib.netns import run
from lib.router import Router
from lib.scenario import Lab, binaries, down_interval
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


def test_damaged():
    """Truncated, nested wrongly, noise: exit code 2, a line with its line and column, and no file."""
    natctl = os.path.join(binaries(), "natctl")

    def attempt(dialect, path):
        return subprocess.run([natctl, "import", dialect, path], capture_output=True, text=True, timeout=60)

    directory = os.environ.get("STEADYNAT_LOGS") or tempfile.mkdtemp(prefix="steadynat-import-")
    with open(f"{EXAMPLES}/R1.config.boot", "rb") as file:
        good = file.read()
    noise = random.Random(7).randbytes(1 << 20)
    texts = {"truncated": good[:len(good) // 2], "nested": good.replace(b"}", b"} }", 1), "noise": noise,
             "brackets": b"{ } a 'b" * (1 << 17), "empty": b""}
    for name, text in texts.items():
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(text)
        for dialect in ("vyatta", "vyos", "keepalived", "conntrackd"):
            done = attempt(dialect, path)
            require(done.returncode == 2, f"{dialect}, {name}: exit code {done.returncode}: {done.stderr[:200]}")
            placed = re.search(rf"{name}:[0-9]+:[0-9]+: error: ", done.stderr)
            require(placed, f"{dialect}, {name}: no line and column: {done.stderr[:200]}")
            require(done.stdout == "", f"{dialect}, {name}: a file comes out all the same")
    missing = attempt("vyos", directory + "/none")
    require(missing.returncode == 2 and "none: cannot be read" in missing.stderr, f"no file: {missing}")


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
