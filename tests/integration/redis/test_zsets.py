"""Sorted sets through redis-py."""

import math
import threading

import pytest
from redis.exceptions import ResponseError


def pairs(reply):
    return [tuple(pair) for pair in reply]


def test_members_order_by_score_then_bytes(r):
    r.zadd("z", {"b": 1, "a": 1, "c": 0, "d": -math.inf, "e": math.inf})
    assert r.zrange("z", 0, -1) == ["d", "c", "a", "b", "e"]
    assert r.zrevrange("z", 0, 1) == ["e", "b"]
    assert pairs(r.zrange("z", 1, 2, withscores=True)) == [("c", 0.0), ("a", 1.0)]


def test_zadd_flags(r):
    assert r.zadd("z", {"a": 1}, nx=True) == 1
    assert r.zadd("z", {"a": 5}, nx=True) == 0
    assert r.zadd("z", {"a": 5, "new": 1}, xx=True, ch=True) == 1
    assert r.zadd("z", {"a": 3}, gt=True, ch=True) == 0
    assert r.zadd("z", {"a": 3}, lt=True, ch=True) == 1
    assert r.zadd("z", {"a": 2}, incr=True) == 5.0
    assert r.zadd("z", {"a": 2}, nx=True, incr=True) is None
    with pytest.raises(ResponseError, match="GT, LT, and/or NX options at the same time"):
        r.execute_command("ZADD", "z", "NX", "GT", "1", "a")


def test_nan_is_never_a_score(r):
    with pytest.raises(ResponseError, match="not a valid float"):
        r.execute_command("ZADD", "z", "nan", "a")
    r.zadd("z", {"a": math.inf})
    with pytest.raises(ResponseError, match="resulting score is not a number"):
        r.zincrby("z", -math.inf, "a")


def test_ranges_by_score_lex_and_with_limits(r):
    r.zadd("z", {f"m{n}": n for n in range(10)})
    assert r.zrangebyscore("z", "(2", "5") == ["m3", "m4", "m5"]
    assert r.zrangebyscore("z", "-inf", "+inf", start=8, num=5) == ["m8", "m9"]
    assert r.zrange("z", "5", "(2", desc=True, byscore=True) == ["m5", "m4", "m3"]
    assert r.zcount("z", "(0", "(9") == 8
    r.zadd("lex", {member: 0 for member in "abcdef"})
    assert r.zrangebylex("lex", "[b", "(d") == ["b", "c"]
    assert r.zrevrangebylex("lex", "+", "[e") == ["f", "e"]
    assert r.zlexcount("lex", "-", "+") == 6
    with pytest.raises(ResponseError, match="min or max not valid string range item"):
        r.zrangebylex("lex", "b", "+")


def test_ranks_scores_and_removal_by_each_order(r):
    r.zadd("z", {f"m{n}": n for n in range(10)})
    assert (r.zrank("z", "m3"), r.zrevrank("z", "m3"), r.zrank("z", "none")) == (3, 6, None)
    assert r.zmscore("z", ["m1", "none"]) == [1.0, None]
    assert r.zremrangebyrank("z", 0, 1) == 2
    assert r.zremrangebyscore("z", 2, "(4") == 2
    assert r.zremrangebylex("z", "[m4", "[m5") == 2
    assert r.zrange("z", 0, -1) == ["m6", "m7", "m8", "m9"]
    assert r.zrem("z", "m6", "none") == 1


def test_stores_aggregate_with_weights(r):
    r.zadd("a", {"x": 1, "y": 2})
    r.zadd("b", {"y": 10, "z": 20})
    assert r.zunionstore("u", {"a": 2, "b": 1}) == 3
    assert pairs(r.zrange("u", 0, -1, withscores=True)) == [("x", 2.0), ("y", 14.0), ("z", 20.0)]
    assert r.zinterstore("i", ["a", "b"], aggregate="MAX") == 1
    assert r.zscore("i", "y") == 10.0
    assert r.zdiff(["a", "b"]) == ["x"]
    assert r.zintercard(2, ["a", "b"]) == 1
    r.sadd("s", "x")
    assert r.zinter(["a", "s"], withscores=False) == ["x"]
    assert r.zrangestore("copy", "a", 0, 0) == 1


def test_pops_from_both_ends_and_many_keys(r):
    r.zadd("z", {f"m{n}": n for n in range(7)})
    assert pairs(r.zpopmin("z", 2)) == [("m0", 0.0), ("m1", 1.0)]
    assert pairs(r.zpopmax("z", 1)) == [("m6", 6.0)]
    assert r.execute_command("ZMPOP", 2, "none", "z", "MAX", "COUNT", 2)[0] == "z"
    assert r.zcard("z") == 2
    assert r.execute_command("ZMPOP", 1, "none", "MIN") is None


def test_bzpopmin_waits_for_a_member(r3, connect, eventually):
    one, got = connect(), []
    thread = threading.Thread(target=lambda: got.append(one.bzpopmin("z", 15)), daemon=True)
    thread.start()
    eventually(lambda: r3.info("clients")["blocked_clients"] == 1)
    r3.zadd("z", {"a": 2, "b": 1})
    thread.join(15)
    assert got and list(got[0])[:2] == ["z", "b"]
    assert r3.zrange("z", 0, -1) == ["a"]


def test_encoding_turns_from_listpack_to_skiplist(r):
    r.zadd("z", {str(n): n for n in range(128)})
    assert r.object("encoding", "z") == "listpack"
    r.zadd("z", {"more": 1})
    assert r.object("encoding", "z") == "skiplist"
    r.zadd("y", {"x" * 65: 1})
    assert r.object("encoding", "y") == "skiplist"


def test_scores_print_as_the_shortest_that_reads_back(connect):
    r = connect(protocol=2, decode_responses=False)
    r.flushall()
    for text, expected in {"1e10": b"10000000000", "0.1": b"0.1", "3.0": b"3", "1e21": b"1e+21"}.items():
        r.execute_command("ZADD", "z", text, "m")
        raw = r.connection_pool.get_connection()
        raw.send_command("ZSCORE", "z", "m")
        assert raw.read_response() == expected
        r.connection_pool.release(raw)


@pytest.mark.parametrize("count", [20, 3000])
def test_zscan_returns_every_member(r, count):
    r.zadd("z", {f"m{n}": n for n in range(count)})
    assert dict(r.zscan_iter("z")) == {f"m{n}": float(n) for n in range(count)}


def test_zrandmember_counts(r):
    r.zadd("z", {str(n): n for n in range(10)})
    assert len(set(r.zrandmember("z", 5))) == 5
    assert len(r.zrandmember("z", -30)) == 30
    assert r.zrandmember("none") is None
