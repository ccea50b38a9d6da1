#!/usr/bin/python3
"""Do the manuals, the schema and the programs tell the same? Each difference is one line: what is missing, and where.

    docs.py BINARIES MANUALS      the directories with vrrpd, syncd, natctl and with the finished manual pages
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "packaging", "man"))
sys.dont_write_bytecode = True
import keys as schema_keys  # noqa: E402

SCHEMA = os.path.join(ROOT, "packaging", "steadynat.schema.json")
EXAMPLES = os.path.join(ROOT, "examples")
MANUALS = ("vrrpd.8", "syncd.8", "natctl.8", "steadynat.yaml.5", "steadynat-notify.7", "steadynat-json.7")
# No key is nearly called so: the loader then lists those that it knows instead of guessing.
ODD = "qqqqqqqqqqqqqqqqqqqq"


def run(argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def page(manuals, name):
    """A manual as plain text, in lines that are never broken."""
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", os.path.join(manuals, name)],
        env={**os.environ, "MANWIDTH": "10000", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    text = re.sub(".\b", "", done.stdout)
    return text, done.stderr.strip()


def mentions(text, word):
    return re.search(r"(?<![\w.-])" + re.escape(word) + r"(?![\w-])", text) is not None


# --- manuals and --help


def help_of(program, words=()):
    """(options, commands) of a program, or of one of its commands."""
    text = run([program, *words, "--help"]).stdout
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text.split("Subcommands:")[0]))
    commands = []
    if "Subcommands:" in text:
        commands = re.findall(r"^  ([a-z]\S*)", text.split("Subcommands:")[1], re.M)
    return options, commands


def check_help(binaries, pages):
    for name in ("vrrpd", "syncd"):
        for option in sorted(help_of(os.path.join(binaries, name))[0]):
            if not mentions(pages[name + ".8"], option):
                yield f"{name}.8 lacks the option {option}"
    waiting = [()]
    while waiting:
        words = waiting.pop(0)
        options, commands = help_of(os.path.join(binaries, "natctl"), words)
        waiting += [(*words, command) for command in commands]
        for option in sorted(options):
            if not mentions(pages["natctl.8"], option):
                yield f"natctl.8 lacks the option {option} of natctl {' '.join(words)}"
        if words and not commands and not mentions(pages["natctl.8"], "natctl " + " ".join(words)):
            yield f"natctl.8 lacks the command natctl {' '.join(words)}"


# --- the schema and the loader


class Probe:
    """A file with every key of the schema, and in every map a key that nobody knows."""

    def __init__(self, schema):
        self.schema = schema
        self.lines = []
        self.sections = {}  # line of the unknown key -> (path, keys that the schema has there)
        self._write(schema, 0, ())

    def _object(self, node):
        """The form of a node that has keys of its own, if it has one."""
        node = schema_keys.resolve(self.schema, node)
        for form in [node, *(schema_keys.resolve(self.schema, each) for each in node.get("anyOf", []))]:
            if "properties" in form or isinstance(form.get("additionalProperties"), dict):
                return form
            items = form.get("items")
            if isinstance(items, dict) and self._object(items):
                return form
        return None

    def _write(self, node, depth, path):
        node = self._object(node)
        indent = "  " * depth
        if "properties" in node:
            self.sections[len(self.lines) + 1] = (path, set(node["properties"]))
            self.lines.append(f"{indent}{ODD}: 1")
            for name, child in node["properties"].items():
                self._entry(name, child, depth, (*path, name))
        elif "items" in node:
            begin = len(self.lines)
            self._write(node["items"], depth + 1, path)
            self.lines[begin] = indent + "- " + self.lines[begin].strip()
        else:
            more = node["additionalProperties"]
            for name in node["x-keys"]:
                self._entry(f'"{name}"' if name.isdigit() else name, more, depth, (*path, node["x-name"]))

    def _entry(self, name, child, depth, path):
        indent = "  " * depth
        resolved = schema_keys.resolve(self.schema, child)
        below = self._object(child)
        if below is not None and schema_keys.is_section(self.schema, below):
            self.lines.append(f"{indent}{name}:")
            self._write(child, depth + 1, path)
        elif "examples" in resolved:
            self.lines.append(f"{indent}{name}: {json.dumps(resolved['examples'][0])}")


def check_schema(binaries, schema):
    probe = Probe(schema)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "probe.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(probe.lines) + "\n")
        said = run([os.path.join(binaries, "natctl"), "check", "--config", path, "--node", "R1"]).stdout
    told = {}
    for line in said.splitlines():
        match = re.search(r":(\d+):\d+: error: unknown key '(\w+)'.*?(?:; known keys: (.*))?$", line)
        if match:
            told.setdefault(int(match.group(1)), []).append((match.group(2), match.group(3)))
    for number, (where, known) in probe.sections.items():
        place = ".".join(where) or "the top level"
        answers = [words for word, words in told.pop(number, []) if word == ODD and words]
        if not answers:
            yield f"the loader did not say which keys it knows in {place} (line {number} of the probe):\n{said}"
            continue
        loader = set(answers[0].split(", "))
        for key in sorted(loader - known):
            yield f"steadynat.schema.json lacks {'.'.join((*where, key))}, which the loader knows"
        for key in sorted(known - loader):
            yield f"steadynat.schema.json has {'.'.join((*where, key))}, which the loader does not know"


def check_defaults(schema):
    """What a person needs to know of each key, and so what the schema must say; and what it says is true of itself."""
    import jsonschema

    for path, node, required in schema_keys.keys(schema):
        name = ".".join(path)
        if not node.get("description"):
            yield f"steadynat.schema.json: {name} has no description"
        if not schema_keys.is_section(schema, node) and not node.get("examples"):
            yield f"steadynat.schema.json: {name} has no example"
        validator = jsonschema.Draft7Validator({**node, "definitions": schema["definitions"]})
        for value in [*node.get("examples", []), *([node["default"]] if "default" in node else [])]:
            for error in validator.iter_errors(value):
                yield f"steadynat.schema.json refuses its own value {value!r} of {name}: {error.message}"


def check_config_manual(schema, pages):
    """Each key has its entry, with its type, whether it must be there or else its default, and an example."""
    entries = re.split(r"^ {7}(?=\S)", pages["steadynat.yaml.5"], flags=re.M)
    found = {entry.split(maxsplit=1)[0]: entry for entry in entries if entry.strip()}
    for path, node, _ in schema_keys.keys(schema):
        name = ".".join(path)
        if name not in found:
            yield f"steadynat.yaml.5 lacks the key {name}"
        elif not schema_keys.is_section(schema, node):
            head = found[name].split("\n", 1)[0]
            if re.fullmatch(re.escape(name) + r" \(.+; (required|default:? .+)\)", head) is None:
                yield f"steadynat.yaml.5 says of {name}: {head}"
            if f"Example: {path[-1].removesuffix('[]')}: " not in found[name]:
                yield f"steadynat.yaml.5 has no example of {name}"


def check_examples(binaries, schema):
    """What natctl check accepts, the schema accepts, too; and it does refuse."""
    import jsonschema
    import yaml

    validator = jsonschema.Draft7Validator(schema)
    jsonschema.Draft7Validator.check_schema(schema)
    files = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(EXAMPLES)
        for name in sorted(names)
        if name.endswith(".yaml")
    ]
    for path in files:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
        if not isinstance(document, dict) or "nodes" not in document:
            continue
        node = next(iter(document["nodes"]))
        checked = run([os.path.join(binaries, "natctl"), "check", "--config", path, "--node", node])
        if checked.returncode != 0:
            yield f"natctl check refuses {path}: {checked.stdout}"
        # In JSON every key is a text.
        for error in validator.iter_errors(json.loads(json.dumps(document))):
            yield f"the schema refuses {path}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        document["nodes"][node]["prioritty"] = 1
        if validator.is_valid(json.loads(json.dumps(document))):
            yield f"the schema accepts {path} with an unknown key"
    if not files:
        yield f"{EXAMPLES} has no configuration"


# --- the notify protocol


def check_notify(pages):
    """Every type, field and word of the codec stands in the manual."""
    with open(os.path.join(ROOT, "common", "notify.cpp"), encoding="utf-8") as file:
        source = file.read()
    tables = re.search(r"kRoles\{.*?kLinks\{.*?\};.*?kTypes\{.*?\};", source, re.S).group(0)
    words = set(re.findall(r'"([a-z_]+)"', tables)) | set(re.findall(r'\ba(?:\.maybe)?\("(\w+)"', source))
    for word in sorted(words):
        if not mentions(pages["steadynat-notify.7"], word):
            yield f"steadynat-notify.7 lacks {word}"
    if len(words) < 50:
        yield "common/notify.cpp was not understood"


# --- guides


def check_troubleshooting():
    """What it quotes in its headings is said by a program; names of routers and what stands in quotes are the reader's.
    """
    said = ""
    for part in ("common", "vrrpd", "syncd", "natctl"):
        for folder, _, names in os.walk(os.path.join(ROOT, part)):
            for name in names:
                if name.endswith(".cpp"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        said += re.sub(r'"\s*"', "", file.read())
    with open(os.path.join(ROOT, "packaging", "doc", "troubleshooting.md"), encoding="utf-8") as file:
        headings = re.findall(r"^## .*", file.read(), re.M)
    quoted = [quote for heading in headings for quote in re.findall(r"`([^`]+)`", heading)]
    for quote in quoted:
        for piece in re.split(r'"[^"]*"|\bR[123]\b|\b_steadynat\b', quote):
            if len(piece.strip()) > 3 and piece.strip() not in said:
                yield f"troubleshooting.md quotes '{piece.strip()}', which no program says"
    if not quoted:
        yield "troubleshooting.md was not understood"


def check_links():
    """What the README and the guides refer to is there."""
    doc = os.path.join(ROOT, "packaging", "doc")
    guides = [os.path.join(doc, name) for name in sorted(os.listdir(doc))]
    for path in [os.path.join(ROOT, "README.md"), *guides]:
        with open(path, encoding="utf-8") as file:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read()):
                if not os.path.exists(os.path.join(os.path.dirname(path), target)):
                    yield f"{os.path.basename(path)} refers to {target}, which is not there"


def main():
    binaries, manuals = sys.argv[1:]
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    faults, pages = [], {}
    for name in MANUALS:
        pages[name], warnings = page(manuals, name)
        faults += [f"man {name}: {line}" for line in warnings.splitlines()]
    faults += check_help(binaries, pages)
    faults += check_schema(binaries, schema)
    faults += check_defaults(schema)
    faults += check_config_manual(schema, pages)
    faults += check_examples(binaries, schema)
    faults += check_notify(pages)
    faults += check_troubleshooting()
    faults += check_links()
    for fault in faults:
        print(fault)
    print(f"{len(faults)} differences" if faults else "manuals, schema and programs agree")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
