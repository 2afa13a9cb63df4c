"""Redis clients on the shared server, whose databases are empty when a test begins."""

import time

import pytest
import redis


def client(server, **options):
    options = {"protocol": 3, "decode_responses": True, "socket_timeout": 60, **options}
    return redis.Redis(host=server.host, port=server.port_of("redis"), **options)


@pytest.fixture
def connect(redis_server):
    """connect(**options): one more client, closed when the test ends."""
    opened = []

    def open_one(**options):
        opened.append(client(redis_server, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def r(request, connect):
    one = connect(protocol=request.param)
    one.flushall()
    return one


@pytest.fixture
def r3(connect):
    one = connect(protocol=3)
    one.flushall()
    return one


@pytest.fixture
def eventually():
    """eventually(f): waits until f() is true, and fails when that takes implausibly long."""

    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    return wait
