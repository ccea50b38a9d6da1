"""Times in which the machine under the tests stood still: a host that gives its processors to others for a while stops
both routers, the clients and the clock of the test alike, and what is measured then says nothing of the programs."""
import collections
import os
import subprocess
import sys
import time

# The tightest limit of a silence leaves 60 ms over the formula, so a shorter standstill breaks none; nor do several
# that together are shorter within the time that such a silence lasts.
NOTICED = 0.05
WINDOW = 0.3
EVERY = 0.01
# A wake-up this late is the scheduler's own.
USUAL = 0.001
# The kernel counts in ticks what the host took, so there is nothing to see more often.
ASK_EVERY = 0.1
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


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


class Window:
    """What was lost within the last WINDOW."""

    def __init__(self):
        self._losses = collections.deque()

    def add(self, now, lost):
        """Says when it is too much, once for each loss."""
        self._losses.append((now, lost))
        while self._losses[0][0] < now - WINDOW:
            self._losses.popleft()
        total = sum(loss for _, loss in self._losses)
        if total > NOTICED:
            print(f"{now:.3f} {total:.3f}", flush=True)
            self._losses.clear()


def stolen(processor):
    """Seconds that the host took from this processor since it runs, by the kernel's count."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = next(line for line in file if line.startswith(f"cpu{processor} ")).split()
    return int(fields[8]) * TICK


def watch(processor):
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
    late, taken = Window(), Window()
    last = asked = time.monotonic()
    before = stolen(processor)
    # Whoever started this is gone: nobody is to be watched for.
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(EVERY)
        now = time.monotonic()
        if now - last - EVERY > USUAL:
            late.add(now, now - last - EVERY)
        last = now
        if now - asked >= ASK_EVERY:
            asked, known = now, before
            before = stolen(processor)
            taken.add(now, before - known)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
