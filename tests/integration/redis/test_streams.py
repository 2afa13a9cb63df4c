"""Streams through redis-py: groups, blocking reads, and that the append-only file brings everything back. Single replies are
compared with the original's in conformance/redis."""

import random

import pytest
import redis
from conformance.redis import grammar
from redis.exceptions import ResponseError
from wire import resp

from .test_lists import Waiter, blocked

WAITERS = 300


def groups_of(r, key):
    return {group["name"]: group for group in r.xinfo_groups(key)}


def read(r, group="g", consumer="c", key="s", **options):
    """IDs that the consumer was given."""
    reply = r.xreadgroup(group, consumer, {key: ">"}, **options)
    entries = reply.get(key, []) if isinstance(reply, dict) else dict(reply or []).get(key, [])
    entries = entries[0] if entries and isinstance(entries[0], list) else entries
    return [entry[0] for entry in entries]


# ---- groups


def test_a_group_gives_each_entry_to_one_consumer_until_it_is_acknowledged(r):
    for n in range(1, 6):
        r.xadd("s", {"n": n}, id=f"{n}-0")
    r.xgroup_create("s", "g", 0)
    assert read(r, consumer="a", count=2) == ["1-0", "2-0"]
    assert read(r, consumer="b") == ["3-0", "4-0", "5-0"]
    assert read(r, consumer="a") == []
    assert r.xpending("s", "g")["pending"] == 5
    assert r.xack("s", "g", "1-0", "3-0", "9-0") == 2
    assert [p["message_id"] for p in r.xpending_range("s", "g", "-", "+", 10)] == ["2-0", "4-0", "5-0"]
    assert [entry[0] for entry in r.xclaim("s", "g", "b", 0, ["2-0"])] == ["2-0"]
    assert r.xpending("s", "g")["consumers"] == [{"name": "b", "pending": 3}]
    assert r.xgroup_delconsumer("s", "g", "b") == 3
    assert groups_of(r, "s")["g"]["pending"] == 0


def test_what_happens_in_a_group_does_not_fail_who_watches_the_key(r, connect):
    r.xadd("s", {"f": "v"}, id="1-0")
    r.xgroup_create("s", "g", 0)
    other = connect()
    with other.pipeline() as pipe:
        pipe.watch("s")
        read(r)
        r.xack("s", "g", "1-0")
        pipe.multi()
        pipe.xlen("s")
        assert pipe.execute() == [1]
        pipe.watch("s")
        r.xadd("s", {"f": "v"})
        pipe.multi()
        pipe.xlen("s")
        with pytest.raises(redis.WatchError):
            pipe.execute()


# ---- waiting


def wait_for_group(r, connect, eventually, count=1):
    waiters = [Waiter(lambda: read(connect(), block=0)) for _ in range(count)]
    eventually(lambda: blocked(r, count))
    return waiters


@pytest.mark.parametrize(
    "ends, error",
    [
        (lambda r: r.delete("s"), "NOGROUP"),
        (lambda r: r.xgroup_destroy("s", "g"), "NOGROUP"),
        (lambda r: r.set("s", "text"), "WRONGTYPE"),
        (lambda r: r.rename("s", "t"), "NOGROUP"),
        (lambda r: r.flushall(), "NOGROUP"),
        (lambda r: r.pexpire("s", 1), "NOGROUP"),
        (lambda r: r.swapdb(0, 1), "NOGROUP"),
    ],
    ids=["delete", "destroy", "set", "rename", "flush", "expire", "swapdb"],
)
def test_who_waits_for_a_group_is_told_when_it_is_gone(r3, connect, eventually, ends, error):
    r3.xgroup_create("s", "g", mkstream=True)
    (waiter,) = wait_for_group(r3, connect, eventually)
    ends(r3)
    assert isinstance(waiter.value(), ResponseError)
    assert error in str(waiter.value()) or error == "WRONGTYPE" and "wrong kind" in str(waiter.value())
    assert r3.info("clients")["total_blocking_keys"] == 0


