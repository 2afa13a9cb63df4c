"""Fields of hashes that expire: replies, notifications, what WATCH, tracking and scripts see, and what is on disk."""

import json
import pathlib
import time

import pytest
from redis import Redis
from redis.exceptions import ResponseError, WatchError

REPLIES = pathlib.Path(__file__).with_name("hash_field_replies.txt")
# Of Valkey 9.1.2: the hash {a: 1}, whose field expires at 2000000000000.
DUMP = bytes.fromhex("16010161c00100204aa9d101000050007cb9d276232e35d6")


def ask(r, *words):
    try:
        return r.execute_command(*words)
    except ResponseError as error:
        return str(error)


def cases():
    for line in REPLIES.read_text().splitlines():
        if not line.startswith("#"):
            words, reply = line.split("  ->  ")
            yield words.split(), json.loads(reply)


def plain(words, reply):
    """redis-py turns some replies into Python's own; and leaves the ERR of an error out."""
    if isinstance(reply, dict):
        return [word for pair in reply.items() for word in pair]
    if words[0] == "HINCRBYFLOAT":
        return f"{reply:g}"
    return int(reply) if isinstance(reply, bool) else reply


def test_replies_are_those_of_the_original(r):
    r.flushall()
    for words, expected in cases():
        if isinstance(expected, str):
            expected = expected.removeprefix("ERR ")
        if words[0] == "SET":
            expected = True
        assert plain(words, ask(r, *words)) == expected, words


def wait_until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def reach(server, **options):
    options = {"protocol": 3, "decode_responses": True, "socket_timeout": 60, **options}
    return Redis(host=server.host, port=server.port_of("redis"), **options)


@pytest.fixture
def passive(launch):
    """What is over stays until a command deletes it, or `collect` lets the server do so."""
    server = launch("redis", **{"enable-debug-command": "yes"})
    with reach(server) as r:
        r.server = server
        r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        yield r


def collect(r):
    r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_until(lambda: r.hlen("h") == 1)


def make_over(r, key, *fields):
    r.execute_command("HSETEX", key, "PX", 1, "FIELDS", len(fields), *[w for f in fields for w in (f, "old")])
    wait_until(lambda: r.hmget(key, *fields) == [None] * len(fields))


def test_what_is_over_is_not_seen(passive):
    r = passive
    r.hset("h", "live", "1")
    make_over(r, "h", "a", "b")
    assert r.hlen("h") == 3  # as the original counts
    assert r.hgetall("h") == {"live": "1"}
    assert (r.hkeys("h"), r.hvals("h"), r.hget("h", "a")) == (["live"], ["1"], None)
    assert (r.hexists("h", "a"), r.hstrlen("h", "a")) == (False, 0)
    assert r.hrandfield("h") == "live"
    assert (r.hrandfield("h", 5), r.hrandfield("h", -3)) == (["live"], ["live"] * 3)
    assert r.hscan("h") == (0, {"live": "1"})
    assert ask(r, "HTTL", "h", "FIELDS", 2, "a", "live") == [-2, -1]
    assert r.hdel("h", "a") == 0
    r.rpush("l", "h")
    assert r.sort("l", by="nosort", get=["*->a", "*->live"]) == [None, "1"]
    assert "keys_with_volatile_items=1" in ask_raw(r, "INFO", "keyspace")


def ask_raw(r, *words):
    pool = r.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        pool.release(connection)


def test_what_is_written_takes_the_place_of_what_is_over(passive):
    r = passive
    make_over(r, "h", "a", "b", "c", "d", "e")
    assert r.hset("h", "a", "new") == 1
    assert r.hsetnx("h", "b", "new") == 1
    assert r.hincrby("h", "c", 3) == 3
    assert r.hincrbyfloat("h", "d", 1.5) == 1.5
    assert ask(r, "HSETEX", "h", "KEEPTTL", "FIELDS", 1, "e", "new") == 1
    assert ask(r, "HTTL", "h", "FIELDS", 5, *"abcde") == [-1] * 5
    assert r.hgetall("h") == {"a": "new", "b": "new", "c": "3", "d": "1.5", "e": "new"}


def test_a_copy_leaves_out_what_is_over(passive):
    r = passive
    r.hset("h", "live", "1")
    make_over(r, "h", "a")
    make_over(r, "all", "a")
    assert r.copy("h", "h2") == 1
    assert (r.hlen("h2"), r.hlen("h")) == (1, 2)
    assert r.copy("all", "none") == 0 and r.exists("none") == 0


def test_a_payload_is_byte_for_byte_the_original_s(r, connect):
    raw = connect(decode_responses=False)
    r.hset("h", "a", 1)
    ask(r, "HPEXPIREAT", "h", 2000000000000, "FIELDS", 1, "a")
    assert raw.dump("h") == DUMP
    raw.restore("back", 0, DUMP)
    assert ask(r, "HPEXPIRETIME", "back", "FIELDS", 1, "a") == [2000000000000]
    ask(r, "HPERSIST", "h", "FIELDS", 1, "a")
    assert raw.dump("h")[-10:-8] == b"\x0b\x00"  # without times it is as it was before there were any


def test_memory_is_taken_only_by_fields_with_times(r):
    for i in range(200):
        r.hset("plain", f"field{i}", "value")
        r.hset("timed", f"field{i}", "value")
    names = [f"field{i}" for i in range(200)]
    plain_bytes = r.memory_usage("plain", samples=0)
    ask(r, "HEXPIRE", "timed", 1000, "FIELDS", 200, *names)
    assert r.memory_usage("timed", samples=0) > plain_bytes
    ask(r, "HPERSIST", "timed", "FIELDS", 200, *names)
    r.hset("plain", "long", "x" * 100)  # both are tables
    r.hset("timed", "long", "x" * 100)
    assert r.memory_usage("timed", samples=0) == r.memory_usage("plain", samples=0)


