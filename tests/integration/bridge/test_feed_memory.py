"""maxmemory under a change feed: each key that goes makes a record, and a rewrite writes both, without driving out others."""

import pytest
from wire.resp import encode

pytestmark = pytest.mark.trivet_only

KEYS, BATCH = 20_000, 500


def fill(connection, first, count):
    for at in range(first, first + count, BATCH):
        connection.socket.sendall(b"".join(encode("SET", f"k:{n:012d}", "x" * 16) for n in range(at, at + BATCH)))
        for _ in range(BATCH):
            assert connection.read() == ("+", "OK")


def field(connection, section, name):
    text = connection.ask("INFO", section)[1].decode()
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)[name])


def test_evictions_that_feed_and_a_rewrite_leave_the_other_keys(start, connect):
    server = start(redis={"appendfsync": "everysec"}, trivet={"changefeed.all.topic": "changes"})
    connection = connect(server)
    fill(connection, 0, KEYS)
    connection.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    # The feed's partition keeps something of each record for a while; that is the process' memory, and has its place.
    limit = field(connection, "memory", "used_memory") - field(connection, "memory", "mem_not_counted_for_evict") + (1 << 20)
    assert connection.ask("CONFIG", "SET", "maxmemory", limit) == ("+", "OK")
    for round_ in range(4):
        connection.ask("BGREWRITEAOF")
        fill(connection, KEYS * (round_ + 1), KEYS)
        assert connection.ask("DBSIZE")[1] > KEYS * 0.75
    assert field(connection, "stats", "evicted_keys") > KEYS
