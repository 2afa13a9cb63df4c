"""The change feed: each change to a key is a record, in the order and in the commit of the change."""

import random
import subprocess
import time

import pytest
from harness.trivet import Trivet, binary
from wire import resp

from .conftest import info_of, make_topic
from .feeds import changes_of, commands_in, contents, replay
from .test_outbox import wait_for
from .workload import random_commands

pytestmark = pytest.mark.trivet_only

FEED = {"changefeed.all.topic": "changes"}
VALUES = {**FEED, "changefeed.all.format": "value"}


def delivered(connection):
    wait_for(lambda: info_of(connection)["depth"] == 0)


def settled(connection):
    """Delivered, and with no key left that is past its time: a replay does not see it come back."""
    time.sleep(0.5)
    delivered(connection)


def told(changes):
    """[(key, commands as text, or None)]"""

    def text(commands):
        return commands and "; ".join(b" ".join(words).decode() for words in commands)

    return [(change.key.decode(), text(change.commands())) for change in changes]


# ---- what a change is as a record


@pytest.mark.parametrize(
    "before, command, expected",
    [
        ([], "SET a 1", [("a", "SET a 1")]),
        ([], "SET a 1 PXAT 9999999999999", [("a", "SET a 1 PXAT 9999999999999")]),
        (["SET a 1"], "PEXPIREAT a 9999999999999", [("a", "PEXPIREAT a 9999999999999")]),
        (["SET a 1"], "GETDEL a", [("a", None)]),
        (["SET a 1"], "PEXPIREAT a 1", [("a", None)]),
        ([], "MSET a 1 b 2", [("a", "SET a 1"), ("b", "SET b 2")]),
        ([], "MSETNX a 1 b 2", [("a", "SET a 1"), ("b", "SET b 2")]),
        (["MSET a 1 b 2 c 3"], "DEL a b", [("a", None), ("b", None)]),
        (["MSET a 1 b 2"], "UNLINK a", [("a", None)]),
        ([], "HSET h f 1 g 2", [("h", "HSET h f 1 g 2")]),
        (["HSET h f 1"], "HINCRBYFLOAT h f 0.5", [("h", "HSET h f 1.5")]),
        (["HSET h f 1"], "HDEL h f", [("h", "HDEL h f")]),
        ([], "ZADD z 1 a", [("z", "ZADD z 1 a")]),
        (["SADD s a"], "SPOP s", [("s", "SREM s a")]),
        (["SADD s a b", "SADD t c"], "SMOVE s t a", [("s", "SREM s a"), ("t", "SADD t a")]),
        (["RPUSH l a b"], "LMOVE l m LEFT RIGHT", [("l", "LPOP l"), ("m", "RPUSH m a")]),
        (["RPUSH l a b"], "RPOPLPUSH l m", [("l", "RPOP l"), ("m", "LPUSH m b")]),
        (["RPUSH l a b"], "BLMOVE l m RIGHT LEFT 1", [("l", "RPOP l"), ("m", "LPUSH m b")]),
        (["RPUSH l a b"], "LMOVE l l LEFT RIGHT", [("l", "LMOVE l l LEFT RIGHT")]),
        (["RPUSH l a b"], "BLPOP x l 1", [("l", "LPOP l")]),
        (["RPUSH l a b c"], "LMPOP 2 x l LEFT COUNT 2", [("l", "LPOP l 2")]),
        ([], "XADD s MAXLEN ~ 5 1-1 f v", [("s", "XADD s MAXLEN = 1 1-1 f v")]),
        (["XADD s 1-1 f v", "XGROUP CREATE s g 0"], "XGROUP SETID s g 1-1", [("s", "XGROUP SETID s g 1-1")]),
        (["XADD s 1-1 f v", "XGROUP CREATE s g 0"], "XREADGROUP GROUP g c NOACK STREAMS s >",
         [("s", "XGROUP CREATECONSUMER s g c"), ("s", "XGROUP SETID s g 1-1 ENTRIESREAD 1")]),
        (["SET a 1"], "RENAME a b", [("a", None), ("b", "DEL b; SET b 1")]),
        (["SET a 1 PXAT 9999999999999"], "RENAMENX a b",
         [("a", None), ("b", "DEL b; SET b 1; PEXPIREAT b 9999999999999")]),
        (["HSET h f 1"], "COPY h i", [("i", "DEL i; HSET i f 1")]),
        (["SADD s 1 2", "SADD t 2"], "SINTERSTORE u s t", [("u", "DEL u; SADD u 2")]),
        (["SADD s 1 2", "SADD u 9"], "SINTERSTORE u s t", [("u", None)]),
        (["RPUSH l 2 1"], "SORT l STORE m", [("m", "DEL m; RPUSH m 1 2")]),
        ([], "PFMERGE h", [("h", "PFMERGE h")]),
        (["SET a abc"], "BITOP NOT b a", [("b", "DEL b; SET b \ufffd")]),
        (["ZADD z 1 a 2 b"], "ZRANGESTORE y z 0 0", [("y", "DEL y; ZADD y 1 a")]),
        (["MSET a 1 b 2"], "FLUSHDB", [("a", None), ("b", None)]),
        ([], "EVAL redis.call('INCR','n')redis.call('INCR','n') 0", [("n", "INCR n"), ("n", "INCR n")]),
    ],
)  # fmt: skip
def test_a_command_becomes_one_record_a_key(start, connect, before, command, expected):
    server = start(trivet=FEED)
    connection = connect(server)
    for one in before:
        assert connection.ask(*one.split())[0] != "-"
    before_count = len(changes_of(server, "changes")) if before else 0
    assert connection.ask(*command.split())[0] != "-"
    delivered(connection)
    changes = changes_of(server, "changes")[before_count:]
    if command.startswith("BITOP"):
        assert [(c.key, c.commands()) for c in changes] == [(b"b", [[b"DEL", b"b"], [b"SET", b"b", b"\x9e\x9d\x9c"]])]
    elif command == "FLUSHDB":
        assert sorted(told(changes)) == expected
    else:
        assert told(changes) == expected
    assert {c.command.split("|")[0] for c in changes} <= {command.split()[0].lower(), "xgroup", "incr", "lmove", "lpop", "srem", "del", "hset"}
    assert all(c.headers["feed"] == "all" and c.db == 0 for c in changes)