# ---- those who listen ----


def events_of(r, pubsub):
    """Up to a mark of our own: what was announced comes in order. Whether a key is new is another test's."""
    r.publish("__keyevent@0__:mark", "")
    heard = []
    while not heard or heard[-1] != "mark":
        if message := pubsub.get_message(timeout=60):
            heard.append(message["channel"].split(":", 1)[1])
    return [event for event in heard if event not in ("new", "mark")]


@pytest.fixture
def events(r, connect):
    r.config_set("notify-keyspace-events", "EA")
    pubsub = connect().pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("__keyevent@0__:*")
    events_of(r, pubsub)
    yield pubsub
    r.config_set("notify-keyspace-events", "")


def test_events_come_in_the_original_s_order(r, events):
    for words, expected in [
        (["HSETEX", "h", "EX", 100, "FIELDS", 2, "a", 1, "b", 2], ["hset", "hexpire"]),
        (["HEXPIRE", "h", 50, "FIELDS", 2, "a", "b"], ["hexpire"]),
        (["HEXPIRE", "h", 50, "NX", "FIELDS", 1, "a"], []),
        (["HPERSIST", "h", "FIELDS", 2, "a", "b"], ["hpersist"]),
        (["HGETEX", "h", "FIELDS", 1, "a"], []),
        (["HGETEX", "h", "EX", 100, "FIELDS", 1, "a"], ["hexpire"]),
        (["HGETEX", "h", "PERSIST", "FIELDS", 1, "a"], ["hpersist"]),
        (["HSETEX", "h", "EX", 0, "FIELDS", 1, "a", 1], ["hset", "hexpire", "hexpired"]),
        (["HGETEX", "h", "EX", 0, "FIELDS", 1, "b"], ["hexpired", "del"]),
        (["HSETEX", "h", "EX", 0, "FIELDS", 1, "a", 1], ["hset", "hexpire", "hexpired", "del"]),
        (["HSET", "h", "a", 1], ["hset"]),
        (["HEXPIRE", "h", 0, "FIELDS", 1, "a"], ["hexpired", "del"]),
        (["HSET", "h", "a", 1], ["hset"]),
        (["HGETDEL", "h", "FIELDS", 1, "a"], ["hdel", "del"]),
    ]:
        ask(r, *words)
        assert events_of(r, events) == expected, words


def test_a_field_that_goes_by_itself_is_told_of(r, events):
    before = r.info("stats")["expired_fields"]
    r.hset("h", "stays", 1)
    ask(r, "HSETEX", "h", "PX", 1, "FIELDS", 1, "a", 1)
    wait_until(lambda: r.hlen("h") == 1)
    ask(r, "HSETEX", "g", "PX", 1, "FIELDS", 1, "a", 1)
    wait_until(lambda: r.exists("g") == 0)
    assert events_of(r, events) == ["hset", "hset", "hexpire", "hexpired", "hset", "hexpire", "hexpired", "del"]
    assert r.info("stats")["expired_fields"] == before + 2


def test_a_watched_key_is_touched_when_a_field_goes(passive):
    r = passive
    make_over(r, "h", "a")
    r.hset("h", "stays", 1)
    with reach(r.server).pipeline() as pipe:
        pipe.watch("h")
        collect(r)
        pipe.multi()
        pipe.ping()
        with pytest.raises(WatchError):
            pipe.execute()


def test_tracking_tells_of_a_field_that_goes(passive):
    r, pushed = passive, []
    make_over(r, "h", "a")
    r.hset("h", "stays", 1)
    connection = reach(r.server).connection_pool.get_connection()
    connection._parser.set_invalidation_push_handler(pushed.append)

    def call(*words):
        connection.send_command(*words)
        return connection.read_response()

    call("CLIENT", "TRACKING", "on")
    call("HGETALL", "h")
    collect(r)
    wait_until(lambda: call("PING") and any(message[1] == ["h"] for message in pushed))
    connection.disconnect()


def test_scripts_and_transactions_see_one_time(r):
    script = """redis.call('hsetex', KEYS[1], 'PX', '1', 'FIELDS', '1', 'a', '1')
        local n = 0
        for i = 1, 3000000 do n = n + i end
        return redis.call('hget', KEYS[1], 'a')"""
    assert r.eval(script, 1, "h") == "1"
    with r.pipeline() as pipe:
        pipe.execute_command("HSETEX", "g", "EX", 100, "FIELDS", 1, "a", 1)
        pipe.execute_command("HGETEX", "g", "PERSIST", "FIELDS", 1, "a")
        pipe.execute_command("HTTL", "g", "FIELDS", 1, "a")
        assert pipe.execute() == [1, ["1"], [-1]]


# ---- what is on disk ----


def test_a_snapshot_says_that_it_has_times_only_when_it_has(launch):
    server = launch("redis", appendonly="no")
    snapshot = pathlib.Path(server.data) / "redis" / "dump.rdb"
    with reach(server) as r:
        r.hset("h", mapping={"a": 1, "b": 2})
        r.save()
        assert snapshot.read_bytes().startswith(b"REDIS0011")
        ask(r, "HPEXPIREAT", "h", 2000000000000, "FIELDS", 1, "a")
        r.save()
        assert snapshot.read_bytes().startswith(b"VALKEY080")
    server.restart(kill=True)
    with reach(server) as r:
        assert ask(r, "HPEXPIRETIME", "h", "FIELDS", 2, "a", "b") == [2000000000000, -1]
