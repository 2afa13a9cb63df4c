"""Commands that compare before they change, or do several things in one step: what later versions of the originals have.

What is expected here was read off Valkey 9.1 where it has the command, and is Redis's documentation where it has not."""

import pytest
import redis
from wire import resp




@pytest.fixture
def ask(r):
    with resp.Connection(r.connection_pool.connection_kwargs["port"]) as one:
        yield one.ask


OK, NIL = ("+", "OK"), ("$", None)
WRONG_TYPE = ("-", "WRONGTYPE Operation against a key holding the wrong kind of value")
SYNTAX = ("-", "ERR syntax error")


def script(ask, *steps):
    for line, expected in steps:
        assert ask(*line.split()) == expected, line


def integer(n):
    return ":", n


def bulk(text):
    return "$", text.encode()


def array(*texts):
    return "*", [bulk(text) for text in texts]


def test_set_if_equal(ask):
    script(
        ask,
        ("SET k v", OK), ("SET k w IFEQ v", OK), ("SET k x IFEQ v", NIL), ("SET k x IFEQ w GET", bulk("w")), ("SET k y IFEQ w GET", bulk("x")),
        ("GET k", bulk("x")), ("SET no w IFEQ x", NIL), ("EXISTS no", integer(0)), ("SET k w IFEQ", SYNTAX), ("SET k w NX IFEQ x", SYNTAX),
        ("SET k w IFEQ x XX", SYNTAX), ("SET k w IFEQ x IFEQ y", SYNTAX), ("SET k 2 IFEQ x EX 100", OK), ("SET k 3 IFEQ 2 KEEPTTL", OK),
        ("TTL k", integer(100)), ("SET k 4 IFEQ 3", OK), ("TTL k", integer(-1)), ("LPUSH l a", integer(1)), ("SET l w IFEQ a", WRONG_TYPE),
    )  # fmt: skip


def test_set_if_not_equal_also_makes_the_key(ask):
    script(ask, ("SET k a IFNE x", OK), ("SET k b IFNE a", NIL), ("SET k b IFNE x", OK), ("GET k", bulk("b")), ("SET l x IFNE b GET", NIL))


def test_digests_are_xxh3(ask):
    script(
        ask,
        ("DIGEST no", NIL), ("SET k hello", OK), ("DIGEST k", bulk("9555e8555c62dcfd")), ("SET k x IFDEQ 0000000000000000", NIL),
        ("SET k x IFDNE 9555e8555c62dcfd", NIL), ("SET k x IFDEQ 9555E8555C62DCFD", OK), ("GET k", bulk("x")), ("SET n y IFDEQ 9555e8555c62dcfd", NIL),
        ("SET n y IFDNE 9555e8555c62dcfd", OK), ("SET k x IFDEQ 12", ("-", "ERR digest must be exactly 16 hexadecimal characters")),
        ("LPUSH l a", integer(1)), ("DIGEST l", WRONG_TYPE),
    )  # fmt: skip


def test_delete_if(ask):
    script(
        ask,
        ("SET k v", OK), ("DELIFEQ k x", integer(0)), ("DELIFEQ k v", integer(1)), ("DELIFEQ k v", integer(0)), ("SET k hello", OK),
        ("DELEX k IFEQ x", integer(0)), ("DELEX k IFNE hello", integer(0)), ("DELEX k IFDNE 9555e8555c62dcfd", integer(0)),
        ("DELEX k IFDEQ 9555e8555c62dcfd", integer(1)), ("DELEX k IFNE x", integer(0)), ("DELEX k NX", SYNTAX), ("DELEX k NX 1", SYNTAX),
        ("RPUSH l a", integer(1)), ("DELIFEQ l a", WRONG_TYPE), ("DELEX l IFEQ a", WRONG_TYPE), ("DELEX l", integer(1)),
    )  # fmt: skip


def test_msetex(ask):
    numkeys = ("-", "ERR invalid numkeys value or out of range")
    script(
        ask,
        ("MSETEX 2 a 1 b 2", integer(1)), ("MSETEX 2 a 1 c 2 NX", integer(0)), ("EXISTS c", integer(0)), ("MSETEX 2 a 3 b 4 XX EX 100", integer(1)),
        ("TTL b", integer(100)), ("MSETEX 1 a 5 KEEPTTL", integer(1)), ("TTL a", integer(100)), ("MSETEX 1 a 5", integer(1)), ("TTL a", integer(-1)),
        ("MSETEX 2 a 1 no 1 XX", integer(0)), ("MSETEX 0 a 1", numkeys), ("MSETEX x a 1", numkeys), ("MSETEX 2000000000000 a 1", numkeys),
        ("MSETEX 3 a 1 b 2", SYNTAX), ("MSETEX 1 a 1 b 2", SYNTAX), ("MSETEX 1 a 1 NX XX", SYNTAX), ("MSETEX 1 a 1 GET", SYNTAX),
        ("MSETEX 1 a 1 EX 0", ("-", "ERR invalid expire time in 'msetex' command")), ("MSETEX 2 a 1 d 1 PXAT 1", integer(1)), ("EXISTS a d", integer(0)),
    )  # fmt: skip


