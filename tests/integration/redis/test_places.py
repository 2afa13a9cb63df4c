"""Places: what searches by polygon find, and that all of it is there after a restart. The originals' other answers: conformance."""

import pytest
import redis
from wire import resp

SICILY = [13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania", 12.758489, 38.788135, "edge1", 17.241510, 38.788135, "edge2"]
SQUARE = [4, 12, 37, 16, 37, 16, 39, 12, 39]
CORNER = [6, 12, 37, 16, 37, 16, 37.8, 13, 37.8, 13, 39, 12, 39]


@pytest.mark.parametrize(
    "polygon, found",
    [
        (SQUARE, [("Palermo", "56987.4933"), ("Catania", "111411.0839"), ("edge1", "138085.5878")]),
        (CORNER, [("edge1", "123117.4432"), ("Catania", "133724.7798")]),
    ],
    ids=["square", "corner"],
)
def test_a_polygon_holds_what_valkey_9_finds_in_it(r, polygon, found):
    r.execute_command("GEOADD", "sicily", *SICILY)
    reply = r.execute_command("GEOSEARCH", "sicily", "BYPOLYGON", *polygon, "ASC", "WITHDIST")
    text = [tuple(word.decode() if isinstance(word, bytes) else str(word) for word in item) for item in reply]
    assert [(member, float(distance)) for member, distance in text] == [(m, float(d)) for m, d in found]


@pytest.mark.parametrize(
    "words, error",
    [
        (["BYPOLYGON", 2, 1, 1, 2, 2], "must have at least 3 vertices"),
        (["BYPOLYGON", 3, 1, 1, 2, 2], "must have at least 3 vertices"),
        (["BYPOLYGON", "x", 1, 1, 2, 2], "invalid number of vertices"),
        (["BYPOLYGON", 10**12, 1, 1, 2, 2], "must have at least 3 vertices"),
        (["BYPOLYGON", 3, 1, 1, 2, 2, 3, 99], "invalid longitude,latitude pair 3.000000,99.000000"),
        (["BYPOLYGON", *SQUARE, "BYRADIUS", 1, "km"], "syntax error"),
        (["FROMMEMBER", "Palermo", "BYPOLYGON", *SQUARE], "syntax error"),
        (["FROMLONLAT", 1, 1, "ASC", "ASC"], "exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GEOSEARCH"),
    ],
)
def test_a_wrong_polygon_is_refused(r, words, error):
    r.execute_command("GEOADD", "sicily", *SICILY)
    with pytest.raises(redis.ResponseError, match=error):
        r.execute_command("GEOSEARCH", "sicily", *words)


def test_places_are_there_after_a_restart(launch):
    server = launch("redis", appendonly="yes", appendfsync="always")
    one = resp.Connection(server.port_of("redis"))
    one.ask("GEOADD", "sicily", *SICILY)
    one.ask("GEOADD", "sicily", "XX", "CH", 13.5, 38.2, "Palermo")
    one.ask("GEOSEARCHSTORE", "near", "sicily", "FROMLONLAT", 15, 37, "BYRADIUS", 200, "km", "STOREDIST")
    one.ask("GEORADIUS", "sicily", 15, 37, 200, "km", "STORE", "stored")
    reads = [("ZRANGE", key, 0, -1, "WITHSCORES") for key in ("sicily", "near", "stored")]
    before = [one.ask(*words) for words in reads]
    assert all(reply[1] for reply in before)
    server.restart(kill=True)
    written = b"".join(path.read_bytes() for path in server.data.rglob("*.aof"))
    assert b"ZADD" in written and b"GEOADD" not in written  # it travels with the score that it has
    one = resp.Connection(server.port_of("redis"))
    assert [one.ask(*words) for words in reads] == before
