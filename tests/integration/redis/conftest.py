"""Redis clients on the shared server, whose databases are empty when a test begins."""


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
