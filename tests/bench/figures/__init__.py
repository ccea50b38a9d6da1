"""What is measured. Each module has `SIDES`: what runs, each alone on the machine (ours, conntrackd, and the kernel by
itself), as functions of the number of flows that return a dictionary of numbers; and `lines(results, flows)`, which
makes figures of them."""
from dataclasses import dataclass


@dataclass
class Figure:
    """One line. `met` is what the wanted bound says; None where there is nothing to be met."""

    name: str
    ours: str
    theirs: str = "-"
    floor: str = "-"
    ratio: str = "-"
    wanted: str = "-"
    met: bool | None = None


def per_second(count, seconds):
    return f"{count / seconds:,.0f}/s"


def times(a, b):
    return f"{a / b:.2f} x"
