"""DUMP gives the original's bytes, and each server restores what the other dumped, in the same encoding."""

import random

import pytest
import redis

from harness.crc64 import payload

LONG = "x" * 100
TEXT = "the quick brown fox jumps over the lazy dog, and over the lazy cat; " * 8

# name, the commands that make the key `k`, whether its elements have one order in both servers
VALUES = [
    ("empty string", [["SET", "k", ""]], True),
    ("small integers", [["SET", "k", "-128"]], True),
    ("16 bits", [["SET", "k", "32767"]], True),
    ("32 bits", [["SET", "k", "-2147483648"]], True),
    ("64 bits", [["SET", "k", "9223372036854775807"]], True),
    ("11 digits", [["SET", "k", "12345678901"]], True),
    ("short text", [["SET", "k", "hello"]], True),
    ("twenty bytes", [["SET", "k", "a" * 20]], True),
    ("compressed", [["SET", "k", "a" * 5000]], True),
    ("compressed text", [["SET", "k", TEXT]], True),
    ("incompressible", [["SET", "k", bytes(random.Random(1).randbytes(3000))]], True),
    ("appended", [["SET", "k", "12"], ["APPEND", "k", "3"]], True),
    ("float", [["SET", "k", "1.5"], ["INCRBYFLOAT", "k", "1.5"]], True),
    ("list", [["RPUSH", "k", "a", "1", "-5", "70000", LONG]], True),
    ("list of nodes", [["RPUSH", "k", *(f"element {i} {LONG}" for i in range(500))]], True),
    ("list with a large element", [["RPUSH", "k", "a", "b" * 20000, "c"]], True),
    ("intset 16", [["SADD", "k", "3", "1", "-2"]], True),
    ("intset 32", [["SADD", "k", "3", "70000"]], True),
    ("intset 64", [["SADD", "k", "3", "7000000000"]], True),
    ("set listpack", [["SADD", "k", "a"], ["SADD", "k", "b", "3"]], True),
    ("set table", [["SADD", "k", *(f"m{i}" for i in range(300))]], False),
    ("set of a long member", [["SADD", "k", LONG]], True),
    ("hash listpack", [["HSET", "k", "f", "1", "g", "text", "h", "-70000"]], True),
    ("hash table", [["HSET", "k", *(x for i in range(600) for x in (f"f{i}", i))]], False),
    ("hash of a long value", [["HSET", "k", "f", LONG]], True),
    ("zset listpack", [["ZADD", "k", "1", "a", "2.5", "b", "-inf", "c", "1e300", "d", "3", "7"]], True),
    ("zset", [["ZADD", "k", *(x for i in range(200) for x in (i / 7, f"m{i}"))]], True),
    ("stream", [["XADD", "k", "1-1", "f", "v"], ["XADD", "k", "2-0", "g", "-7"], ["XADD", "k", "3-1", "f", LONG],
                ["XDEL", "k", "2-0"]], True),
    ("stream of nodes", [["XADD", "k", f"{i + 1}-{i % 3}", "f", i, "text", LONG] for i in range(300)], True),
    ("stream without entries", [["XADD", "k", "MAXLEN", "0", "7-0", "f", "v"]], True),
    ("stream with groups", [["XADD", "k", "1-1", "f", "v"], ["XADD", "k", "2-0", "f", "v"],
                            ["XGROUP", "CREATE", "k", "g", "0"], ["XGROUP", "CREATE", "k", "h", "$", "ENTRIESREAD", "5"],
                            ["XADD", "k", "3-0", "f", "v"], ["XGROUP", "SETID", "k", "h", "2-0"]], True),
    ("zset of a long member", [["ZADD", "k", "1", LONG, "1", "z"]], True),
]


@pytest.fixture
def both(redis_ports):
    pair = [redis.Redis(port=port) for port in redis_ports]
    for one in pair:
        one.flushall()
    yield pair
    for one in pair:
        one.close()


def shown(server, key):
    """The value, its order put aside where the type has none, and its encoding."""
    kind = server.type(key)
    read = {
        b"string": lambda: server.get(key),
        b"list": lambda: server.lrange(key, 0, -1),
        b"set": lambda: server.smembers(key),
        b"hash": lambda: server.hgetall(key),
        b"zset": lambda: server.zrange(key, 0, -1, withscores=True),
        b"stream": lambda: (server.xrange(key), server.xinfo_groups(key), server.xinfo_stream(key)["max-deleted-entry-id"]),
    }[kind]
    return kind, server.object("encoding", key), read()


@pytest.mark.parametrize("commands, ordered", [v[1:] for v in VALUES], ids=[v[0] for v in VALUES])
def test_each_restores_what_the_other_dumped(both, valkey, commands, ordered):
    original, ours = both
    for server in both:
        for command in commands:
            server.execute_command(*command)
    dumps = [server.dump("k") for server in both]
    if ordered:
        assert dumps[1] == dumps[0]
    assert original.restore("copy", 0, dumps[1]) == b"OK"
    assert ours.restore("copy", 0, dumps[0]) == b"OK"
    assert shown(ours, "copy") == shown(original, "copy")
    assert shown(ours, "copy")[2] == shown(original, "k")[2]


