"""A process with namespaces of its own for process ids and mounts.

Everything that a test starts lives in a PID namespace, and every network namespace that it names is a mount
in a private /run/netns. When the first process of the PID namespace ends, for whatever reason, the kernel
ends all others and with them every network namespace, bridge and veth: nothing can be left behind, not even
by SIGKILL.
"""
import ctypes
import os
import signal
import sys
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_REC = 16384
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1
NICE = -15

libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source, target, kind, flags=0):
    _check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, None), f"mount {target}")


def _raise_priority():
    """The silences that are measured shall be those of the routers, not of other jobs on the machine. Best
    effort. Within a session nice values count; between sessions that of the session's scheduling group
    does."""
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(NICE))
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except OSError:
        pass


def _enter(function):
    """The first process of the new PID namespace: mounts, then the work. Never returns."""
    code = 1
    try:
        _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        _mount("none", "/", "none", MS_REC | MS_PRIVATE)
        os.makedirs("/run/netns", exist_ok=True)
        _mount("none", "/run/netns", "tmpfs")
        _mount("proc", "/proc", "proc")
        code = function() or 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # the parent sees the code; the reason goes to the log
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Isolated:
    """Runs `function` as the first process of fresh namespaces. Its return value (0..255) is the exit code.
    """

    def __init__(self, function, log=None):
        self.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        # unshare(CLONE_NEWPID) applies to the children of the caller, so one process stands in between.
        self.pid = os.fork()
        if self.pid == 0:
            self._between(function, log)

    def _between(self, function, log):
        inner = 0
        try:
            _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
            os.setsid()  # a Ctrl-C is passed on in order, by the parent
            _raise_priority()
            if log is not None:
                descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(descriptor, 1)
                os.dup2(descriptor, 2)
            _check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID), "unshare")
            inner = os.fork()
            if inner == 0:
                _enter(function)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda n, _: os.kill(inner, n))
            while True:
                try:
                    _, status = os.waitpid(inner, 0)
                    break
                except InterruptedError:
                    continue
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        except BaseException as error:
            print(f"isolation: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    def wait(self, timeout=None):
        """The exit code, or None when the time is over."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                return os.waitstatus_to_exitcode(status)
            if end is not None and time.monotonic() > end:
                return None
            time.sleep(0.05)

    def end(self):
        """Asks, waits a little, then makes sure."""
        try:
            os.kill(self.pid, signal.SIGTERM)
            if self.wait(10) is None:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()
        except (ProcessLookupError, ChildProcessError):
            pass
