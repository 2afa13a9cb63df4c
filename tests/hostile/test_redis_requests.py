"""Single requests of Redis that are short to say and long to do: refused, or done in a time that grows with what they name."""

import time

import pytest
import redis
from redis.exceptions import ResponseError

from wire import resp

from .conftest import wait_until

MANY = 20_000
pytestmark = pytest.mark.usefixtures("short_turns")


@pytest.fixture
def r(ports):
    client = redis.Redis(port=ports["redis"], socket_timeout=30)
    client.flushall()
    yield client
    client.flushall()


def test_lcs_takes_no_more_memory_than_a_value_may(r, ports):
    r.set("a", b"x" * 1_000_000)
    r.set("b", b"y" * 1_000_000)
    expected = "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    for options in ((), ("LEN",), ("IDX",)):
        with pytest.raises(ResponseError, match=expected):
            r.execute_command("LCS", "a", "b", *options)
    r.config_set("proto-max-bulk-len", 1024 * 1024)
    try:
        r.set("a", b"x" * 600)
        r.set("b", b"x" * 435)
        assert r.execute_command("LCS", "a", "b", "LEN") == 435
        r.append("b", b"x")
        with pytest.raises(ResponseError, match=expected):
            r.execute_command("LCS", "a", "b", "LEN")
    finally:
        r.config_set("proto-max-bulk-len", 512 * 1024 * 1024)


RANDOM = {
    "HRANDFIELD": ("HSET", "c", "f", "v", "g", "w"),
    "SRANDMEMBER": ("SADD", "c", "f", "g"),
    "ZRANDMEMBER": ("ZADD", "c", 1, "f", 2, "g"),
}


@pytest.mark.parametrize("command", RANDOM)
@pytest.mark.parametrize("count", [-(2**62), -(10**9), -(2 * 10**7)])
def test_random_members_repeated_for_ever_are_refused(r, command, count):
    r.execute_command(*RANDOM[command])
    with pytest.raises(ResponseError, match="value is out of range"):
        r.execute_command(command, "c", count)
    with pytest.raises(ResponseError, match="value is out of range"):
        r.eval(f"return redis.call('{command}', 'c', '{count}')", 0)
    assert len(r.execute_command(command, "c", -1000)) == 1000


def test_random_members_are_judged_by_their_length(r):
    r.sadd("long", b"x" * 1_000_000)
    with pytest.raises(ResponseError, match="value is out of range"):
        r.execute_command("SRANDMEMBER", "long", -1000)
    assert len(r.execute_command("SRANDMEMBER", "long", -10)) == 10


def names(prefix, count=MANY):
    return [f"{prefix}{i}" for i in range(count)]


LEAVE = {"SUBSCRIBE": "UNSUBSCRIBE", "PSUBSCRIBE": "PUNSUBSCRIBE", "SSUBSCRIBE": "SUNSUBSCRIBE"}


@pytest.mark.parametrize("command", LEAVE)
@pytest.mark.parametrize("leaves", [True, False])
def test_a_client_leaves_its_many_channels_in_one_go(r, ports, command, leaves):
    connection = resp.Connection(ports["redis"])
    connection.send(command, *names("n"))
    for _ in range(MANY):
        connection.read()
    if leaves:
        connection.send(LEAVE[command])
        assert [connection.read()[1][2][1] for _ in range(MANY)] == list(range(MANY - 1, -1, -1))
    connection.close()
    wait_until(lambda: r.execute_command("PUBSUB", "NUMPAT") == 0 and not r.execute_command("PUBSUB", "CHANNELS"))
    assert r.execute_command("PUBSUB", "SHARDCHANNELS") == []


def test_many_watched_keys_are_watched_once_each(r, ports):
    keys = names("w")
    with resp.Connection(ports["redis"]) as watcher, resp.Connection(ports["redis"]) as other:
        assert other.ask("WATCH", *keys) == ("+", "OK")
        assert watcher.ask("WATCH", *keys) == ("+", "OK")
        assert watcher.ask("WATCH", *keys) == ("+", "OK")
        assert sorted(int(client["watch"]) for client in r.client_list())[-2:] == [MANY, MANY]
        r.set(keys[-1], 1)
        assert watcher.ask("MULTI") == ("+", "OK")
        assert watcher.ask("EXEC")[1] is None


def test_many_keys_are_waited_for_once_each(r, ports):
    keys = names("b")
    with resp.Connection(ports["redis"]) as waiter:
        waiter.send("BLPOP", *keys, *keys, 0)
        while r.info("clients")["blocked_clients"] == 0:
            time.sleep(0.005)
        r.rpush(keys[-1], "x")
        assert waiter.read()[1][1][1] in ("x", b"x")


def test_a_list_of_many_client_ids_is_looked_through_once(r):
    assert r.execute_command("CLIENT", "LIST", "ID", *range(10**9, 10**9 + MANY)) in (b"", "", [])
    own = r.client_id()
    assert [int(c["id"]) for c in r.client_list(client_id=[own, own])] == [own]


@pytest.mark.parametrize("offset", [2**29, 2**40, 2**62, 2**63 - 1])
def test_strings_grow_no_longer_than_they_may(r, offset):
    r.set("s", "x")
    with pytest.raises(ResponseError, match="maximum allowed size"):
        r.execute_command("SETRANGE", "s", offset, "x")
    for words in (("SETBIT", "s", min(offset * 8, 2**63 - 1), 1), ("BITFIELD", "s", "SET", "u8", min(offset * 8, 2**63 - 1), 1)):
        with pytest.raises(ResponseError, match="bit offset is not an integer or out of range"):
            r.execute_command(*words)
    assert r.strlen("s") == 1
