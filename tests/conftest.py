"""Fixtures for all tests: servers to talk to, of Trivet or (with --target=original) of the originals.

redis, kafka, zookeeper   a server shared by the whole run
launch                    a server of a test's own: launch("redis", appendonly="yes")
original                  the original of a wing, to compare with
"""

import os
import time

import pytest

from harness import certificates as certs
from harness import originals, trivet, watch


def pytest_addoption(parser):
    parser.addoption("--target", choices=("trivet", "original"), default="trivet")
    parser.addoption("--soak", action="store_true", help="also the long runs")
    parser.addoption("--seeds", type=int, default=None, help="how many seeds the random tests run")
    parser.addoption("--seed", type=int, default=None, help="run the random tests with this one seed")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("soak") and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="a long run: make soak"))
        if item.get_closest_marker("trivet_only") and config.getoption("--target") != "trivet":
            item.add_marker(pytest.mark.skip(reason="holds for Trivet alone"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where CI runs nothing may be missing: a test that skips itself there has failed. Marks skip in the set-up, before."""
    report = yield
    if os.environ.get("CI") and call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception):
        chosen = any(mark.name == "skip" for mark in item.iter_markers())
        if not chosen:
            report.outcome, report.longrepr = "failed", f"skipped where nothing may be missing: {call.excinfo.value}"
    if report.when == "teardown" and (crashes := watch.take_crashes()):
        told = f"\n\n{report.longrepr}" if report.failed else ""
        report.outcome, report.longrepr = "failed", "a server crashed:\n" + "\n".join(crashes) + told
    elif report.failed:
        report.sections += watch.logs()
    return report


def pytest_runtest_setup(item):
    watch.begin_test()


def pytest_generate_tests(metafunc):
    """A test that takes `seed` runs once a seed; its mark seeds(n) says how many unless the command line does."""
    if "seed" in metafunc.fixturenames:
        one, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        mark = metafunc.definition.get_closest_marker("seeds")
        default = mark.args[0] * (10 if metafunc.config.getoption("--soak") else 1)
        metafunc.parametrize("seed", [one] if one is not None else range(1, (count or default) + 1))


class Shared:
    """The servers that live through the run. At most one Java original is up at a time."""

    def __init__(self, target):
        self.target = target
        self.trivet = None
        self.originals = {}

    def of(self, wing):
        if self.target == "original":
            return self.original(wing)
        if self.trivet is None or not self.trivet.alive():
            if self.trivet is not None:
                self.trivet.close()
            self.trivet = trivet.Trivet(TRIVET_SHARED).start()
        return self.trivet

    def original(self, wing):
        reason = originals.available(wing)
        if reason:
            pytest.skip(reason)
        server = self.originals.get(wing)
        if server is None or not server.alive():
            for other in {"kafka", "zookeeper"} - {wing}:
                if other in self.originals:
                    self.originals.pop(other).close()
            server = self.originals[wing] = originals.ORIGINALS[wing](ORIGINAL_SHARED.get(wing)).start()
        return server

    def close(self):
        for server in [self.trivet, *self.originals.values()]:
            if server is not None:
                server.close()


# Containers of tests that are over must not be reaped, with a zxid each, in the middle of another test.
ZOOKEEPER_SHARED = {"maxClientCnxns": 0, "znode.container.checkIntervalMs": 2**31 - 1}
TRIVET_SHARED = {"zookeeper": {"extendedTypesEnabled": "true", **ZOOKEEPER_SHARED}}
ORIGINAL_SHARED = {"zookeeper": ZOOKEEPER_SHARED}


@pytest.fixture(scope="session")
def target(request):
    return request.config.getoption("--target")


@pytest.fixture(scope="session")
def shared(target):
    servers = Shared(target)
    yield servers
    servers.close()


def _wing(shared, wing):
    server = shared.of(wing)
    yield server
    assert server.alive(), f"{server.name} died during this test:\n{server.log_tail(60)}"


@pytest.fixture
def redis_server(shared):
    yield from _wing(shared, "redis")


@pytest.fixture
def kafka_server(shared):
    yield from _wing(shared, "kafka")


@pytest.fixture
def zookeeper_server(shared):
    yield from _wing(shared, "zookeeper")


@pytest.fixture
def launch(target):
    """launch(wing, directive=value, ...): a fresh server of the target, gone when the test ends."""
    started = []

    def start(wing, **directives):
        if target == "trivet":
            server = trivet.Trivet({wing: directives})
        else:
            reason = originals.available(wing)
            if reason:
                pytest.skip(reason)
            server = originals.ORIGINALS[wing](directives)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority and certificates that it signed (harness/certificates.py)."""
    return certs.Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def eventually():
    """eventually(f): waits until f() is true, and fails when that takes implausibly long."""

    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    return wait
