#!/usr/bin/python3
"""Runs the end-to-end tests: every function test_* of every test_*.py beside this file (or in another directory), each
in namespaces of its own.

    run.py [--soak] [--quick] [--list] [--logs DIR] [--tests DIR] [NAME...]     NAME: part of "file.function"
"""
import argparse
import importlib
import inspect
import os
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib.isolation import Isolated  # noqa: E402
from lib.scenario import Lab  # noqa: E402
from lib.standstill import WINDOW, Standstill  # noqa: E402
from lib.wait import TestFailed, TestVoid, doubts  # noqa: E402

DEFAULT_TIMEOUT = 180
VOID = 3  # exit code
# A test that measured the machine is run again so often: a machine that never lets it happen is a failure after all.
MOST_REPEATS = 4
# What proves the measure, and then the main job, before anything finer.
FIRST = ["test_baseline.py", "test_milestone1.py"]


def discover(arguments):
    """(name, function, timeout). A module may offer `cases(soak, quick)` that yields them itself."""
    tests = []
    for file in sorted(
        os.listdir(arguments.tests), key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)
    ):
        if not re.fullmatch(r"test_\w+\.py", file):
            continue
        module = importlib.import_module(file[:-3])
        if hasattr(module, "cases"):
            found = [
                (name, function, limit)
                for name, function, limit in module.cases(arguments.soak, arguments.quick)
            ]
        else:
            found = [
                (name, function, getattr(function, "timeout", DEFAULT_TIMEOUT))
                for name, function in inspect.getmembers(module, inspect.isfunction)
                if name.startswith("test_") and function.__module__ == module.__name__
            ]
            found.sort(key=lambda item: inspect.getsourcelines(item[1])[1])
        tests += [
            (f"{file[5:-3]}.{name.removeprefix('test_')}", function, limit) for name, function, limit in found
        ]
    wanted = [re.compile(re.escape(name)) for name in arguments.names]
    return [test for test in tests if not wanted or any(pattern.search(test[0]) for pattern in wanted)]


def attempt(function, reason_file):
    """In the child: 0; or 1 or VOID, with the reason in a file."""
    code = 1
    try:
        function()
        return 0
    except TestVoid as void:
        code, text = VOID, str(void)
    except TestFailed as failure:
        text = str(failure)
    except Exception as error:  # the trace is in the log
        import traceback

        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
    if doubts:
        code, text = VOID, "; ".join([text, *doubts])
    with open(reason_file, "w", encoding="utf-8") as file:
        file.write(text)
    if Lab.current is not None:
        Lab.current.dump()
    return code


def run_one(name, function, limit, logs):
    """(ok, void, seconds, reason, output)"""
    directory = os.path.join(logs, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.environ["STEADYNAT_LOGS"] = directory
    reason_file = os.path.join(directory, "reason")
    output = os.path.join(directory, "output")
    begun = time.monotonic()
    child = Isolated(lambda: attempt(function, reason_file), log=output)
    try:
        code = child.wait(limit)
    except BaseException:
        child.end()
        raise
    if code is None:
        child.end()
        reason = f"did not end within {limit} s"
    elif code == 0:
        reason = ""
    elif os.path.exists(reason_file):
        with open(reason_file, encoding="utf-8") as file:
            reason = file.read().strip()
    else:
        reason = f"ended with code {code}"
    with open(output, encoding="utf-8", errors="replace") as file:
        said = file.read()
    return code == 0, code == VOID, time.monotonic() - begun, reason, said


def report(name, ok, seconds, reason, said):
    print(f"{'ok' if ok else 'FAILED'}  {name}  {seconds:.1f} s{'' if ok else ': ' + reason}", flush=True)
    if said.strip():
        print("\n".join("    " + line.strip() for line in said.splitlines()[-40:]), flush=True)


def run_all(tests, logs):
    """How many passed, and of those that did not the names and reasons. A test that fails while the machine itself
    stood still, or that could not do what it is about, has measured the machine: it is shown, and run again."""
    passed, failed = 0, []
    machine = Standstill()
    try:
        for name, function, limit in tests:
            for repeats_left in reversed(range(MOST_REPEATS + 1)):
                begun = time.monotonic()
                ok, void, seconds, reason, said = run_one(name, function, limit, logs)
                report(name, ok, seconds, reason, said)
                still = machine.longest_since(begun)
                if ok or not (void or still > 0.0) or repeats_left == 0:
                    break
                why = reason if void else f"the tests had no processor for {still * 1000:.0f} ms of {WINDOW * 1000:.0f}"
                print(f"again  {name}: {why}", flush=True)
            passed += ok
            failed += [] if ok else [f"{name}: {reason}"]
    finally:
        machine.end()
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="end-to-end tests in network namespaces")
    parser.add_argument(
        "--soak", action="store_true", help="every event five times, and once more with 1 s adverts"
    )
    parser.add_argument("--quick", action="store_true", help="fewer connections, one commit policy")
    parser.add_argument("--list", action="store_true", help="print the names only")
    parser.add_argument(
        "--logs", help="where the logs go (default: a new directory, removed when all is well)"
    )
    parser.add_argument("--tests", default=HERE, help="the directory with the tests")
    parser.add_argument("names", nargs="*", help="run only tests whose name contains one of these")
    arguments = parser.parse_args()
    sys.path.insert(0, os.path.abspath(arguments.tests))
    tests = discover(arguments)
    if arguments.list:
        print("\n".join(name for name, _, _ in tests))
        return 0
    if os.geteuid() != 0:
        print("run.py: needs root: it makes network namespaces", file=sys.stderr)
        return 2
    logs = arguments.logs or tempfile.mkdtemp(prefix="steadynat-netns-")
    passed, failed = run_all(tests, logs)
    for line in failed:  # once more: hundreds of lines may lie between
        print(f"FAILED  {line}")
    if failed or arguments.logs:
        print(f"logs: {logs}")
    else:
        shutil.rmtree(logs, ignore_errors=True)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    # A shell that starts this in the background has SIGINT ignored; the tests must end in order all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
