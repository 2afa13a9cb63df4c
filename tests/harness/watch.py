"""What befell the servers of a test: the ends of their logs, for its report, and who crashed, which fails it whatever its body says.

Each server tells when it begins and when it has ended (process.py); conftest.py asks.
"""

import collections
import signal

ENDED_MAX = 8
LINES = 40
CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}

_running = []
_ended = collections.deque(maxlen=ENDED_MAX)
_crashed = []


def begin(server):
    _running.append(server)


def end(server):
    """Its status is known, and its log is still there."""
    if server in _running:
        _running.remove(server)
        _look(server)
        _ended.append(_told(server))


def begin_test():
    _ended.clear()


def logs():
    """(title, text) of each server that runs or has ended in this test."""
    return [*_ended, *map(_told, _running)]


def take_crashes():
    """What each server said that has crashed since this was asked last."""
    for server in _running:
        _look(server)
    taken = list(_crashed)
    _crashed.clear()
    return taken


def _look(server):
    """A server that crashed is told once, whether it is reaped or not."""
    status = server.process.poll()
    if status is None or server.process is server.crash_told:
        return
    if -status in CRASHES or status in server.crash_statuses:
        server.crash_told = server.process
        _crashed.append("\n".join(_told(server)))


def _told(server):
    status = server.process.poll()
    state = "runs" if status is None else f"ended with {status}"
    return f"log of {server.name} {server.process.pid}, which {state}", server.log_tail(LINES)