def raw(server, *args):
    try:
        return server.execute_command(*args)
    except redis.ResponseError as error:
        return str(error)


def test_options_and_errors_are_the_originals(both, valkey):
    for server in both:
        server.set("s", "v")
        server.rpush("l", "x")
    good = both[0].dump("s")
    calls = [
        ("RESTORE", "s", 0, good),
        ("RESTORE", "n", -1, good),
        ("RESTORE", "n", "x", good),
        ("RESTORE", "n", 0, good[:-1]),
        ("RESTORE", "n", 0, b"short"),
        ("RESTORE", "n", 0, good, "NONSENSE"),
        ("RESTORE", "n", 0, good, "IDLETIME"),
        ("RESTORE", "n", 0, good, "IDLETIME", -1),
        ("RESTORE", "n", 0, good, "FREQ", 256),
        ("RESTORE", "n", 0, good, "FREQ", 5, "IDLETIME", 5),
        ("RESTORE", "n", 0, payload(b"\x02\x00")),
        ("RESTORE", "n", 0, payload(b"\x02\x02\x01a\x01a")),
        ("RESTORE", "n", 0, payload(b"\x09junk")),
        ("RESTORE", "n", 0, payload(b"\xf0")),
        ("RESTORE", "n", 0, payload(b"\x00\x01a", 200)),
        ("RESTORE", "n", 100000, good, "IDLETIME", 1000),
        ("OBJECT", "IDLETIME", "n"),
        ("RESTORE", "l", 0, good, "REPLACE"),
        ("GET", "l"),
        ("RESTORE", "l", 1, good, "REPLACE", "ABSTTL"),
        ("EXISTS", "l"),
        ("RESTORE", "later", 9999999999999, good, "ABSTTL"),
        ("PEXPIRETIME", "later"),
        ("DUMP", "absent"),
    ]
    for call in calls:
        theirs, ours = (raw(server, *call) for server in both)
        assert ours == theirs, call


ZIPLIST = bytes.fromhex("15000000120000000300000161030361626305f8ff")  # "a", "abc" and 7
OLD = {
    "list of a ziplist": b"\x0a\x15" + ZIPLIST,
    "quicklist of ziplists": b"\x0e\x02\x15" + ZIPLIST + b"\x15" + ZIPLIST,
    "hash of a zipmap": b"\x09\x0c\x02\x01a\x01\x001\x01b\x01\x002\xff",
    "list": b"\x01\x02\x01a\x01b",
    "zset with scores as text": b"\x03\x02\x01a\x031.5\x01b\xff",
}


@pytest.mark.parametrize("name", OLD)
def test_what_older_servers_dumped_is_read(both, valkey, name):
    for server in both:
        assert server.restore("k", 0, payload(OLD[name], 6)) == b"OK"
    assert shown(both[0], "k") == shown(both[1], "k")


def test_no_damaged_payload_harms_the_server(both):
    ours = both[1]
    chance = random.Random(7)
    for name, commands, _ in VALUES:
        ours.delete("k")
        for command in commands:
            ours.execute_command(*command)
        body = ours.dump("k")[:-10]
        for _ in range(60):
            bad = bytearray(body)
            for _ in range(chance.randint(1, 4)):
                bad[chance.randrange(min(len(bad), 200))] = chance.randrange(256)
            if raw(ours, "RESTORE", "bad", 0, payload(bytes(bad)), "REPLACE") in (b"OK", "OK"):
                key = ours.type("bad")
                assert key in (b"string", b"list", b"set", b"hash", b"zset", b"stream"), name
                raw(ours, "DUMP", "bad")
                raw(ours, "OBJECT", "ENCODING", "bad")
                ours.delete("bad")
    assert ours.ping()


def test_functions_travel_as_one_payload(both, valkey):
    first = "#!lua name=one\nredis.register_function('f1', function() return 1 end)"
    other = "#!lua name=two\nredis.register_function('f2', function() return 2 end)"
    for server in both:
        server.function_flush()
        server.function_load(first)
    dumps = [server.function_dump() for server in both]
    assert dumps[0][:-10] == dumps[1][:-10]  # the version is each server's own
    code = other.replace("f2", "f1").encode()
    rival = payload(b"\xf5\x40" + bytes([len(code)]) + code)
    calls = [
        ("RESTORE", dumps[0]),
        ("RESTORE", dumps[0], "REPLACE"),
        ("RESTORE", dumps[0], "NONSENSE"),
        ("RESTORE", dumps[0][:-1], "FLUSH"),
        ("RESTORE", payload(b"\x00\x01a")),
        ("RESTORE", payload(b"\xf6\x01a")),
        ("RESTORE", rival, "APPEND"),
        ("RESTORE", rival, "REPLACE"),
        ("LIST",),
        ("RESTORE", rival, "FLUSH"),
        ("LIST",),
        ("FLUSH",),
        ("RESTORE", dumps[0], "FLUSH"),
        ("LIST",),
    ]
    for call in calls:
        theirs, ours = (raw(server, "FUNCTION", *call) for server in both)
        assert ours == theirs, call
