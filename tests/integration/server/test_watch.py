"""The harness tells of a server that crashed, which nobody sees who only talks to it: conftest.py fails the test for it."""

import os
import signal

import pytest

from harness import watch
from harness.trivet import SANITIZER_STATUSES, Trivet

pytestmark = pytest.mark.trivet_only


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "not yet reaped"])
def test_a_crash_is_told_once_with_the_end_of_the_log(reaped):
    with Trivet() as server:
        server.start()
        with server.log_path.open("a") as log:
            log.write("trivet: assertion failed: what is true\n")
        os.kill(server.pid, signal.SIGABRT)
        server.process.wait(60)
        if reaped:
            server.kill9()
        [told] = watch.take_crashes()
        assert "ended with -6" in told and "assertion failed: what is true" in told
        assert any("assertion failed: what is true" in text for title, text in watch.logs())
    assert watch.take_crashes() == []


def test_what_a_sanitizer_ends_has_crashed_and_what_a_test_kills_has_not():
    with Trivet() as server:
        server.start()
        server.kill9()
        assert watch.take_crashes() == []
        server.command = lambda: ["/bin/sh", "-c", f"exit {SANITIZER_STATUSES[0]}"]
        with pytest.raises(Exception, match="no ready line"):
            server.start()
        [told] = watch.take_crashes()
        assert f"ended with {SANITIZER_STATUSES[0]}" in told