def test_hgetdel(ask):
    mismatch = ("-", "ERR numfields should be greater than 0 and match the provided number of fields")
    script(
        ask,
        ("HSET h f1 1 f2 2 f3 3", integer(3)), ("HGETDEL h FIELDS 2 f1 no", ("*", [bulk("1"), NIL])), ("HGETDEL h FIELDS 2 f2 f2", ("*", [bulk("2"), NIL])),
        ("HGETDEL no FIELDS 1 f", ("*", [NIL])), ("HGETDEL h X 1 f", SYNTAX), ("HGETDEL h FIELDS 2 f3", mismatch), ("HGETDEL h FIELDS -1 f3", mismatch),
        ("HGETDEL h FIELDS 1 f3", array("3")), ("EXISTS h", integer(0)), ("SET s v", OK), ("HGETDEL s FIELDS 1 f", WRONG_TYPE),
    )  # fmt: skip


def pair(a, b):
    return "*", [integer(a), integer(b)]


def test_increx_counts_within_bounds(ask):
    script(
        ask,
        ("INCREX c", pair(1, 1)), ("INCREX c BYINT 5 UBOUND 8", pair(6, 5)), ("INCREX c BYINT 5 UBOUND 8", pair(6, 0)), ("TTL c", integer(-1)),
        ("INCREX c BYINT 5 UBOUND 8 EX 50", pair(6, 0)), ("TTL c", integer(-1)), ("INCREX c BYINT 5 UBOUND 8 SATURATE EX 100", pair(8, 2)),
        ("TTL c", integer(100)), ("INCREX c EX 5 ENX", pair(9, 1)), ("TTL c", integer(100)), ("INCREX c PERSIST", pair(10, 1)), ("TTL c", integer(-1)),
        ("INCREX c BYINT 9223372036854775807", pair(10, 0)), ("INCREX c BYINT -20 LBOUND 0 SATURATE", pair(0, -10)), ("INCREX no BYINT 5 UBOUND 1", pair(0, 0)),
        ("EXISTS no", integer(0)), ("INCREX c LBOUND 3 UBOUND 1", ("-", "ERR LBOUND is greater than UBOUND")), ("INCREX c ENX", SYNTAX),
        ("INCREX c BYFLOAT 0.5", array("0.5", "0.5")), ("INCREX c BYFLOAT 1 UBOUND 1", array("0.5", "0")), ("INCREX c", ("-", "ERR value is not an integer or out of range")),
        ("LPUSH l a", integer(1)), ("INCREX l", WRONG_TYPE), ("INCREX c BYFLOAT 1 PXAT 1", array("1.5", "1")), ("EXISTS c", integer(0)),
    )  # fmt: skip


def test_cards_of_unions_and_differences(ask):
    script(
        ask,
        ("SADD a 1 2 3", integer(3)), ("SADD b 3 4", integer(2)), ("SUNIONCARD 2 a b", integer(4)), ("SUNIONCARD 3 a b no LIMIT 3", integer(3)),
        ("SUNIONCARD 2 a b APPROX", integer(4)), ("SUNIONCARD 2 a b LIMIT 2 APPROX", integer(2)), ("SDIFFCARD 2 a b", integer(2)), ("SDIFFCARD 2 b a LIMIT 5", integer(1)),
        ("SDIFFCARD 2 a a", integer(0)), ("SDIFFCARD 2 no a", integer(0)), ("SDIFFCARD 2 a b APPROX", SYNTAX), ("SUNIONCARD 0 a", ("-", "ERR numkeys should be greater than 0")),
        ("SET s v", OK), ("SUNIONCARD 2 a s", WRONG_TYPE), ("SDIFFCARD 3 a b", ("-", "ERR Number of keys can't be greater than number of args")),
    )  # fmt: skip