def test_a_plain_reader_waits_on_when_the_key_goes(r3, connect, eventually):
    r3.xadd("s", {"f": "v"}, id="5-0")
    waiter = Waiter(lambda: connect().xread({"s": "$", "t": "0"}, block=0))
    eventually(lambda: blocked(r3, 1))
    r3.delete("s")
    r3.set("s", "text")
    r3.delete("s")
    assert blocked(r3, 1)
    r3.xadd("s", {"f": "old"}, id="4-0")
    assert blocked(r3, 1)
    r3.xadd("s", {"f": "new"}, id="6-0")
    assert "6-0" in str(waiter.value()) and "4-0" not in str(waiter.value())


def test_an_entry_wakes_one_consumer_and_asks_no_other(r3, connect, eventually):
    """The first of a group's line that finds nothing speaks for those behind it."""
    r3.xgroup_create("s", "g", mkstream=True)
    waiters = wait_for_group(r3, connect, eventually, WAITERS)
    before = r3.info("stats")["total_commands_processed"]
    for n in range(1, WAITERS + 1):
        r3.xadd("s", {"n": n}, id=f"{n}-0")
    ran = r3.info("stats")["total_commands_processed"] - before
    given = [waiter.value() for waiter in waiters]
    assert sorted(given, key=lambda ids: int(ids[0].split("-")[0])) == [[f"{n}-0"] for n in range(1, WAITERS + 1)]
    assert ran < WAITERS * 5, "each entry asked more than one waiter in vain"


def test_entries_of_one_transaction_go_to_as_many_consumers(r3, connect, eventually):
    r3.xgroup_create("s", "g", mkstream=True)
    waiters = [Waiter(lambda: read(connect(), block=0, count=1)) for _ in range(3)]
    eventually(lambda: blocked(r3, 3))
    with r3.pipeline(transaction=True) as pipe:
        for n in range(1, 4):
            pipe.xadd("s", {"n": n}, id=f"{n}-0")
        pipe.execute()
    assert sorted(waiter.value()[0] for waiter in waiters) == ["1-0", "2-0", "3-0"]


def test_in_a_transaction_and_in_a_script_nobody_waits(r3):
    r3.xgroup_create("s", "g", mkstream=True)
    with r3.pipeline(transaction=True) as pipe:
        pipe.xreadgroup("g", "c", {"s": ">"}, block=0)
        pipe.xread({"s": "$"}, block=0)
        assert [not reply for reply in pipe.execute()] == [True, True]
    assert r3.eval("return redis.call('XREAD', 'BLOCK', '0', 'STREAMS', 's', '$')", 0) in (None, False)


# ---- of later Redis, by its documentation


def filled(r, count=4):
    for n in range(1, count + 1):
        r.xadd("s", {"n": n}, id=f"{n}-0")
    r.xgroup_create("s", "g", 0)
    r.xgroup_create("s", "h", 0)


def ids_in(r, key="s"):
    return [entry[0] for entry in r.xrange(key)]


def pending(r, group="g"):
    return [(p["message_id"], p["consumer"], p["times_delivered"]) for p in r.xpending_range("s", group, "-", "+", 100)]


def test_xdelex_deletes_what_no_group_needs(r):
    filled(r)
    assert r.execute_command("XDELEX", "s", "ACKED", "IDS", 2, "1-0", "9-0") == [2, -1]
    read(r, "g")
    read(r, "h", count=2)
    r.xack("s", "g", "1-0", "2-0", "3-0")
    r.xack("s", "h", "1-0")
    assert r.execute_command("XDELEX", "s", "ACKED", "IDS", 3, "1-0", "2-0", "3-0") == [1, 2, 2]
    assert r.execute_command("XDELEX", "s", "IDS", 1, "2-0", "DELREF") == [1]
    assert pending(r, "h") == []
    assert r.execute_command("XDELEX", "s", "KEEPREF", "IDS", 1, "4-0") == [1]
    assert pending(r) == [("4-0", "c", 1)] and ids_in(r) == ["3-0"]
    assert r.execute_command("XDELEX", "nosuch", "IDS", 2, "1-0", "2-0") == [-1, -1]
    for wrong in (["IDS", 0, "1-0"], ["IDS", 2, "1-0"], ["1-0", "2-0"], ["IDS", "x", "1-0"], ["NOSUCH", "IDS", 1, "1-0"]):
        with pytest.raises(ResponseError):
            r.execute_command("XDELEX", "s", *wrong)


