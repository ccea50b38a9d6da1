"""Programs in namespaces: daemons with a log of their own, and tools that talk in JSON lines."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time


@contextlib.contextmanager
def at_once():
    """The calling thread goes before every daemon and every tool for a few statements that must be one instant."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


class Process:
    """A daemon. Its output goes to a file; it is ended by its own process id."""

    def __init__(self, name, argv, namespace, log):
        self.name = name
        self.argv = argv
        self.log = log
        self._output = open(log, "ab")
        stamp = f"--- {time.strftime('%H:%M:%S')} {' '.join(argv)}\n"
        self._output.write(stamp.encode())
        self._output.flush()
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            preexec_fn=namespace.enter,
        )

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def terminate(self, timeout=10):
        """SIGTERM. The exit code; SIGKILL after the timeout is an error of the program."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.name} did not end within {timeout} s of SIGTERM") from None

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)


class Tool:
    """A program that takes commands on stdin and answers with JSON objects on stdout, one a line."""

    def __init__(self, name, argv, namespace, log):
        self.name = name
        self._errors = open(log, "ab")
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            preexec_fn=namespace.enter,
        )
        self._changed = threading.Condition()
        self._latest = {}
        self._counts = {}
        self.ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            with self._changed:
                kind = record.get("type", "")
                self._latest[kind] = record
                self._counts[kind] = self._counts.get(kind, 0) + 1
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def latest(self, kind):
        with self._changed:
            return self._latest.get(kind)

    def wait_for(self, kind, count=1, timeout=30):
        """The record of this type, once that many of them have been seen."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._counts.get(kind, 0) >= count or self.ended, timeout)
            if not found or self._counts.get(kind, 0) < count:
                why = "it ended" if self.ended else f"not within {timeout} s"
                raise RuntimeError(f"{self.name}: no '{kind}': {why}; errors in {self._errors.name}")
            return self._latest[kind]

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command, kind, timeout=30):
        with self._changed:
            count = self._counts.get(kind, 0)
        self.tell(command)
        return self.wait_for(kind, count + 1, timeout)

    def stop(self, timeout=30):
        """The final report."""
        try:
            self.tell("stop")
            report = self.wait_for("final", timeout=timeout)
        finally:
            self.close()
        return report

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def tail(path, lines=15):
    """The last lines of a log, for a failure report."""
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
