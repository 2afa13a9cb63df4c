"""Hashes and sets through redis-py."""

import pytest
from redis.exceptions import ResponseError


def test_hash_fields_are_set_read_and_removed(r):
    assert r.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert r.hset("h", "a", "9") == 0
    assert r.hgetall("h") == {"a": "9", "b": "2"}
    assert r.hmget("h", "a", "none") == ["9", None]
    assert r.hsetnx("h", "a", "0") in (0, False)
    assert (r.hlen("h"), r.hstrlen("h", "a"), r.hexists("h", "none")) == (2, 1, False)
    assert sorted(r.hkeys("h")) == ["a", "b"] and sorted(r.hvals("h")) == ["2", "9"]
    assert r.hdel("h", "a", "b", "none") == 2
    assert r.exists("h") == 0


def test_hash_counters_check_type_and_overflow(r):
    assert r.hincrby("h", "n", 5) == 5
    assert r.hincrbyfloat("h", "f", 1.5) == 1.5
    r.hset("h", mapping={"n": 2**63 - 1, "text": "x"})
    with pytest.raises(ResponseError, match="increment or decrement would overflow"):
        r.hincrby("h", "n", 1)
    with pytest.raises(ResponseError, match="hash value is not an integer"):
        r.hincrby("h", "text", 1)
    with pytest.raises(ResponseError, match="hash value is not a float"):
        r.hincrbyfloat("h", "text", 1)


def test_hrandfield_gives_distinct_or_repeated_fields(r):
    r.hset("h", mapping={str(n): n for n in range(10)})
    assert len(set(r.hrandfield("h", 5))) == 5
    assert len(r.hrandfield("h", 50)) == 10
    assert len(r.hrandfield("h", -50)) == 50
    assert r.hrandfield("none", 3) == []


@pytest.mark.parametrize("count", [10, 5000])
def test_hscan_returns_every_field_of_small_and_large(r, count):
    r.hset("h", mapping={f"f{n}": n for n in range(count)})
    assert dict(r.hscan_iter("h", count=50)) == {f"f{n}": str(n) for n in range(count)}


@pytest.mark.parametrize("count", [10, 200, 5000])
def test_sscan_returns_members_that_stay_while_others_come_and_go(r, count):
    r.sadd("s", *[f"m{n}" for n in range(count)])
    seen, cursor, turn = set(), None, 0
    while cursor != 0:
        cursor, part = r.sscan("s", cursor or 0, count=20)
        seen.update(part)
        r.sadd("s", f"new{turn}")
        r.srem("s", f"new{turn - 1}")
        turn += 1
    assert {f"m{n}" for n in range(count)} <= seen


def test_hash_encoding_turns_at_its_thresholds_and_stays(r):
    r.hset("h", mapping={str(n): n for n in range(512)})
    assert r.object("encoding", "h") == "listpack"
    r.hset("h", "one more", 1)
    assert r.object("encoding", "h") == "hashtable"
    r.hdel("h", "one more")
    assert r.object("encoding", "h") == "hashtable"
    r.hset("g", "f", "x" * 65)
    assert r.object("encoding", "g") == "hashtable"


def test_set_encoding_is_intset_listpack_or_hashtable(r):
    r.sadd("s", *range(512))
    assert r.object("encoding", "s") == "intset"
    r.sadd("s", 513)
    assert r.object("encoding", "s") == "hashtable"
    r.sadd("t", 1, 2)
    r.sadd("t", "x")
    assert r.object("encoding", "t") == "listpack"
    r.sadd("t", *[f"m{n}" for n in range(128)])
    assert r.object("encoding", "t") == "hashtable"


def test_set_algebra(r):
    r.sadd("a", *"abcd")
    r.sadd("b", *"cdef")
    assert set(r.sinter("a", "b")) == set("cd")
    assert set(r.sunion("a", "b")) == set("abcdef")
    assert set(r.sdiff("a", "b")) == set("ab")
    assert set(r.sinter("a", "none")) == set()
    assert r.sintercard(2, ["a", "b"], limit=1) == 1
    assert r.sinterstore("c", "a", "b") == 2
    assert r.sdiffstore("c", "a", "a") == 0
    assert r.exists("c") == 0


def test_set_membership_moves_and_pops(r):
    r.sadd("a", *"abc")
    assert r.smismember("a", ["a", "z"]) == [1, 0]
    assert r.smove("a", "b", "a") in (1, True)
    assert r.smove("a", "b", "none") in (0, False)
    assert set(r.spop("a", 10)) == set("bc")
    assert r.exists("a") == 0
    assert r.srandmember("b", -3) == ["a", "a", "a"]
    assert r.spop("none") is None


def test_wrong_type_is_refused(r):
    r.set("k", "v")
    for call in (lambda: r.hset("k", "f", "v"), lambda: r.sadd("k", "m"), lambda: r.sinter("k", "none")):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            call()