def test_xackdel_acknowledges_and_deletes(r):
    filled(r)
    read(r, "g")
    read(r, "h")
    assert r.execute_command("XACKDEL", "s", "g", "ACKED", "IDS", 2, "1-0", "9-0") == [2, -1]
    assert r.execute_command("XACKDEL", "s", "h", "ACKED", "IDS", 1, "1-0") == [1]
    assert r.execute_command("XACKDEL", "s", "g", "DELREF", "IDS", 1, "2-0") == [1]
    assert r.execute_command("XACKDEL", "s", "g", "IDS", 1, "3-0") == [1]
    assert [p[0] for p in pending(r, "h")] == ["3-0", "4-0"] and ids_in(r) == ["4-0"]
    assert r.execute_command("XACKDEL", "s", "nosuch", "IDS", 1, "4-0") == [-1]


@pytest.mark.parametrize("trim", [["MAXLEN", 1], ["MINID", "9-0"]], ids=["maxlen", "minid"])
def test_a_trim_spares_what_groups_need(r, trim):
    filled(r)
    read(r, "g")
    read(r, "h", count=3)
    r.xack("s", "g", "1-0", "3-0", "4-0")
    r.xack("s", "h", "1-0", "2-0", "3-0")
    assert r.execute_command("XTRIM", "s", "ACKED", *trim) == 2
    assert ids_in(r) == ["2-0", "4-0"]
    assert r.execute_command("XADD", "s", "DELREF", "MAXLEN", 1, "5-0", "n", 5) == "5-0"
    assert ids_in(r) == ["5-0"] and pending(r) == []


def test_a_consumer_gives_entries_back(r):
    filled(r)
    read(r, "g", "a")
    assert r.execute_command("XNACK", "s", "g", "FAIL", "IDS", 2, "3-0", "9-0") == 1
    assert r.execute_command("XNACK", "s", "g", "SILENT", "IDS", 1, "1-0") == 1
    assert r.execute_command("XNACK", "s", "g", "FATAL", "IDS", 1, "2-0") == 1
    assert r.execute_command("XNACK", "s", "g", "FAIL", "IDS", 1, "4-0", "RETRYCOUNT", 7) == 1
    assert pending(r) == [("1-0", "", 0), ("2-0", "", 2**63 - 1), ("3-0", "", 1), ("4-0", "", 7)]
    assert {p["time_since_delivered"] for p in r.xpending_range("s", "g", "-", "+", 10)} == {-1}
    assert [entry[0] for entry in r.xclaim("s", "g", "b", 10**9, ["2-0", "3-0"])] == ["2-0", "3-0"]
    assert pending(r)[1:3] == [("2-0", "b", 2**63 - 1), ("3-0", "b", 2)]
    r.xack("s", "g", "1-0")
    assert r.execute_command("XNACK", "s", "g", "FAIL", "IDS", 1, "1-0") == 0
    assert r.execute_command("XNACK", "s", "g", "FAIL", "IDS", 1, "1-0", "FORCE") == 1
    with pytest.raises(ResponseError):
        r.execute_command("XNACK", "s", "g", "NOSUCH", "IDS", 1, "1-0")


