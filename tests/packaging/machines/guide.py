"""Does what a guide says. Its code blocks carry, behind the language, where and how they are to be run:

    ```sh on=R1,R2              commands for these routers; `both` is both
    ```yaml file=/etc/x on=both a file with this content
    ```sh on=R1 only=networkd   part of one variant of the guide
    ```sh on=R1 as=rollback     part of another walk through the guide
    ```console                  is shown, not run

Copies from router to router (scp) and reboots (as=reboot) are done by the test, and where a guide asks for the status
the test asks until the answer is good; whatever else stands there is run as written.
"""
import os
import re

from lib.wait import require, wait_until

from .pair import ROOT


def blocks(name):
    """(options, text) of every code block of a guide."""
    with open(os.path.join(ROOT, "packaging", "doc", name), encoding="utf-8") as file:
        text = file.read()
    found = re.findall(r"^ *```(\S+)([^\n]*)\n(.*?)^ *```$", text, re.S | re.M)
    for language, options, body in found:
        words = dict(word.split("=", 1) for word in options.split() if "=" in word)
        indent = len(body) - len(body.lstrip(" "))
        lines = [line[indent:] if line[:indent].isspace() else line for line in body.splitlines()]
        yield {"language": language, **words}, "\n".join(lines) + "\n"


def targets(pair, options):
    where = options["on"]
    names = ["R1", "R2"] if where == "both" else where.split(",")
    return [pair[name] for name in names]


def copy(pair, source, line):
    """scp [-p] FILE root@NAME:PLACE, file by file."""
    match = re.fullmatch(r"scp (?:-p )?(\S+) root@(\w+):(\S*)", line)
    require(match is not None, f"a copy that the test does not understand: {line}")
    path, name, place = match.groups()
    target = os.path.join(place, os.path.basename(path)) if place.endswith("/") or not place else place
    text = source.run(f"cat {path}")
    pair[name].write(target, text, mode=source.run(f"stat -c %a {path}").strip())


def follow(pair, name, variant=None, walk=None):
    """Runs the guide from its first block to its last."""
    count = 0
    for options, text in blocks(name):
        if "on" not in options or options.get("only", variant) != variant:
            continue
        if options.get("as", walk) != walk and options.get("as") != "reboot" or walk and "as" not in options:
            continue
        count += 1
        for machine in targets(pair, options):
            obey(pair, machine, options, text)
    require(count > 0, f"{name} has no block to run")


def obey(pair, machine, options, text):
    if "file" in options:
        machine.write(options["file"], text)
    elif options.get("as") == "reboot":
        require(text.strip() == "reboot", f"a reboot that the test does not understand: {text}")
        machine.reboot()
        machine.boot()
    else:
        for part in re.split(r"^(scp .*)\n", text, flags=re.M):
            if part.startswith("scp "):
                copy(pair, machine, part)
            elif part.strip() == "natctl status":
                # "After a few seconds": a person would ask again.
                good = f"{machine.name}: natctl status: exit code 0"
                wait_until(lambda: machine.succeeds("natctl status"), 60 * pair.speed, good, every=1)
            elif part.strip():
                # Pauses are meant for real machines.
                slower = re.sub(r"\bsleep (\d+)", lambda found: f"sleep {int(found[1]) * pair.speed:g}", part)
                machine.run("set -e\n" + slower, timeout=180 * pair.speed)