def test_what_changes_nothing_is_not_told(start, connect):
    server = start(trivet=FEED)
    connection = connect(server)
    for command in ("SET a 1", "GET a", "DEL none", "SETNX a 2", "EXPIRE none 5", "SADD s m", "SADD s m", "HGETALL h",
                    "SMOVE s t none", "RENAME a a", "PUBLISH c x", "SET a"):  # fmt: skip
        connection.ask(*command.split())
    delivered(connection)
    assert told(changes_of(server, "changes")) == [("a", "SET a 1"), ("s", "SADD s m")]


def test_values_are_what_the_step_leaves(start, connect, transact):
    server = start(trivet=VALUES)
    connection = connect(server)
    connection.ask("SET", "bin", b"\x00\xff\r\n")
    transact(connection, ["SET", "a", 1], ["INCR", "a"], ["SET", "b", "x", "PXAT", 9999999999999], ["INCR", "a"])
    connection.ask("HSET", "h", "f", 1)
    connection.ask("SET", "empty", "")
    transact(connection, ["SET", "gone", 1], ["DEL", "gone"], ["RENAME", "a", "c"])
    delivered(connection)
    changes = changes_of(server, "changes")
    assert [(c.key, c.value, c.headers.get("type"), c.headers.get("expires")) for c in changes] == [
        (b"bin", b"\x00\xff\r\n", "string", None),
        (b"a", b"3", "string", None),
        (b"b", b"x", "string", "9999999999999"),
        (b"h", b"*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\n1\r\n", "hash", None),
        (b"empty", b"", "string", None),
        (b"gone", None, None, None),
        (b"a", None, None, None),
        (b"c", b"3", "string", None),
    ]


