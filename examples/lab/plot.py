"""A small SVG: what was delivered around each event, one panel for each."""
from html import escape

WIDTH, PANEL, TOP, LEFT, RIGHT = 1000, 150, 64, 64, 24
GAP = 76
BIN_MS = 10
STYLE = """
text { font-family: sans-serif; font-size: 12px; fill: #333 }
.title { font-size: 17px; font-weight: bold } .panel { font-size: 13px; font-weight: bold }
.note { fill: #777; font-size: 11px } .axis { stroke: #999; stroke-width: 1 }
.udp { fill: #9cc0ee } .tcp { fill: none; stroke: #c8641b; stroke-width: 1.5 }
.silence { fill: #d33; fill-opacity: 0.12 } .event { stroke: #d33; stroke-width: 1; stroke-dasharray: 4 3 }
"""


class Series:
    """Counts of 10 ms bins from several reporters, by absolute time in ns."""

    def __init__(self, reports):
        self._reports = [(report["bins_from"], report["bins"]) for report in reports]

    def at(self, time_ns):
        total = 0
        for start, bins in self._reports:
            index = (time_ns - start) // (BIN_MS * 1_000_000)
            if 0 <= index < len(bins):
                total += bins[index]
        return total

    def window(self, begin_ns, end_ns):
        step = BIN_MS * 1_000_000
        return [self.at(t) for t in range(begin_ns, end_ns, step)]


def span_of(event):
    """The seconds worth seeing: the longest silence with some life before and after it."""
    silence = int(event.silence_ms * 1e6)
    if event.silence_ms < 20:
        return event.at - 500_000_000, event.at + 1_500_000_000
    margin = max(500_000_000, silence // 3)
    return event.silence_from - margin, event.silence_from + silence + 2 * margin


def panel(out, y, title, event, udp, tcp):
    begin, end = span_of(event)
    width = WIDTH - LEFT - RIGHT
    x_of = lambda t: LEFT + width * (t - begin) / (end - begin)
    base = y + PANEL
    out.append(f'<text class="panel" x="{LEFT}" y="{y - 10}">{escape(title)}</text>')
    if event.silence_ms >= 20:
        x = x_of(event.silence_from)
        out.append(
            f'<rect class="silence" x="{x:.1f}" y="{y}" height="{PANEL}" '
            f'width="{x_of(event.silence_from + event.silence_ms * 1e6) - x:.1f}"/>'
        )
    packets, echoes = udp.window(begin, end), tcp.window(begin, end)
    bar = width / len(packets)
    # Ten probe packets fit into a bin; a burst after a pause may bring more.
    top = max(12, *packets)
    path = "".join(
        f"M{LEFT + i * bar:.1f} {base}v{-PANEL * n / top:.1f}h{bar:.2f}v{PANEL * n / top:.1f}z"
        for i, n in enumerate(packets)
        if n
    )
    out.append(f'<path class="udp" d="{path}"/>')
    usual = sorted(echoes)[len(echoes) * 9 // 10] or 1
    points = " ".join(
        f"{LEFT + (i + 0.5) * bar:.1f},{base - PANEL * min(n / usual / 1.5, 1):.1f}"
        for i, n in enumerate(echoes)
    )
    out.append(f'<polyline class="tcp" points="{points}"/>')
    if begin <= event.at <= end:
        out.append(
            f'<line class="event" x1="{x_of(event.at):.1f}" x2="{x_of(event.at):.1f}" y1="{y}" y2="{base}"/>'
        )
    out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    seconds = (end - begin) / 1e9
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if seconds / s <= 12)
    first = -int((event.at - begin) / 1e9 / step)
    for i in range(first, first + 60):
        at = event.at + int(i * step * 1e9)
        if begin <= at <= end:
            out.append(
                f'<text class="note" text-anchor="middle" x="{x_of(at):.1f}" y="{base + 15}">'
                f"{i * step:g} s</text>"
            )
    out.append(
        f'<text class="note" x="{LEFT}" y="{base + 30}">silence {event.silence_ms:.1f} ms; '
        f"{event.connections - event.broken} of {event.connections} connections alive</text>"
    )


def render(path, runs):
    """runs: (name, events, udp series, tcp series)."""
    out = []
    y = TOP + 40
    for name, events, udp, tcp in runs:
        for event in events:
            panel(out, y, f"{name}: {event.name}", event, udp, tcp)
            y += PANEL + GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="28">Delivered packets around each event</text>',
        f'<text class="note" x="{LEFT}" y="48">blue: answers to a UDP packet each millisecond, per 10 ms; '
        f"orange: echoes of all TCP connections, per 10 ms; time in seconds from the event</text>",
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(head + out + ["</svg>"]) + "\n")
