"""Strings through redis-py."""

import pytest
from redis.exceptions import ResponseError


def test_set_and_get_round_trip_every_byte_value(connect):
    r = connect(decode_responses=False)
    value = bytes(range(256)) * 300
    r.set(b"\x00key\r\n", value)
    assert r.get(b"\x00key\r\n") == value


def test_set_options_nx_xx_get_keepttl(r):
    assert r.set("k", "1", nx=True) is True
    assert r.set("k", "2", nx=True) is None
    assert r.set("missing", "2", xx=True) is None
    assert r.set("k", "3", xx=True, get=True) == "1"
    r.expire("k", 100)
    r.set("k", "4", keepttl=True)
    assert 0 < r.ttl("k") <= 100
    r.set("k", "5")
    assert r.ttl("k") == -1


def test_set_nx_get_returns_the_old_value_and_leaves_it(r):
    r.set("k", "old")
    assert r.set("k", "new", nx=True, get=True) == "old"
    assert r.get("k") == "old"


def test_getex_and_getdel_touch_value_and_expiry(r):
    r.set("k", "v")
    assert r.getex("k", ex=50) == "v"
    assert 0 < r.ttl("k") <= 50
    assert r.getex("k", persist=True) == "v"
    assert r.ttl("k") == -1
    assert r.getdel("k") == "v"
    assert r.exists("k") == 0


def test_incr_stops_at_the_64_bit_borders(r):
    r.set("k", 2**63 - 1)
    with pytest.raises(ResponseError, match="increment or decrement would overflow"):
        r.incr("k")
    r.set("k", -(2**63))
    with pytest.raises(ResponseError, match="increment or decrement would overflow"):
        r.decr("k")
    assert r.get("k") == str(-(2**63))


def test_incr_refuses_what_is_not_a_whole_number(r):
    for value in ("", " 1", "1 ", "1.0", "0x10", "01", "+1", "9223372036854775808"):
        r.set("k", value)
        with pytest.raises(ResponseError, match="not an integer or out of range"):
            r.incr("k")


def test_incrbyfloat_prints_without_exponent_or_trailing_zeros(r):
    r.set("k", "10.50")
    assert r.incrbyfloat("k", "0.1") == 10.6
    assert r.get("k") == "10.6"
    r.set("k", "5.0e3")
    r.incrbyfloat("k", "2.0e2")
    assert r.get("k") == "5200"


def test_ranges_and_appends_grow_with_zero_bytes(r):
    assert r.append("k", "Hello") == 5
    assert r.setrange("k", 8, "World") == 13
    assert r.get("k") == "Hello\0\0\0World"
    assert r.getrange("k", -5, -1) == "World"
    assert r.getrange("k", 3, 1) == ""
    assert r.substr("k", 0, 1) == "He"
    assert r.strlen("k") == 13


def test_setrange_past_512_mb_is_refused(r):
    with pytest.raises(ResponseError, match="string exceeds maximum allowed size"):
        r.setrange("k", 536870912, "x")


def test_mset_and_msetnx_are_all_or_nothing(r):
    r.mset({"a": 1, "b": 2})
    assert r.mget("a", "none", "b") == ["1", None, "2"]
    assert not r.msetnx({"c": 3, "a": 9})
    assert r.mget("a", "c") == ["1", None]
    assert r.msetnx({"c": 3, "d": 4})


def test_lcs_with_and_without_indices(r):
    r.mset({"a": "ohmytext", "b": "mynewtext"})
    assert r.lcs("a", "b") == "mytext"
    assert r.lcs("a", "b", len=True) == 6


def test_encodings_are_int_embstr_and_raw(r):
    cases = {"12": "int", "x" * 44: "embstr", "x" * 45: "raw", "9223372036854775808": "embstr", "": "embstr"}
    for value, encoding in cases.items():
        r.set("k", value)
        assert r.object("encoding", "k") == encoding
    r.set("k", "1")
    r.append("k", "2")
    assert r.object("encoding", "k") == "raw"


def test_wrong_type_is_refused_and_changes_nothing(r):
    r.rpush("l", "x")
    for call in (lambda: r.get("l"), lambda: r.incr("l"), lambda: r.append("l", "y"), lambda: r.getdel("l")):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            call()
    assert r.lrange("l", 0, -1) == ["x"]
    assert r.set("l", "now a string") is True