def test_entries_given_back_are_counted_apart_and_of_no_consumer(r):
    filled(r)
    read(r, "g", "a")
    r.execute_command("XNACK", "s", "g", "FAIL", "IDS", 2, "1-0", "2-0")
    summary = r.xpending("s", "g")
    assert summary["pending"] == 4 and summary["consumers"] == [{"name": "a", "pending": 2}]
    assert [group["consumers"] for group in r.xinfo_groups("s")] == [1, 0]
    assert [consumer["name"] for consumer in r.xinfo_consumers("s", "g")] == ["a"]
    told = {group["name"]: group for group in r.xinfo_stream("s", full=True)["groups"]}
    assert told["g"]["nacked-count"] == 2 and [one["name"] for one in told["g"]["consumers"]] == ["a"]
    assert "nacked-count" not in told["h"]
    r.xclaim("s", "g", "a", 0, ["1-0", "2-0"])
    assert r.xpending("s", "g")["consumers"] == [{"name": "a", "pending": 4}]


def claimed(r, *words):
    """[(ID, whether it says how idle it was, deliveries before)]"""
    reply = r.execute_command("XREADGROUP", "GROUP", "g", *words, "STREAMS", "s", ">")
    entries = dict(reply)["s"] if reply else []
    entries = entries[0] if entries and isinstance(entries[0][0], list) else entries
    return [(entry[0], len(entry) == 4, entry[3] if len(entry) == 4 else None) for entry in entries]


def test_xreadgroup_claims_what_is_idle_first(r3):
    """redis-py knows nothing of the longer entries yet, so the reply is read as it is."""
    r3.response_callbacks.pop("XREADGROUP", None)
    filled(r3)
    r3.execute_command("XREADGROUP", "GROUP", "g", "a", "COUNT", 2, "STREAMS", "s", ">")
    assert claimed(r3, "b", "CLAIM", 10**9, "COUNT", 1) == [("3-0", True, 0)]
    r3.execute_command("XNACK", "s", "g", "FAIL", "IDS", 1, "2-0")
    assert claimed(r3, "b", "CLAIM", 0, "MAXCOUNT", 3) == [("2-0", True, 1), ("1-0", True, 1), ("3-0", True, 1)]
    assert claimed(r3, "b", "CLAIM", 10**9) == [("4-0", True, 0)]
    assert pending(r3) == [("1-0", "b", 2), ("2-0", "b", 2), ("3-0", "b", 2), ("4-0", "b", 1)]


def test_the_last_of_a_stream_that_never_had_any_is_nothing(r):
    r.xgroup_create("s", "g", mkstream=True)
    assert not r.xread({"s": "+"})
    r.xadd("s", {"n": 1}, id="0-1")
    assert "0-1" in str(r.xread({"s": "+"}))


def test_who_waits_to_claim_is_woken_by_the_clock_and_by_xnack(r3, connect, eventually):
    filled(r3)
    read(r3, "g", "a")
    patient = connect()
    patient.response_callbacks.pop("XREADGROUP", None)
    first = Waiter(lambda: claimed(patient, "b", "BLOCK", 0, "CLAIM", 300))
    eventually(lambda: blocked(r3, 1))
    assert [entry[0] for entry in first.value()] == ["1-0", "2-0", "3-0", "4-0"]
    second = Waiter(lambda: claimed(patient, "c", "BLOCK", 0, "CLAIM", 10**9))
    eventually(lambda: blocked(r3, 1))
    r3.execute_command("XNACK", "s", "g", "FAIL", "IDS", 1, "3-0")
    assert second.value() == [("3-0", True, 2)]


def test_maxcount_and_maxsize_bound_a_reply_of_several_streams(r3):
    r3.response_callbacks.pop("XREAD", None)
    for n in range(1, 4):
        r3.xadd("s", {"f": "x" * 9}, id=f"{n}-0")
        r3.xadd("t", {"f": "x" * 9}, id=f"{n}-0")

    def counts(*words):
        reply = r3.execute_command("XREAD", *words, "STREAMS", "s", "t", 0, 0)
        return {key: len(entries) for key, entries in dict(reply).items()}

    assert counts("MAXCOUNT", 4) == {"s": 3, "t": 1}
    assert counts("MAXCOUNT", 3) == {"s": 3}
    assert counts("MAXCOUNT", 4, "COUNT", 2) == {"s": 2, "t": 2}
    assert counts("MAXSIZE", 25) == {"s": 2}
    assert counts("MAXSIZE", 1) == {"s": 1}
    assert counts("MAXSIZE", 1000) == {"s": 3, "t": 3}


