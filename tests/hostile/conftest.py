import contextlib
import time

import pytest

from wire import jute, kafka, resp


def redis_answers(port):
    with resp.Connection(port) as connection:
        assert connection.ask("PING") == ("+", "PONG")


def kafka_answers(port):
    with kafka.Connection(port) as connection:
        assert connection.ask("ApiVersions", 0)["error"] == 0


def zookeeper_answers(port):
    connection = jute.Connection(port)
    assert connection.ask(jute.EXISTS, jute.read("/"))[2] == 0
    connection.end()


ANSWERS = {"redis": redis_answers, "kafka": kafka_answers, "zookeeper": zookeeper_answers}


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


@pytest.fixture
def ports(shared, request):
    """ports[wing]; afterwards each wing that was used must still answer a newcomer."""

    class Used(dict):
        def __missing__(self, wing):
            server = shared.of(wing)
            self[wing] = server.port_of(wing)
            self.servers = getattr(self, "servers", []) + [server]
            return self[wing]

    used = Used()
    yield used
    for wing, port in used.items():
        ANSWERS[wing](port)
    for server in getattr(used, "servers", []):
        assert server.alive(), f"{server.name} died:\n{server.log_tail(60)}"


@pytest.fixture
def answers():
    return ANSWERS


@pytest.fixture
def no_stall():
    """with no_stall(server): none of the server's turns computes for more than 100 ms meanwhile."""

    @contextlib.contextmanager
    def watch(server):
        before = server.stalls()
        yield
        stalls = server.stalls() - before
        assert stalls == 0, f"{stalls} turns of the loop took too long:\n{server.log_tail(20)}"

    return watch


@pytest.fixture
def short_turns(shared, ports, no_stall):
    """No turn of the loop may take long in this test, whatever is sent."""
    with no_stall(shared.of("kafka")):
        yield
