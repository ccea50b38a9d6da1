"""Waiting for something to become true, with a limit and a reason."""
import time


class TestFailed(Exception):
    """What a test says when it fails: one sentence."""


class TestVoid(Exception):
    """What a test says that could not do to the routers what it is about: it has measured nothing, and is run again."""


# Of this test, which has a process of its own: why a failure of it may be the machine's. A pass in spite of it is one.
doubts = []


def require(condition, text):
    if not condition:
        raise TestFailed(text)


def wait_until(condition, timeout, text, every=0.05):
    """Returns the first true value of `condition()`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TestFailed(f"not within {timeout:g} s: {text}")
        time.sleep(every)