# ---- messages that are known again


def info_of_messages(r):
    info = r.execute_command("XINFO", "STREAM", "s")
    info = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2], strict=True))
    return [info[f"{name}"] for name in ("pids-tracked", "iids-tracked", "iids-added", "iids-duplicates")]


def test_a_message_that_is_sent_again_is_added_once(r):
    r.response_callbacks.pop("XINFO STREAM", None)
    first = r.execute_command("XADD", "s", "IDMP", "p", "m1", "*", "f", "v")
    assert r.execute_command("XADD", "s", "IDMP", "p", "m1", "*", "f", "other") == first
    assert r.execute_command("XADD", "s", "IDMP", "q", "m1", "*", "f", "v") != first
    auto = r.execute_command("XADD", "s", "IDMPAUTO", "p", "*", "f", "v", "g", "w")
    assert r.execute_command("XADD", "s", "IDMPAUTO", "p", "MAXLEN", "~", 100, "*", "f", "v", "g", "w") == auto
    assert r.execute_command("XADD", "s", "IDMPAUTO", "p", "*", "f", "vg", "w", "w") != auto
    assert r.xlen("s") == 4
    assert info_of_messages(r) == [2, 4, 4, 2]


def test_the_oldest_message_is_forgotten_when_there_are_too_many(r):
    r.xadd("s", {"f": "v"}, id="1-0")
    assert r.execute_command("XCFGSET", "s", "IDMP-MAXSIZE", 2, "IDMP-DURATION", 300) in ("OK", True)
    ids = [r.execute_command("XADD", "s", "IDMP", "p", f"m{n}", "*", "n", n) for n in range(3)]
    assert r.execute_command("XADD", "s", "IDMP", "p", "m2", "*", "n", 2) == ids[2]
    assert r.execute_command("XADD", "s", "IDMP", "p", "m0", "*", "n", 0) not in ids
    for wrong in (["IDMP-MAXSIZE", 0], ["IDMP-DURATION", 86401], ["IDMP-MAXSIZE"], [], ["NOSUCH", 1]):
        with pytest.raises(ResponseError):
            r.execute_command("XCFGSET", "s", *wrong)
    with pytest.raises(ResponseError, match="no such key"):
        r.execute_command("XCFGSET", "nosuch", "IDMP-MAXSIZE", 5)
    for wrong in (["IDMP", "p", "", "*"], ["IDMP", "", "m", "*"], ["IDMP", "p"], ["IDMP", "p", "m", "IDMP", "p", "m", "*"]):
        with pytest.raises(ResponseError):
            r.execute_command("XADD", "s", *wrong, "f", "v")


@pytest.mark.trivet_only
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_messages_are_known_again_after_a_restart(launch, eventually, preamble):
    server = launch("redis", **{"appendonly": "yes", "aof-use-rdb-preamble": preamble})

    def send(message):
        with redis.Redis(port=server.port_of("redis")) as one:
            one.select(3)
            return one.execute_command("XADD", "s", "IDMP", "p", message, "*", "f", "v")

    early = send("early")
    with redis.Redis(port=server.port_of("redis")) as one:
        one.bgrewriteaof()
        eventually(lambda: one.info("persistence")["aof_rewrite_in_progress"] == 0)
    late = send("late")
    server.kill9()
    server.start()
    assert [send("early"), send("late")] == [early, late]
    with redis.Redis(port=server.port_of("redis"), db=3) as one:
        assert one.xlen("s") == 2


# ---- the append-only file