def test_a_key_set_with_once_has_its_records_number(start, connect, transact):
    """Though the key's own change is a record as well."""
    connection = connect(start(trivet=FEED))
    tag, [number, _, value] = transact(
        connection, ["KAFKA.PRODUCE", "t", "ONCE", "guard", 60, "v"], ["SET", "a", 1], ["GET", "guard"]
    )
    assert (tag, value) == ("*", ("$", b"%d" % number[1]))


# ---- which changes


def test_databases_and_patterns_choose(start, connect):
    feeds = {
        "changefeed.users.topic": "users",
        "changefeed.users.patterns": "user:*, session:[ab]",
        "changefeed.users.databases": "0 2",
        "changefeed.two.topic": "two",
        "changefeed.two.databases": "2",
        "changefeed.two.format": "value",
    }
    server = start(trivet=feeds)
    connection = connect(server)
    for db in (0, 1, 2):
        connection.ask("SELECT", db)
        connection.ask("MSET", "user:1", db, "session:a", db, "session:c", db, "users", db)
    connection.ask("MOVE", "users", 5)
    connection.ask("SELECT", 0)
    connection.ask("COPY", "user:1", "user:9", "DB", 1)
    connection.ask("COPY", "user:1", "user:9", "DB", 2)
    delivered(connection)
    users = [(c.db, c.key.decode()) for c in changes_of(server, "users")]
    assert users == [(0, "user:1"), (0, "session:a"), (2, "user:1"), (2, "session:a"), (2, "user:9")]
    assert [(c.key.decode(), c.value) for c in changes_of(server, "two")] == [
        ("user:1", b"2"), ("session:a", b"2"), ("session:c", b"2"), ("users", b"2"), ("users", None), ("user:9", b"0"),
    ]  # fmt: skip
    feeds_told = [dict(zip(f[::2], f[1::2], strict=True)) for _, f in connection.ask("KAFKA.OUTBOX", "FEEDS")[1]]
    assert [(f["$", b"name"][1], f["$", b"records"][1]) for f in feeds_told] == [(b"users", 5), (b"two", 6)]


def test_swapdb_tells_both_databases(start, connect, mirror):
    server = start(trivet=VALUES)
    connection = connect(server)
    connection.ask("MSET", "both", 0, "zero", 0)
    connection.ask("SELECT", 1)
    connection.ask("MSET", "both", 1, "one", 1)
    connection.ask("SWAPDB", 0, 1)
    delivered(connection)
    replay(changes_of(server, "changes"), mirror)
    assert contents(mirror) == contents(connection)
    assert contents(mirror)[0, b"both"][1] == ("$", b"1")


@pytest.mark.parametrize("feed", [FEED, VALUES], ids=["command", "value"])
@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_the_replay_of_the_topic_is_the_keyspace(start, connect, mirror, feed, appendonly):
    server = start(trivet=feed, kafka={"num.partitions": 3}, redis={"appendonly": appendonly})
    connection = connect(server)
    draw = random.Random(7)
    for _ in range(300):
        for words in random_commands(draw):
            connection.ask(*words)
    settled(connection)
    replay(changes_of(server, "changes", 3), mirror)
    assert contents(mirror) == contents(connection)
    assert len(contents(mirror)) > 20


# ---- keys that go by themselves


