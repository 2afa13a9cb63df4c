"""Keys of any type: expiry, renaming, scanning, databases."""

import time

import pytest
from redis.exceptions import ResponseError


def fill_one_of_each(r):
    r.set("string", "v")
    r.rpush("list", "a", "b")
    r.hset("hash", "f", "v")
    r.sadd("set", "m")
    r.zadd("zset", {"m": 1})


def test_type_exists_del_unlink_touch_count_keys(r):
    fill_one_of_each(r)
    assert [r.type(key) for key in ("string", "list", "hash", "set", "zset", "none")] == [
        "string", "list", "hash", "set", "zset", "none",
    ]  # fmt: skip
    assert r.exists("string", "string", "none") == 2
    assert r.touch("string", "list", "none") == 2
    assert r.delete("string", "none") == 1
    assert r.unlink("list", "hash") == 2
    assert r.dbsize() == 2


def test_expiry_is_set_read_conditioned_and_removed(r):
    r.set("k", "v")
    assert r.expire("k", 100, nx=True) and not r.expire("k", 200, nx=True)
    assert r.expire("k", 200, gt=True) and not r.expire("k", 100, gt=True)
    assert r.expire("k", 100, lt=True)
    assert 0 < r.pttl("k") <= 100_000
    at = int(time.time()) + 1000
    assert r.expireat("k", at)
    assert (r.expiretime("k"), r.pexpiretime("k")) == (at, at * 1000)
    assert r.persist("k") and not r.persist("k")
    assert (r.ttl("k"), r.ttl("none"), r.expiretime("k")) == (-1, -2, -1)


def test_an_expiry_in_the_past_deletes_at_once(r):
    r.set("k", "v")
    assert r.expire("k", -1)
    assert r.exists("k") == 0


def test_expired_keys_vanish_from_reads_and_are_reclaimed_unread(r, eventually):
    with r.pipeline(transaction=False) as pipe:
        for n in range(500):
            pipe.set(f"k{n}", "v", px=30)
        pipe.execute()
    r.set("stays", "v")
    eventually(lambda: r.get("k0") is None)
    eventually(lambda: r.dbsize() == 1)


def test_overflowing_expiries_are_refused(r):
    r.set("k", "v")
    for call in (
        lambda: r.execute_command("EXPIRE", "k", 2**63 - 1),
        lambda: r.execute_command("SET", "k", "v", "EX", 0),
        lambda: r.execute_command("SET", "k", "v", "PX", -1),
        lambda: r.execute_command("SETEX", "k", 0, "v"),
    ):
        with pytest.raises(ResponseError, match="invalid expire time"):
            call()


def test_rename_carries_value_and_expiry_and_replaces(r):
    r.set("a", "1", ex=100)
    r.rpush("b", "x")
    assert not r.renamenx("a", "b")
    assert r.rename("a", "b")
    assert r.get("b") == "1" and 0 < r.ttl("b") <= 100
    with pytest.raises(ResponseError, match="no such key"):
        r.rename("none", "c")


def test_copy_and_move_between_databases(r, connect):
    other = connect(db=3)
    fill_one_of_each(r)
    assert r.copy("hash", "hash2") and not r.copy("hash", "hash2")
    assert r.copy("list", "hash2", replace=True)
    assert r.lrange("hash2", 0, -1) == ["a", "b"]
    assert r.copy("zset", "zset", destination_db=3)
    assert other.zscore("zset", "m") == 1.0
    assert r.move("set", 3) and not r.exists("set")
    assert not r.move("zset", 3)


def test_sixteen_databases_are_apart_and_swap(r, connect):
    last = connect(db=15)
    last.set("k", "fifteen")
    assert r.get("k") is None
    with pytest.raises(ResponseError, match="DB index is out of range"):
        r.execute_command("SELECT", 16)
    r.swapdb(0, 15)
    assert r.get("k") == "fifteen"
    last.flushdb()
    assert r.dbsize() == 1


@pytest.mark.parametrize("count", [1, 1000])
def test_scan_returns_every_key_once_the_keyspace_rests(r, count):
    r.mset({f"key:{n}": n for n in range(count)})
    r.rpush("list", "x")
    assert set(r.scan_iter(count=100)) == {f"key:{n}" for n in range(count)} | {"list"}
    assert set(r.scan_iter(match="key:*", _type="string")) == {f"key:{n}" for n in range(count)}
    assert set(r.scan_iter(_type="list")) == {"list"}


def test_scan_misses_no_lasting_key_while_the_table_grows_and_shrinks(r):
    lasting = {f"stay:{n}" for n in range(300)}
    r.mset(dict.fromkeys(lasting, 1))
    seen, cursor, turn = set(), None, 0
    while cursor != 0 and turn < 10_000:
        cursor, keys = r.scan(cursor or 0, count=10)
        seen.update(keys)
        if turn < 20:
            r.mset({f"grow:{turn}:{n}": 1 for n in range(100)})
        elif turn < 40:
            r.delete(*[f"grow:{turn - 20}:{n}" for n in range(100)])
        turn += 1
    assert lasting <= seen


def test_keys_matches_globs(r):
    r.mset(dict.fromkeys(["hello", "hallo", "hxllo", "hllo", "h*llo", "hello[1]"], 1))
    assert set(r.keys("h?llo")) == {"hello", "hallo", "hxllo", "h*llo"}
    assert set(r.keys("h[ae]llo")) == {"hello", "hallo"}
    assert set(r.keys("h[^e]llo")) == {"hallo", "hxllo", "h*llo"}
    assert set(r.keys("h[a-b]llo")) == {"hallo"}
    assert set(r.keys("h\\*llo")) == {"h*llo"}
    assert len(r.keys("*")) == 6


def test_object_reports_encoding_refcount_and_idle_time(r):
    r.set("k", "v")
    assert r.object("refcount", "k") >= 1
    assert r.object("idletime", "k") == 0
    assert r.object("encoding", "none") is None
    assert any("ENCODING" in line for line in r.execute_command("OBJECT", "HELP"))


def test_randomkey_picks_existing_keys(r):
    assert r.randomkey() is None
    r.mset({"a": 1, "b": 2})
    assert {r.randomkey() for _ in range(200)} == {"a", "b"}
