#!/usr/bin/python3
"""Is every default that the schema names, and the manual with it, the one that the loader takes? Each difference is
one line. A file that leaves all of them out and one that says one of them must mean the same; and one that says another
value something else, or the key was not looked at.

    defaults.py BINARIES      the directory with natctl
"""
import copy
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "packaging", "man"))
sys.dont_write_bytecode = True
import keys as schema_keys  # noqa: E402

SCHEMA = os.path.join(ROOT, "packaging", "steadynat.schema.json")
# Every section, and no key that has a default. JSON is YAML.
BARE = {
    "version": 1,
    "nodes": {"R1": {"sync_address": "10.10.10.2"}, "R2": {"sync_address": "10.10.10.3", "priority": 50}},
    "vrrp": {
        "groups": {
            "MAIN-GW": {
                "garp": {},
                "hooks": {"notify": "/bin/true"},
                "track": {"uplink": {"script": "/bin/true"}},
                "instances": {
                    "wan": {
                        "interface": "eth0",
                        "vrid": 1,
                        "virtual_addresses": ["10.10.0.101/24"],
                        "virtual_routes": [{"to": "default", "via": "10.10.0.1"}],
                        "unicast": {"R1": "10.10.0.2", "R2": "10.10.0.3"},
                        "garp": {},
                        "hooks": {"notify": "/bin/true"},
                    },
                },
            },
        },
    },
    "sync": {"links": [{"interface": "eth1"}], "key_file": "/etc/steadynat/sync.key", "filter": {}},
    "nat": {
        "source": {"10": {"outbound_interface": "eth0", "source_address": "192.168.100.0/24"}},
        "destination": {
            "10": {
                "inbound_interface": "eth0",
                "destination_address": "10.10.0.101",
                "protocol": "tcp",
                "translate_to": "192.168.100.10",
            },
        },
        "static": {
            "10": {"interface": "eth0", "outside_address": "10.10.0.101", "inside_address": "192.168.100.11"},
        },
    },
    "firewall": {
        "from_outside": {
            "interfaces": {"eth0": "in"},
            "rules": {"10": {"action": "accept", "limit": {"rate": "10/second"}}},
        },
    },
}  # fmt: skip


def meaning(binaries, directory, document):
    """What the loader makes of it, less the digest of its text; an error message when it refuses it."""
    path = os.path.join(directory, "steadynat.yaml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    done = subprocess.run(
        [os.path.join(binaries, "natctl"), "config", "dump", "--json", "--config", path, "--node", "R1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        return None, done.stderr.strip()
    said = json.loads(done.stdout)
    said.pop("digest")
    return said, ""


def with_value(path, value):
    """BARE with this key of the schema, whose names of a person's choice are the first that BARE has there."""
    document = copy.deepcopy(BARE)
    place = document
    for step in path[:-1]:
        if step.endswith("[]"):
            place = place[step.removesuffix("[]")][0]
        else:
            place = place[step if step in place else next(iter(place))]
    if path[-1] in place:
        raise ValueError(f"{'.'.join(path)} stands in the bare file")
    place[path[-1]] = value
    return document


def another(node):
    for value in node.get("examples", []):
        if value != node["default"]:
            return value
    return node["default"] + 1


def check(binaries, directory, schema):
    bare, refused = meaning(binaries, directory, BARE)
    if bare is None:
        yield f"the loader refuses the bare file: {refused}"
        return
    looked_at = 0
    for path, node, _ in schema_keys.keys(schema):
        if "default" not in node:
            continue
        looked_at += 1
        name = ".".join(path)
        same, refused = meaning(binaries, directory, with_value(path, node["default"]))
        if same is None:
            yield f"the loader refuses the default {node['default']} of {name}: {refused}"
        elif same != bare:
            yield f"{name}: {node['default']} is not the loader's default"
        # Where it does not fit the rest of the file it is refused, which is a difference, too.
        other, _ = meaning(binaries, directory, with_value(path, another(node)))
        if other == bare:
            yield f"{name}: {another(node)} makes no difference, so its default was not looked at"
    if looked_at < 40:
        yield f"only {looked_at} keys have a default"


def main():
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    with tempfile.TemporaryDirectory() as directory:
        faults = list(check(sys.argv[1], directory, schema))
    for fault in faults:
        print(fault)
    print(f"{len(faults)} differences" if faults else "the loader takes the defaults that the manual names")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
