"""What one wing does for long holds no other wing: the others answered before it did."""

import select
import urllib.error
import urllib.request

import pytest

from harness.process import HOST
from harness.trivet import Trivet
from wire import jute, resp

pytestmark = pytest.mark.trivet_only

LONG_SECONDS = 3
LONG = {
    "sleep": ["DEBUG", "SLEEP", LONG_SECONDS],
    "sort": ["SORT", "many", "BY", "nosuch-*", "ALPHA", "STORE", "sorted"],
    "union": ["SUNIONSTORE", "both", "many", "more"],
}


@pytest.fixture(scope="module")
def server():
    settings = {"zookeeper": {"tickTime": 200, "minSessionTimeout": 400}, "redis": {"enable-debug-command": "yes"}}
    with Trivet(settings) as server:
        server.start()
        with resp.Connection(server.port_of("redis")) as connection:
            for key in ("many", "more"):
                script = f"for i = 1, 600000 do redis.call('SADD', '{key}', '{key}:' .. i) end"
                assert connection.ask("EVAL", script, 0)[0] != "-"
        yield server


def answered(connection):
    return select.select([connection.socket], [], [], 0)[0] != []


@pytest.mark.parametrize("how", LONG)
def test_a_long_command_of_redis_holds_no_session_of_zookeeper(server, how):
    zookeeper = jute.Connection(server.port_of("zookeeper"), timeout=800)
    assert zookeeper.ask(jute.CREATE, jute.create(f"/held-{how}", b"", jute.EPHEMERAL))[2] == 0
    with resp.Connection(server.port_of("redis")) as redis:
        redis.socket.sendall(resp.encode(*LONG[how]))
        before = 0
        while not answered(redis):
            assert zookeeper.ask(jute.SET_DATA, jute.set_data(f"/held-{how}", b"x"))[2] == 0
            before += 1
        assert before >= 20, "the tree waited for Redis"
        assert redis.read()[0] != "-"
    assert zookeeper.ask(jute.EXISTS, jute.read(f"/held-{how}"))[2] == 0
    zookeeper.close()


def get(server, path):
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}{path}", timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_while_a_reactor_does_not_answer_health_does_and_the_others_say_so(server):
    with resp.Connection(server.port_of("redis")) as redis:
        redis.socket.sendall(resp.encode(*LONG["sleep"]))
        assert get(server, "/healthz")[0] == 200
        while (page := get(server, "/readyz"))[0] == 200:  # until the command has begun
            assert not answered(redis)
        assert page[0] == 503 and "has not answered" in page[1]
        status, text = get(server, "/metrics")
        assert status == 200 and "trivet_reactor_silent{" in text
        assert not answered(redis)
        assert redis.read() == ("+", "OK")
    assert get(server, "/readyz") == (200, "redis: ready\nkafka: ready\nzookeeper: ready\nhttp: ready\nready\n")
    assert "trivet_reactor_silent" not in get(server, "/metrics")[1]