NOT_KEPT = {b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time", b"iids-added", b"iids-duplicates"}


def without(reply, names=NOT_KEPT):
    """XINFO's reply without what a restart may change: how entries lie in nodes, when consumers were last seen, what was
    counted."""
    tag, value = reply
    if tag not in "*%" or not value:
        return reply
    if tag == "%":
        value = [part for pair in value for part in pair]
    drop = {i for i, item in enumerate(value) if i % 2 == 0 and item[0] == "$" and item[1] in names}
    return tag, [without(item) for i, item in enumerate(value) if i not in drop and i - 1 not in drop]


def streams(connection):
    return {
        key: without(connection.ask("XINFO", "STREAM", key, "FULL", "COUNT", 0))
        for key in ("s1", "s2", "s3")
        if connection.ask("TYPE", key)[1] == "stream"
    }


def changes(seed, count):
    shapes = grammar.STREAM_SHAPES + grammar.LATER_STREAM_SHAPES
    for _, words in grammar.stream_sequence(random.Random(seed), count, shapes):
        history = words[0].upper() == "XREADGROUP" and not {word for word in words[-2:]} <= {">", "s1", "s2", "s3"}
        waits = "BLOCK" in words or words[0].upper() in ("MULTI", "EXEC", "WATCH")
        if not history and not waits:
            yield [word.encode("latin-1") for word in words]


def play(connection, seed):
    """Random commands that leave at least one stream."""
    left = False
    while not left:
        for words in changes(seed, 600):
            connection.ask(*words)
        left, seed = bool(streams(connection)), seed + 1000


@pytest.mark.trivet_only
@pytest.mark.seeds(6)
def test_what_travels_replays_to_the_same_streams(launch, seed):
    server = launch("redis", **{"appendonly": "yes", "enable-debug-command": "yes"})
    connection = resp.Connection(server.port_of("redis"))
    play(connection, seed)
    before, digest = streams(connection), connection.ask("DEBUG", "DIGEST")
    assert connection.ask("DEBUG", "LOADAOF") == ("+", "OK")
    assert streams(connection) == before
    assert connection.ask("DEBUG", "DIGEST") == digest
    connection.close()


def without_gone_pending(connection):
    """A rewrite, as the original's, does not carry what is pending of entries that are gone."""
    for key in ("s1", "s2", "s3"):
        if connection.ask("TYPE", key)[1] != "stream":
            continue
        for group in ("g1", "g2", "g\r\n3"):
            connection.ask("XAUTOCLAIM", key, group, "sweeper", 0, "-", "COUNT", 1000)


@pytest.mark.trivet_only
@pytest.mark.seeds(6)
def test_a_rewrite_keeps_streams_and_groups(launch, seed):
    server = launch("redis", **{"appendonly": "yes", "enable-debug-command": "yes"})
    connection = resp.Connection(server.port_of("redis"))
    play(connection, seed + 100)
    without_gone_pending(connection)
    before, digest = streams(connection), connection.ask("DEBUG", "DIGEST")
    assert connection.ask("DEBUG", "RELOAD") == ("+", "OK")
    assert streams(connection) == before
    assert connection.ask("DEBUG", "DIGEST") == digest
    connection.close()


def test_a_group_that_had_not_read_what_was_trimmed_does_not_lag_for_ever(redis_server):
    with resp.Connection(redis_server.port_of("redis")) as connection:
        connection.ask("DEL", "s")
        connection.ask("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        connection.ask("XADD", "s", "1-1", "f", "v")
        connection.ask("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        connection.ask("XADD", "s", "2-1", "f", "v")
        connection.ask("XTRIM", "s", "MAXLEN", "0")
        connection.ask("XADD", "s", "3-1", "f", "v")
        connection.ask("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        told = connection.ask("XINFO", "GROUPS", "s")[1][0][1]
        assert told[-4:] == [("$", b"entries-read"), (":", 3), ("$", b"lag"), (":", 0)]
