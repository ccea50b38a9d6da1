#!/usr/bin/python3
"""The style that a machine can check, so that nobody needs to argue about it.

The format of `.clang-format`, layering (engines know no io and no other daemon), words that an engine may not use,
sizes of files and functions, unfinished words, paths of a machine. Prints each offence as file:line: text; exit 1 if
there is any.
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LIMIT = 500        # lines of a source file
FUNCTION_LIMIT = 60     # lines of a function
LINE_LIMIT = 120        # columns
MAIN_LIMIT = 100        # lines of a main.cpp: wiring only
DAEMONS = ("vrrpd", "syncd", "natctl")

BANNED_IN_ENGINES = {
    r"::now\(": "an engine is told the time",
    r"(?<![\w_.>])(socket|getenv|usleep|sleep_for|clock_gettime|fopen|::open|::read|::write)\(": "an engine does no io",
    r"\berrno\b": "an engine sees codes in events only",
    r"std::(thread|mutex|jthread|async)\b": "an engine has no threads",
    r"\b(rand|srand|random_device)\b": "randomness comes in from the shell",
    r"\bthrow\b": "our code throws nothing",
    r"#include [<\"](sys/|unistd|fcntl|iostream|fstream|systemd/)": "an engine does no io",
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented|placeholder")
MACHINE_PATH = re.compile(r"(^|[^\w.])/(work|root|home|farm)/")


def tracked():
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split()
    return [pathlib.Path(n) for n in names if (ROOT / n).is_file()]


def functions(lines):
    """(first line, length) of each function whose closing brace stands in the first column, as ours all do."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("}"):
            if start and not line.startswith("};") and "namespace" not in line:
                yield start, number - start + 1
            start = None
        elif line and not line[0].isspace() and line[0] not in "#/}" and not line.startswith(("namespace", "using")):
            if start is None or line.rstrip().endswith("{"):
                start = start or number
            if line.rstrip().endswith(";"):
                start = None
        elif not line.strip():
            # A blank line at the top level separates definitions; inside a body start stays as it is.
            pass


def is_engine(path):
    return (path.parts[0] in DAEMONS + ("common",) and path.suffix in (".cpp", ".hpp") and "io" not in path.parts
            and path.name != "main.cpp")


def check_source(path, lines):
    if len(lines) > FILE_LIMIT:
        yield len(lines), f"file of {len(lines)} lines, {FILE_LIMIT} at most"
    if path.name == "main.cpp" and path.parts[0] in DAEMONS and len(lines) > MAIN_LIMIT:
        yield len(lines), f"main of {len(lines)} lines: wiring only, {MAIN_LIMIT} at most"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_LIMIT:
            yield number, f"line of {len(line)} columns, {LINE_LIMIT} at most"
    if path.suffix in (".cpp", ".hpp"):
        for number, length in functions(lines):
            if length > FUNCTION_LIMIT:
                yield number, f"function of {length} lines, {FUNCTION_LIMIT} at most"


def check_engine(path, lines):
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        include = re.match(r'#include "([^"]+)"', code)
        if include:
            target = include.group(1)
            if "/io/" in target:
                yield number, "an engine includes io"
            if target.split("/")[0] in DAEMONS and target.split("/")[0] != path.parts[0]:
                yield number, "a daemon includes another: only common/notify is shared"
            continue
        code = re.sub(r'"([^"\\]|\\.)*"', '""', code)
        for pattern, why in BANNED_IN_ENGINES.items():
            if re.search(pattern, code):
                yield number, why


def check_text(path, lines):
    if path.suffix in (".svg", ".png", ".bin") or path.parts[:2] == ("tests", "tidy"):
        return
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield number, "unfinished"
        if MACHINE_PATH.search(line):
            yield number, "path of a machine"


def unformatted(paths):
    """Lines as `clang-format-19 --dry-run` prints them. Other versions break lines elsewhere."""
    if shutil.which("clang-format-19") is None:
        return ["clang-format-19 is not here; install it: tests/run --deps"]
    sources = [str(path) for path in paths if path.suffix in (".cpp", ".hpp")]
    done = subprocess.run(["clang-format-19", "--dry-run", *sources], cwd=ROOT, capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if re.match(r"\S+:\d+:\d+: ", line)]


def main():
    offences = 0
    for path in tracked():
        try:
            lines = (ROOT / path).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found = list(check_text(path, lines))
        if path.suffix in (".cpp", ".hpp", ".py", ".sh"):
            found += check_source(path, lines)
        if is_engine(path):
            found += check_engine(path, lines)
        for number, text in found:
            offences += 1
            print(f"{path}:{number}: {text}")
    wrong = unformatted(tracked())
    offences += len(wrong)
    for line in wrong:
        print(line)
    print(f"{offences} offences" if offences else "tidy")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
