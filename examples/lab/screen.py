"""What the demo prints: a line of progress while it runs, and the tables at the end."""
import sys
import threading
import time


class Progress:
    """On a terminal one line that is rewritten; elsewhere a line every few seconds. `line()` makes its
    text."""

    def __init__(self, line):
        self._line = line
        self._terminal = sys.stdout.isatty()
        self._every = 0.25 if self._terminal else 3.0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(self._every):
            text = self._line()
            if text is None:
                continue
            with self._lock:
                if self._terminal:
                    sys.stdout.write("\r\033[K" + text)
                else:
                    sys.stdout.write(text + "\n")
                sys.stdout.flush()

    def say(self, text):
        """A line that stays."""
        with self._lock:
            sys.stdout.write(("\r\033[K" if self._terminal else "") + text + "\n")
            sys.stdout.flush()

    def stop(self):
        self._stopping.set()
        self._thread.join()
        if self._terminal:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


def table(head, rows):
    """Columns as wide as they need; text to the left, numbers to the right."""
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    numeric = [
        all(row[i][:1].isdigit() or row[i] in ("", "-") for row in cells[1:]) for i in range(len(head))
    ]
    lines = []
    for row in cells:
        lines.append(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric)
            ).rstrip()
        )
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


class Masters:
    """Who was master when, by the adverts that a host of the WAN hears."""

    def __init__(self, sniffer, names, interval):
        self._sniffer = sniffer
        self._names = names  # IP address -> name
        self._patience = int(3.7 * interval * 1e9)

    def now(self):
        """Names of the routers whose adverts are being heard."""
        since = time.monotonic_ns() - self._patience
        return {
            self._names[sender]
            for at, sender, kind, priority in self._sniffer.frames[-60:]
            if kind == "advert" and at >= since and priority and sender in self._names
        }

    def changes(self):
        """(ns, name) of each first advert of a new master; a priority 0 resigns."""
        result, current = [], None
        for at, sender, kind, priority in self._sniffer.frames:
            if kind != "advert" or sender not in self._names or not priority:
                continue
            if self._names[sender] != current:
                current = self._names[sender]
                result.append((at, current))
        return result
