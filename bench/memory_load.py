"""Redis: resident bytes an item beyond the item's own bytes, by shape. Each shape is loaded into a server of its own."""

import socket
import time

import redis_load
import table
from wire.resp import encode

ITEMS = 1_000_000
FIELDS = 5
BATCH_ITEMS = 1000
SETTLE_SECONDS = 1.5  # a table that grows goes on with it in the cron


def key(n):
    return b"key:%012d" % n


def of_64(n):
    return b"%064d" % n


def five_fields(n):
    return [word for f in range(FIELDS) for word in (b"field%d" % f, b"value:%04d" % (n % 9999))]


def seconds(n):
    """Deadlines that differ, and lie behind the end of the run."""
    return 100_000 + n % 1000


# The command for item n, and the bytes that the item is: keys, fields, members and values.
SHAPES = {
    "string of 64 B": (lambda n: encode("SET", key(n), of_64(n)), 16 + 64),
    "string of 8 B": (lambda n: encode("SET", key(n), b"v%07d" % n), 16 + 8),
    "integer": (lambda n: encode("SET", key(n), 100_000_000 + n), 16 + 8),
    "string of 64 B with TTL": (lambda n: encode("SET", key(n), of_64(n), "EX", seconds(n)), 16 + 64 + 8),
    "hash of five fields": (lambda n: encode("HSET", key(n), *five_fields(n)), 16 + FIELDS * (6 + 10)),
    "hash of five fields with TTL": (
        lambda n: encode("HSETEX", key(n), "EX", seconds(n), "FIELDS", FIELDS, *five_fields(n)),
        16 + FIELDS * (6 + 10 + 8),
    ),
    "field of a big hash": (lambda n: encode("HSET", "hash", key(n), b"value:%010d" % n), 16 + 16),
    "field of a big hash with TTL": (
        lambda n: encode("HSETEX", "hash", "EX", seconds(n), "FIELDS", 1, key(n), b"value:%010d" % n),
        16 + 16 + 8,
    ),
    "member of a big set": (lambda n: encode("SADD", "set", key(n)), 16),
    "member of a big sorted set": (lambda n: encode("ZADD", "zset", n * 7919 % 1_000_003, key(n)), 16 + 8),
    "element of a list": (lambda n: encode("RPUSH", "list", key(n)), 16),
    "entry of a stream": (lambda n: encode("XADD", "stream", b"%d-1" % (n + 1), "field", key(n)), 16 + 16),
}

LATER = {"hash of five fields with TTL": "HSETEX", "field of a big hash with TTL": "HSETEX"}  # left out where the original is older


def known_by_all(options, command):
    for _, server in redis_load.servers_of(options):
        server.start()
        try:
            if not redis_load.knows(server, command):
                return False
        finally:
            server.close()
    return True


def replies(conn, count):
    """Reads `count` one-line replies, or those of XADD, which are two lines each."""
    lines = 0
    while lines < count:
        data = conn.recv(1 << 20)
        assert data and b"-ERR" not in data, data[:200]
        lines += data.count(b"\n") - data.count(b"$")
    assert lines == count


def load(server, command, items):
    with socket.create_connection((server.host, server.port_of("redis"))) as conn:
        for first in range(0, items, BATCH_ITEMS):
            conn.sendall(b"".join(command(n) for n in range(first, first + BATCH_ITEMS)))
            replies(conn, BATCH_ITEMS)


def overhead_bytes(server, command, own_bytes, items):
    server.start()
    try:
        load(server, lambda _: encode("PING"), BATCH_ITEMS)
        before = server.resident_bytes()
        load(server, command, items)
        time.sleep(SETTLE_SECONDS)
        return (server.resident_bytes() - before) / items - own_bytes
    finally:
        server.close()


def measure(options):
    names = [redis_load.name_of(redis_load.servers_of(options)[0][1].program)]
    names += [] if options.only_original else ["Trivet"]
    items = int(ITEMS * options.scale) // BATCH_ITEMS * BATCH_ITEMS
    yield from table.header(f"Redis, resident bytes an item beyond its own, {items:,} items", names, "ratio")
    for name, (command, own_bytes) in SHAPES.items():
        if options.rows and options.rows.lower() not in name.lower():
            continue
        if name in LATER and not known_by_all(options, LATER[name]):
            continue
        found = [[overhead_bytes(server, command, own_bytes, items)] for _, server in redis_load.servers_of(options)]
        yield table.row(name, found)
