"""Times in which the machine under the tests stood still: a host that gives its processors to others for a while stops
both routers, the clients and the clock of the test alike, and what is measured then says nothing of the programs."""
import os
import subprocess
import sys
import time

# The tightest limit of a silence leaves 60 ms over the formula, so a shorter standstill breaks none.
NOTICED = 0.05
EVERY = 0.01


class Standstill:
    """Watches from now on, on every processor, before all other processes."""

    def __init__(self):
        self._watchers = [
            subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), str(processor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            for processor in sorted(os.sched_getaffinity(0))
        ]
        for watcher in self._watchers:
            os.set_blocking(watcher.stdout.fileno(), False)
        self._seen = []

    def longest_since(self, begun):
        """Seconds, after `begun` (time.monotonic()); 0: none that matters."""
        for watcher in self._watchers:
            while line := watcher.stdout.readline():
                at, gap = line.split()
                self._seen.append((float(at), float(gap)))
        return max((gap for at, gap in self._seen if at >= begun), default=0.0)

    def end(self):
        for watcher in self._watchers:
            watcher.kill()
            watcher.wait()
            watcher.stdout.close()


def watch(processor):
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
    last = time.monotonic()
    # Whoever started this is gone: nobody is to be watched for.
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(EVERY)
        now = time.monotonic()
        if now - last - EVERY > NOTICED:
            print(f"{now:.3f} {now - last - EVERY:.3f}", flush=True)
        last = now


if __name__ == "__main__":
    watch(int(sys.argv[1]))