def test_expiry_is_told_with_its_cause(start, connect):
    server = start(trivet=FEED)
    connection = connect(server)
    connection.ask("SET", "lazy", 1, "PX", 1)
    connection.ask("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    time.sleep(0.05)
    connection.ask("GET", "lazy")
    connection.ask("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    connection.ask("SET", "active", 1, "PX", 1)
    wait_for(lambda: connection.ask("DBSIZE") == (":", 0))
    delivered(connection)
    gone = [c for c in changes_of(server, "changes") if c.value is None]
    assert [(c.key, c.command, c.headers.get("cause")) for c in gone] == [
        (b"lazy", "del", "expired"),
        (b"active", "del", "expired"),
    ]


def test_eviction_is_told_and_the_outbox_does_not_drive_keys_out(start, connect, mirror):
    server = start(trivet=VALUES)
    connection = connect(server)
    limit = int(connection.ask("INFO", "memory")[1].split(b"used_memory:")[1].split(b"\r\n")[0]) + 2_000_000
    connection.ask("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", "allkeys-random")
    for number in range(6000):
        connection.send("SET", f"k{number}", "x" * 600)
        if number % 100 == 99:
            for _ in range(100):
                assert connection.read() == ("+", "OK")
    connection.ask("CONFIG", "SET", "maxmemory", 0)  # until then a timer may go on where a command's time did not suffice
    left = connection.ask("DBSIZE")[1]
    assert 1500 < left < 4500, left
    delivered(connection)
    changes = changes_of(server, "changes")
    assert sum(c.headers.get("cause") == "evicted" for c in changes) == 6000 - left
    replay(changes, mirror)
    assert contents(mirror, 1) == contents(connection, 1)


# ---- through the end of the process


@pytest.mark.parametrize("feed", [FEED, VALUES], ids=["command", "value"])
def test_killed_it_neither_loses_nor_doubles(start, connect, mirror, feed):
    """A topic that gets INCRs twice, or not at all, cannot count to what the keyspace says."""
    server = start(trivet=feed, kafka={"num.partitions": 2})
    draw = random.Random(3)
    for life in range(6):
        connection = connect(server)
        for _ in range(draw.randrange(40, 120)):
            words = [["INCR", f"n{draw.randrange(5)}"], ["RPUSH", "log", life], *random_commands(draw)]
            for one in words:
                connection.send(*one)
            if draw.random() < 0.05:
                connection.send("BGREWRITEAOF")
        for _ in range(draw.randrange(40, 120)):
            connection.read()  # the others are under way when it dies
        server.restart(kill=True)
    connection = connect(server)
    settled(connection)
    changes = changes_of(server, "changes", 2)
    replay(changes, mirror)
    assert contents(mirror) == contents(connection)
    assert len(changes) > 6 * 30, "hardly anything was written, so nothing was shown"


def test_the_change_and_its_record_are_one_entry(start, connect):
    server = start(trivet=FEED)
    connection = connect(server)
    connection.ask("SET", "a", 1)
    connection.ask("SET", "b", 1, "PX", 1)
    wait_for(lambda: connection.ask("DBSIZE") == (":", 1))
    server.kill9()
    [file] = (server.data / "redis" / "appendonlydir").glob("*.incr.aof")
    shapes = [words[1] if words[0] == b"KAFKA.JOURNAL" else words[0] for words in commands_in(file.read_bytes())]
    shapes = [shape for shape in shapes if shape not in (b"SELECT", b"STATE", b"PLACE", b"ACK")]
    assert shapes == [b"MULTI", b"ADD", b"SET", b"EXEC"] * 2 + [b"MULTI", b"DEL", b"ADD", b"EXEC"]


# ---- bounds


def test_a_full_outbox_holds_the_writes_that_would_be_fed(start, connect, mirror):
    """The topic does not exist and may not be made: nothing is delivered, until somebody makes it."""
    server = start(trivet={**FEED, "changefeed.all.patterns": "fed:*", "changefeed.all.databases": "0",
                           "outbox-bytes-max": 200_000},
                   kafka={"auto.create.topics.enable": "false"})  # fmt: skip
    connection, queued = connect(server), connect(server)
    for words in (["MULTI"], ["SET", "other", 2], ["DEL", "fed:0"]):
        assert queued.ask(*words)[0] == "+"
    connection.ask("SET", "fed:ttl", 1, "PX", 300)
    written = 0
    while (reply := connection.ask("SET", f"fed:{written}", "x" * 100)) == ("+", "OK"):
        written += 1
        assert written < 2000
    assert reply == ("-", "ERR the outbox is full, and the change feed 'all' would need it: see KAFKA.OUTBOX INFO")
    assert written > 300
    assert connection.ask("SET", "other", 1) == ("+", "OK")
    assert connection.ask("GET", "fed:0")[1] == b"x" * 100
    assert connection.ask("FLUSHDB")[0] == "-" and connection.ask("DEL", "other", "fed:0")[0] == "-"
    connection.ask("MULTI")
    assert connection.ask("SET", "other", 2) == ("+", "QUEUED")
    assert connection.ask("DEL", "fed:0")[0] == "-"
    assert connection.ask("EXEC")[1].startswith("EXECABORT")
    tag, text = queued.ask("EXEC")  # from before it was full
    assert tag == "-" and text.startswith("EXECABORT") and "command 2 of 2 (DEL)" in text
    assert connection.ask("EVAL", "return redis.call('SET', 'fed:e', 1)", 0)[0] == "-"
    assert connection.ask("GET", "other") == ("$", b"1")
    connection.ask("SELECT", 5)
    assert connection.ask("SET", "fed:5", 1) == ("+", "OK") and connection.ask("COPY", "fed:5", "fed:6") == (":", 1)
    assert connection.ask("COPY", "fed:5", "fed:6", "DB", 0)[0] == "-" and connection.ask("MOVE", "fed:5", 0)[0] == "-"
    connection.ask("DEL", "fed:5", "fed:6")
    connection.ask("SELECT", 0)
    wait_for(lambda: connection.ask("EXISTS", "fed:ttl") == (":", 0))  # expiry does not wait
    assert b"UNKNOWN_TOPIC_OR_PARTITION" in info_of(connection)["last-error"]

    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}"})
    admin.create_topics([NewTopic("changes", 2, 1)])["changes"].result(20)
    wait_for(lambda: connection.ask("SET", "fed:after", 1) == ("+", "OK"))
    delivered(connection)
    changes = changes_of(server, "changes", 2)
    assert len(changes) == written + 3
    replay(changes, mirror)
    connection.ask("DEL", "other")
    assert contents(mirror) == contents(connection)


def test_what_is_too_large_is_left_out_and_said_to_be(start, connect):
    server = start(trivet={**VALUES, "changefeed.cmd.topic": "commands"})
    connection = connect(server)
    assert connection.ask("SET", "big", "x" * 1_100_000) == ("+", "OK")
    assert connection.ask("SET", "k" * 1_100_000, "v") == ("+", "OK")
    assert connection.ask("DEL", "k" * 1_100_000) == (":", 1)
    connection.ask("SET", "after", 1)
    delivered(connection)
    assert info_of(connection)["last-error"] == b""
    for topic in ("changes", "commands"):
        big, long_key, long_gone, after = changes_of(server, topic)
        assert big.key == b"big" and big.value == b"" and int(big.headers["value-bytes"]) >= 1_100_000
        assert long_key.key == b"k" * 1024 and long_key.headers["key-bytes"] == "1100000" and long_key.value == b""
        assert long_gone.key == b"k" * 1024 and long_gone.headers["key-bytes"] == "1100000" and long_gone.value is None
        assert after.key == b"after"
    assert connection.ask("KAFKA.OUTBOX", "FEEDS")[1][0][1][-1] == (":", 3)


def test_what_waits_for_its_topic_fits_when_it_is_made(start, connect):
    server = start(trivet=FEED, kafka={"auto.create.topics.enable": "false"})
    connection = connect(server)
    assert connection.ask("SET", "big", "x" * 1_100_000) == ("+", "OK")
    connection.ask("SET", "after", 1)
    make_topic(server, "changes")
    delivered(connection)
    big, after = changes_of(server, "changes")
    assert (big.key, big.value) == (b"big", b"") and int(big.headers["value-bytes"]) >= 1_100_000
    assert after.key == b"after"


def test_a_flush_of_more_than_a_step_may_send_is_refused(start, connect, transact):
    server = start()
    connection = connect(server)
    for first in range(0, 1_000_001, 1000):
        words = [word for n in range(first, min(first + 1000, 1_000_001)) for word in (n, n)]
        connection.send("MSET", *words)
    for _ in range(1001):
        assert connection.read() == ("+", "OK")
    assert connection.ask("DBSIZE") == (":", 1_000_001)
    server.stop()
    server.directives["trivet"] = FEED
    server.start()
    connection = connect(server)
    for command in ("FLUSHDB", "FLUSHALL", "SWAPDB"):
        tag, text = connection.ask(command, *([0, 3] if command == "SWAPDB" else []))
        assert tag == "-" and "would send 1000001 records at once" in text, text
    assert transact(connection, ["SET", "a", 1], ["FLUSHDB"])[0] == "-"
    assert connection.ask("DBSIZE") == (":", 1_000_001)
    connection.ask("SELECT", 1)
    assert connection.ask("FLUSHDB") == ("+", "OK")


def test_more_changes_than_a_turn_delivers_are_delivered_all_the_same(start, connect):
    server = start(trivet=VALUES, redis={"appendfsync": "everysec"}, kafka={"num.partitions": 3})
    connection = connect(server)
    burst = b"".join(resp.encode("INCR", f"n{n % 1000}") for n in range(10_000))
    for _ in range(10):
        connection.socket.sendall(burst)
        for _ in range(10_000):
            assert connection.read()[0] == ":"
    delivered(connection)
    changes = changes_of(server, "changes", 3)
    assert len(changes) == 100_000
    assert {c.key: c.value for c in changes} == {f"n{n}".encode(): b"100" for n in range(1000)}


# ---- settings


@pytest.mark.parametrize(
    "args, word",
    [
        (["--changefeed.a.topics", "t"], "it has topic, databases, patterns and format"),
        (["--changefeed.a", "t"], "changefeed.NAME.SETTING"),
        (["--changefeed..topic", "t"], "changefeed.NAME.SETTING"),
        (["--changefeed.a.patterns", "x"], "set changefeed.a.topic"),
        (["--changefeed.a.topic", "no/topic"], "changefeed.a.topic cannot be 'no/topic'"),
        (["--changefeed.a.topic", "__consumer_offsets"], "changefeed.a.topic cannot be"),
        (["--changefeed.a.topic", "__consumer_offsets", "--kafka.auto.create.topics.enable", "false"], "cannot be"),
        (["--changefeed.a.topic", "t", "--changefeed.a.databases", "0,16"], "a list of numbers from 0 to 15"),
        (["--changefeed.a.topic", "t", "--changefeed.a.databases", "x"], "a list of numbers"),
        (["--changefeed.a.topic", "t", "--changefeed.a.patterns", " , "], "a list of 1 to 64 patterns"),
        (["--changefeed.a.topic", "t", "--changefeed.a.format", "json"], "command or value, not 'json'"),
        (["--changefeed.a.topic", "t", "--kafka.port", "-1"], "needs the Kafka protocol"),
        (["--changefeed.a.topic", "t", "--redis.port", "-1"], "Redis protocol is off"),
        (["--outbox-bytes-max", "many"], "a number of bytes"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_line(args, word, tmp_path):
    ports = [f"--{wing}.port=0".split("=") for wing in ("redis", "kafka", "zookeeper", "http")]
    command = [binary(), "--data", tmp_path, *[word for port in ports for word in port], *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and word in done.stderr, done.stderr
    assert len([line for line in done.stderr.splitlines() if "trivet:" in line]) == 1, done.stderr


def test_a_feed_is_set_in_the_file_too(tmp_path, connect):
    config = tmp_path / "trivet.ini"
    config.write_text("[trivet]\nchangefeed.cache.topic = t\nchangefeed.cache.patterns = user:* cart:*\n")
    with Trivet(args=["--config", str(config)]) as server:
        server.start()
        connection = connect(server)
        connection.ask("MSET", "user:1", 1, "x", 1, "cart:1", 1)
        delivered(connection)
        assert [c.key for c in changes_of(server, "t")] == [b"user:1", b"cart:1"]
