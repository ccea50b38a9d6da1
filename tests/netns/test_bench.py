"""The benchmarks still run, and what they measure happens: the figures themselves are tests/bench/run's business."""
import os
import sys

from lib.wait import require

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))

from figures import commit  # noqa: E402

FLOWS = 3000


def test_commit():
    result = commit.ours(FLOWS)
    require(result["entries"] == FLOWS, f"{result['entries']} of {FLOWS} entries are in both kernels")
    kernel = commit.floor(FLOWS)
    require(kernel["entries"] == FLOWS, f"{kernel['entries']} of {FLOWS} entries were inserted")