def test_aggregates_may_count_the_sets(ask):
    script(
        ask,
        ("ZADD a 10 x 20 y", integer(2)), ("ZADD b 30 y", integer(1)), ("ZUNION 2 a b AGGREGATE COUNT WITHSCORES", array("x", "1", "y", "2")),
        ("ZINTER 2 a b WEIGHTS 2 3 AGGREGATE COUNT WITHSCORES", array("y", "5")), ("ZUNIONSTORE d 2 a b AGGREGATE COUNT", integer(2)), ("ZSCORE d y", bulk("2")),
    )  # fmt: skip


def test_lmovem_keeps_or_turns_the_order(ask):
    nothing = ("*", None)
    script(
        ask,
        ("RPUSH s a b c d e", integer(5)), ("LMOVEM s d LEFT LEFT COUNT 2 OBO", array("b", "a")), ("LMOVEM s d LEFT LEFT COUNT 2 BULK", array("c", "d")),
        ("LRANGE d 0 -1", array("c", "d", "b", "a")), ("LMOVEM s d LEFT RIGHT EXACTLY 2 BULK", nothing), ("LMOVEM s d LEFT RIGHT", array("e")), ("EXISTS s", integer(0)),
        ("LMOVEM d d RIGHT LEFT COUNT 2 OBO", array("a", "e")), ("LMOVEM d d LEFT LEFT COUNT 99 OBO", array("b", "d", "c", "e", "a")),
        ("LRANGE d 0 -1", array("b", "d", "c", "e", "a")), ("LMOVEM d o LEFT LEFT COUNT 0 OBO", ("-", "ERR count should be greater than 0")),
        ("LMOVEM d o LEFT LEFT COUNT 1", SYNTAX), ("LMOVEM d o LEFT UP", SYNTAX), ("LMOVEM no o LEFT LEFT", nothing), ("SET x v", OK), ("LMOVEM d x LEFT LEFT", WRONG_TYPE),
        ("BLMOVEM d o LEFT LEFT 0 COUNT 2 BULK", array("b", "d")), ("BLMOVEM no o LEFT LEFT 0.01", nothing),
    )  # fmt: skip


def test_blmovem_waits_for_exactly_so_many(r, ask, eventually):
    with resp.Connection(r.connection_pool.connection_kwargs["port"]) as waiting:
        waiting.send("BLMOVEM", "s", "d", "LEFT", "RIGHT", "0", "EXACTLY", "3", "BULK")
        eventually(lambda: r.info("clients")["blocked_clients"] >= 1, 10)
        for element in ("a", "b"):
            ask("RPUSH", "s", element)
        assert ask("LLEN", "d") == integer(0)
        ask("RPUSH", "s", "c", "d")
        assert waiting.read() == array("a", "b", "c")
        assert ask("LRANGE", "s", 0, -1) == array("d")


def test_all_of_it_is_there_after_a_restart(launch):
    server = launch("redis", appendonly="yes", appendfsync="always")
    calls = """SET a 1|SET a 2 IFEQ 1|SET b 1 IFNE 0 EX 1000|SET gone 1|DELEX gone IFEQ 1|SET gone2 1|DELIFEQ gone2 1|MSETEX 2 c 1 d 2 EX 1000|MSETEX 1 c 2 KEEPTTL|MSETEX 2 e 1 f 1 NX
    INCREX n BYINT 5 EX 1000|INCREX n BYINT 500 UBOUND 7 SATURATE|INCREX m BYFLOAT 1.25|INCREX p EX 1000|INCREX p PERSIST|HSET h a 1 b 2 c 3|HGETDEL h FIELDS 2 a b
    RPUSH l a b c d e|LMOVEM l k LEFT LEFT COUNT 3 OBO|LMOVEM l l LEFT LEFT COUNT 9 OBO|BLMOVEM l k RIGHT RIGHT 0 COUNT 1 BULK|ZADD z 1 x|ZUNIONSTORE y 1 z AGGREGATE COUNT"""
    with resp.Connection(server.port_of("redis")) as one:
        for call in calls.replace("\n", "|").split("|"):
            assert one.ask(*call.split())[0] != "-", call

    def seen():
        client = redis.Redis(port=server.port_of("redis"), decode_responses=True)
        read = {"string": client.get, "hash": client.hgetall, "list": lambda key: client.lrange(key, 0, -1), "zset": lambda key: client.zrange(key, 0, -1, withscores=True)}
        return {key: (read[client.type(key)](key), client.pexpiretime(key)) for key in sorted(client.keys())}

    before = seen()
    assert len(before) == 14 and "gone" not in before
    server.restart(kill=True)
    assert seen() == before
